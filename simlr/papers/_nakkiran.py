"""How `nakkiran2020` judges one pair (A), (B) of schedules on some seeds: every number beside the theory's."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..claims.verdict import FAILS, HOLDS, UNDECIDED, Finding, outcome_of, undecided
from ..store.run import Run

ROWS = 3
HIGHEST_LEVEL = 1e-3
# |A/B - 2| may be this much times eps a^2 / b^4: the theory's 6, and room for the next order.
FIRST_ORDER, FIRST_ORDER_ROOM = 6.0, 6.5
# Start points whose first-order term is larger than this at every level tell nothing.
LARGEST_TOLERANCE = 0.1
ROUNDING = 1e-9
# The large step leaves b times a rounding error, whose square is no longer small beside levels below this times b^2.
LEFT_BY_ROUNDING = 1e-20
SHARE, SIGMAS, FEWEST_SEEDS = 0.75, 4.0, 100
HALFWAY = 1.5  # a seed shows the effect where its ratio is nearer to 2 than to 1


class Pair:
    """Test losses (N, E) of (A) and of (B) on some seeds, beside what the theory says of them."""

    def __init__(self, run: Run, flow: NDArray[np.float64], annealed: NDArray[np.float64], seeds: NDArray[np.int64]):
        with np.errstate(over="ignore"):
            steep, flat = run["initial_residual"][seeds].T ** 2
        self._mixed = run["curvature"][seeds, 1] > 0.0
        self._at_target = not (steep + flat).any()
        self._due = self._mixed & (steep > 0.0) & (flat > 0.0)
        with np.errstate(all="ignore"):
            # eps a^2 / b^4, what the ratio's departure from 2 is measured in.
            order = np.where(self._mixed & (flat > 0.0), steep / flat**2, np.nan)[:, None] * run["level"]
            self._ratio = flow / annealed
        self._flow, self._annealed, self._level, self._order = flow, annealed, run["level"], order
        self._tolerance = np.clip(np.nan_to_num(FIRST_ORDER_ROOM * order, nan=np.inf), ROUNDING, LARGEST_TOLERANCE)
        # A flow from a finite start comes to every level: one that did not contradicts the theory.
        self._missed = np.isnan(flow) | np.isnan(annealed)
        # Levels low enough for the theory, and of them those high enough for the step to have left nothing: bool (E,).
        worst = np.nanmax(order, axis=0, initial=0.0)
        self._low = (self._level <= HIGHEST_LEVEL) & (FIRST_ORDER_ROOM * worst <= LARGEST_TOLERANCE)
        self._least = LEFT_BY_ROUNDING * flat.max(initial=0.0)
        self._usable = self._low & (self._level > 0.0) & (self._level >= self._least)

    def findings(self, everything: bool) -> list[Finding]:
        """[Finding, ...]: each measurement beside the theory and the tolerance."""
        if self._at_target:
            return [undecided("the start is theta_star, so there is nothing to learn")]
        if not self._low.any():
            return [undecided(f"no level is low enough: at least one at or below {HIGHEST_LEVEL:g} is needed")]
        if not self._usable.any():
            return [undecided(f"no level is high enough: below {self._least:.2g} the rounding of the step shows")]
        lowest = np.argmin(np.where(self._usable, self._level, np.inf))
        effect = self._ratio[:, lowest] >= HALFWAY
        found = [self.share(effect, everything, self._level[lowest])]
        due = effect | self._due
        if due.any():
            found += [self.factor(due), self.annealed_loss(due), self.flow_loss(due)]
        if not self._mixed.all():
            found.append(self.unseen())
        return found

    def share(self, effect: NDArray[np.bool_], everything: bool, level: float) -> Finding:
        """The share of seeds with the effect against 3/4."""
        count, total = int(effect.sum()), effect.size
        measured = f"{count} of {total} seeds ({count / total:.4f})"
        found = Finding(f"ratio above {HALFWAY} at level {level:g}", measured, "3/4")
        if everything:
            if total < 2**ROWS:
                return found._replace(outcome=UNDECIDED, note=f"needs all {2**ROWS} samples")
            return found._replace(tolerance="exactly", outcome=outcome_of(count == SHARE * total))
        if total < FEWEST_SEEDS:
            return found._replace(outcome=UNDECIDED, note=f"needs at least {FEWEST_SEEDS} seeds")
        tolerance = SIGMAS * np.sqrt(SHARE * (1.0 - SHARE) / total)
        within = outcome_of(abs(count / total - SHARE) <= tolerance)
        return found._replace(tolerance=f"{tolerance:.4f} (4 sigma)", outcome=within)

    def factor(self, due: NDArray[np.bool_]) -> Finding:
        """|A/B - 2| in the seeds that hold both axes, against 6 eps a^2/b^4."""
        worst = self._worst(abs(self._ratio - 2.0), self._tolerance, due)
        middle = np.median(self._ratio[due][:, worst.level])
        first = FIRST_ORDER * self._order[worst.seed, worst.level]
        note = f"|ratio - 2| up to {worst.off:.3g}, in theory 6 eps a^2/b^4 = {first:.3g}"
        what = f"median ratio of the seeds with both axes, at level {self._level[worst.level]:g}"
        return Finding(what, f"{middle:.7g}", 2.0, f"{worst.room:.3g}", worst.outcome, note)

    def annealed_loss(self, due: NDArray[np.bool_]) -> Finding:
        """Test loss of (B) over eps against 3/4."""
        off = abs(self._annealed / (0.75 * self._level) - 1.0)
        worst = self._worst(off, np.full_like(off, ROUNDING), due)
        note = f"off by {worst.off:.2g} relative"
        measured = self._annealed[worst.seed, worst.level] / self._level[worst.level]
        return Finding("test loss of (B) / eps", measured, 0.75, f"{worst.room:g}", worst.outcome, note)

    def flow_loss(self, due: NDArray[np.bool_]) -> Finding:
        """Test loss of (A) over eps against 3/2 - (9/2) eps a^2/b^4."""
        off = abs(self._flow / self._level - 1.5)
        worst = self._worst(off, 0.75 * self._tolerance, due)
        what = f"test loss of (A) / eps, at level {self._level[worst.level]:g}"
        measured = self._flow[worst.seed, worst.level] / self._level[worst.level]
        return Finding(what, measured, 1.5, f"{worst.room:.3g}", worst.outcome)

    def unseen(self) -> Finding:
        """The ratio in seeds that hold one axis three times: 1."""
        off = abs(self._ratio - 1.0)
        worst = self._worst(off, np.full_like(off, ROUNDING), ~self._mixed)
        what = f"ratio of the {(~self._mixed).sum()} seeds that hold one axis three times"
        measured = self._ratio[worst.seed, worst.level]
        return Finding(what, measured, 1.0, f"{worst.room:g}", worst.outcome, f"off by {worst.off:.2g}")

    def _worst(self, off, room, seeds):
        """The cell of these seeds and the usable levels whose `off` is largest beside its tolerance `room`."""
        chosen = seeds[:, None] & self._usable
        unknown = bool((chosen & np.isnan(off) & ~self._missed).any())
        off = np.where(chosen, np.where(np.isnan(off), np.inf, off), -np.inf)
        with np.errstate(over="ignore"):
            seed, level = np.unravel_index(np.argmax(off / room), off.shape)
        within = bool((off <= room).all())
        outcome = HOLDS if within else UNDECIDED if unknown else FAILS
        return Worst(seed, level, off[seed, level], room[seed, level], outcome)


class Worst(NamedTuple):
    """The cell that is farthest off, and whether all are within their tolerance."""

    seed: int
    level: int
    off: float
    room: float
    outcome: str
