"""Numbers that stand for no value, as other programs write them into arrays and tables."""

import numpy as np
from numpy.typing import NDArray

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
