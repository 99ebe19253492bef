"""Covariances and vectors as a grid gives them: a word with its parameters, a list, or a file.

A covariance is an array of float64: (1, d) holds the eigenvalues of a diagonal one, (d, d) is a whole matrix.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, of_keys, unknown
from ..inputs import rules, vectors

ISOTROPIC, POWER_LAW, SPIKED = WORDS = ("isotropic", "power_law", "spiked")
SUFFIXES = (".npy", ".npz", ".h5", ".hdf5", ".csv")
# A matrix from a file may differ from its transpose, and fall below 0, by this share of its largest entry.
ROUNDING = 1e-10
# Largest entries of covariances within these bounds, and other numbers below the upper one, leave losses room.
LEAST, MOST = 1e-50, 1e50


def word_or_numbers(words: Sequence[str], number: Callable[[str, Any], float], noun: str) -> rules.VectorRule:
    """The rule that the value is one of some words, the name of a data file, or a list of numbers, each by its rule."""
    either = f"{' or '.join(map(repr, words))}, a list of {noun}, or a file ({', '.join(SUFFIXES)})"

    @rules.VectorRule
    def rule(key, value):
        if isinstance(value, list | tuple) and value:
            return tuple(number(f"{key}: each value", v) for v in value)
        if not isinstance(value, str) or ("." in value and not is_file(value)):
            rules.refuse(key, either, value)
        if value not in words and not is_file(value):
            raise unknown(key, value, words, "word")
        return rules.text(key, value)

    return rule


def is_file(value: Any) -> bool:
    """Whether a value names a data file."""
    return isinstance(value, str) and Path(value).suffix in SUFFIXES


def read(key: str, value: Any, folder: str | Path) -> NDArray[np.float64] | None:
    """The array of a list or a file: (m,), or (m, k) where a file has several lines and columns; None for a word."""
    if isinstance(value, str) and not is_file(value):
        return None
    path = Path(folder) / str(value)
    with of_keys({str(path): f"problem.{key}"}):
        array = vectors.read_array(path, key) if is_file(value) else np.array(value, np.float64)
    if array.ndim not in (1, 2) or not array.size:
        raise InputError(f"problem.{key}: {value} must hold a vector or a matrix, got shape {array.shape}")
    return array.ravel() if 1 in array.shape else array


def check_vector(key: str, value: Any, array: NDArray[np.float64]) -> None:
    """Refuse what is not a vector (m,)."""
    if array.ndim != 1:
        raise InputError(f"problem.{key}: {value} must hold a vector, got shape {array.shape}")


def check_size(key: str, values: NDArray[np.float64]) -> None:
    """Refuse numbers, of any shape, whose losses would be no numbers."""
    largest = np.max(np.abs(values))
    if largest > MOST:
        raise InputError(f"problem.{key} must be at most {MOST} in size, got {largest:.3g}")


def check_square(key: str, value: Any, array: NDArray[np.float64]) -> None:
    """Refuse what is neither a vector (d,) nor a square matrix (d, d)."""
    if array.ndim == 2 and array.shape[0] != array.shape[1]:
        raise InputError(f"problem.{key}: {value} must hold a square matrix or eigenvalues, got shape {array.shape}")


def given(key: str, value: Any, array: NDArray[np.float64]) -> NDArray[np.float64]:
    """The covariance, (1, d) or (d, d), of eigenvalues (d,) or a square matrix (d, d), checked."""
    if array.ndim == 1:
        least = array.min()
        if least < 0.0 or not array.max() > 0.0:
            raise InputError(f"problem.{key}: eigenvalues must be >= 0, and one above 0, got {least:.3g} as the least")
        return array[None, :]
    largest, apart = abs(array).max(), abs(array - array.T)
    if apart.max() > ROUNDING * largest:
        i, j = np.unravel_index(np.argmax(apart), array.shape)
        pair = f"{array[i, j]:.6g} in line {i + 1}, column {j + 1} and {array[j, i]:.6g} across"
        raise InputError(f"problem.{key}: the matrix of {value} must be symmetric, got {pair}")
    array = 0.5 * (array + array.T)
    least = np.linalg.eigvalsh(array / largest)[0] if largest else 0.0
    if least < -ROUNDING or not largest:
        raise InputError(
            f"problem.{key}: the matrix of {value} must have no eigenvalue below 0 and one above, "
            f"got {least * largest:.3g} as the least"
        )
    return array


def shaped(side: str, word: str, parameters: Mapping[str, Any], dimension: int) -> NDArray[np.float64]:
    """The covariance (1, d) that a word stands for; `side`, "train" or "test", begins the names of its parameters."""
    if word == ISOTROPIC:
        return np.ones((1, dimension))
    rank = np.arange(1, dimension + 1)
    if word == SPIKED:
        spikes, spike = parameters[f"{side}_spikes"], parameters[f"{side}_spike"]
        if spikes > dimension:
            raise InputError(f"problem.{side}_spikes must be at most the {dimension} axes, got {spikes}")
        return np.where(rank <= spikes, 1.0 + spike, 1.0)[None, :]
    exponent = parameters[f"{side}_exponent"]
    return powers(f"{side}_exponent = {exponent}", rank, -exponent)[None, :]


def scaled(key: str, covariance: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """A covariance, (1, d) or (d, d), times a number."""
    with np.errstate(over="ignore", under="ignore"):
        found = scale * covariance
    if not LEAST <= abs(found).max() <= MOST:
        raise InputError(f"problem.{key}: the largest entry must be from {LEAST} to {MOST}, got {abs(found).max():.3g}")
    return found


def powers(setting: str, bases: NDArray[Any], power: float) -> NDArray[np.float64]:
    """bases^power, (d,); by Python's powers, since NumPy's depend on the width of the processor's vectors."""
    try:
        return np.array([math.pow(base, power) for base in bases.tolist()])
    except (OverflowError, ValueError):  # of 0 to a power below 0, the second
        raise InputError(f"problem.{setting}: a power of an eigenvalue is no finite number") from None
