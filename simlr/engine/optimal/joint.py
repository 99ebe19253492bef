"""Rates and batch sizes together: the least expected loss that so many samples buy in so many steps.

Pieces of n_k steps have the rates eta_k > 0 and the weights w_k > 0, and with T steps, D samples and the least batch b

    B_k = b + (D - b T) w_k / sum_j n_j w_j

rows a step, so that any weights spend the samples to the last one. The search goes over the logarithms of both.
"""

import numpy as np

from .gradient import Objective
from .search import Array, Layout, Limits, Problem, Solution, grow, solve

# Weights to start from, times the highest rate that is allowed, since the search bounds both alike: even ones, and
# such as rise by this factor over the schedule, or fall.
MIDDLE, TILT = 1e-4, 30.0


class JointProblem(Problem):
    """The logarithm of the mean loss over N problems, as a function of the free pieces' rates and weights, (2 P,)."""

    def __init__(self, objective: Objective, layout: Layout, samples: int):
        super().__init__(objective, layout)
        self._samples, self._least_batch = samples, float(objective.batch)

    @property
    def _steps(self):
        """(P,) steps of each weight: those of the warm-up have the first piece's batch."""
        return self.layout.sums_of_free(self.layout.all_lengths.astype(np.float64))

    def batches(self, weights: Array) -> Array:
        """B_k of each free piece (P,), from the weights."""
        return self._least_batch + self._unit(weights) * weights

    def _unit(self, weights):
        """Samples of a step to a weight of 1."""
        return (self._samples - self._least_batch * self._steps.sum()) / (self._steps @ weights)

    def slopes(self, numbers: Array) -> tuple[float, Array]:
        """The logarithm, and its derivative by each rate and weight."""
        rates, weights = np.split(numbers, 2)
        objective = self.objective._replace(batch=self.layout.all_batches(self.batches(weights)))
        value, by_rate, by_batch = self.differentiated(objective, rates)
        # A larger weight takes from what all others have.
        own = self.layout.sums_of_free(by_batch)
        by_weight = self._unit(weights) * (own - self._steps * (own @ weights) / (self._steps @ weights))
        return value, np.concatenate([self.layout.by_free(by_rate), by_weight])


def with_batches(
    problem: Problem, best: Solution, limits: Limits, samples: int, least: float, most_pieces: int
) -> tuple[JointProblem, Solution, float]:
    """From the best rates at one batch size: the problem in its last pieces, rates and weights, and the starts' gap."""
    joint = JointProblem(problem.objective._replace(batch=least), problem.layout, samples)
    share = np.cumsum(problem.layout.lengths) / problem.layout.lengths.sum()
    starts = [MIDDLE * limits.largest * TILT ** (power * (share - 0.5)) for power in (0.0, 1.0, -1.0)]
    found = [solve(joint, np.concatenate([best.rates, weights]), limits) for weights in starts]
    first, worst = min(found, key=lambda one: one.value), max(one.value for one in found)
    joint.evaluations += problem.evaluations
    grown, last = grow(joint, first, limits, most_pieces)
    return grown, last, float(np.expm1(worst - first.value))
