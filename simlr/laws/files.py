"""Loss curves from files of the columns step, learning rate and loss, as trainers log them."""

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..inputs import delimited
from ..inputs.frame import Frame
from ..inputs.wanted import text_options
from .best import jumps, rates_between
from .curve import LEAST_LOSS, MOST_LOSS, Curve

# What a column may be called, in small letters and without what is no letter; the first that is there is taken.
NAMES = {
    "step": ("step", "steps", "globalstep", "trainglobalstep", "iteration", "iterations", "iter", "update", "updates"),
    "rate": ("lr", "learningrate", "trainlearningrate", "trainlr", "rate", "eta"),
    "loss": ("loss", "validationloss", "valloss", "evalloss", "testloss", "trainloss", "trainingloss"),
}
THOUSANDS = {"k": 1e3, "thousand": 1e3, "thousands": 1e3, "m": 1e6, "million": 1e6, "millions": 1e6}
MOST_STEPS = 10**7


class Read(NamedTuple):
    """A curve of a file, and what was taken for granted."""

    curve: Curve
    notes: tuple[str, ...]


def read_curve(
    path: str | Path, *, warmup: int = 0, step: str = "", rate: str = "", loss: str = "", batch: float = 1.0,
    first_step: int = 1, **written: Any,
) -> Read:  # fmt: skip
    """The loss curve of a delimited text with a header.

    Columns are found by their names, whatever their case and signs: step, global_step, iteration ...; lr,
    learning_rate ...; loss, val_loss, train_loss .... A unit stands in brackets behind a name: "step (k)" counts
    thousands, "lr (1e-3)" thousandths. A step is the number of updates made before the loss was measured.

    Parameters
    ----------
    path
        The file; the curve is called by its name without the ending, ".csv.gz" too.
    warmup
        Steps over which the rate rose in a line to that of the first row.
    step, rate, loss
        The columns' own names, where they are others or there are several.
    batch
        The batch size.
    first_step
        What the first update is called: 1, or 0 in files whose step s is the update s + 1, such as Luo et al.'s.
    **written
        separator, decimal, comment and encoding of the text, where it leaves them open, as of a `dataset`.

    Returns
    -------
    Read

    Raises
    ------
    InputError
        A ValueError of one line, which names the file: no such column, several, gaps, steps that are no whole numbers
        or do not ascend, losses that are not above 0, rates below 0.

    Notes
    -----
    Between two rows the rate is a straight line, or jumps at the later row where it is flat on both sides; before the
    first row it is that of the first row.
    """
    path = Path(path)
    frame = delimited.read(path, text_options(written))
    frame.trim()
    columns = {key: _column(frame, key, name) for key, name in (("step", step), ("rate", rate), ("loss", loss))}
    if len({*columns.values()}) < len(columns):
        raise InputError(f"{path}: step, rate and loss must be columns of their own, got "
                         f"{', '.join(repr(frame.name(j)) for j in columns.values())}")  # fmt: skip
    values = {key: frame.values[j] * _factor(frame, key, j) for key, j in columns.items()}
    _check(path, values, {key: frame.name(j) for key, j in columns.items()})
    steps = np.round(values["step"]).astype(np.int64) + 1 - first_step
    given = {"step": step, "rate": rate, "loss": loss}
    notes = [*frame.notes, *(note for key, j in columns.items() if not given[key] for note in _others(frame, key, j))]
    if steps[0] == 0:
        steps, values = steps[1:], {key: own[1:] for key, own in values.items()}
        notes.append("the loss at step 0, before any update, is left out")
    if steps.size < 2:
        raise InputError(f"{path}: at least two losses after step 0 are needed")
    notes += [*_about_rates(steps, values["rate"], warmup), *_about_losses(values["loss"])]
    rates = rates_between(steps, values["rate"], warmup)
    if not rates[: steps[0]].any():
        raise InputError(f"{path}: the learning rate is 0 up to step {steps[0]:,}, where no law says anything")
    return Read(Curve(Path(path.name.removesuffix(".gz")).stem, rates, steps, values["loss"], batch), tuple(notes))


def _plain(frame: Frame) -> list[str]:
    """The columns' names in small letters, without units and what is no letter."""
    return [re.sub(r"[^a-z]", "", re.sub(r"[\[(].*", "", name.lower())) for name in frame.names]


def _others(frame: Frame, key: str, j: int) -> list[str]:
    """What is to be said where other columns than the one taken may be the key's too."""
    plain = _plain(frame)
    others = [i for i, name in enumerate(plain) if i != j and name in NAMES[key]]
    if not others:
        return []
    shown = ", ".join(repr(frame.name(i)) for i in others)
    return [f"the {key} is the column {frame.name(j)!r}, not {shown}; --{key} NAME takes another"]


