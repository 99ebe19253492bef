"""Schedules of one family: which value of a parameter is best, how sure that is, and whether annealing wins.

A family is the schedules that one [[schedule]] table expands to, with one optimiser and noise, all parameters but one
equal. Pure functions of a `simlr.store.run.Run`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..schedules.schedule import Schedule
from ..store.file_format import STATUS_AT_FLOOR, STATUS_NOT_RUN
from ..store.run import Run
from .pairs import Pair, Side, pair_at
from .schedule_parts import ScheduleParts
from .statistics import win_shares
from .summary import columns_of, problem_groups

# The best value is called sure where it wins in this share of the resamples.
SURE = 0.95
NO_EDGE, LOW_EDGE, HIGH_EDGE = "", "lowest", "highest"
# A schedule anneals where its last learning rate is at most this share of its largest one.
ANNEALED = 0.5
SAMPLES = 256
STEADY, ANNEALING, OTHER = "steady", "annealed", "other"


@dataclass(frozen=True)
class Choice:
    """One value of a family's parameter at one level in one problem combination.

    A seed that did not reach the level counts as one of infinite test loss; seeds whose train floor lies at or above
    the level are left out.
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
    win_share: float  # share of the resamples of the seeds in which this value has the smallest median
    edge: str  # of the best one: "lowest" or "highest" where it is the end of the values tried, "" elsewhere

    def record(self) -> dict[str, Any]:
        """The row as {column: value}, each problem parameter a column of its own."""
        return columns_of(self, "family", "parameter", "value", "schedule")


# ---- families ----


def parameters_of(run: Run) -> dict[str, NDArray]:
    """{parameter: its value for each schedule (S,)}: what the run file has as schedule_<key>, and the unit."""
    names = [name for name in run.names if name.startswith("schedule_") and run.dims(name) == ("schedule",)]
    return {name.removeprefix("schedule_"): run[name].tolist() for name in names}


def families(run: Run) -> list[tuple[str, str, list[int]]]:
    """The families of a run: [(its name, parameter, [place of a schedule, ...]), ...], values in ascending order.

    Where several parameters of a [[schedule]] table are axes, each of them has families with the others fixed.
    """
    known, tables = parameters_of(run), run.config.families()
    found = []
    for key, values in known.items():
        groups: dict = {}
        for s, table in enumerate(tables):
            others = tuple((k, _key(v[s])) for k, v in known.items() if k != key)
            groups.setdefault((table, others), []).append(s)
        for (table, _), members in groups.items():
            if len({_key(values[s]) for s in members}) == len(members) > 1:
                ordered = sorted(members, key=lambda s: (isinstance(values[s], str), values[s]))
                found.append((_family_name(table, known, key, members, tables), key, ordered))
    return found


def _key(value):
    """A value that can be compared: NaN equals NaN."""
    return None if isinstance(value, float) and value != value else value


def _family_name(table, known, key, members, tables):
    """The table's name with what else sets these schedules apart from others of the same table."""
    same = [s for s, other in enumerate(tables) if other == table]
    fixed = []
    for other, values in known.items():
        if other != key and len({_key(values[s]) for s in same}) > 1 and _key(values[members[0]]) is not None:
            fixed.append(f"{other}={values[members[0]]}")
    return table + (f"[{','.join(fixed)}]" if fixed else "")


def best_values(run: Run, parts: ScheduleParts | None = None) -> list[Choice]:
    """For every family, problem combination and level the values tried, the best among them: a list of `Choice`s."""
    rows, groups, known, parts = [], problem_groups(run), parameters_of(run), parts or ScheduleParts(run)
    for name, key, members in families(run):
        values = known[key]
        sides = [Side(run, s, parts=parts) for s in members]
        for problem, seeds in groups:
            for e, level in enumerate(run["level"].tolist()):
                rows += _choices((name, key, [values[s] for s in members]), sides, (problem, seeds), (e, level))
    return rows


