"""What a section says in one sentence, by the rule of `simlr.analysis.comparison`.

Pictures, Markdown and the terminal share it.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..analysis.answer_words import times
from ..analysis.comparison import APART, BETTER, EVEN, FEWEST, NEITHER, NOTHING, OPEN, TIE, WORSE
from ..analysis.families import NO_EDGE, likely
from ..analysis.levels import place
from ..analysis.wording import LOSSES, at_value, begun, joined, noun, spoken
from ..text import many, powers, shortened, value_text

MOST_FAMILIES = 3
LONGEST = 160  # of the best values of several families in one sentence, above which fewer are told


def against(kind: str, pairs: Sequence[Any], margin: float, others: int = 0) -> str:
    """How schedules compare with the baseline.

    Parameters
    ----------
    kind
        Of the levels.
    pairs
        `Pair`s with the baseline, judged.
    margin
        Which differences count as none.
    others
        How many schedules the run has beside the baseline, of which those of the pairs have the highest ratios.

    Returns
    -------
    str
        A sentence without its full stop.
    """
    if len(pairs) == 1:
        return _of_one(kind, pairs[0], margin)
    if not pairs:
        return ""
    count, base = Counter(pair.outcome for pair in pairs), spoken(pairs[0].b)
    of = f"of {len(pairs)} schedules" if len({pair.problem for pair in pairs}) == 1 else f"of {len(pairs)} comparisons"
    if others > len({pair.a for pair in pairs}):
        of = f"{of}, those of the highest ratios among {others} schedules,"
    less = f"with surely less test loss than {base}"
    first = f"{_ends(count[BETTER], of)} {less}" if count[BETTER] else f"none {of} ends {less}"
    if count[NOTHING] == len(pairs):
        return f"No seed gets to {place(kind, pairs[0].level)}: nothing to compare"
    if count[NOTHING] + count[APART] + count[NEITHER] == len(pairs):
        who = f"none {of}" if others > len({pair.a for pair in pairs}) else "no schedule"
        first = f"{who} can be compared with {base}"
    small = f"by less than {100 * margin:g} %"
    rest = (
        (WORSE, "ends with surely more", "end with surely more"),
        (TIE, "ties exactly", "tie exactly"),
        (EVEN, f"differs {small}", f"differ {small}"),
        (OPEN, "is not decided", "are not decided"),
        (APART, "is not at equal train loss and not counted", "are not at equal train loss and not counted"),
        (NEITHER, "gets there in few seeds, as it does", "get there in few seeds, as it does"),
        (NOTHING, "has nothing to compare", "have nothing to compare"),
    )
    told = [f"{count[key]} {one if count[key] == 1 else several}" for key, one, several in rest if count[key]]
    lost = sum(pair.outcome == WORSE and math.isinf(pair.ratio) for pair in pairs)
    if lost:
        who = "" if count[WORSE] == 1 else "all " if lost == count[WORSE] else f"{lost} of them "
        told[0] += f" ({who}by not getting there)"
    return begun("; ".join([first, *told]))


def _ends(count, of):
    return f"{count} {of} {'ends' if count == 1 else 'end'}"


def _of_one(kind, pair, margin):
    """How one schedule compares with another."""
    a, b, where = spoken(pair.a), spoken(pair.b), place(kind, pair.level)
    if pair.outcome in (BETTER, WORSE):
        side, other, missed = (a, b, pair.missed_b) if pair.outcome == BETTER else (b, a, pair.missed_a)
        if not 0.0 < pair.ratio < math.inf:
            seeds = f"{missed} of {many(pair.pairs, 'seed')}"
            return f"At {where}, {side} is surely better: {other} does not get there in {seeds}"
        less = "less" if pair.outcome == BETTER else "more"
        return f"At {where}, {a} ends with surely {less} test loss than {b}: {times(pair)}"
    if pair.outcome == TIE:
        every = "in every seed" if pair.ties == pair.pairs else "in the middle seeds"
        return f"At {where}, {a} and {b} tie: exactly the same test loss {every}"
    if pair.outcome == EVEN:
        return f"At {where}, {a} and {b} differ by less than {100 * margin:g} %"
    if pair.outcome == APART:
        return f"{a} cannot be compared with {b}: at {where} their train losses are {gap_text(pair)} apart"
    if pair.outcome == NEITHER:
        return f"In most seeds neither {a} nor {b} gets to {where}"
    if pair.outcome == NOTHING:
        return f"No seed gets to {where}: nothing to compare"
    few = f": only {pair.pairs} of {many(pair.seeds, 'seed')} to compare" if pair.pairs < FEWEST else f": {times(pair)}"
    missed = ((a, pair.missed_a), (b, pair.missed_b))
    failed = [f"{side} does not get there in {count} of {pair.pairs}" for side, count in missed if count]
    return f"At {where}, it is not decided whether {a} or {b} ends with less test loss{'; '.join([few, *failed])}"


def nothing_trained(kind: str, level: float) -> str:
    """Of a level that no seed has to be trained for: a sentence without its full stop."""
    return (
        f"Every seed starts at or below {place(kind, level)}, the last level that is reached: nothing is trained there"
    )


def annealing(kind: str, pairs: Sequence[Any], steady: Sequence[str] = (), question: str = "") -> str:
    """In what share of the seeds annealing wins beside the best of all steady schedules.

    Parameters
    ----------
    kind
        Of the levels.
    pairs
        Judged `Pair`s of annealed and steady schedules.
    steady
        What the [[schedule]] tables of the steady schedules are called.
    question
        What the question of the grid compares annealing with, where that is not the best of all of them.

    Returns
    -------
    str
        A sentence without its full stop.
    """
    if not pairs:
        return ""
    sure = [pair for pair in pairs if pair.outcome == BETTER]
    left = sum(pair.outcome == APART for pair in pairs)
    rest = f"; {left} of {len(pairs)} cannot be compared at equal train loss" if left else ""
    rest += f"; the question compares with {question} alone" if question else ""
    rivals = "the best of all steady schedules"
    rivals += f" ({joined([shortened(name) for name in steady[:MOST_FAMILIES]])})" * (1 < len(steady) <= MOST_FAMILIES)
    if not sure:
        tried = f" in {len(pairs)} comparisons" if len(pairs) > 1 else ""
        return f"Beside {rivals} no annealed one surely ends with less test loss{tried}{rest}"
    top = max(sure, key=lambda pair: pair.win_share)
    among = f"; {len(sure)} of {len(pairs)} comparisons are surely won" if len(pairs) > 1 else ""
    alike = sum(f"{pair.win_share:.2f}" == f"{top.win_share:.2f}" for pair in sure) - 1
    others = f" ({alike} {'other' if alike == 1 else 'others'} as often)" if alike else ""
    where = joined([at_value(key, value) for key, value in top.problem])
    return (
        f"Beside {rivals}, annealing wins most often with {spoken(top.a)}{others}: it ends with less test loss than "
        f"{spoken(top.b)} in {100 * top.win_share:.0f} % of {many(top.pairs, 'seed')} at "
        f"{f'{where} and ' if where else ''}{place(kind, top.level)}{among}{rest}"
    )


def best(
    kind: str,
    families: Sequence[Sequence[Any]],
    margin: float,
    where: str = "",
    plain: bool = True,
    others: Sequence[Sequence[Any]] = (),
    few: str = "",
) -> str:
    """The best values of some families of `Choice`s at one level; one at the edge of what was tried is said to be.

    Where no two values of a family that get there end over a share `margin` of test loss apart, none is called the
    best; where some resamples of the seeds have others, those that are best in 95 % of them are told. Where the seeds
    are `few`, that says how many, and nothing is told of resamples. The level is of some `kind`.
    They are of one combination of problem parameters; `where` says which, where the run has others. Where it is not
    `plain` what is best, the headline says that it is the test loss. `others` are families at other levels.
    """
    chosen = [rows for rows in families if any(row.best for row in rows)]
    if not chosen:
        return _no_best(kind, families, where)
    values = [_best_of(rows, margin, bool(few)) for rows in chosen[:MOST_FAMILIES]]
    while len(values) > 1 and sum(map(len, values)) > LONGEST:
        values.pop()
    more = _more_families([*chosen[len(values) :], *others], margin)
    of = noun(chosen[0][0].parameter).name + (f" at {where}" if where else "")
    of = (of if plain else f"{of} for the test loss") + few
    return f"The best {of}: {joined(values) if not more else ', '.join(values)}{more}"


def _no_best(kind, families, where):
    """That no value of some families is the best, and why."""
    place_text = f" at {where}" if where else ""
    if any(row.above_start for rows in families for row in rows):
        return f"No value tried ends below where it started{place_text}"
    equal = " at equal train loss" if kind in LOSSES else ""
    return f"No value that was tried gets there{equal} in most seeds{place_text}" if families else ""


def _best_of(rows, margin, few):
    """The best value of one family, or the range of those that end alike, and the family."""
    row = next(row for row in rows if row.best)
    alike = _alike(rows, row, margin)
    better = f"{spoken(row.beaten_by)} ends with less" if row.beaten_by else ""
    if alike:
        tried = f"{value_text(alike[0].value)} to {value_text(alike[-1].value)}"
        apart = f"{100 * margin:g} % apart at most{_left_out(rows)}{_not_there(rows)}"
        return f"any from {tried}, {apart} ({spoken(row.family)}{f': {better}' if better else ''})"
    edge = f", the {row.edge} tried" if row.edge != NO_EDGE else ""
    beyond = better or ("a better one may lie beyond" if edge else "")
    told = value_text(row.value) + _left_out(rows) if few else _undecided_among(rows, row)
    return f"{told} ({spoken(row.family)}{edge}{f': {beyond}' if beyond else ''})"


def _alike(rows, best, margin):
    """The values of a family that end alike, where all do that get there and those lie together; else none."""
    can = [row for row in rows if not row.below_level]
    there = [r for r, row in enumerate(can) if math.isfinite(row.test_loss)]
    together = len(there) > 1 and there[-1] - there[0] == len(there) - 1
    alike = [can[r] for r in there]
    near = all(abs(row.test_loss - best.test_loss) <= margin * best.test_loss for row in alike)
    return alike if together and near else []


def _more_families(families, margin):
    """How many families there is no room for, and whose best is at an edge of what was tried."""
    if not families:
        return ""
    winners = [(rows, row) for rows in families for row in rows if row.best and row.edge != NO_EDGE]
    edges = [
        f"{value_text(row.value)}, the {row.edge} tried, of {spoken(row.family)}"
        for rows, row in winners
        if not _alike(rows, row, margin)
    ]
    count = f" and {len(families)} more famil{'y' if len(families) == 1 else 'ies'}"
    if not edges:
        return count
    told = edges[0] if len(edges) == 1 else f"{len(edges)} of them best at the lowest or the highest tried"
    return f"{count} ({told})"


def gap_text(pair: Any) -> str:
    """How far the train losses of a pair are apart, in percent: two digits, or as many as a whole number has."""
    percent = 100.0 * pair.train_gap
    return powers(f"{percent:.2g} %") if percent < 100.0 else f"{percent:,.0f} %"


def _undecided_among(rows, row):
    """The best value; the ends of those that it cannot be told from, and of how many that can be compared it is."""
    sure = likely(rows)
    ends = [value_text(sure[0].value), value_text(sure[-1].value)] if sure else []
    text = value_text(row.value)
    if len(sure) == 2:
        text = f"{ends[0]} or {ends[1]}, not told apart"
    elif len(sure) > 2:
        text = f"one of {len(sure)} from {ends[0]} to {ends[1]}, not told apart"
    return text + _left_out(rows)


def _left_out(rows):
    """How many values of a family are not at equal train loss."""
    left = sum(other.below_level for other in rows)
    return f", {left} of {len(rows)} left out that end at less train loss" if left else ""


def _not_there(rows):
    """How many values of a family most seeds do not get there with."""
    missing = sum(not math.isfinite(other.test_loss) for other in rows if not other.below_level)
    return f", {missing} of {len(rows)} left out that do not get there in most seeds" if missing else ""


def few_seeds(seeds: int, total: int) -> str:
    """What the headline on the best says of the seeds that it is told over; "" where they are enough."""
    if seeds >= FEWEST:
        return ""
    return f" over {seeds} of {many(total, 'seed')} (too few to say)"
