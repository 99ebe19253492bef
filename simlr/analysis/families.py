"""Schedules of one family: which value of a parameter is best, how sure that is, and whether annealing wins.

A family is the schedules that one [[schedule]] table expands to, with one optimiser and noise, all parameters but one
equal. Pure functions of a `simlr.store.run.Run`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ..config.optimizers import usual_numbers
from ..schedules.schedule import Schedule
from ..store.run import Run
from .budgets import made_for
from .comparison import judged
from .pairs import Pair, Side, Starts, margin_of, pair_at
from .schedule_parts import ScheduleParts
from .statistics import EQUAL, win_shares
from .summary import columns_of, problem_groups

# The best value is called sure where it wins in this share of the resamples.
SURE = 0.95
NO_EDGE, LOW_EDGE, HIGH_EDGE = "", "lowest", "highest"
# A schedule anneals where its last learning rate is at most this share of its largest one.
ANNEALED = 0.5
SAMPLES, MOST_AT_ONCE = 256, 1 << 14
STEADY, ANNEALING, OTHER = "steady", "annealed", "other"


@dataclass(frozen=True)
class Choice:
    """One value of a family's parameter at one level in one problem combination.

    A seed that did not reach the level counts as one of infinite test loss; seeds whose train floor lies at or above
    the level are left out. At a budget of steps the values are those of schedules that are made for it. A value whose
    stops lie below the level, by over 1 % of its excess over the floor in most seeds, is not at equal train loss with
    others: it is never best.
    """

    family: str  # what the schedules share
    parameter: str
    value: object  # a number or text
    schedule: str
    problem: tuple
    level: float
    seeds: int
    reached: int
    test_loss: float  # median
    test_loss_mean: float  # inf where a seed did not reach the level
    best: bool  # the smallest median; of equal ones the first
    best_mean: bool  # the smallest mean
    below_level: bool  # not at equal train loss
    win_share: float  # share of the resamples of the seeds in which this value has the smallest median
    edge: str  # of the best one: "lowest" or "highest" where it is the end of the values tried, "" elsewhere
    above_start: bool  # ends with more loss than it started with: never best
    beaten_by: str  # of the best one: a schedule of another table, all else equal, that ends with less; "" without

    def record(self) -> dict[str, Any]:
        """The row as {column: value}, each problem parameter a column of its own."""
        return columns_of(self, "family", "parameter", "value", "schedule")


# ---- families ----


def parameters_of(run: Run) -> dict[str, NDArray]:
    """{parameter: its value for each schedule (S,)}: what the run file has as schedule_<key>, and the unit."""
    names = [name for name in run.names if name.startswith("schedule_") and run.dims(name) == ("schedule",)]
    return {name.removeprefix("schedule_"): run[name].tolist() for name in names}


def families(run: Run) -> list[tuple[str, str, list[int]]]:
    """The families of a run, with the values of each in ascending order.

    Where several parameters of a [[schedule]] table are axes, each of them has families with the others fixed.

    Parameters
    ----------
    run
        Its S schedules are taken, whether they are finished or not.

    Returns
    -------
    list of (str, str, list of int)
        (name of the family, the parameter that varies in it, the places of its schedules), a family each.
    """
    known, tables = parameters_of(run), run.config.families()
    whole = {key for key, values in known.items() if all(map(_is_whole, values))}
    all_families = []
    for key, values in known.items():
        for (table, _), members in _alike(known, key, tables).items():
            if len({_key(values[s]) for s in members}) == len(members) > 1:
                # The table's name, with what else sets these schedules apart from others of the same table.
                same = [s for s, other in enumerate(tables) if other == table]
                apart = [k for k, v in known.items() if k != key and len({_key(v[s]) for s in same}) > 1]
                own = {k: known[k][members[0]] for k in apart}
                usual = usual_numbers({k: values[members[0]] for k, values in known.items()})
                fixed = {k: v for k, v in own.items() if _key(v) not in (None, "") and v != usual.get(k)}
                told = ",".join(f"{k}={int(v) if k in whole else v}" for k, v in fixed.items())
                name = f"{table}[{told}]" if told else table
                ordered = sorted(members, key=lambda s: (isinstance(values[s], str), values[s]))
                all_families.append((name, key, ordered))
    return all_families


def _others(known, key, s):
    """All parameters but one of the schedule at place `s`."""
    return tuple((k, _key(v[s])) for k, v in known.items() if k != key)


def _alike(known, key, tables):
    """{(table, `_others`): the places of the schedules of one table that differ in one parameter alone}."""
    groups: dict = {}
    for s, table in enumerate(tables):
        groups.setdefault((table, _others(known, key, s)), []).append(s)
    return groups


def _is_whole(value):
    """Whether a value is a whole number, or the NaN of a schedule that has none."""
    return isinstance(value, int | float) and (value != value or value % 1.0 == 0.0)


def _key(value):
    """A value that can be compared: NaN equals NaN."""
    return None if isinstance(value, float) and value != value else value


def best_values(run: Run, parts: ScheduleParts | None = None) -> list[Choice]:
    """For every family, problem combination and level the values tried, the best among them.

    Parameters
    ----------
    run
        Finished or not.
    parts
        What was read of the run already; read anew where it is None.

    Returns
    -------
    list of Choice
        By family, then problem combination, level and value.
    """
    rows, groups, known, parts = [], problem_groups(run), parameters_of(run), parts or ScheduleParts(run)
    made, found = made_for(run), families(run)
    of_any_table, about = [""] * run["schedule"].size, (Starts(run, parts), margin_of(run))
    alike = {key: _alike(known, key, of_any_table) for key in {key for _, key, _ in found}}
    for name, key, members in found:
        # What other tables have tried of the same may lie beyond the ends of this one.
        same = alike[key]["", _others(known, key, members[0])]
        sides = {s: Side(run, s, parts=parts) for s in {*members, *same}}
        for problem, seeds in groups:
            for e, level in enumerate(parts.fixed("level").tolist()):
                own, others = ([s for s in some if made[s, e]] for some in (members, sorted({*same} - {*members})))
                family, beside = ([(known[key][s], sides[s]) for s in some] for some in (own, others))
                if len(own) > 1:
                    rows += _choices((name, key, family, beside), (problem, seeds), (e, level), about)
    return rows


def _choices(family, group, at, about):
    """The `Choice`s of one family in one problem combination at one level.

    `family` is (name, parameter, its values and their sides, those of other tables); `about` is the run's starts and
    which differences count as none.
    """
    name, key, own, beside = family
    values, sides = zip(*own, strict=True)
    (problem, seeds), (e, level), (starts, margin) = group, at, about
    losses, reached = penalised(sides, seeds, e)
    count = losses.shape[1]
    with np.errstate(invalid="ignore"):
        medians = np.median(losses, axis=1) if count else np.full(len(values), np.nan)
        means = losses.mean(axis=1) if count else np.full(len(values), np.nan)
    below = np.array([side.overshoots(seeds, e) for side in sides])
    above = np.array([starts.ends_above(side, seeds, e) for side in sides])
    never = below | above
    best, best_mean = (first_smallest(np.where(never, np.inf, of_values)) for of_values in (medians, means))
    shares = win_shares(np.where(never[:, None], np.inf, losses))
    edge, beaten_by = edge_of(values, [values[v] for v in as_small(medians, best)]), ""
    if best is not None:
        elsewhere = _elsewhere(beside, seeds, e)
        edge = _edge_beside(edge, (values[best], medians[best]), elsewhere)
        beaten_by = _better((1.0 - margin) * medians[best], elsewhere)
    common = {"family": name, "parameter": key, "problem": problem, "level": level, "seeds": count}
    return [
        Choice(
            **common,
            value=value,
            schedule=sides[v].name,
            reached=int(reached[v].sum()),
            test_loss=float(medians[v]),
            test_loss_mean=float(means[v]),
            below_level=bool(below[v]),
            win_share=float(shares[v]),
            best=v == best,
            best_mean=v == best_mean,
            edge=edge if v == best else NO_EDGE,
            above_start=bool(above[v]),
            beaten_by=beaten_by if v == best else "",
        )
        for v, value in enumerate(values)
    ]


def _elsewhere(beside, seeds, e):
    """[(value, median test loss, schedule)] of what other tables tried and can be compared."""
    found = []
    for value, side in beside:
        losses = penalised([side], seeds, e)[0][0]
        if losses.size and not side.overshoots(seeds, e):
            with np.errstate(invalid="ignore"):
                found.append((value, float(np.median(losses)), side.name))
    return found


def _edge_beside(edge, best, elsewhere):
    """An edge, given (value, median test loss) there: none where all that others tried beyond ends with more."""
    if edge == NO_EDGE:
        return edge
    value, loss = best
    beyond = [
        one > loss * (1.0 + EQUAL)
        for other, one, _ in elsewhere
        if not isinstance(other, str) and (other < value if edge == LOW_EDGE else other > value)
    ]
    return NO_EDGE if beyond and all(beyond) else edge


def _better(loss, elsewhere):
    """The schedule of the least median test loss, where that is below a `loss`, else ""."""
    _, least, name = min(elsewhere, key=lambda one: one[1], default=(None, np.inf, ""))
    return name if least < loss else ""


def likely(rows: Sequence[Choice]) -> list[Choice]:
    """The values of a family, in their order, that are best in 95 % of the resamples together: the fewest there are."""
    chosen: list[Choice] = []
    total = 0.0
    for row in sorted(rows, key=lambda row: -row.win_share):
        if total >= SURE or not row.win_share > 0.0:
            break
        chosen, total = [*chosen, row], total + row.win_share
    return [row for row in rows if row in chosen]


def penalised(sides: Sequence[Side], seeds: NDArray[np.int64], level: int) -> tuple[NDArray, ...]:
    """Test losses of some schedules in the seeds that can reach a level.

    Parameters
    ----------
    sides : sequence of V Side
        The schedules.
    seeds : int64 (N,)
        Seeds of one problem combination.
    level
        The place of the level.

    Returns
    -------
    losses : float64 (V, N')
        Infinite where a seed did not reach the level; without the seeds whose train floor lies at or above it, and
        those that are not run.
    reached : bool (V, N')
        Where it did.
    """
    losses = np.stack([side.values[seeds, level] for side in sides])
    known = ~np.isnan(losses).any(axis=0)
    return losses[:, known], np.stack([side.reached[seeds, level] for side in sides])[:, known]


def first_smallest(values: NDArray[np.float64]) -> int | None:
    """The place of the smallest finite value of (V,), the first of equal ones; None where there is none."""
    known = np.isfinite(values)
    return int(np.argmin(np.where(known, values, np.inf))) if known.any() else None


def as_small(values: NDArray[np.float64], best: int | None) -> list[int]:
    """The place `best`, then those of what is as small but for rounding; none where that is None."""
    if best is None:
        return []
    with np.errstate(invalid="ignore"):
        same = np.flatnonzero(abs(values - values[best]) <= EQUAL * abs(values[best])).tolist()
    return [best, *(v for v in same if v != best)]


def edge_of(tried: Iterable, best: Sequence) -> str:
    """Whether the best of some values is the end of what was tried.

    Parameters
    ----------
    tried
        All values; of text, not of numbers, no end is told.
    best
        Those of them that are equally good; where they are not all at one end, none is told.

    Returns
    -------
    str
        LOW_EDGE, HIGH_EDGE or NO_EDGE.
    """
    ends = set(best)
    if len(ends) != 1 or any(isinstance(value, str) for value in tried):
        return NO_EDGE
    if ends == {min(tried)}:
        return LOW_EDGE
    return HIGH_EDGE if ends == {max(tried)} else NO_EDGE


# ---- annealing ----


def shape_of(schedule: Schedule) -> str:
    """What a `simlr.schedules.Schedule` does with its learning rate: "steady", "annealed" or "other".

    Annealed: a large rate, then a small one. The last rate is at most half the largest, which comes before it; a flow
    at the end counts as a rate of 0. Steady: all rates equal, or a flow from the start. Looked at in every constant
    stretch and at 256 moments of every other one. Rates that follow each seed's loss are "other": some may never fall.
    """
    if schedule.plateau:
        return OTHER
    sampled = [np.zeros(0)]
    for first, steps, rate in schedule.pieces():
        if rate is not None:
            sampled.append(np.full(min(1, steps), rate))
            continue
        moments = np.unique(np.linspace(first, first + steps - 1, min(steps, SAMPLES)).astype(np.int64))
        if steps <= MOST_AT_ONCE:  # much faster than moment by moment
            sampled.append(schedule.rates(first, first + steps)[moments - first])
        else:
            sampled += [schedule.rates(int(t), int(t) + 1) for t in moments]
    rates = np.concatenate(sampled)
    if np.isnan(rates).any():  # of a plug-in that is not loaded
        return OTHER
    if not rates.size or not rates.max() > 0.0:
        return STEADY
    last = 0.0 if schedule.flows else rates[-1]
    if last <= ANNEALED * rates.max():
        return ANNEALING
    return STEADY if rates.min() == rates.max() else OTHER


# Of every run that is still in use: a grid of thousands of schedules takes long to look through.
_shapes_of_runs: WeakKeyDictionary = WeakKeyDictionary()


def shapes_and_methods(run: Run) -> tuple[list[str], list[tuple]]:
    """`shape_of` every schedule of a run, and what tells their optimisers and noise apart, in the run's order."""
    if run not in _shapes_of_runs:
        combinations = run.config.combinations()
        shapes = [shape_of(schedule) for schedule, *_ in combinations]
        methods = [(tuple(optimizer.items()), tuple(noise.items())) for *_, optimizer, noise in combinations]
        _shapes_of_runs[run] = shapes, methods
    return _shapes_of_runs[run]


def annealing(run: Run, parts: ScheduleParts | None = None) -> list[Pair]:
    """Every annealed schedule against every steady one of the same optimiser and noise at equal train loss.

    See `shape_of` for what counts as annealed. Where an optimiser and noise have no steady schedule of their own,
    theirs are compared with all steady ones.

    Parameters
    ----------
    run
        Finished or not.
    parts
        What was read of the run already; read anew where it is None.

    Returns
    -------
    list of Pair
        a is the annealed and b the steady one: win_share is the share of the pairs in which annealing has the smaller
        test loss; judged together. At a budget of steps, of those that are made for it.
    """
    shapes, methods = shapes_and_methods(run)
    steady = [s for s, shape in enumerate(shapes) if shape == STEADY]
    rows, groups, parts, made = [], problem_groups(run), parts or ScheduleParts(run), made_for(run)
    steady_sides = {s: Side(run, s, parts=parts) for s in steady}
    for a, shape in enumerate(shapes):
        if shape != ANNEALING:
            continue
        side = Side(run, a, parts=parts)
        for b in [s for s in steady if methods[s] == methods[a]] or steady:
            at = np.flatnonzero(made[a] & made[b]).tolist()
            rows += [pair_at((side, steady_sides[b]), group, (e, e)) for group in groups for e in at]
    return judged(rows, margin_of(run))
