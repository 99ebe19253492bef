"""A schedule to be taken away: as Python for torch or optax, or as a table."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, unknown
from ..inputs import rules
from .rules import MOST_RATES
from .schedule import Schedule
from .tabulation import tabulate

FORMATS = "torch", "optax", "csv", "json"
MOST_OPTAX_STEPS = (1 << 31) - 1  # JAX counts in int32
# By which a file of each format is known again.
EXPORTED, EXPORT_MARK, JSON_START = ("step", "learning_rate"), b"exported by simlr", b'{"steps": '

TORCH = '''"""Learning rates of {steps} steps, exported by simlr.

    optimizer = torch.optim.SGD(parameters, lr=1.0)  # the factors below are the rates themselves
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, learning_rate)
"""

from bisect import bisect_right

STEPS = {steps}
# The first step of each piece of constant rate, and its rate.
FIRST = {first}
RATES = {rates}


def learning_rate(step):
    """The rate of a step, from 0; beyond the last step its rate."""
    return RATES[bisect_right(FIRST, step) - 1]
'''
OPTAX = '''"""Learning rates of {steps} steps, exported by simlr.

    optimizer = optax.sgd(learning_rate)  # or any other that takes a schedule

Rates are rounded to float32 unless jax_enable_x64 is set.
"""

import jax.numpy as jnp

STEPS = {steps}
# The first step of each piece of constant rate, and its rate.
FIRST = {first}
RATES = {rates}


def learning_rate(count):
    """The rate of a step, from 0; beyond the last step its rate. It may be traced."""
    piece = jnp.searchsorted(jnp.asarray(FIRST), count, side="right") - 1
    return jnp.asarray(RATES)[piece]
'''


def export(schedule: Any, format: str, path: str | Path | None = None) -> str:
    """The text of a schedule in a format that others read, written to a file where a path is given.

    Parameters
    ----------
    schedule
        The rates of all steps, (T,); what `simlr.optimise` returns; a table with a kind, {"kind": "cosine", "steps":
        100, "learning_rate": 0.1}; or a `Schedule`, such as those of `run.config.schedules()`. Rates stay in the
        schedule's own unit.
    format
        "torch": a Python file with `learning_rate(step)` for LambdaLR and an optimiser of lr=1.0. "optax": a Python
        file with `learning_rate(count)`, a schedule. "csv": step and rate of every step, which a schedule of kind
        "table" reads. "json": {"steps": T, "first_step": [...], "learning_rate": [...]}, pieces of constant rate.
    path
        The file, replaced where there is one.

    Returns
    -------
    str
        The text. Numbers have all digits: what is read back is the same to the bit, in float64.

    Raises
    ------
    InputError
        A ValueError: for another format, a schedule without steps, more than a million lines, and a file that cannot be
        written.
    """
    if format not in FORMATS:
        raise unknown("export", format, FORMATS, "format")
    if getattr(schedule, "batch_size", None) is not None:
        raise InputError(f"export {format!r}: a schedule of rates alone, and this one has batch sizes: take batches()")
    first, rates, steps = _pieces(schedule)
    check_lines(format, steps, rates.size)
    values = {"steps": steps, "first": first.tolist(), "rates": rates.tolist()}
    match format:
        case "csv":
            text = _csv(np.repeat(rates, np.diff(first, append=steps)))
        case "json":
            text = json.dumps({"steps": steps, "first_step": values["first"], "learning_rate": values["rates"]}) + "\n"
        case _:
            text = (TORCH if format == "torch" else OPTAX).format(**values)
    if path is not None:
        try:
            Path(path).write_text(text, encoding="ascii", newline="\n")
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    return text


def check_lines(format: str, steps: int, pieces: int = 1) -> None:
    """InputError where a format has no room for so many steps and pieces of constant rate."""
    if max(pieces, steps if format == "csv" else 0) > MOST_RATES:
        what = f"{steps:,} steps" if format == "csv" else f"{pieces:,} pieces"
        raise InputError(f"export {format!r}: at most {MOST_RATES:,} lines, and the schedule has {what}")
    if format == "optax" and steps > MOST_OPTAX_STEPS:
        raise InputError(f"export 'optax': at most {MOST_OPTAX_STEPS:,} steps, which JAX can count, got {steps:,}")


def _pieces(schedule: Any) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
    """First steps and rates of the pieces of constant rate, and the number of steps."""
    if hasattr(schedule, "lengths") and hasattr(schedule, "learning_rate"):
        rates, lengths = np.asarray(schedule.learning_rate, np.float64), np.asarray(schedule.lengths, np.int64)
    else:
        rates = _rates(schedule)
        lengths = np.ones(rates.size, np.int64)
    starts = np.flatnonzero(np.concatenate([[True], rates[1:] != rates[:-1]]))
    return (np.cumsum(lengths) - lengths)[starts], rates[starts], int(lengths.sum())


def _rates(schedule: Any) -> NDArray[np.float64]:
    """The rate of every step."""
    if isinstance(schedule, Schedule):
        if schedule.flows:
            raise InputError(f"export: schedule {schedule.name!r} ends in a flow, which has no steps")
        rates = schedule.rates(0, schedule.length)
        if np.isnan(rates).any():
            raise InputError(
                f"export: the rates of schedule {schedule.name!r} are not known: its plug-in is not loaded"
            )
        return rates
    if isinstance(schedule, dict):
        others = {key: value for key, value in schedule.items() if key not in ("kind", "steps", "name", "unit")}
        if "kind" not in schedule or "steps" not in schedule:
            raise InputError("export: a schedule given as a table has a kind and steps")
        return tabulate(schedule["kind"], schedule["steps"], **others)
    return rules.array("export: schedule", schedule, (1,), least=0.0)


def _csv(rates):
    """The rate of every step, a line each."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(EXPORTED)
    writer.writerows(enumerate(rates.tolist()))
    return lines.getvalue()
