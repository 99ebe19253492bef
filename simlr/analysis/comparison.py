"""The rule by which two sides are compared: for every headline, table, picture, CSV file and answer.

* Both sides have one denominator, `pairs`. A seed in which one side did not reach its level, or diverged, is lost for
  it; one in which neither did is a tie. Not counted are seeds that are not run yet, or whose train floor lies at the
  level.
* Where levels are train losses and a loss is compared, seeds in which both reached the level count only where their
  train losses there differ by at most `TOLERANCE` of the level's excess over the floor. The others are `apart`.
* "Surely" takes `FEWEST` pairs, an interval beyond the margin, and a sign test that holds at `LEVEL` after Holm's
  correction over all comparisons beside which it is told.

Arrays in, numbers out; `judged` puts the words to them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..claims.evidence import holm
from ..config.question import LOSSES
from ..config.stop import LOSS_KINDS
from ..store.run import Run
from .statistics import EQUAL, median_interval, sign_test, wilson_of

# Train losses at two stops that differ by more than this share of the level's excess over the floor are not equal.
TOLERANCE = 0.01
# Differences up to this share count as none, where a question does not say otherwise.
MARGIN = 0.02
FEWEST = 20
LEVEL = 0.05

BETTER, WORSE, EVEN, TIE = "better", "worse", "even", "tie"
OPEN, NEITHER, APART, NOTHING = "unsure", "neither", "apart", "nothing"
# What each says of the first side, in a table.
SAYS = {
    BETTER: "surely less",
    WORSE: "surely more",
    EVEN: "no difference",
    TIE: "exact tie",
    OPEN: "not decided",
    NEITHER: "neither gets there",
    APART: "not at equal train loss",
    NOTHING: "nothing to compare",
}


@dataclass(frozen=True, kw_only=True)
class Tally:
    """A measure of side a against that of side b, seed by seed; less is better."""

    seeds: int
    pairs: int  # seeds that count, for both sides
    apart: int  # further seeds in which both reached the level, at train losses that differ: not counted
    missed_a: int  # of the pairs, those in which the first side did not reach its level
    missed_b: int
    missed_both: int  # in which neither did: ties
    ratio: float  # measure of a / of b in the same seed: median over the pairs; NaN where neither got there in most
    ratio_low: float  # its exact 95 % interval: see `statistics.median_interval`
    ratio_high: float
    ratio_apart: float  # the median over the seeds that are apart
    wins: int  # pairs in which a has less, by more than rounding
    losses: int
    ties: int
    win_share: float  # wins / pairs
    win_share_low: float  # its 95 % interval, see `statistics.wilson`
    win_share_high: float
    p: float  # two-sided sign test of wins against losses

    @property
    def missed_one(self) -> int:
        """Pairs in which one side alone did not reach its level."""
        return self.missed_a + self.missed_b - 2 * self.missed_both

    @property
    def both_reached(self) -> int:
        """Seeds in which both reached the level, apart or not."""
        return self.pairs - self.missed_a - self.missed_b + self.missed_both + self.apart


@dataclass(frozen=True, kw_only=True)
class Judged(Tally):
    """A `Tally` and what it says; by itself, until `judged` has looked at what stands beside it."""

    p_holm: float = math.nan  # p after Holm's correction over the comparisons told together
    outcome: str = (
        OPEN  # better, worse, even, tie, unsure, neither (reached), apart (in train loss), nothing (to compare)
    )


def tally(a: NDArray[np.float64], b: NDArray[np.float64], apart: NDArray[np.bool_] | None = None) -> dict[str, Any]:
    """Two sides over the same seeds.

    Parameters
    ----------
    a, b : float64 (N,)
        What each came to in each seed: infinite where it did not reach its level, NaN where none can, or nothing is
        known yet.
    apart : bool (N,) or None
        Where train losses at the two stops are not equal; None where that does not matter.

    Returns
    -------
    dict
        The fields of a `Tally`.
    """
    known = ~(np.isnan(a) | np.isnan(b))
    not_equal = np.zeros(known.shape, bool) if apart is None else known & apart & np.isfinite(a) & np.isfinite(b)
    x, y = a[known & ~not_equal], b[known & ~not_equal]
    logs = np.sort(log_ratios(x, y))
    wins, losses = int((logs < -EQUAL).sum()), int((logs > EQUAL).sum())
    share, share_low, share_high = wilson_of(wins, logs.size)
    aside = log_ratios(a[not_equal], b[not_equal])
    with np.errstate(over="ignore"):
        ratio, low, high = (float(np.exp(value)) for value in median_interval(logs))
        ratio_apart = float(np.exp(np.median(aside))) if aside.size else math.nan
    missed = np.isinf(x), np.isinf(y)
    if 2 * (missed[0] & missed[1]).sum() > logs.size:  # a tie of failures has no ratio
        ratio = low = high = math.nan
    counts: dict[str, Any] = {"seeds": int(a.size), "pairs": logs.size, "apart": int(not_equal.sum())}
    counts |= {"missed_a": int(missed[0].sum()), "missed_b": int(missed[1].sum())}
    counts |= {"missed_both": int((missed[0] & missed[1]).sum())}
    counts |= {"wins": wins, "losses": losses, "ties": logs.size - wins - losses, "p": sign_test(wins, losses)}
    ratios = {"ratio": ratio, "ratio_low": low, "ratio_high": high, "ratio_apart": ratio_apart}
    return counts | ratios | {"win_share": share, "win_share_low": share_low, "win_share_high": share_high}


def log_ratios(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """log(a / b) of losses, seed by seed.

    Parameters
    ----------
    a, b : (N,)
        Of the same seeds; 0 and infinity may be among them, NaN is not known.

    Returns
    -------
    float64 (N',)
        0 for equal ones, two zeros or two infinities among them; what is not known of both is left out.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    with np.errstate(all="ignore"):
        # Each logarithm by itself, so that the two orders differ in sign alone.
        logs = np.where(a == b, 0.0, np.log(a) - np.log(b))
    return logs[~np.isnan(logs)]


# ---- equal train loss ----


def excess_of(run: Run) -> NDArray[np.float64] | None:
    """The excess of each level over each seed's train floor, what train losses at the stops are compared to.

    Parameters
    ----------
    run
        Finished or not.

    Returns
    -------
    float64 (N, E) or None
        NaN where it is not known yet; None where the levels are no train losses.
    """
    kind, levels = run.config.level_kind, np.asarray(run["level"], dtype=np.float64)
    if kind not in LOSS_KINDS:
        return None
    floor = run["train_floor"][:, None]
    if kind == "excess_train_loss":
        return np.where(np.isnan(floor), np.nan, levels)
    return levels * first_loss(run)[:, None] - floor if kind == "train_loss_fraction" else levels - floor


def first_loss(run: Run) -> NDArray[np.float64]:
    """The train loss of each seed at the start, (N,)."""
    if "initial_train_loss" in run.names:
        return run["initial_train_loss"]
    with np.errstate(over="ignore"):
        squares = run["curvature"] * run["initial_residual"] ** 2
        return run["train_floor"] + 0.5 * np.nansum(squares, axis=1)


def takes_equal_loss(measure: str) -> bool:
    """Whether a measure is compared at equal train loss: a loss is. Numbers of steps and times lead to the level,
    wherever beyond it the last step ends."""
    return measure in LOSSES


def apart(
    train_a: NDArray[np.float64],
    train_b: NDArray[np.float64],
    excess: NDArray[np.float64],
    tolerance: float = TOLERANCE,
) -> NDArray[np.bool_]:
    """Whether train losses are not equal: they differ by more than that share of the excess of the level.

    Parameters
    ----------
    train_a, train_b, excess
        Of one shape; in the same unit.
    tolerance
        A share.

    Returns
    -------
    bool
        Of that shape; what is not known is not apart.
    """
    with np.errstate(invalid="ignore"):
        return abs(train_a - train_b) > tolerance * excess


def overshoots(
    train: NDArray[np.float64], floor: NDArray[np.float64], excess: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether stops lie below their level by more than `TOLERANCE` of its excess; shapes as of `apart`."""
    with np.errstate(invalid="ignore"):
        return train - floor < (1.0 - TOLERANCE) * excess


# ---- what it says ----


def outcome_of(low: float, high: float, margin: float) -> str:
    """What the interval of a ratio says by itself.

    Parameters
    ----------
    low, high
        Of the first side's measure over the second's.
    margin
        Differences up to this share count as none.

    Returns
    -------
    str
        BETTER, WORSE, TIE, EVEN or OPEN.
    """
    if abs(low - 1.0) <= EQUAL and abs(high - 1.0) <= EQUAL:
        return TIE
    if high * (1.0 + margin) < 1.0:
        return BETTER
    if low > 1.0 + margin:
        return WORSE
    return EVEN if low * (1.0 + margin) >= 1.0 and high <= 1.0 + margin else OPEN


def outcome(row: Any, p: float, margin: float) -> str:
    """What a comparison says.

    Parameters
    ----------
    row : Tally
        Of which no more need be known.
    p
        Of its sign test, corrected for the comparisons beside it.
    margin
        As of `outcome_of`.

    Returns
    -------
    str
        One of the outcomes of `Judged`.
    """
    if row.apart > row.pairs:  # what is left is not the comparison that was asked for
        return APART
    if not row.pairs:
        return NOTHING
    if 2 * row.missed_both > row.pairs:
        return NEITHER
    found = TIE if row.ties == row.pairs else outcome_of(row.ratio_low, row.ratio_high, margin)
    if found in (TIE, EVEN) and 2 * row.apart > row.both_reached:
        return APART
    if found == TIE and row.ties == row.pairs:
        return TIE
    # Equal in the middle seeds says little where one side alone fails in many of the others.
    if found in (TIE, EVEN) and sign_test(row.missed_a - row.missed_both, row.missed_b - row.missed_both) <= LEVEL:
        return OPEN
    if row.pairs < FEWEST:
        return OPEN
    if found in (BETTER, WORSE):
        for_it, against_it = (row.wins, row.losses) if found == BETTER else (row.losses, row.wins)
        # Nor may it hang on how those would have come out that are apart.
        if for_it <= against_it + row.apart:
            return APART if for_it > against_it else OPEN
        return found if p <= LEVEL else OPEN
    return found


def judged(rows: Sequence[Any], margin: float, beside: Sequence[float] = ()) -> list[Any]:
    """Comparisons that are told together, with `p_holm` and `outcome`.

    Parameters
    ----------
    rows : sequence of Judged
        The comparisons.
    margin
        As of `outcome_of`.
    beside
        p of the comparisons that are told beside these.

    Returns
    -------
    list
        The same rows, judged.
    """
    corrected = holm([*(row.p for row in rows), *beside])
    return [
        replace(row, p_holm=p, outcome=outcome(row, p, margin))
        for row, p in zip(rows, corrected[: len(rows)], strict=True)
    ]
