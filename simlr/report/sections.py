"""The analysis of a run as a reader meets it: for each thing that one asks a heading, tables, and rows to draw.

Bounded whatever the size of the run: some of the problem combinations, the schedules that tell most, one level. The
CSV files have the rest.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..analysis import directions
from ..analysis.comparison import APART, SAYS
from ..analysis.families import STEADY, shapes_and_methods
from ..analysis.levels import heading, last, place
from ..analysis.on_page import MOST_GROUPS, Group
from ..analysis.summary import is_exact, problem_groups
from ..analysis.wording import at_value, joined, spoken, told_apart
from ..config import question as questions
from ..text import number, some
from . import headlines
from .tables import Table, best_table, label, percent, probability, ratio_interval, ratio_text
from .view import View

MOST_RANKS = 8
RATE = "learning_rate"
SPREAD = "How much of the error is bias, how much variance?"


class Section(NamedTuple):
    """One part of the page."""

    key: str
    title: str  # what it answers
    tables: tuple
    rows: list  # what its picture draws
    note: str = ""  # in place of tables, or before them
    headline: str = ""  # what it says
    files: tuple[tuple[str, str], ...] = ()  # (name, text) of what a reader may take away


def sections(analysis: Any) -> list[Section]:
    """The `Section`s that a run has something for; `analysis` is its `simlr.analysis.Analysis`."""
    shown = analysis.shown
    # Of exact means there are no seeds to count wins over.
    several = (against(analysis, shown), annealing(analysis, shown)) if not is_exact(analysis.run) else (None, None)
    parts = (several[0], best(analysis, shown), several[1], *mechanism(analysis))
    return [section for section in parts if section]


# ---- pieces of text ----


def share(mean: float, error: float) -> str:
    """A share with its standard error, in percent."""
    return "-" if mean != mean else f"{100 * mean:.1f}" + (f" +- {100 * error:.1f}" if error == error else "")


def with_error(mean: float, error: float) -> str:
    """A mean with its standard error."""
    return "-" if mean != mean else f"{number(mean)}" + (f" +- {number(error)}" if error == error else "")


def _left_out(count, file):
    """The note on lines that a table has no room for."""
    return (f"{count} more: see the report's {file}",) if count > 0 else ()


# ---- two schedules ----


def against(analysis: Any, shown: dict[tuple, Group]) -> Section | None:
    """Every schedule shown against the baseline, at the last level that they share.

    Parameters
    ----------
    analysis : Analysis
        Of the run.
    shown
        What of it has room: `tables.groups` of its rows.
    """
    run, kind = analysis.run, analysis.run.config.level_kind
    if run["schedule"].size < 2:
        return None
    tables, pairs = [], analysis.against
    for problem, group in shown.items():
        of_problem = [pair for (other, _), pair in pairs.items() if other == problem]
        counted = [pair for pair in of_problem if pair.outcome != APART]
        tables += [_pair_table(group, counted)] if counted else []
        aside = [pair for pair in of_problem if pair.outcome == APART]
        tables += [apart_table(kind, aside, label(problem))] if aside else []
    first = next(iter(shown.values()))
    title = f"Which schedules end with less test loss than {_base_told(analysis, first.base)}?"
    told = list(pairs.values())
    # All where they have room; at a budget of steps those that are made for it.
    others = run["schedule"].size - 1 if any(len(g.shown) < len(g.names) for g in shown.values()) else 0
    headline = headlines.against(kind, told, analysis.margin, others)
    if all(group.last in group.at_start for group in shown.values()):
        headline = headlines.nothing_trained(kind, first.last)
    return Section("against", title, tuple(tables), told, headline=headline)


def _base_told(analysis, base):
    """The baseline in a title: where a side of the question chose it, so."""
    lead = analysis.lead
    return f"{lead.sides[base]} ({spoken(base)})" if lead and base in lead.sides else spoken(base)


def _pair_table(group, pairs):
    """The table of some `Pair`s of one problem combination, all with the baseline."""
    told = told_apart([group.base, *(pair.a for pair in pairs)])
    base = told[group.base]
    lines = tuple((told[pair.a], *_cells(pair)) for pair in pairs)
    title = (
        f"Test loss of the schedule / of {base} in the same seed at {place(group.kind, group.last)}"
        f"{label(pairs[0].problem)}"
    )
    header = ("schedule", "schedule / baseline", "95 %", "less in % of pairs (95 %)", "pairs", "corrected p", "so")
    notes = (
        "below 1 the schedule has the smaller test loss; the table of ratios further up has the inverse, "
        "baseline / schedule, where above 1 it has",
        RULE,
        *_left_out(len(group.names) - len(group.shown), "pairs.csv"),
    )
    return Table(title, header, lines, notes)


RULE = (
    "median over the pairs with its exact 95 % interval; a seed in which one side does not get there is lost for it, "
    "one in which neither does is a tie; p by Holm's method over all comparisons of the page and those it leaves out"
)


def _cells(pair):
    """The cells of a comparison: ratio, interval, share, pairs, p, and what follows."""
    return (
        ratio_text(pair),
        ratio_interval(pair),
        percent(pair.win_share, pair.win_share_low, pair.win_share_high),
        f"{pair.pairs} of {pair.seeds}",
        probability(pair.p_holm),
        SAYS[pair.outcome],
    )


def apart_table(kind: str, pairs: Sequence[Any], where: str) -> Table:
    """The table of `Pair`s that are not at equal train loss: shown apart, and counted nowhere."""
    told, others = told_apart([pair.a for pair in pairs]), told_apart([pair.b for pair in pairs])
    lines = tuple(
        (
            told[pair.a],
            others[pair.b],
            heading(kind, pair.level),
            headlines.gap_text(pair),
            f"{pair.apart} of {pair.seeds}",
            number(pair.ratio_apart),
        )
        for pair in pairs
    )
    header = (
        "schedule",
        "other",
        "at",
        "train losses apart, median",
        "seeds over 1 % apart",
        "test loss / other's there",
    )
    note = 'lower train loss is part of what these ratios show; [stop] landing = "exact" stops on the level'
    return Table(f"Not at equal train loss, and not counted{where}", header, lines, (note,))


# ---- the best of a family ----


def best(analysis: Any, shown: dict[tuple, Group]) -> Section | None:
    """The best value of every parameter that is a list, learning rates first, at the last level that any reaches.

    Parameters as of `against`.
    """
    kind = analysis.run.config.level_kind
    families: dict = {}
    for row in analysis.best:
        if row.problem in shown:
            families.setdefault((row.problem, row.family, row.parameter), {}).setdefault(row.level, []).append(row)
    at_last = {}
    for key, levels in families.items():
        levels = {level: rows for level, rows in levels.items() if level not in shown[key[0]].at_start} or levels
        decided = [level for level, rows in levels.items() if any(row.best for row in rows)]
        at_last[key] = levels[last(kind, decided or list(levels))]
    if not at_last:
        return None
    of_all = last(kind, [rows[0].level for rows in at_last.values()])
    ordered = sorted(
        at_last,
        key=lambda key: (
            not key[2].endswith(RATE), *_after_lead(analysis, key, at_last), at_last[key][0].level != of_all
        ),
    )  # fmt: skip
    tables = []
    for problem in shown:
        of_problem = [at_last[key] for key in ordered if key[0] == problem]
        if of_problem:
            tables.append(best_table(kind, problem, of_problem, is_exact(analysis.run)))
    rates = any(key[2].endswith(RATE) for key in ordered)
    title = f"Which {'learning rate' if rates else 'value'} is best, and how sure is that?"
    told = [at_last[key] for key in ordered]
    lead = told[0][0]
    first = [rows for rows in told if (rows[0].problem, rows[0].parameter) == (lead.problem, lead.parameter)]
    # At which level, where that is not the last of all.
    at_level = [rows for rows in first if rows[0].level == lead.level]
    several = len({row.problem for row in analysis.best}) > 1
    where = [at_value(key, value) for key, value in lead.problem] if several else []
    where += [place(kind, lead.level)] if lead.level != last(kind, analysis.run["level"].tolist()) else []
    # Of a question on anything else it is said that this is the best for the test loss.
    of_loss = analysis.run.config.question.get("measure", "test_loss") == "test_loss"
    others, exact = [rows for rows in first if rows[0].level != lead.level], is_exact(analysis.run)
    total = dict(problem_groups(analysis.run))[lead.problem].size
    few = "" if exact else headlines.few_seeds(lead.seeds, total)
    where_told = joined(where) if where else ""
    headline = headlines.best(kind, at_level, analysis.margin, where_told, of_loss, others, few)
    if lead.level in shown[lead.problem].at_start:
        headline = headlines.nothing_trained(kind, lead.level)
    return Section("best", title, tuple(tables), told, headline=headline)


def _after_lead(analysis, key, at_last):
    """Whether a family is of another problem than what the page leads with, and holds none of its schedules."""
    if not analysis.lead:
        return (False, False)
    members = {row.schedule for row in at_last[key]}
    return key[0] != analysis.lead.problem, not members & set(analysis.lead.sides)


# ---- annealing ----


def annealing(analysis: Any, shown: dict[tuple, Group]) -> Section | None:
    """Every annealed schedule against the steady one of the least test loss, at the last level that they share.

    Parameters as of `against`.
    """
    kind, tables, told = analysis.run.config.level_kind, [], []
    for problem in shown:
        rows = sorted((row for row in analysis.annealed if row.problem == problem), key=lambda row: row.ratio)
        aside = [row for row in rows if row.outcome == APART]
        counted = [row for row in rows if row.outcome != APART]
        tables += [_annealing_table(kind, problem, counted)] if counted else []
        tables += [apart_table(kind, aside, label(problem))] if aside else []
        told += [*counted, *aside]
    title = "Does annealing beat the best of all steady schedules?"
    if not told:
        return None
    return Section(
        "annealing", title, tuple(tables), told, headline=headlines.annealing(kind, told, *_rivals(analysis))
    )


def _rivals(analysis):
    """(the tables of all steady schedules, what the question compares with where that is only some of them, or "")."""
    run = analysis.run
    entries, question = questions.entries_of(run.config), run.config.question
    steady = {s for s, shape in enumerate(shapes_and_methods(run)[0]) if shape == STEADY}
    tables = list(dict.fromkeys(entries[s].table for s in sorted(steady)))
    for side in question.get("compare", ()):
        among = steady & set(questions.members(side, entries))
        if among and among != steady:
            return tables, questions.side_name(side)
    return tables, ""


def _annealing_table(kind, problem, rows):
    """The table of annealed schedules of one problem combination."""
    annealed, steady = told_apart([row.a for row in rows]), told_apart([row.b for row in rows])
    lines = tuple((annealed[row.a], steady[row.b], heading(kind, row.level), *_cells(row)) for row in rows)
    header = (
        "annealed",
        "steady",
        "at",
        "annealed / steady",
        "95 %",
        "annealed wins in % (95 %)",
        "pairs",
        "corrected p",
    )
    header += ("so",)
    notes = (
        "annealed: the last learning rate is at most half the largest; steady: all rates equal, or a flow",
        "the steady schedule is the one of the least median test loss at equal train loss; below 1 annealing is better",
        RULE,
    )
    return Table(f"Annealed against the best of all steady schedules{label(problem)}", header, lines, notes)


# ---- where the error is ----


def mechanism(analysis: Any) -> list[Section]:
    """Two `Section`s, on directions and on bias and variance, of the schedules that the pictures show."""
    run = analysis.run
    title = "Which directions kept their error?"
    if not directions.recorded(run):
        asked_for = not run.config.by_rows and run.config.expectation is None  # else there are none
        return [Section("directions", title, (), [], directions.NO_RESIDUALS)] if asked_for else []
    view = View(run, analysis.rows, analysis.lead)
    places = [view.index(name) for name in view.shown]
    problems = some(list(dict.fromkeys(row.problem for row in analysis.rows)), MOST_GROUPS)
    parts = []
    rows = [row for row in analysis.directions_of(places) if row.problem in problems and row.level == view.last]
    if rows:
        tables = [t for problem in problems for t in _direction_tables(view, problem, rows)]
        parts.append(Section("directions", title, tuple(tables), rows))
    spread = [row for row in analysis.spread_of(places) if row.problem in problems and row.level == view.last]
    # By problem combination first, as the colours of the picture go.
    spread.sort(key=lambda row: problems.index(row.problem))
    if spread and not any(row.seeds for row in spread):
        why = f"Bias and variance over seeds are not known: {spread[0].note}."
        parts.append(Section("spread", SPREAD, (), [], why))
    elif spread:
        tables = [
            _spread_table(view, problem, [row for row in spread if row.problem == problem]) for problem in problems
        ]
        parts.append(Section("spread", SPREAD, tuple(tables), spread))
    return parts


def ranks_shown(rows: Sequence[Any], most: int = MOST_RANKS) -> Sequence[Any]:
    """The ranks of curvature that have room, the first and the last among them."""
    return some(sorted({row.rank for row in rows}), most)


def _direction_tables(view, problem, rows):
    """The tables of the shares of train and test loss of one problem combination."""
    rows = [row for row in rows if row.problem == problem]
    if not rows:
        return []
    ranks, where = ranks_shown(rows), place(view.kind, view.last)
    cells = {(row.schedule, row.rank): row for row in rows}
    header = ("schedule", *("steepest" if rank == 1 else f"direction {rank}" for rank in ranks))
    notes = ["in % of the loss above its floor: mean over seeds, with its standard error"]
    if len(ranks) < len({row.rank for row in rows}):
        notes.append(f"{len(ranks)} of {len({row.rank for row in rows})} directions: see the report's directions.csv")
    tables, told = [], told_apart(view.shown)
    for loss in ("train", "test"):
        lines = [
            (
                told[name],
                *(
                    share(getattr(row, f"{loss}_share"), getattr(row, f"{loss}_share_error")) if row else "-"
                    for row in (cells.get((name, rank)) for rank in ranks)
                ),
            )
            for name in view.shown
        ]
        title = f"Share of the {loss} loss in each direction of curvature at {where}{label(problem)}"
        tables.append(Table(title, header, tuple(lines), tuple(notes)))
    return tables


def _spread_table(view, problem, rows):
    """The table of bias and variance of one problem combination."""
    told = told_apart([row.schedule for row in rows])
    lines = tuple(
        (
            told[row.schedule],
            with_error(row.bias_squared, row.bias_squared_error),
            with_error(row.variance, row.variance_error),
            number(row.test_loss_above_floor),
            str(row.seeds),
        )
        for row in rows
    )
    title = f"Bias and variance over seeds at {place(view.kind, view.last)}{label(problem)}"
    header = ("schedule", "bias\N{SUPERSCRIPT TWO}", "variance", "sum: mean test loss above its floor", "seeds")
    reasons = dict.fromkeys(row.note for row in rows if row.note)
    notes = (*(f"not known: {note}" for note in reasons), "with jackknife standard errors") if lines else ()
    return Table(title, header, lines, notes)
