"""The layout of a run file: names, dimensions, types and meanings of its datasets. What is here is the format."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..config.stop import PATIENCE
from ..errors import show
from ..kernels import status as outcomes
from ..plan.engines import CLOSED_FORM, MIXED
from ..plan.plan import Plan
from ..problems.losses import has_diagonal

FORMAT = "simlr"
FORMAT_VERSION = 1
LARGEST_MATRIX_AXES = 16
MOST_DIGITS = 9
ENGINE_RECURRENCE, ENGINE_CLOSED_FORM, ENGINE_MIXED = ENGINES = 1, 2, 3
STATUS_MEANINGS = (
    *("not_run", "reached", "out_of_steps", "diverged", "level_at_or_below_train_floor"),
    *("budget_spent", "validation_stopped"),
)
STATUS_NOT_RUN, STATUS_REACHED = outcomes.NOT_RUN, outcomes.REACHED
STATUS_OUT_OF_STEPS, STATUS_DIVERGED, STATUS_AT_FLOOR = outcomes.OUT_OF_STEPS, outcomes.DIVERGED, outcomes.AT_FLOOR
STATUS_BUDGET_SPENT, STATUS_VALIDATION_STOPPED = outcomes.BUDGET_SPENT, outcomes.VALIDATION_STOPPED
# level kind -> the outcomes whose losses are those of the level. The best check of a run that ended before its
# patience did is the best of the whole run.
LEVEL_OUTCOMES = {
    "steps": (STATUS_BUDGET_SPENT,),
    PATIENCE: (STATUS_VALIDATION_STOPPED, STATUS_OUT_OF_STEPS),
}
# Datasets that say how a run went, not what came out: they differ between two runs of one grid.
LEDGER = ("block_start", "block_done", "block_crc32", "finished_at", "wall_seconds", "end_crc32")
# What is computed for the layout: the last bits depend on the machine, as those of the blocks do.
MOMENTS = ("recorded_step", "recorded_time", "learning_rate")


def is_own(status: NDArray[np.uint8], level_kind: str) -> NDArray[np.bool_]:
    """Whether losses belong to a level, and not to the end of a run that did not come to it.

    Parameters
    ----------
    status : array of uint8
        The outcomes, as the dataset `status` has them.
    level_kind : str
        What the levels are, as the grid's [stop] names it.

    Returns
    -------
    array of bool, of the same shape
        Whether the outcome is "reached", or what the rule has in its place.
    """
    return np.isin(status, LEVEL_OUTCOMES.get(level_kind, (STATUS_REACHED,)))


def sizes_text(sizes: tuple[tuple[int, int], ...]) -> str:
    """A plan's (d, number of draws) of every combination of problem parameters, as an attribute has them."""
    return " ".join(f"{axes}x{draws}" for axes, draws in sizes)


def sizes_of(text: str) -> tuple[tuple[int, int], ...]:
    """The same from the attribute; ValueError where it is none."""
    sizes = tuple((int(axes), int(draws)) for axes, draws in (part.split("x") for part in text.split()))
    if not sizes or min(map(min, sizes)) < 1:
        raise ValueError(f"of axes and draws there is 1 at least, got {show(text, 40)}")
    return sizes


def shard_of(text: str) -> tuple[int, int]:
    """(I, N) of "I/N": shard I of N, counted from 0; ValueError where it is none."""
    index, _, count = text.partition("/")
    if not all(part.isascii() and part.isdecimal() and len(part) <= MOST_DIGITS for part in (index, count)):
        raise ValueError(f"must be I/N, shard I of N, e.g. 0/4, got {show(text, 40)}")
    if int(index) >= int(count):
        raise ValueError(f"must be I/N with I from 0 to N - 1, got {show(text, 40)}")
    return int(index), int(count)


class Field(NamedTuple):
    """One dataset: its name, its dimensions, its type as NumPy's text or "str", its attributes long_name and units."""

    name: str
    dims: tuple[str, ...]
    dtype: str
    meaning: str
    units: str = ""


