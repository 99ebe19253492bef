"""A schedule: phases one after the other, each one kind over a number of steps; the last may be a gradient flow."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .registry import PLATEAU, Array, kind_of

FLOW = "flow"
MOST_PIECES = 4096
PHASES = "phases"
# (first step, steps, learning rate, or None where that varies from step to step).
Piece = tuple[int, int, float | None]


@dataclass(frozen=True)
class Phase:
    """One learning-rate function over a number of steps."""

    kind: str
    steps: int
    parameters: tuple[tuple[str, Any], ...]  # (name, value)

    def rates(self, first: int, last: int) -> Array:
        """Learning rates of the phase's steps first..last - 1, float64 (last - first,)."""
        kind = kind_of(self.kind)
        if not kind.is_known:
            return np.full(last - first, np.nan)
        t = np.arange(first, last, dtype=np.float64)
        # A rate may grow beyond all numbers, where a run diverges without a warning; 0 times that is 0.
        with np.errstate(over="ignore", invalid="ignore"):
            rates = kind.function(t, self.steps, **dict(self.parameters))
        return np.nan_to_num(np.asarray(rates, dtype=np.float64), nan=0.0, posinf=np.inf)

    def pieces(self) -> list[Piece]:
        """The phase as [(first step, steps, learning rate), ...], the rate None where it varies from step to step."""
        if self.kind == PLATEAU:
            return [(0, self.steps, None)]
        kind, parameters = kind_of(self.kind), dict(self.parameters)
        starts = kind.starts(self.steps, **parameters) if kind.starts and self.steps else []
        if 0 < len(starts) <= MOST_PIECES:
            ends = [*starts[1:], self.steps]
            return [(a, b - a, self._rate(a)) for a, b in zip(starts, ends, strict=True)]
        first, end = kind.stable(self.steps, **parameters) if kind.stable else (0, 0)
        pieces = [(0, first, None), (first, end - first, self._rate(first)), (end, self.steps - end, None)]
        return [piece for piece in pieces if piece[1] > 0]

    def _rate(self, t):
        """The rate of one step; 0 after the last."""
        return float(self.rates(t, t + 1)[0]) if t < self.steps else 0.0


@dataclass(frozen=True)
class Schedule:
    """Phases one after the other, then a gradient flow where `flows`."""

    name: str
    unit: str  # "absolute", or "sharpness": rates in units of 1/sharpness
    phases: tuple[Phase, ...]
    flows: bool

    @property
    def plateau(self) -> dict[str, Any]:
        """Where its rates fall as the loss of each seed has it, the rule by which they do; else empty."""
        return next((dict(phase.parameters) for phase in self.phases if phase.kind == PLATEAU), {})

    def pieces(self) -> list[Piece]:
        """The steps as [(first step, steps, learning rate), ...], the rate None where it varies from step to step."""
        pieces, start = [], 0
        for phase in self.phases:
            pieces += [(start + first, steps, rate) for first, steps, rate in phase.pieces()]
            start += phase.steps
        return pieces

    @property
    def length(self) -> int:
        """The number of discrete steps."""
        return sum(phase.steps for phase in self.phases)

    def rates(self, first: int, last: int) -> Array:
        """Learning rates of steps first..last - 1 in the schedule's unit, float64; fewer where the schedule ends."""
        pieces = [np.empty(0)]
        start = 0
        for phase in self.phases:
            begin, end = max(first - start, 0), min(last - start, phase.steps)
            if begin < end:
                pieces.append(phase.rates(begin, end))
            start += phase.steps
        return np.concatenate(pieces)
