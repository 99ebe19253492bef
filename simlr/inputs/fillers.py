"""Fields without a value: gaps, and the numbers that other programs write into arrays and tables in their place."""

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, show
from ..text import many
from .dialects import GUESS
from .frame import Frame

# What stands where there is no value, and who puts it there.
BY_PROGRAM = {
    1e20: "NumPy's filler of masked arrays",
    9.969209968386869e36: "netCDF's filler",
    float(np.float32(9.96921e36)): "netCDF's filler",
    float(np.float32(1e20)): "NumPy's filler of masked arrays",
    1e30: "a filler",
    1e36: "a filler",
    -1e30: "a filler",
    -1e34: "a filler",
    float(np.finfo(np.float32).max): "the largest float32",
    float(np.finfo(np.float32).min): "the least float32",
    float(np.finfo(np.float64).max): "the largest float64",
    float(np.finfo(np.float64).min): "the least float64",
}
_NINES = tuple(sign * float("9" * digits) for digits in range(2, 9) for sign in (-1, 1))
_LEAST_INTEGERS = (-32768.0, -32767.0, -2147483648.0, -2147483647.0, 2147483647.0, -9.223372036854775807e18)
LEAST_SHARE = 0.1  # of the rows has to be whole, or nobody can have meant to drop the others
FAR = 1e6  # such a filler is so many times larger than all other numbers


def found_in(values: NDArray[np.float64]) -> tuple[float, str, int] | None:
    """(filler, what it is, how often) of a column, shape (rows,), that seems to hold one; None where none does.

    A number of BY_PROGRAM counts where it is FAR larger than the rest; -99, 999 and their like, and the ends of whole
    numbers, where they lie further from the others than these lie apart, and below 0 only where nothing else does.
    """
    known = values[~np.isnan(values)]
    if known.size < 2:
        return None
    for end in (float(known.max()), float(known.min())):
        named = BY_PROGRAM.get(end)
        if named is None and end not in _NINES and end not in _LEAST_INTEGERS:
            continue
        rest = known[known != end]
        if rest.size and (abs(end) > FAR * abs(rest).max() if named else _stands_apart(end, rest)):
            return end, named or "as a filler does, far from all others", known.size - rest.size
    return None


def _stands_apart(end, rest):
    """Whether a number made of nines, say, lies far from all others, which have more than one value."""
    low, high = float(rest.min()), float(rest.max())
    if end < 0.0:
        return abs(end) > high - low if low >= 0.0 else high > low and low - end > 10.0 * (high - low)
    return end >= 999.0 and end - high > 2.0 * (high - low) and high > low


def clear(frame: Frame, used: list[int], given: str | tuple) -> None:
    """Make gaps of the numbers that stand for no value; refuse what only looks like one."""
    if given != GUESS:
        for j in used:
            if j not in frame.words:
                frame.values[j][np.isin(frame.values[j], given)] = np.nan
        return
    for j in used:
        found = None if j in frame.words else found_in(frame.values[j])
        if found:
            value, what, times = found
            raise InputError(
                f"{frame.path}: column {frame.name(j)!r} holds {value:g} {many(times, 'time')}, {what}: "
                f"fillers = [{value:g}] takes it for a gap, fillers = [] for a number"
            )


def refuse_gaps(frame: Frame, used: list[int], missing: str) -> None:
    """Refuse rows with gaps, where they are not wanted or are most of all."""
    holed, held = gaps(frame, used)
    count, rows = int(holed.sum()), holed.size
    if not rows:
        raise InputError(f"{frame.path}: no rows of numbers")
    if count and (missing == "refuse" or (rows - count < 2 and missing != "mean")):
        raise InputError(f"{_first_gap(frame, held)}; missing = 'drop' leaves such rows out, 'mean' fills them in")
    if missing == "mean" and (j := next((j for j in held if j in frame.words and j != used[-1]), None)) is not None:
        raise InputError(
            f"{_first_gap(frame, {j: held[j]})}, and words have no mean; missing = 'drop' leaves such rows out"
        )
    if missing == GUESS and rows - count < LEAST_SHARE * rows:
        worst = sorted((j for j in held if j != used[-1]), key=held.__getitem__, reverse=True)[:3]
        said = ", ".join(f"{frame.name(j)!r} {held[j]:,}" for j in worst)
        names = ", ".join(repr(frame.name(j)) for j in worst)
        raise InputError(
            f"{frame.path}: {count:,} of {rows:,} rows have gaps (column {said}): missing = 'drop' leaves these rows "
            f"out, 'mean' fills them in, drop = [{names}] leaves out the columns with most"
        )


def gaps(frame: Frame, used: list[int]) -> tuple[NDArray[np.bool_], dict[int, int]]:
    """Which rows have gaps, and how many each column has: {column: count}."""
    found = np.zeros(frame.values.shape[1], bool)
    held = {j: count for j in used if (count := int(np.isnan(frame.values[j]).sum()))}
    for j in held:
        found |= np.isnan(frame.values[j])
    return found, held


def _first_gap(frame, held):
    """Where the first gap is, in words."""
    found = sorted((frame.gaps[j], j) for j in held if j in frame.gaps)
    if not found:
        j = next(iter(held))
        return f"{frame.path}: column {frame.name(j)!r} has {many(held[j], 'gap')}"
    (line, text), j = found[0]
    what = f"{show(text, 40)} is not {'finite' if 'nan' in text.lower() else 'a number'}"
    return f"{frame.place(line, j)}: {what}, a gap"