CELL = ("schedule", "seed", "level")
RESULTS = (
    Field("train_loss", ("schedule", "seed", "level"), "<f8", "train loss at the stop of that level, else at the end"),
    Field("test_loss", ("schedule", "seed", "level"), "<f8", "test loss at the stop of that level, else at the end"),
    Field("stop_step", ("schedule", "seed", "level"), "<i8", "discrete steps taken", "steps"),
    Field("stop_time", CELL, "<f8", "sum of absolute learning rates plus flow time", "1/curvature"),
)
AVERAGES = (
    Field("average_train_loss", CELL, "<f8", "train loss of the averaged iterate there; NaN without one"),
    Field("average_test_loss", CELL, "<f8", "test loss of the averaged iterate there; NaN without one"),
)
# Where losses are means over the noise.
SPREAD = (
    Field(
        "train_loss_variance",
        ("schedule", "seed", "level"),
        "<f8",
        "variance over the noise of the train loss there; NaN where the iterate is not normal",
    ),
)
# Where axes are grouped.
BINS = (
    Field("bins", ("schedule", "seed"), "<i8", "axes that were carried: bins of them, or each by itself"),
    Field(
        "bin_change", ("schedule", "seed"), "<f8", "largest share by which a loss moved as the bins were halved last"
    ),
)
CHECKS = (
    Field("stop_look_step", ("schedule", "seed", "level"), "<i8", "steps when validation stopped the run, or it ended"),
    Field("validation_loss", ("schedule", "seed", "level"), "<f8", "validation loss of the iterate that is given"),
)
PROBLEM = (
    Field("train_floor", ("seed",), "<f8", "smallest train loss"),
    Field("test_floor", ("seed",), "<f8", "smallest test loss; NaN where it is not known"),
    Field("sharpness", ("seed",), "<f8", "largest curvature"),
    Field("curvature", ("seed", "axis"), "<f8", "eigenvalues lam of the train Hessian"),
    Field("initial_residual", ("seed", "axis"), "<f8", "r = Q^T (theta - theta_hat) at the start"),
    Field("train_minimiser", ("seed", "axis"), "<f8", "theta_hat, the train minimiser nearest to the start"),
    Field("target", ("seed", "axis"), "<f8", "theta_star where it is known"),
)
# Where rows are gone through, of losses that are no quadratics.
INITIAL = (Field("initial_train_loss", ("seed",), "<f8", "train loss at the start"),)
NEXT_RATE = "learning rate of the next step, in the schedule's unit; 0 in a flow"
TOLD = "share of the test rows whose class is told; NaN where the target has no classes"
LEAST = "least y <x, theta> / |theta| of a train row; NaN where the loss has no classes"
ACCURACY = Field("test_accuracy", CELL, "<f8", TOLD), Field("margin", CELL, "<f8", LEAST)
# Where some model is a diagonal network.
SIZES = (
    Field("l1_norm", CELL, "<f8", "sum of |beta|, beta the weights of the scores"),
    Field("effective_entries", CELL, "<f8", "(sum of |beta|)^2 / sum of beta^2, from 1 to the number of weights"),
)
# What is wanted, in the test metric, of the residuals at the stops.
RESIDUALS = (
    Field(
        "stop_residual",
        ("schedule", "seed", "level", "axis"),
        "<f8",
        "residual r = Q^T (theta - theta_hat) at the stop of that level, else at the end",
    ),
)
# Where steps are shortened to the levels.
FRACTIONS = (
    Field(
        "stop_fraction",
        ("schedule", "seed", "level"),
        "<f8",
        "share of the last step that was taken to land on the level, 1 in a flow; NaN where it was not reached",
    ),
)
OFFSET = (Field("offset", ("seed", "axis"), "<f8", "delta = Q^T (theta_hat - theta_star); NaN where it is not known"),)
MATRICES = (
    Field("curvature_axes", ("seed", "axis", "axis_2"), "<f8", "Q: columns are the curvature's axes"),
    Field("test_matrix", ("seed", "axis", "axis_2"), "<f8", "M = Q^T Sigma Q"),
)
STATUS = Field("status", ("schedule", "seed", "level"), "|u1", "outcome; what is not 0 is final")
TRAJECTORIES = (
    *("trajectory_train_loss", "trajectory_test_loss", "trajectory_iterate"),
    *("trajectory_average_train_loss", "trajectory_average_test_loss", "trajectory_test_accuracy"),
    *("trajectory_sharpness", "trajectory_l1_norm", "trajectory_effective_entries", "trajectory_learning_rate"),
)
# What is worth nothing where a block is not done.
BLOCK_DATASETS = frozenset(
    (
        *TRAJECTORIES,
        *(f.name for f in (*RESULTS, *FRACTIONS, *SPREAD, *BINS, *AVERAGES, *RESIDUALS, *CHECKS)),
        *(f.name for f in (*PROBLEM, *OFFSET, *MATRICES, *INITIAL, *ACCURACY, *SIZES, STATUS)),
    )
)


