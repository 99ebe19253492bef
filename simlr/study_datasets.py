"""The datasets of a study's run file."""

import numpy as np

from .store.file_format import Field

SEED = Field("seed", ("seed",), "<i8", "index")


# ---- arrays ----


def datasets(config, measured):
    """What the run file holds of a study: [(Field, array), ...], coordinates first; its lengths: {dimension: length}.

    Raises ValueError, which is a fault of the paper's code, where the arrays are not those that it declares.
    """
    fields = {one.name: one for one in config.definition.arrays}
    if set(fields) != set(measured):
        raise ValueError(f"study {config.paper!r} declares {sorted(fields)} and measured {sorted(measured)}")
    arrays = {name: _cast(fields[name], measured[name]) for name in fields}
    sizes = _sizes(fields, arrays)
    if SEED.name in sizes:
        sizes[SEED.name] = config.seeds["count"]
    for name, array in arrays.items():
        expected = tuple(sizes[dimension] for dimension in fields[name].dims)
        if array.shape != expected:
            raise ValueError(f"study {config.paper!r}: {name} must have shape {expected}, got {array.shape}")
    missing = [SEED if name == SEED.name else Field(name, (name,), "<i8", "index") for name in sizes]
    counted = [(one, np.arange(sizes[one.name], dtype="<i8")) for one in missing if one.name not in fields]
    found = counted + [(fields[name], arrays[name]) for name in fields]
    return sorted(found, key=lambda pair: pair[0].dims != (pair[0].name,)), sizes


def _cast(one, values):
    """Values in the type of their field; only what loses nothing is cast."""
    if one.dtype == "str":
        return np.array(values, dtype=object)
    return np.asarray(values).astype(one.dtype, order="C", casting="same_kind")


def _sizes(fields, arrays):
    """Lengths of the dimensions, by the arrays that have them."""
    found = {}
    for name, one in fields.items():
        if arrays[name].ndim != len(one.dims):
            raise ValueError(f"{name} must have the dimensions {one.dims}, got shape {arrays[name].shape}")
        for dimension, length in zip(one.dims, arrays[name].shape, strict=True):
            found.setdefault(dimension, length)
    return found
