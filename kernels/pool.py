"""Cells side by side in SIMD lanes: what the pools of `descent` and of `stochastic` have in common.

A cell is (s, n), schedule and seed. A pool works on all lanes up to a multiple of LANES; those beyond its cells hold
zeros, whose bar of -1 no energy reaches. Energy is 2 (train loss - floor), bar what it must fall to next.
"""

from .arrays import DIVERGED_SUM, ENDED
from .jit import inline
from .status import DIVERGED, REACHED

LANES = 8
# The moment of what is not to be recorded again.
NEVER = (1 << 63) - 1


@inline
def whole_lanes(count):
    """`count`, rounded up to a multiple of LANES."""
    return (count + LANES - 1) // LANES * LANES


@inline
def lanes_within(cache_bytes, lane_bytes, most):
    """How many lanes of so many bytes fit a cache: a multiple of LANES, at least LANES and at most `most`."""
    return max(LANES, min(most, cache_bytes // lane_bytes // LANES * LANES))


@inline
def bar_of(cells, decided, s, n):
    """What the energy of a cell must fall to next; -1, which it never does, after its last level."""
    return cells.threshold[n, decided[s, n]] if decided[s, n] < cells.threshold.shape[1] else -1.0


@inline
def is_done(cells, rates, decided, s, n, step):
    """Whether neither a level nor a recorded moment of a cell needs another step, or its schedule has none."""
    if decided[s, n] == ENDED or step >= rates.length[s]:
        return True
    return decided[s, n] >= cells.threshold.shape[1] and (cells.row[n] < 0 or step >= rates.last_record[s])


@inline
def next_moment(rates, s, slot, step):
    """The first slot from `slot` on whose moment lies after `step`, and that moment; NEVER, where none does."""
    while slot < rates.record_step.shape[1] and 0 <= rates.record_step[s, slot] <= step:
        slot += 1
    if slot < rates.record_step.shape[1] and rates.record_step[s, slot] >= 0:
        return slot, rates.record_step[s, slot]
    return slot, NEVER


@inline
def levels_passed(cells, decided, s, n, energy):
    """Levels that a cell passes with this energy, as (one beyond the last, outcome): all where it has diverged."""
    if not energy <= DIVERGED_SUM:
        return cells.threshold.shape[1], DIVERGED
    level = decided[s, n]
    while level < cells.threshold.shape[1] and energy <= cells.threshold[n, level]:
        level += 1
    return level, REACHED


@inline
def raise_alarms(energy, bar, alarm, filled):
    """alarm = 1 in lanes at or below their bar, or beyond the limit (NaN included); whether there are any."""
    alarms = 0
    for lane in range(filled):
        alarmed = (energy[lane] <= bar[lane]) | (not energy[lane] <= DIVERGED_SUM)
        alarm[lane] = alarmed
        alarms += alarmed
    return alarms > 0
