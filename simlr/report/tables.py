"""Rows laid out for a reader: short tables of text, which the terminal, Markdown and HTML share."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..analysis.budgets import STEPS
from ..analysis.comparison import FEWEST, Tally
from ..analysis.families import likely
from ..analysis.levels import WORDS, heading, is_loss
from ..analysis.on_page import MOST_GROUPS, MOST_LEVELS, MOST_LINES, groups, levels, names
from ..analysis.statistics import EQUAL
from ..analysis.summary import Row
from ..analysis.wording import LOSSES, at_value, noun, told_apart
from ..claims.verdict import HOLDS, NOT_RUN, Verdict
from ..config.stop import PATIENCE
from ..text import MOST_NAMES, first_few, many, number, printable, value_text

MOST_NOTES = 6
FEW_LINES = 9


MISSING, DIVERGED, BELOW = "*", "!", "~"
MARKS = MISSING + DIVERGED + BELOW
BELOW_NOTE = "most stops lie below the level by over 1 % of its excess over the floor: not at equal train loss"
FINDING_HEADER = ("what", "measured", "paper", "tolerance", "outcome")
WHOLE = "the report's summary.csv"


class Table(NamedTuple):
    """A table for a reader, all text."""

    title: str
    header: tuple
    lines: tuple  # of tuples as long as the header
    notes: tuple


def interval(low: float, high: float) -> str:
    """An interval in words."""
    return f"{number(low)} to {number(high)}"


def percent(share: float, low: float, high: float) -> str:
    """A share with its interval, in percent."""
    return "-" if share != share else f"{100 * share:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def probability(p: float) -> str:
    """A p value."""
    return "< 1e-99" if p < 1e-99 else number(p)


def describe(rows: Sequence[Row]) -> str:
    """What the rows cover, in one line: schedules, seeds, levels, and how many seeds are done."""
    groups = list(dict.fromkeys(row.problem for row in rows))
    seeds = sum(max(row.seeds for row in rows if row.problem == problem) for problem in groups)
    left = sum(max(row.not_run for row in rows if row.problem == problem) for problem in groups)
    parts = [many(len(names(rows)), "schedule"), many(seeds, "seed"), many(len(levels(rows)), "level")]
    over = f", {len(groups)} problems" if len(groups) > 1 else ""
    return " x ".join(parts) + over + (f"; unfinished: {seeds - left} of {many(seeds, 'seed')} done" if left else "")


def agreement(verdict: Verdict) -> str:
    """How many of the figures that could be measured agree with the paper's."""
    known = (finding for finding in verdict.findings if finding.measured != "" or finding.outcome == HOLDS)
    counted = [finding for finding in known if finding.outcome != NOT_RUN]
    agree = sum(finding.outcome == HOLDS for finding in counted)
    return f"{agree} of {many(len(counted), 'figure')} measured agree with the paper's" if counted else "none measured"


def findings_table(verdict: Verdict) -> Table:
    """The `Table` of a verdict's findings: every figure beside the paper's."""
    lines = tuple(tuple(map(printable, finding.cells())) for finding in verdict.findings)
    notes = tuple(f"{finding.what}: {finding.note}" for finding in verdict.findings if finding.note)
    return Table("Measured beside the paper's figures", FINDING_HEADER, lines, notes)


def tables(rows: Sequence[Row], most: int = MOST_LINES, exact: bool = False) -> list[Table]:
    """The tables of a run, for each problem combination: test loss and, of several schedules, ratio to the baseline's.

    Parameters
    ----------
    rows
        Of all schedules, levels and problem combinations.
    most
        How many schedules a table has at most.
    exact
        Whether the losses are one seed's exact means: see `summary.is_exact`.
    """
    all_tables = []
    for problem, group in groups(rows, most).items():
        all_tables.append(_loss_table(group, label(problem), exact))
        if _tells_classes(group):
            all_tables.append(_accuracy_table(group, label(problem)))
        if len(group.shown) > 1:
            all_tables.append(_ratio_table(group, label(problem), exact))
    return _with_rest(all_tables, rows)


def loss_tables(rows: Sequence[Row], most: int = MOST_LINES, exact: bool = False) -> list[Table]:
    """The tables of test losses alone; parameters as of `tables`."""
    return _with_rest([_loss_table(group, label(key), exact) for key, group in groups(rows, most).items()], rows)


