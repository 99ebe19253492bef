"""How `wu2021` judges where runs end: statements about most draws, from the Rayleigh quotients of the error."""

import numpy as np
from numpy.typing import NDArray

from ..claims import evidence
from ..claims.verdict import FAILS, UNDECIDED, Finding, measurement_text
from ..kernels.status import REACHED
from ..store.run import Run

ANNEALED, SMALL_RATE = "annealed", "small"
NEARLY = 0.1
UNLUCKY = 0.05  # of the seeds, whose rows are drawn in an odd order, count for nothing: the claim is one of probability
MOST = 2.0 / 3.0  # of all draws must be shown to keep to a statement
HIGHEST_LEVEL = 0.01  # above, about a fiftieth of the start's train loss, a run has not come to an end


class Statement:
    """That what is measured of each seed (N, E) is at least a bound, at every level, in most draws.

    With `most` it is at most that bound; where the run is `too_short` for it, it is not refuted.
    """

    def __init__(
        self,
        what: str,
        values: NDArray[np.float64],
        bound: float,
        most: bool = False,
        note: str = "",
        too_short: bool = False,
    ):
        sign = -1.0 if most else 1.0
        self._what, self._bound, self._most, self._note = what, bound, most, note
        signed = np.where(np.isnan(values), np.nan, sign * values)
        kept = np.where(np.isnan(signed).any(axis=1), np.nan, (signed >= sign * bound).all(axis=1))
        count, unknown = int(np.nansum(kept)), int(np.isnan(kept).sum())
        self._unknown, self._seeds, self._too_short = unknown, kept.size, too_short
        against = evidence.of_share(count, kept.size, 1.0 - UNLUCKY, unknown).above
        shown = evidence.of_share(count, kept.size, MOST, unknown).below
        self.shown = evidence.Evidence(shown if against > evidence.LEVEL else 1.0, against)
        self._kept = f"kept to in {count} of {kept.size} draws"
        # At the level where it is worst; a NaN there is all that is left.
        self._measured = sign * float(np.quantile(signed, UNLUCKY, axis=0).min())

    def finding(self, outcome: str) -> Finding:
        """The `Finding`, of an outcome by the number of seeds that keep to it."""
        if outcome == FAILS and self._too_short:
            return Finding(self._what, self._measured, "", "", UNDECIDED, "the moderate phase is too short for it")
        if outcome == UNDECIDED and self._unknown:
            note = f"{self._unknown} of {self._seeds} seeds did not come to the train loss"
        else:
            note = self._note
        bound = f"{'<=' if self._most else '>='} {measurement_text(self._bound)}"
        return Finding(self._what, self._measured, bound, self._kept, outcome, note)


class Ends:
    """Where runs stopped: Rayleigh quotients (N, E) of the error over the largest and the smallest eigenvalue."""

    def __init__(self, run: Run, seeds: NDArray[np.int64]):
        reached = run["status"][:, seeds] == REACHED
        with np.errstate(all="ignore"):
            quotient = 2.0 * run["train_loss"][:, seeds] / run["test_loss"][:, seeds]
        self._quotient = np.where(reached, quotient, np.nan)[..., run["level"] <= HIGHEST_LEVEL]
        self._top = run["sharpness"][seeds][:, None]
        self._bottom = np.nanmin(run["curvature"][seeds], axis=1)[:, None]
        self.spread = float(np.median(self._top / self._bottom))
        self.lowest = float(run["level"].min())

    def over_top(self, index: int) -> NDArray[np.float64]:
        """Of one schedule: 1 where the error lies along the top eigenvector, and the point is optimal."""
        return self._quotient[index] / self._top

    def over_bottom(self, index: int) -> NDArray[np.float64]:
        """Of one schedule: 1 where the error lies along the bottom eigenvector."""
        return self._quotient[index] / self._bottom


def statements_of(ends: Ends, label: str, found: dict[tuple[str, str | None], int], too_short: bool) -> list[Statement]:
    """The `Statement`s of one setting: what all but 5 % of the seeds keep to at the worst level.

    `found` are the roles of schedules; where the moderate phase is `too_short`, SGD is not found to be elsewhere.
    """
    statements = []
    for sampling in ("replacement", "epochs"):
        what = f"{label}: SGD, {sampling}: Rayleigh quotient / largest eigenvalue, 5 % quantile"
        statements.append(Statement(what, ends.over_top(found[ANNEALED, sampling]), 1.0 - NEARLY, too_short=too_short))
    what = f"{label}: GD, same rates: Rayleigh quotient / smallest eigenvalue, 95 % quantile"
    statements.append(Statement(what, ends.over_bottom(found[ANNEALED, "gd"]), 1.0 + NEARLY, most=True))
    ratio = ends.over_top(found[ANNEALED, "replacement"]) / ends.over_top(found[ANNEALED, "gd"])
    # A step of SGD goes well below the level, so test losses are compared per train loss. A point that is nearly
    # optimal is within 1/(1 - NEARLY) of the best, and GD's must not be.
    what = f"{label}: test loss per train loss, GD / SGD, 5 % quantile"
    note = f"at most the condition number, {ends.spread:.4g}"
    least = max((1.0 - NEARLY) ** 2 * ends.spread, 1.0 / (1.0 - NEARLY))
    too_short &= ends.spread > 1.0 / (1.0 - NEARLY)
    statements.append(Statement(what, ratio, least, note=note, too_short=too_short))
    if (SMALL_RATE, "replacement") in found:
        what = f"{label}: SGD, small rate: Rayleigh quotient / smallest eigenvalue, 95 % quantile"
        own = ends.over_bottom(found[SMALL_RATE, "replacement"])
        statements.append(Statement(what, own, 1.0 + NEARLY, most=True))
    return statements