# Every dataset of a grid's run whose dimensions do not depend on the grid, with the types that it may have.
_STEP, _TEXTS_OR_NUMBERS = ("schedule", "record"), ("str", "<f8", "<i8")
KNOWN: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    **{
        field.name: (field.dims, (field.dtype,))
        for field in (*RESULTS, *SPREAD, *BINS, *AVERAGES, *CHECKS, *ACCURACY, *SIZES, *RESIDUALS, STATUS)
    },
    **{field.name: (field.dims, (field.dtype,)) for field in (*PROBLEM, *INITIAL, *OFFSET, *MATRICES)},
    **dict.fromkeys(TRAJECTORIES, (("schedule", "recorded_seed", "record"), ("<f8", "<f4"))),
    "trajectory_iterate": (("schedule", "recorded_seed", "record", "axis"), ("<f8", "<f4")),
    **{name: ((name,), ("<i8",)) for name in ("seed", "axis", "axis_2", "record", "recorded_seed", "block")},
    "schedule": (("schedule",), ("str",)),
    "level": (("level",), ("<f8",)),
    "engine": (("schedule",), ("|u1",)),
    "draw": (("seed",), ("<i8",)),
    "block_start": (("block",), ("<i8",)),
    "block_done": (("block",), ("|u1",)),
    "block_crc32": (("block",), ("<u4",)),
    **dict.fromkeys(("finished_at", "wall_seconds"), ((), ("<f8",))),
    "end_crc32": ((), ("<u4",)),
    "recorded_step": (_STEP, ("<i8",)),
    **dict.fromkeys(("recorded_time", "learning_rate"), (_STEP, ("<f8",))),
}