def short_table(rows: Sequence[Row]) -> Table:
    """What a command prints when a run ends, of one problem combination.

    Of one schedule the losses, of several accuracies where there are classes, else ratios. Parameters as of `tables`;
    at most FEW_LINES schedules.
    """
    problem, group = next(iter(groups(rows, FEW_LINES).items()))
    if len(group.shown) == 1:
        return _loss_table(group, label(problem))
    one = _accuracy_table(group, label(problem)) if _tells_classes(group) else _ratio_table(group, label(problem))
    left_out = len(group.names) - len(group.shown)
    notes = [f"the highest ratios of {len(group.names)} schedules"] if left_out else []
    problems = len({row.problem for row in rows})
    notes += [f"the first of {problems} problem combinations"] if problems > 1 else []
    marks = {mark for line in one.lines for cell in line[1:] for mark in cell[len(cell.rstrip(MARKS)) :]}
    notes += ["* some seeds do not get there: the report says which and why"] if MISSING in marks else []
    notes += ["! some seeds diverge, and do not get there"] if DIVERGED in marks else []
    notes += [f"~ {BELOW_NOTE}"] if BELOW in marks else []
    return one._replace(notes=(*one.notes, *notes))


def _with_rest(all_tables, rows):
    """Tables of which the last says how many problem combinations have no room."""
    left_out = len({row.problem for row in rows}) - MOST_GROUPS
    if left_out > 0:
        note = f"{left_out} more problem combinations: see {WHOLE}"
        all_tables[-1] = all_tables[-1]._replace(notes=(*all_tables[-1].notes, note))
    return all_tables


def label(problem: tuple) -> str:
    """A problem combination behind a title: " [20 rows, test exponent 1]"."""
    parts = [at_value(key, value) for key, value in problem]
    return printable(f" [{', '.join(parts)}]") if parts else ""


def _loss_table(group, label, exact=False):
    """Median test loss: over the level where the test loss can vanish with it, else as it is."""
    relative = is_loss(group.kind) and all(row.test_floor == 0.0 and row.level > 0.0 for row in group.rows)
    field = "test_loss_over_level" if relative else "test_loss"
    title = f"{'Expected test' if exact else 'Test'} loss{' / level' if relative else ''}"
    title = f"{title} {WORDS[group.kind].when}{'' if exact else _over_seeds(group)}{label}"
    lines, told = [], told_apart(group.shown)
    for name in group.shown:
        mark = " (baseline)" if name == group.base else ""
        values = (number(getattr(row, field)) + _marks(row) for row in group.of(name))
        lines.append((told[name] + mark, *values))
    header = ("schedule", *(heading(group.kind, level) for level in group.levels))
    left_out = len(group.names) - len(group.shown)
    notes, missed = [], _missed(group)
    if left_out:
        shown = f"the baseline and the highest ratios of {len(group.names)} schedules"
        notes.append(f"{shown}; {left_out} more: see {WHOLE}")
    notes += missed[:MOST_NOTES]
    if len(missed) > MOST_NOTES:
        notes.append(f"* {len(missed) - MOST_NOTES} more notes of this kind: see the counts in {WHOLE}")
    if any(BELOW in _marks(row) for name in group.shown for row in group.of(name)):
        notes.append(f"~ {BELOW_NOTE}")
    starts = [heading(group.kind, level) for level in group.levels if level in group.at_start]
    notes += [f"every seed starts at or below {', '.join(starts)}: nothing is trained there"] if starts else []
    return Table(title, header, tuple(lines), tuple(notes))


def _seeds(group):
    """How many seeds a problem combination has."""
    return max(row.seeds for row in group.rows)


def _over_seeds(group):
    """What the end of a title says that a cell is of its seeds."""
    return ", median over seeds" if _seeds(group) > 1 else ", of the one seed"


def _tells_classes(group):
    """Whether the share of test rows that are classified correctly is known of any row."""
    return any(row.test_accuracy == row.test_accuracy is not None for row in group.rows)


def _accuracy_table(group, label):
    """Median share of the test rows that are classified correctly."""
    lines, told = [], told_apart(group.shown)
    for name in group.shown:
        values = (_percent(row.test_accuracy) + _marks(row).replace(BELOW, "") for row in group.of(name))
        lines.append((told[name], *values))
    title = f"Test rows classified correctly, in %, {WORDS[group.kind].when}{_over_seeds(group)}{label}"
    header = ("schedule", *(heading(group.kind, level) for level in group.levels))
    return Table(title, header, tuple(lines), ())