def _choices(family, sides, group, at):
    """The `Choice`s of one family in one problem combination at one level."""
    name, key, values = family
    (problem, seeds), (e, level) = group, at
    losses, reached = penalised(sides, seeds, e)
    count = losses.shape[1]
    with np.errstate(invalid="ignore"):
        medians = np.median(losses, axis=1) if count else np.full(len(values), np.nan)
        means = losses.mean(axis=1) if count else np.full(len(values), np.nan)
    best, best_mean = first_smallest(medians), first_smallest(means)
    shares, edge = win_shares(losses), edge_of(values, best)
    common = {"family": name, "parameter": key, "problem": problem, "level": level, "seeds": count}
    return [
        Choice(
            **common,
            value=value,
            schedule=sides[v].name,
            reached=int(reached[v].sum()),
            test_loss=float(medians[v]),
            test_loss_mean=float(means[v]),
            win_share=float(shares[v]),
            best=v == best,
            best_mean=v == best_mean,
            edge=edge if v == best else NO_EDGE,
        )
        for v, value in enumerate(values)
    ]


def penalised(sides: Sequence[Side], seeds: NDArray[np.int64], level: int) -> tuple[NDArray, ...]:
    """Test losses (V, N) of the seeds that can reach the level, infinite where they did not; and where they did."""
    status = np.stack([side.status[seeds, level] for side in sides])
    known = ~np.isin(status, (STATUS_AT_FLOOR, STATUS_NOT_RUN)).any(axis=0)
    reached = np.stack([side.own[seeds, level] for side in sides])[:, known]
    losses = np.stack([side.values[seeds, level] for side in sides])[:, known]
    return np.where(reached & ~np.isnan(losses), losses, np.inf), reached


def first_smallest(values: NDArray[np.float64]) -> int | None:
    """The place of the smallest finite value, the first of equal ones; None where there is none."""
    known = np.isfinite(values)
    return int(np.argmin(np.where(known, values, np.inf))) if known.any() else None


def edge_of(values: Sequence, best: Any) -> str:
    """Whether the best of some values in ascending order is the end of what was tried; for numbers alone."""
    if best is None or any(isinstance(value, str) for value in values):
        return NO_EDGE
    if best == 0:
        return LOW_EDGE
    return HIGH_EDGE if best == len(values) - 1 else NO_EDGE


# ---- annealing ----


def shape_of(schedule: Schedule) -> str:
    """What a `simlr.schedules.Schedule` does with its learning rate: "steady", "annealed" or "other".

    Annealed: a large rate, then a small one. The last rate is at most half the largest, which comes before it; a flow
    at the end counts as a rate of 0. Steady: all rates equal, or a flow from the start. Looked at in every constant
    stretch and at 256 moments of every other one.
    """
    rates = np.concatenate([_sampled(schedule, *piece) for piece in schedule.pieces()] or [np.zeros(0)])
    if not rates.size or not rates.max() > 0.0:
        return STEADY
    last = 0.0 if schedule.flows else rates[-1]
    if last <= ANNEALED * rates.max():
        return ANNEALING
    return STEADY if rates.min() == rates.max() else OTHER


def _sampled(schedule, first, steps, rate):
    """Some learning rates of one piece, its first and last among them."""
    if rate is not None:
        return np.full(min(1, steps), rate)
    moments = np.unique(np.linspace(first, first + steps - 1, min(steps, SAMPLES)).astype(np.int64))
    return np.concatenate([schedule.rates(int(t), int(t) + 1) for t in moments])


def annealing(run: Run, parts: ScheduleParts | None = None) -> list[Pair]:
    """Every annealed schedule against every steady one of the same optimiser and noise at equal train loss.

    A list of `simlr.analysis.pairs.Pair`, a the annealed and b the steady one: win_share is the share of seeds in which
    annealing has the smaller test loss. See `shape_of` for what counts as annealed. Where an optimiser and noise have
    no steady schedule of their own, theirs are compared with all steady ones.
    """
    made = run.config.combinations()
    shapes = [shape_of(schedule) for schedule, *_ in made]
    methods = [(tuple(optimizer.items()), tuple(noise.items())) for *_, optimizer, noise in made]
    steady = [s for s, shape in enumerate(shapes) if shape == STEADY]
    rows, groups, parts = [], problem_groups(run), parts or ScheduleParts(run)
    kept = {s: Side(run, s, parts=parts) for s in steady}
    for a, shape in enumerate(shapes):
        if shape != ANNEALING:
            continue
        side = Side(run, a, parts=parts)
        for b in [s for s in steady if methods[s] == methods[a]] or steady:
            rows += [pair_at((side, kept[b]), group, (e, e)) for group in groups for e in range(side.levels.size)]
    return rows