def _column(frame: Frame, key: str, wanted: str) -> int:
    """The place of a column."""
    if wanted:
        return frame.index(wanted, f"--{key}")
    if not any(frame.names):
        raise InputError(f"{frame.path}: no header; its first line has to name the columns step, lr and loss")
    plain = _plain(frame)
    for name in NAMES[key]:
        if name in plain:
            if plain.count(name) > 1:
                raise InputError(f"{frame.path}: {plain.count(name)} columns may be the {key}; --{key} NAME says which")
            return plain.index(name)
    shown = ", ".join(map(repr, frame.names))
    raise InputError(f"{frame.path}: no column is known as the {key} ({', '.join(NAMES[key][:3])}, ...) among {shown}; "
                     f"--{key} NAME says which")  # fmt: skip


def _factor(frame: Frame, key: str, j: int) -> float:
    """What a column's numbers are to be multiplied by, from the unit in its name."""
    found = re.search(r"[\[(]\s*(.*?)\s*[\])]\s*$", frame.names[j]) if frame.names else None
    if j in frame.texts:
        raise InputError(f"{frame.place(frame.texts[j].line, j)}: {frame.texts[j].refusal}")
    if j in frame.offences:
        line, what = frame.offences[j]
        raise InputError(f"{frame.place(line, j)}: {what}")
    if found is None or key == "loss":
        return 1.0
    unit = found.group(1).lower().lstrip("x*").strip()
    if key == "step" and unit in ("", "1", "step", "steps", "updates"):
        return 1.0
    if key == "step" and unit in THOUSANDS:
        return THOUSANDS[unit]
    try:
        factor = float(unit)
    except ValueError:
        factor = math.nan
    if not 0.0 < factor < math.inf:
        raise InputError(f"{frame.path}: unit {found.group(1)!r} of column {frame.names[j]!r} is not known")
    return factor


def _check(path: Path, values: dict[str, NDArray[np.float64]], names: dict[str, str]) -> None:
    """Refuse what makes no curve, by the first row where it is wrong."""
    steps = values["step"]
    for key, own in values.items():
        gaps = np.flatnonzero(~np.isfinite(own))
        if gaps.size:
            advice = "leave such rows out" if gaps.size < own.size else f"--{key} NAME takes another column"
            raise InputError(f"{path}: row {gaps[0] + 1:,}: no number in the column {names[key]!r}, the {key}, as in "
                             f"{gaps.size:,} of {own.size:,} rows; {advice}")  # fmt: skip
    near = np.abs(steps - np.round(steps)) > 1e-6 * np.maximum(np.abs(steps), 1.0)
    _refuse(path, np.flatnonzero(near | (steps < 0.0)), "a step must be a whole number >= 0", steps)
    _refuse(path, np.flatnonzero(np.diff(steps) <= 0.0) + 1, "steps must ascend", steps)
    _refuse(path, np.flatnonzero(steps > MOST_STEPS), f"a step must be at most {MOST_STEPS:,}", steps)
    _refuse(path, np.flatnonzero(values["rate"] < 0.0), "a learning rate must be >= 0", values["rate"])
    _refuse(path, np.flatnonzero(values["loss"] <= 0.0), "a loss must be > 0", values["loss"])
    far = (values["loss"] < LEAST_LOSS) | (values["loss"] > MOST_LOSS)
    _refuse(path, np.flatnonzero(far), f"a loss must be from {LEAST_LOSS:g} to {MOST_LOSS:g}", values["loss"])


def _refuse(path, rows, rule, values):
    if rows.size:
        raise InputError(f"{path}: row {rows[0] + 1:,}: {rule}, got {values[rows[0]]:g}")


def _about_rates(steps, rates, warmup):
    """Notes on the rates that no row has."""
    if steps[0] > 1 and not warmup:
        yield f"the rate of the first {steps[0] - 1:,} steps, which have no row, is taken as {rates[0]:g}"
    for k in jumps(rates):
        yield f"the rate is taken to jump from {rates[k]:g} to {rates[k + 1]:g} at step {steps[k + 1]:,}"


def _about_losses(losses):
    """A note on losses that rise, which no law is of."""
    part = -(-losses.size // 10)
    first, last = float(np.median(losses[:part])), float(np.median(losses[-part:]))
    if last > first:
        yield f"the loss rises, from {first:.4g} in the first tenth of the rows to {last:.4g} in the last: laws fall"