def _percent(share):
    """A share as a cell of a table."""
    return f"{100 * share:.1f}" if math.isfinite(share) else "-"


def _ratio_table(group, label, exact=False):
    """Median paired ratio to the baseline, and how often it is above 1 at the last level that pairs have reached."""
    lines, told, several = [], told_apart(group.shown), _seeds(group) > 1
    for name in group.shown:
        if name != group.base:
            ratios = (_ratio(row) + _marks(row) for row in group.of(name))
            row = group.cells[name, group.last]
            share = f"{100 * row.above_1:.1f} % ({100 * row.above_1_low:.1f} to {100 * row.above_1_high:.1f})"
            share = share if row.pairs and _ratio(row) != "apart" else "-"
            lines.append((told[name], *ratios, *[share] * several))
    title = (
        f"{'Expected test' if exact else 'Test'} loss of {told[group.base]} / that of the schedule, "
        f"{'same seed, ' * several}same {WORDS[group.kind].same}{': median, and share above 1' * several}"
    )
    columns = (heading(group.kind, level) for level in group.levels)
    header = ("schedule", *columns, *[f"above 1 at {heading(group.kind, group.last)} (95 %)"] * several)
    below = (group.cells[name, group.last].train_loss_over_level < 1.0 - 1e-6 for name in group.shown)
    discrete = group.last not in group.at_start and any(below)
    notes = ["above 1 by any amount; a discrete schedule gains a little by stopping below the level"] * discrete
    words = {cell.rstrip(MARKS) for line in lines for cell in line[1 : len(group.levels) + 1]}
    if "apart" in words:
        notes.append("apart: over 1 % apart in train loss in most seeds that reach the level, and not compared")
    if words & {"lost", "won"}:
        notes.append("lost: the schedule does not get there in most of the seeds; won: the baseline does not")
    cells = (row for name in group.shown for row in (*group.of(name), group.cells[name, group.last]))
    # A budget of steps that is taken, and has no pair: one of the two sides is only on its way there.
    if group.kind == STEPS and any(row.reached and not row.pairs + row.apart for row in cells):
        notes.append("-: the schedule or the baseline is made for another number of steps")
    return Table(title + label, header, tuple(lines), tuple(notes))


def _ratio(row):
    """The cell of a ratio; in words where most of the seeds have none."""
    if row.apart > row.pairs or 2 * row.apart > row.both_reached:
        return "apart"
    return {0.0: "lost", math.inf: "won"}.get(row.ratio, number(row.ratio))


def ratio_text(pair: Tally) -> str:
    """The ratio of a comparison, or what there is in its place."""
    if pair.pairs and math.isinf(pair.ratio):
        return "lost"
    return "won" if pair.pairs and pair.ratio == 0.0 and pair.missed_b else number(pair.ratio)


def ratio_interval(pair: Tally) -> str:
    """Its interval; one of no width is exact, one without an end is none."""
    if not pair.pairs or (pair.ratio_low == 0.0 and math.isinf(pair.ratio_high)):
        return "-"
    exact = pair.ratio_low == pair.ratio_high or pair.ratio_high - pair.ratio_low <= EQUAL * pair.ratio
    return "exact" if exact else interval(pair.ratio_low, pair.ratio_high)


def _marks(row):
    """What the notes say of a cell: ! seeds diverge, * seeds are missing, ~ the stop lies well below the level."""
    missing = MISSING if row.reached + row.at_floor + row.not_run < row.seeds else ""
    missing = DIVERGED if row.diverged else missing
    return missing + (BELOW if 2 * row.overshoots > row.reached and row.stop_time != 0.0 else "")


