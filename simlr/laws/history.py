"""What a law sees of a schedule: the sum of its rates, and sums over its past weighted by how long ago a step was."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..inputs import rules

Array = NDArray[np.float64]
BLOCK = 1 << 20  # terms x losses that are held at a time
MOST_STEPS = 10**8
RATE_PARTS, MOST_TOLD = 16, 4096  # rates of a group are within 2^(1/16), and as many of these are told apart
LEAST_SUM = 1e-30  # of rates: powers of less are beyond all numbers


class Terms(NamedTuple):
    """P steps of the past, or groups of them, in their order; step counts from 1."""

    last: Array  # (P,) the last step of each
    step: Array  # (P,) the step, the weighted mean of a group
    weight: Array  # (P,)
    rate: Array  # (P,) the learning rate
    before: Array  # (P,) the sum of rates before the step
    after: Array  # (P,) that after it

    def grouped(self, group: NDArray[Any]) -> Self:
        """The same with the terms of one number (P,), which ascend, put together: weights summed, the rest averaged."""
        if not group.size:
            return self
        starts = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
        share = np.abs(self.weight)
        total = np.add.reduceat(share, starts)

        def mean(values):
            return np.add.reduceat(share * values, starts) / total

        last = np.maximum.reduceat(self.last, starts)
        weight = np.add.reduceat(self.weight, starts)
        return type(self)(last, mean(self.step), weight, *map(mean, (self.rate, self.before, self.after)))


class History(NamedTuple):
    """A schedule as the laws see it, at the K numbers of steps at which losses are wanted."""

    steps: NDArray[np.int64]  # (K,) ascending, from 1
    area: Array  # (K,) the sum of the rates up to there
    changes: Terms  # of steps whose rate is another than that before; weight: the rate less that before
    updates: Terms  # of all steps; weight: rate^2 / batch size

    @classmethod
    def of(cls, rates: ArrayLike, steps: ArrayLike | None = None, batch: ArrayLike = 1.0) -> Self:
        """That of rates (T,), checked; by default after all T steps."""
        eta = rules.array("rates", rates, (1,), least=0.0)
        if eta.size > MOST_STEPS:
            raise InputError(f"rates: at most {MOST_STEPS:,} steps, got {eta.size:,}")
        size = (
            np.broadcast_to(rules.array("batch", batch, (0, 1)), eta.shape) if np.size(batch) in (1, eta.size) else None
        )
        if size is None or size.min() <= 0.0:
            raise InputError(f"batch must be one number above 0, or one of each of the {eta.size:,} steps")
        at = _steps(steps, eta.size)
        total = np.cumsum(eta)
        if total[at[0] - 1] <= 0.0:
            raise InputError(f"rates: all are 0 up to step {at[0]:,}, where no law says anything")
        if total[at[0] - 1] < LEAST_SUM:
            raise InputError(
                f"rates: they add up to {total[at[0] - 1]:g} at step {at[0]:,}; at least {LEAST_SUM:g} is needed, "
                "since powers of less are no numbers"
            )
        before = np.concatenate([[0.0], total[:-1]])
        count = np.arange(1.0, eta.size + 1.0)

        def terms(chosen, weight):
            return Terms(count[chosen], count[chosen], weight[chosen], eta[chosen], before[chosen], total[chosen])

        change = np.diff(eta, prepend=eta[:1])
        update = eta * eta / size
        return cls(at, total[at - 1], terms(np.flatnonzero(change), change), terms(np.flatnonzero(update), update))

    def grouped(self, parts: int) -> Self:
        """The same with neighbouring steps as one: between two of the K losses `parts` groups an octave of steps to go.

        So the steps right before a loss, which it feels most unevenly, stay single. Changes are grouped with those of
        the same sign. The error falls with the square of the groups' length.
        """
        return self._replace(changes=self._group(self.changes, parts), updates=self._group(self.updates, parts))

    def blocks(self, parts: int, losses: int) -> Iterator[Self]:
        """The same in blocks of so many losses, what is long past of each grouped: `parts` groups an octave of steps.

        The groups are those to the first loss of a block, of steps at nearly one rate, and the steps from there on are
        single: far fewer terms, where losses are many, than `past_sum` takes of all. Within a group neither the steps
        nor the sum of rates to go, nor that sum before it, change by more than 2^(1/parts): laws are powers of these.
        With 64 parts a sum over the past moves by at most 5e-5 of itself, as measured on rates that fall soon.
        """
        for first in range(0, self.steps.size, losses):
            at = slice(first, first + losses)
            block = self._replace(steps=self.steps[at], area=self.area[at])
            yield block._replace(changes=block._past(self.changes, parts), updates=block._past(self.updates, parts))

    def _past(self, terms, parts):
        """Terms up to the last loss, those before the first one grouped."""
        first, end = np.searchsorted(terms.last, (self.steps[0], self.steps[-1] + 1))
        past, rest = (Terms(*(values[at] for values in terms)) for at in (slice(first), slice(first, end)))
        return Terms(*map(np.concatenate, zip(self._group(past, parts, is_fine=True), rest, strict=True)))

    def _group(self, terms, parts, is_fine=False):
        stretch = np.searchsorted(self.steps, terms.step)  # between which losses
        end = np.append(self.steps, max(terms.last.max(initial=0.0), self.steps[-1]) + 1.0)[stretch]
        octave = np.floor(parts * np.log2(end - terms.step + 1.0)).astype(np.int64)  # of steps to go
        key = 2 * (stretch * (64 * parts) - octave) + (terms.weight > 0.0)
        if is_fine:
            to_go = self.area[0] - terms.before
            for values, each in ((terms.rate, RATE_PARTS), (to_go, parts), (terms.before, parts)):
                with np.errstate(divide="ignore"):
                    near = np.floor(each * np.log2(np.maximum(values, 0.0)))
                key = key * MOST_TOLD + np.clip(near + MOST_TOLD // 2, 0, MOST_TOLD - 1).astype(np.int64)
        order = np.argsort(key, kind="stable")
        ordered = Terms(*(values[order] for values in terms)).grouped(key[order])
        return Terms(*(values[np.argsort(ordered.last, kind="stable")] for values in ordered))


def _steps(steps, length):
    """(K,) numbers of steps, ascending from 1."""
    at = np.atleast_1d(np.asarray(length if steps is None else steps))
    if at.ndim != 1 or at.size == 0 or not np.issubdtype(at.dtype, np.integer):
        raise InputError("steps must be whole numbers, at least one")
    if at[0] < 1 or at[-1] > length or (np.diff(at) <= 0).any():
        raise InputError(
            f"steps must ascend from 1 to at most the {length:,} of the rates, got {at[0]:,} .. {at[-1]:,}"
        )
    return at.astype(np.int64)


def past_sum(history: History, terms: Terms, response: Callable[[Array, Array, Terms], Array]) -> Array:
    """sum over the terms up to step t of weight x response, for each of the K steps t.

    Parameters
    ----------
    history
        Says at which steps.
    terms
        The P terms.
    response
        Of t and the sum of rates up to it, (k, 1) each, and the `Terms` (P,): it gives (k, P). Where a term is later
        than t, what it gives counts as 0, and must only be no error.

    Returns
    -------
    float64 (K,)
        Work and time K P, memory bounded.
    """
    found = np.zeros(history.steps.size)
    last = np.searchsorted(terms.last, history.steps, side="right")
    first = 0
    while first < found.size:
        end = min(int(found.size), first + max(1, BLOCK // max(int(last[first]), 1)))
        while end > first + 1 and (end - first) * int(last[end - 1]) > 2 * BLOCK:
            end = first + max(1, (end - first) // 2)
        used = Terms(*(values[: last[end - 1]] for values in terms))
        at = slice(first, end)
        value = response(history.steps[at, None].astype(np.float64), history.area[at, None], used)
        past = np.arange(used.weight.size) < last[at, None]
        found[at] = np.where(past, value, 0.0) @ used.weight
        first = end
    return found
