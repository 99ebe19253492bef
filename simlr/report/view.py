"""What the pictures of a run show: which schedules, which level, which seeds. Arithmetic on rows, nothing drawn."""

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analysis.budgets import made_for
from ..analysis.comparison import FEWEST, MARGIN
from ..analysis.families import shapes_and_methods
from ..analysis.levels import is_loss, last_shared, place
from ..analysis.pairs import Side, pair_at
from ..analysis.schedule_parts import ScheduleParts
from ..analysis.statistics import most_medians
from ..analysis.summary import Row, is_exact, problem_groups
from ..analysis.wording import at, at_value, begun, joined, spoken, told_apart
from ..schedules.registry import PLATEAU
from ..store.file_format import is_own
from ..text import MOST_NAMES, first_few, many, powers

MOST_SCHEDULES = 7
MOST_TIMES = 1000  # beyond it, how many times as much is not told
GRID_POINTS = 160
# Moments are joined where the logarithms of their train losses differ by less than this, or where the test loss, or
# test loss over train loss, hardly changes; of more than this share of unsure seeds no median is drawn.
WIDEST_GAP, STEADY, MOST_UNSURE = 0.7, 0.1, 0.2


class View:
    """A run as the pictures see it: the first combination of problem parameters, and the schedules that differ most.

    Parameters
    ----------
    run : simlr.store.run.Run
        Of a grid, finished or not.
    rows : list of summary.Row
        All of the run.
    lead : simlr.analysis.on_page.Lead or None
        The comparison that a question is answered by: its problem and level, and what the sides chose there, are seen.
    """

    def __init__(self, run, rows, lead=None):
        self.run, self._parts, self.lead, self._made = run, ScheduleParts(run), lead, made_for(run)
        groups = problem_groups(run)
        problem, self.seeds = next((group for group in groups if lead and group[0] == lead.problem), groups[0])
        self.rows = {(row.schedule, row.level): row for row in rows if row.problem == problem}
        self.levels = list(dict.fromkeys(level for _, level in self.rows))
        self.names = [str(name) for name in run["schedule"]]
        self.kind = run.config.level_kind
        self.excess = self.kind == "excess_train_loss"
        # Whether the levels are train losses, as one axis of the pictures is.
        self.by_loss = is_loss(self.kind)
        # Whether the test loss keeps a floor; where it has none, test loss over train loss tells more.
        self.noisy = not all(row.test_floor == 0.0 for row in self.rows.values())
        self.last = last_shared(self.kind, list(self.rows.values()))
        if lead and self.rows[lead.a, lead.level].both_reached:
            self.last = lead.level
        self.base = self.rows[self.names[0], self.last].baseline
        # How few seeds can be told of: a mean over the noise, where nothing else is drawn, is exact.
        self.fewest = 1 if is_exact(run) else FEWEST
        self._problem, settings = dict(problem), len({row.problem for row in rows})
        at_problem = joined([at_value(key, value) for key, value in problem])
        self._at_problem = f" at {at_problem}" if problem else ""
        self.problem = f" At {at_problem}, one of {many(settings, 'setting')} of the problem." if problem else ""

    def index(self, name: str) -> int:
        """Place of a schedule in the run's arrays."""
        return self.names.index(name)

    def levels_of(self, name: str) -> list[float]:
        """The levels that a schedule is made for: see `budgets.made_for`."""
        return [level for level, made in zip(self.levels, self._made[self.index(name)], strict=True) if made]

    def ratio(self, name: str) -> float:
        """Median ratio of the baseline's test loss to this schedule's at the lowest level that they share."""
        return self.rows[name, self.last].ratio

    @cached_property
    def rival(self) -> str | None:
        """The schedule that differs most from the baseline at the last level, of the best of each table and method.

        Of those that can be compared with it; where a table has the baseline itself, any of its others.
        """
        rows = [self.rows[name, self.last] for name in self.names if name != self.base]
        rows = [row for row in rows if row.compares]
        if self.lead and any(row.schedule == self.lead.a for row in rows):
            return self.lead.a
        rows = self._best_of_each(rows)
        # Rounded, so that of equals the first is taken.
        return max(rows, key=lambda row: round(abs(math.log(row.ratio)), 3)).schedule if rows else None

    def _best_of_each(self, rows):
        """Those of the highest ratio of every [[schedule]] table, optimiser and noise; all of the baseline's own."""
        tables, methods = self.run.config.families(), shapes_and_methods(self.run)[1]
        kin = {name: (tables[s], methods[s]) for s, name in enumerate(self.names)}
        best: dict = {}
        for row in rows:
            own = kin[row.schedule]
            key = (own, row.schedule) if own == kin[self.base] else own
            if key not in best or row.ratio > best[key].ratio:
                best[key] = row
        return list(best.values())

    @cached_property
    def shown(self) -> list[str]:
        """The baseline, its rival, and those that differ most from what is drawn already, in that order."""
        chosen = [self.base] + ([self.rival] if self.rival else [])
        if self.lead:
            return list(dict.fromkeys([*chosen, *self.lead.labels]))[:MOST_SCHEDULES]
        with np.errstate(all="ignore"):
            # How a schedule looks in the pictures: log of its median test loss at every level.
            points = {n: np.log([self.rows[n, level].test_loss for level in self.levels]) for n in self.names}
        distance = {name: min(self._apart(points[name], points[other]) for other in chosen) for name in self.names}
        here = [name for name in self.names if self.last in self.levels_of(name)] or self.names
        while len(chosen) < min(MOST_SCHEDULES, len({*chosen, *here})):
            rest = [name for name in here if name not in chosen]
            chosen.append(max(rest, key=lambda name: distance[name]))
            for name in rest:
                distance[name] = min(distance[name], self._apart(points[name], points[chosen[-1]]))
        return chosen

    @cached_property
    def labels(self) -> dict[str, str]:
        """What the schedules shown are called in a picture's legend."""
        told = told_apart(self.shown)
        return told | {name: text for name, text in self.lead.labels.items() if name in told} if self.lead else told

    def spoken(self, name: str) -> str:
        """A schedule in a sentence: of those that lead by the side of the question that chose it."""
        return self.lead.sides[name] if self.lead and name in self.lead.sides else spoken(name)

    @staticmethod
    def _apart(one, other):
        """The largest difference of two rows of points; what is known of one only does not count."""
        with np.errstate(invalid="ignore"):  # a test loss of 0 has a logarithm of -inf
            gap = abs(one - other)
        return np.max(gap[np.isfinite(gap)], initial=0.0)

    @property
    def left_out(self) -> str:
        """The sentence that names the schedules that are not drawn, empty where all are."""
        rest = [name for name in self.names if name not in self.shown]
        if self.lead:
            who = "; ".join(f"{side} is {spoken(name)}" for name, side in self.lead.sides.items())
            return f" Drawn is what the sides of the question chose: {who}."
        told = told_apart(self.names)
        return f" Not drawn: {first_few([told[name] for name in rest], MOST_NAMES, between='; ')}." if rest else ""

    @property
    def level(self) -> str:
        """The last level that a schedule shares with the baseline, in words."""
        return place(self.kind, self.last)

    @property
    def where(self) -> Any:
        """The level that most is said of, the last that a schedule shares with the baseline, and of which setting."""
        setting = (self.lead.over if self.lead else {}) | self._problem
        return at(self.kind, setting, [*setting, self.kind], self.last)

    @property
    def where_of_all(self) -> Any:
        """The same for all that are shown: what the sides of a question chose in other settings, too."""
        return at(self.kind, self._problem, [*self._problem, self.kind], self.last)

    def told(self, name: str) -> str:
        """A schedule among all that are shown, in a sentence: of a question the side, and in which setting."""
        label = self.lead.labels.get(name) if self.lead else None
        return label or self.spoken(name)

    @property
    def depths(self) -> list[float]:
        """Train losses, above the floor where levels are, at which those shown stop: the levels, or medians there."""
        drawn = [self.rows[name, level] for name in self.shown for level in self.levels_of(name)]
        losses = self.levels if self.by_loss else [row.train_loss for row in drawn if row.reached]
        return [loss for loss in dict.fromkeys(losses) if loss > 0.0]

    def reached(self, status: NDArray) -> NDArray[np.bool_]:
        """Where a status is an outcome whose losses belong to the level."""
        return is_own(status, self.kind)

    # ---- titles: what a run shows, in one clause ----

    @cached_property
    def tie(self) -> str:
        """That the baseline and its rival tie in every seed, as the headline says it; "" where they do not."""
        if self.rival is None:
            return ""
        sides = tuple(Side(self.run, self.index(name), parts=self._parts) for name in (self.rival, self.base))
        level = self.levels.index(self.last)
        pair = pair_at((sides[0], sides[1]), (tuple(self._problem.items()), self.seeds), (level, level))
        names = f"{self.spoken(self.rival)} and {self.spoken(self.base)}"
        return f"At {self.where}, {names} tie: exactly the same test loss in every seed" * (pair.ties == pair.pairs > 0)

    def sentence(self) -> str:
        """Of test losses at equal train loss: the baseline beside its rival, at the lowest level."""
        if len(self.names) == 2 and self.tie:
            return self.tie
        base, where = self.spoken(self.base), f"At {self.where}"
        if self.rival is None or self.rows[self.rival, self.last].pairs < self.fewest:
            return self._why_none(where, base)
        ratio, rival = self.ratio(self.rival), self.spoken(self.rival)
        if max(ratio, 1.0 / ratio) <= 1.0 + MARGIN:
            who = self.spoken(self.lead.a) if self.lead else "no schedule that can be compared"
            most = f"{'less' if self.lead else 'more'} than {100 * MARGIN:g} %"
            return f"{where}, {who} differs in test loss from {base} by {most}"
        more, less, times = (base, rival, ratio) if ratio > 1.0 else (rival, base, 1.0 / ratio)
        told = f"{times:.2f}" if times < MOST_TIMES else f"over {MOST_TIMES:,}"
        return f"{where}, {more} has {told} times the test loss of {less}"

    def _why_none(self, where, base):
        """Why no schedule can be compared with the baseline, at a place that a title begins with."""
        others = [self.rows[name, self.last] for name in self.names if name != self.base]
        if not others or not any(row.pairs or row.apart for row in others):
            return f"Test loss of {base}, {where[0].lower()}{where[1:]}"
        known = max(row.pairs + row.apart for row in others)
        if known < self.fewest:
            seeds = many(self.seeds.size, "seed")
            count = f"only {known} of {seeds} can be compared:" if known < self.seeds.size else f"{seeds} are"
            return f"{where}, {count} too few to say which schedule is better"
        if any(row.apart for row in others):
            return f"{where}, no other schedule stops at the train loss of {base}"
        if self.rows[self.base, self.last].reached:
            return f"{where}, in most seeds {base} alone gets there"
        return f"{where}, {base} does not get there in any seed"

    def sentence_of_ratios(self, rows: dict[str, list[Row]]) -> str:
        """Of the ratios of some schedules, {name: rows}: the lowest and the highest at the last level."""
        at_last = [several[-1] for several in rows.values() if several[-1].level == self.last]
        ratios = {row.schedule: row.ratio for row in at_last if row.compares and row.pairs >= self.fewest}
        if not ratios:
            return self.sentence()
        low, high = min(ratios, key=lambda name: ratios[name]), max(ratios, key=lambda name: ratios[name])
        if max(ratios[high], 1.0 / ratios[low]) <= 1.0 + MARGIN:
            return self.sentence()
        text = powers(f"{ratios[low]:.3g}") + f" ({self.told(low)})"
        text += f" to {ratios[high]:.3g} ({self.told(high)})" * (high != low)
        base = self.told(self.base)
        return f"At {self.where_of_all}, test loss of {base}{',' * (',' in base)} over that of the schedule: {text}"

    def sentence_of_wins(self) -> str:
        """Of the seeds: in how many the rival beats the baseline, or that they tie."""
        if self.tie:
            return self.tie
        if self.rival is None or self.rows[self.rival, self.last].pairs < self.fewest:
            return f"Test loss of {self.spoken(self.base)} over the seeds, at {self.where}"
        row = self.rows[self.rival, self.last]
        share, pairs = f"{100 * row.above_1:.0f} %" if row.above_1 else "none", many(row.pairs, "seed")
        names = f"{self.spoken(self.rival)} has a lower test loss than {self.spoken(self.base)}"
        little = f", by less than {100 * MARGIN:g} % in most" if max(row.ratio, 1.0 / row.ratio) <= 1.0 + MARGIN else ""
        return f"{names} in {share} of {pairs}{little}, at {self.where}"

    def sentence_of_times(self) -> str:
        """Of the time: how long the baseline and its rival take to the lowest level."""
        names = [name for name in (self.base, self.rival) if name and self.rows[name, self.last].reached]
        times = [f"{self.spoken(name)} after time {self.rows[name, self.last].stop_time:.3g}" for name in names]
        if not times:
            return f"No schedule drawn has reached {self.where}"
        if not self.by_loss:
            return f"At {self.where}: " + ", ".join(times)
        return f"{begun(self.level)} is reached{self._at_problem} by " + ", by ".join(times)

    # ---- along the trajectories ----

    def recorded(self) -> tuple[NDArray, NDArray]:
        """(rows of the recorded arrays, seeds), each (R,), of this problem combination; empty without records."""
        if "recorded_seed" not in self.run.names or "trajectory_train_loss" not in self.run.names:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        seeds = self.run.recorded_rows
        kept = np.flatnonzero(np.isin(seeds, self.seeds))
        return kept, seeds[kept]

    def trajectories(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Train and test losses (R, K) of one schedule's recorded seeds; what is not computed is NaN.

        Train losses are above the floor where the levels are.
        """
        kept, seeds = self.recorded()
        index = self.index(name)
        train, test = (self._parts(f"trajectory_{key}_loss", index)[kept] for key in ("train", "test"))
        return train - self._floor(seeds), test

    def _floor(self, seeds):
        """What train losses are counted from, (R, 1)."""
        return self.run["train_floor"][seeds, None] if self.excess else np.zeros((seeds.size, 1))

    def curves(self) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
        """Median test loss against train loss, along the way.

        A seed's test loss at a train loss is interpolated, in logarithms, between the moments that set a new lowest
        train loss: the recorded ones, and the stops.

        Returns
        -------
        grid : float64 (X,)
            Train losses, falling; none without records.
        curves : dict
            {name: test loss (X,)} of every schedule shown, NaN where too few seeds are known.
        """
        lowest = min(self.depths, default=np.nan)
        if not self.recorded()[0].size or not self.start_losses()[0] > lowest:
            return np.empty(0), {}
        grid = np.geomspace(self.start_losses()[0], lowest, GRID_POINTS)
        curves = {}
        for name in self.shown:
            of_seeds = zip(*self.trajectories(name), *self.stops(name), strict=True)
            test, sure = np.swapaxes([along(*seed, grid) for seed in of_seeds], 0, 1)
            unsure = (np.isfinite(test) & (sure == 0.0)).mean(axis=0)
            curves[name] = np.where(unsure > MOST_UNSURE, np.nan, most_medians(test))
        return grid, curves

    def stops(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Train and test losses (R, E) of one schedule's recorded seeds at its stops; NaN where a level is not reached.

        Train losses are above the floor where the levels are.
        """
        _, seeds = self.recorded()
        index = self.index(name)
        reached = self.reached(self._parts("status", index)[seeds])
        train, test = (np.where(reached, self._parts(key, index)[seeds], np.nan) for key in ("train_loss", "test_loss"))
        return train - self._floor(seeds), test

    def start_losses(self) -> Any:
        """Median train and test loss of the recorded seeds at the start, NaN where not known."""
        return [most_medians(values[:, :1])[0] for values in self.trajectories(self.base)]

    @cached_property
    def has_flow(self) -> bool:
        """Whether a schedule that is shown ends in a gradient flow, which takes no steps."""
        combinations = self.run.config.combinations()
        return any(combinations[self.index(name)][0].flows for name in self.shown)

    def moments(self, name: str) -> NDArray[np.float64]:
        """Where the recorded moments (K,) stand: their steps or, where a schedule shown flows, their times."""
        if self.has_flow:
            return self.run["recorded_time"][self.index(name)] / self._unit(name)
        steps = self.run["recorded_step"][self.index(name)]
        return np.where(steps < 0, np.nan, steps)

    def rates(self, name: str) -> NDArray[np.float64]:
        """Learning rates (K,) at the recorded moments, absolute; 0 in a flow, and the median of those of the seeds."""
        own = self.own_rates(name)
        if own is not None:
            return most_medians(own)
        return self.run["learning_rate"][self.index(name)] / self._unit(name)

    def own_rates(self, name: str) -> NDArray[np.float64] | None:
        """Learning rates (R, K) of the recorded seeds, absolute, of a schedule whose rates depend on their losses."""
        if self.run["schedule_kind"][self.index(name)] != PLATEAU or "trajectory_learning_rate" not in self.run.names:
            return None
        return self.run["trajectory_learning_rate"][self.index(name)] / self._unit(name)

    def _unit(self, name):
        """What rates and times are divided by: the median sharpness for those in its units, else 1."""
        if self.run["schedule_unit"][self.index(name)] != "sharpness":
            return 1.0
        sharpness = self.run["sharpness"][self.seeds]
        known = sharpness[np.isfinite(sharpness)]
        return np.median(known) if known.size else 1.0


def along(
    train: NDArray[np.float64],
    test: NDArray[np.float64],
    stop_train: NDArray[np.float64],
    stop_test: NDArray[np.float64],
    grid: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Test losses of one seed where its train loss first falls to given values.

    Parameters
    ----------
    train, test : (K,)
        At the recorded moments.
    stop_train, stop_test : (E,)
        At the stops.
    grid : (X,)
        The train losses, falling.

    Returns
    -------
    float64 (2, X)
        The test losses, NaN where the train loss does not fall so far; and whether they are sure, 1 or 0: they are not
        where the moments around a value are far apart.
    """
    first = train <= np.fmin.accumulate(train)
    train, test = np.append(train[first], stop_train), np.append(test[first], stop_test)
    with np.errstate(all="ignore"):
        x, y = -np.log(train), np.log(test)
    order = np.argsort(x, kind="stable")
    order = order[np.isfinite(x[order]) & np.isfinite(y[order])]
    if order.size < 2:
        return np.full((2, grid.size), np.nan)
    x, y, wanted = x[order], y[order], -np.log(grid)
    losses = np.exp(np.interp(wanted, x, y, left=np.nan, right=np.nan))
    after = np.clip(np.searchsorted(x, wanted), 1, order.size - 1)
    fall, change = np.diff(x)[after - 1], np.diff(y)[after - 1]
    sure = (fall < WIDEST_GAP) | (abs(change) < STEADY) | (abs(change + fall) < STEADY)
    return np.stack([losses, sure])