def _missed(group):
    """Notes on seeds that did not reach levels; schedules with the same counts share a note."""
    no_steps = "out of steps before their patience, and counted" if group.kind == PATIENCE else "* out of steps"
    at_floor = "level at or below the train floor"
    meanings = {"diverged": "! diverged", "out_of_steps": no_steps, "at_floor": at_floor}
    seeds = many(group.rows[0].seeds - group.rows[0].not_run, "seed")
    meanings["reached"] = "*! median over those that are left"
    notes, told = [], told_apart(group.shown)
    for field, meaning in meanings.items():
        names_of: dict = {}
        for name in group.shown:
            names_of.setdefault(_counts(group, name, field), []).append(told[name])
        for counts, same in names_of.items():
            if not counts:
                continue
            places = [f"{count} at {heading(group.kind, level)}" for level, count in counts]
            shown = ", ".join(places[:MOST_LEVELS]) + (", ..." if len(places) > MOST_LEVELS else "")
            everywhere = len(counts) == len(group.all_levels) and len({count for _, count in counts}) == 1
            count = f"{counts[0][1]} of {seeds} at every level" if everywhere else f"{shown} of {seeds}"
            between = "; " if any("," in name for name in same) else ", "
            few = first_few(same[:MOST_NAMES], MOST_NAMES, len(same), between)
            who = "all schedules" if len(same) == len(group.shown) > 1 else few
            notes.append(f"{meaning}: {who}: {count}")
    return notes


def _counts(group, name, field):
    """((level, how many seeds), ...) of one outcome, where there are any; of those reached where others are missing."""
    rows = [group.cells[name, level] for level in group.all_levels if (name, level) in group.cells]
    if field == "reached":
        rows = [row for row in rows if _marks(row).rstrip(BELOW)]
    return tuple((row.level, getattr(row, field)) for row in rows if getattr(row, field))


def best_table(kind: str, problem: tuple, families: Sequence[Any], exact: bool) -> Table:
    """The table of the best values of some families of `Choice`s, of one problem combination.

    Parameters
    ----------
    kind
        Of the levels.
    problem, families
        The combination and its families.
    exact
        Whether the losses are one seed's exact means: then there are no resamples.
    """
    header: tuple = ("schedules", "parameter", "tried", "at", "best", "test loss")
    header = header if exact else (*header[:5], "in % of resamples", "95 % of them", *header[5:])
    lines, told = [], told_apart([rows[0].family for rows in families[:MOST_LINES]])
    for rows in families[:MOST_LINES]:
        tried = f"{len(rows)}: {value_text(rows[0].value)} to {value_text(rows[-1].value)}"
        value, *sure, loss = _best_cells(kind, rows)
        named = told[rows[0].family], noun(rows[0].parameter).name, tried, heading(kind, rows[0].level)
        lines.append((*named, value, *([] if exact else sure), loss))
    notes: tuple = ("best: the smallest expected test loss",)
    if not exact:
        notes = (
            "best: the smallest median test loss; a seed that does not reach the level counts as one of infinite test "
            "loss",
            "in % of resamples of the seeds the same value is best; the next column has the values that are best in "
            "95 %",
        )
        if any(row.seeds < FEWEST for rows in families for row in rows):
            notes += (f"of fewer than {FEWEST} seeds nothing is told of resamples",)
    rows_told = [row for rows in families for row in rows]
    if any(row.below_level for row in rows_told):
        notes += ("values whose last step ends below the level are not at equal train loss, and never best",)
    if any(row.above_start for row in rows_told):
        notes += ("values that end with more loss than they started with are never best",)
    if any(row.edge and row.best for row in rows_told):
        notes += ("where the best is the lowest or the highest that was tried, a better one may lie beyond",)
    left_out = len(families) - MOST_LINES
    rest = (f"{left_out} more: see the report's best.csv",) if left_out > 0 else ()
    title = f"The best value of each parameter, the others fixed{label(problem)}"
    return Table(title, header, tuple(lines), (*notes, *rest))


def _best_cells(kind, rows):
    """The best value of a family, in how many resamples it is, which are in 95 % of them, and its test loss."""
    winner = next((row for row in rows if row.best), None)
    if winner is None:
        few = "none at equal train loss" if kind in LOSSES else "none in most seeds"
        few = "none below the start" if any(row.above_start for row in rows) else few
        return few if any(row.reached for row in rows) else "none reached it", "-", "-", "-"
    value = value_text(winner.value) + (f" ({winner.edge} tried)" if winner.edge else "")
    sure = ("-", "-")
    if winner.seeds >= FEWEST:
        sure = f"{100 * winner.win_share:.0f}", ", ".join(value_text(row.value) for row in likely(rows))
    return value, *sure, number(winner.test_loss)