def known(name: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The dimensions of a dataset of a grid's run and the types that it may have; None where no run has it."""
    if name.startswith(("schedule_", "problem_")):
        return (name.partition("_")[0].replace("problem", "seed"),), _TEXTS_OR_NUMBERS
    return KNOWN.get(name)


def trajectory_fields(plan: Plan) -> tuple[Field, ...]:
    """Datasets of the recorded moments that are written block by block."""
    if not plan.points:
        return ()
    dtype = {"float64": "<f8", "float32": "<f4"}[plan.config.record["dtype"]]
    dims = ("schedule", "recorded_seed", "record")
    fields: tuple[Field, ...] = (
        Field("trajectory_train_loss", dims, dtype, "train loss at the recorded moments; NaN beyond a divergence"),
        Field("trajectory_test_loss", dims, dtype, "test loss at the recorded moments"),
    )
    if plan.config.by_rows:
        fields += (Field("trajectory_test_accuracy", dims, dtype, TOLD),)
    if has_diagonal(plan.config.problem):
        fields += tuple(Field(f"trajectory_{one.name}", dims, dtype, one.meaning) for one in SIZES)
    if plan.sharpness:
        fields += (Field("trajectory_sharpness", dims, dtype, "largest eigenvalue of the train loss's Hessian there"),)
    if plan.has_plateaus:
        fields += (Field("trajectory_learning_rate", dims, dtype, f"{NEXT_RATE}, NaN beyond a divergence"),)
    if plan.averages:
        meaning = "of the averaged iterate at the recorded moments; NaN without one"
        fields += (
            Field("trajectory_average_train_loss", dims, dtype, f"train loss {meaning}"),
            Field("trajectory_average_test_loss", dims, dtype, f"test loss {meaning}"),
        )
    if plan.config.record["iterates"]:
        fields += (Field("trajectory_iterate", (*dims, "axis"), dtype, "theta at the recorded moments"),)
    return fields


def result_fields(plan: Plan) -> tuple[Field, ...]:
    """Datasets of what is computed, in the order in which they are written: `status` last."""
    checks = CHECKS if plan.config.level_kind == PATIENCE else ()
    averages, residuals = AVERAGES if plan.averages else (), RESIDUALS if plan.stop_residual else ()
    fractions, spread = FRACTIONS if plan.landing else (), SPREAD if plan.expects else ()
    bins, accuracy = BINS if plan.bin_error else (), ACCURACY if plan.config.by_rows else ()
    sizes = SIZES if has_diagonal(plan.config.problem) else ()
    others = *fractions, *spread, *bins, *accuracy, *sizes, *averages, *residuals, *checks
    return (*trajectory_fields(plan), *RESULTS, *others, STATUS)


def problem_fields(plan: Plan) -> tuple[Field, ...]:
    """Datasets of what is known of the problems, in the order in which they are written."""
    offset, matrices = OFFSET if plan.stop_residual else (), MATRICES if _has_matrices(plan) else ()
    return (*PROBLEM, *(INITIAL if plan.config.by_rows else ()), *offset, *matrices)


def block_fields(plan: Plan) -> tuple[Field, ...]:
    """Datasets that are written block by block, in the order in which they are written: `status` last."""
    return (*problem_fields(plan), *result_fields(plan))


def _has_matrices(plan):
    """Whether Q and M are kept: where they are small, or where residuals at the stops want them."""
    return (plan.dimension <= LARGEST_MATRIX_AXES or plan.stop_residual) and not plan.config.by_rows


def dimensions(plan: Plan) -> dict[str, int]:
    """Length of every dimension of the run file."""
    sizes = {"schedule": len(plan.schedules), "seed": plan.seeds, "level": plan.levels, "axis": plan.dimension}
    if _has_matrices(plan):
        sizes["axis_2"] = plan.dimension
    if plan.points:
        sizes |= {"record": plan.points, "recorded_seed": plan.recorded}
    return sizes | {"block": plan.blocks}


def index_fields(plan: Plan) -> list[tuple[Field, Callable[[int, int], NDArray]]]:
    """Coordinates along the seeds, known beforehand but too long to be held.

    Returns
    -------
    list of (Field, callable)
        `along(first, last)` gives the values of the seeds first..last - 1 of the plan.
    """

    def draws(first, last):
        return np.concatenate([np.arange(a, b, dtype=np.int64) for _, _, a, b in plan.pieces(first, last)])

    def repeated(values):
        def along(first, last):
            parts = [np.full(b - a, values[i], dtype=values.dtype) for i, _, a, b in plan.pieces(first, last)]
            return np.concatenate(parts)

        return along

    fields = [
        (Field("seed", ("seed",), "<i8", "index"), lambda a, b: np.arange(a, b, dtype=np.int64) + plan.first),
        (Field("draw", ("seed",), "<i8", "the draw's id, equal across problem parameters"), draws),
    ]
    axes, combinations = plan.config.problem_combinations()
    for name in axes:
        values = [combination[name] for combination in combinations]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            dtype, array = "<f8", np.array(values, dtype=np.float64)
        else:
            texts = [value if isinstance(value, str) else repr(value) for value in values]
            dtype, array = "str", np.array(texts, dtype=object)
        fields.append((Field(f"problem_{name}", ("seed",), dtype, "problem parameter"), repeated(array)))
    return fields


def small_datasets(plan: Plan) -> list[tuple[Field, NDArray]]:
    """Everything that is known and short beforehand: [(Field, array), ...]."""
    return [(field, made()) for field, made in small_fields(plan)]


def small_fields(plan: Plan) -> list[tuple[Field, Callable[[], NDArray]]]:
    """The same with functions that make the arrays: the times of long schedules are sums of all their rates."""
    datasets = [
        (Field("schedule", ("schedule",), "str", "name"), np.array(plan.names, dtype=object)),
        (Field("level", ("level",), "<f8", plan.config.level_kind), np.array(plan.config.levels, np.float64)),
        (Field("axis", ("axis",), "<i8", "coordinate"), np.arange(plan.dimension)),
    ]
    if _has_matrices(plan):
        datasets.append((Field("axis_2", ("axis_2",), "<i8", "coordinate"), np.arange(plan.dimension)))
    datasets += _schedule_datasets(plan)
    # Blocks and seeds are counted through the grid, in a part of it too.
    blocks, starts = np.arange(len(plan.block_starts)) + plan.first // plan.block_seeds, plan.block_starts + plan.first
    return [
        *((field, partial(np.asarray, array)) for field, array in datasets),
        *(record_fields(plan) if plan.points else ()),
        (Field("block", ("block",), "<i8", "index"), lambda: blocks),
        (Field("block_start", ("block",), "<i8", "first seed of the block"), lambda: starts),
    ]


def ledger_fields() -> tuple[Field, ...]:
    """What is filled in as the run goes on; zero until then."""
    return (
        Field("block_done", ("block",), "|u1", "1 once the block is on the disk"),
        Field("block_crc32", ("block",), "<u4", "CRC-32 of the block's datasets in their order of writing"),
        Field("finished_at", (), "<f8", "Unix seconds, 0 = unfinished", "s"),
        Field("wall_seconds", (), "<f8", "seconds of computing, all parts of an interrupted run together", "s"),
        Field("end_crc32", (), "<u4", "CRC-32 of wall_seconds and finished_at, once finished"),
    )


def numbered_index_fields(plan: Plan) -> tuple[Field, ...]:
    """Coordinates along the seeds that are numbers: fields alone."""
    return tuple(field for field, _ in index_fields(plan) if field.dtype != "str")


def later_fields(plan: Plan) -> tuple[Field, ...]:
    """Everything that is written after the layout: blocks, ledger and numbered coordinates."""
    return (*block_fields(plan), *ledger_fields(), *numbered_index_fields(plan))


def all_fields(plan: Plan) -> tuple[Field, ...]:
    """Every dataset of the run file."""
    small, index = small_fields(plan), index_fields(plan)
    return (*(field for field, _ in (*small, *index)), *block_fields(plan), *ledger_fields())


def _schedule_datasets(plan):
    """The schedules' units, parameters (NaN or "" where they do not apply), and engines."""
    dims, units = ("schedule",), np.array([schedule.unit for schedule in plan.schedules], dtype=object)
    datasets = [(Field("schedule_unit", dims, "str", "unit of the learning rates"), units)]
    for key in dict.fromkeys(key for parameters in plan.parameters for key in parameters):
        values = [parameters.get(key) for parameters in plan.parameters]
        if any(isinstance(value, str) for value in values):
            array, dtype = np.array(["" if v is None else v for v in values], dtype=object), "str"
        else:
            array, dtype = np.array([np.nan if v is None else v for v in values], dtype=np.float64), "<f8"
        datasets.append((Field(f"schedule_{key}", dims, dtype, "schedule parameter"), array))
    engines = np.full(len(plan.schedules), ENGINE_RECURRENCE, np.uint8)
    for i, (schedule, engine) in enumerate(zip(plan.schedules, plan.engines, strict=True)):
        # The flow after the steps is always in closed form.
        if not schedule.phases or engine == CLOSED_FORM:
            engines[i] = ENGINE_CLOSED_FORM
        elif schedule.flows or engine == MIXED:
            engines[i] = ENGINE_MIXED
    return [*datasets, (Field("engine", dims, "|u1", "1 recurrence, 2 closed form, 3 mixed"), engines)]


def record_fields(plan: Plan) -> list[tuple[Field, Callable[[], NDArray]]]:
    """The recorded moments of every schedule, and the recorded seeds: [(Field, function that makes its array), ...]."""
    dims, time = ("schedule", "record"), "sum of learning rates plus flow time, in the schedule's unit"
    seeds = Field("recorded_seed", ("recorded_seed",), "<i8", "seeds whose trajectories are kept")
    steps = Field("recorded_step", dims, "<i8", "discrete steps taken; -1 in slots not used", "steps")
    rates = Field("learning_rate", dims, "<f8", f"{NEXT_RATE}, NaN where every seed has its own")
    return [
        (Field("record", ("record",), "<i8", "slot"), lambda: np.arange(plan.points)),
        (seeds, lambda: plan.recorded_rows(0, plan.seeds)[1] + plan.first),
        (steps, lambda: plan.record_step),
        (Field("recorded_time", dims, "<f8", time), lambda: plan.recorded_rates_and_times[1]),
        (rates, lambda: plan.recorded_rates_and_times[0]),
    ]
