"""Problems of somebody's own as a function of a draw, which returns arrays by name.

    def bowl(draw, curvature=1.0):
        start = draw.random.uniform(-1.0, 1.0, 2)
        return {"curvature": [curvature, 1.0], "residual": start}

Either the arrays of `quadratic` of one draw, or rows: x (n, d), y (n,), test_x, test_y, and where there is a validation
set validation_x, validation_y; descent on rows starts at 0. All draws have the shapes of the first one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..inputs import formats, rules
from ..plugins.loading import told_as
from ..plugins.signatures import source_of
from . import losses
from .quadratic import NAMES, REQUIRED_NAMES, batch_of, validation_of
from .source import Batch, Samples, SamplesOf, Sets, Source, ValidationOf
from .table_rows import TableRows

ROWS = ("x", "y", "test_x", "test_y")
ALL_ROWS = (*ROWS, "validation_x", "validation_y")


@dataclass(frozen=True)
class Draw:
    """What a function makes a problem of.

    Attributes
    ----------
    number, root : int
        Which draw it is, of which root; the problem may depend on nothing else.
    folder : Path
        That of the grid file, for files that parameters name.
    """

    number: int
    root: int
    folder: Path

    @cached_property
    def random(self) -> np.random.Generator:
        """Random numbers of this draw alone, the same wherever it is computed."""
        return np.random.Generator(np.random.Philox(key=np.array([self.root, self.number], np.uint64)))


class _Function(Source):
    """The draws of a function, one call each."""

    def __init__(self, where: str, function: Callable, parameters: dict[str, Any], folder: Path):
        own = {name: value for name, value in parameters.items() if name not in losses.DEFAULTS}
        self._where, self._function, self._own, self._folder = where, function, own, folder
        self._shapes: dict[str, tuple[int, ...]] = {}
        # Files that a parameter names tell one problem from another, as those of simlr's own kinds do.
        paths = [folder / value for value in own.values() if isinstance(value, str) and Path(value).suffix]
        self.identity = " ".join(formats.digest(path) for path in paths if path.is_file())

    def one(self, root: int, draw: int) -> dict[str, NDArray[np.float64]]:
        """The arrays of one draw, of the shapes of the first."""
        with told_as(self._where, f"fails in draw {draw} of root {root}", source_of(self._function)):
            found = self._function(Draw(int(draw), int(root), self._folder), **self._own)
        if not isinstance(found, Mapping):
            raise InputError(f"{self._where}: must return arrays by name, got a {type(found).__name__}")
        known = ALL_ROWS if "x" in found else NAMES
        for name in found:
            if name not in known:
                raise InputError(f"{self._where}: returns {name!r}; known are {', '.join(known)}")
        for name in ROWS if "x" in found else REQUIRED_NAMES:
            if name not in found:
                raise InputError(f"{self._where}: returns no {name!r}")
        made = {}
        for name, value in found.items():
            with told_as(self._where, "fails"):
                made[name] = rules.array(f"{name} of draw {draw}", value, (0, 1, 2))
        shapes = {name: array.shape for name, array in made.items()}
        if self._shapes and shapes != self._shapes:
            name = next(name for name in (*shapes, *self._shapes) if shapes.get(name) != self._shapes.get(name))
            here, first = (known.get(name, "none") for known in (shapes, self._shapes))
            raise InputError(
                f"{self._where}: returns {name} of shape {here} in draw {draw} and {first} in the first; all are alike"
            )
        self._shapes = self._shapes or shapes
        return made

    def first(self) -> dict[str, NDArray[np.float64]]:
        """The arrays of the first draw; InputError where a second look finds others."""
        made, again = self.one(0, 0), self.one(0, 0)
        for name, array in made.items():
            if not np.array_equal(array, again[name]):
                raise InputError(
                    f"{self._where}: {name} of one draw differs the second time; take random numbers from draw.random"
                )
        return made

    def _check(self, first, wanted):
        """Refuse a first draw whose arrays have other shapes."""
        for name, array in first.items():
            if array.shape != wanted[name]:
                raise InputError(f"{self._where}: {name} must have shape {wanted[name]}, got {array.shape}")


class FunctionQuadratics(_Function):
    """Quadratics in their own axes, as of the kind `quadratic`."""

    is_population = True
    validation_needs = "which returns no validation_matrix"

    def __init__(self, where: str, function: Callable, parameters: dict[str, Any], folder: Path):
        super().__init__(where, function, parameters, folder)
        first = self.first()
        d = self.dimension = first["curvature"].size
        wanted = {name: () if name.endswith("floor") else (d, d) if name.endswith("matrix") else (d,) for name in NAMES}
        self._check(first, wanted)

    def _stacked(self, root, draws):
        """The arrays of some draws, (N, ...) each."""
        made = [self.one(root, draw) for draw in draws.tolist()]
        return {name: np.stack([one[name] for one in made]) for name in self._shapes}

    def draw(self, root: int, draws: NDArray[np.int64], workers: int) -> Batch:
        """The quadratics of these draws."""
        taken = self._stacked(root, draws)
        if taken["curvature"].min() < 0.0:
            raise InputError(f"{self._where}: curvature must be >= 0, got {taken['curvature'].min():g}")
        return batch_of(taken)

    @property
    def validation(self) -> ValidationOf | None:
        """The validation losses, where there is a validation set."""
        return (
            (lambda root, draws, *_: validation_of(self._stacked(root, draws)))
            if ("validation_matrix" in self._shapes)
            else None
        )


class _OneDraw(TableRows):
    """The rows of one draw, whose split is given."""

    def __init__(self, arrays: dict[str, NDArray[np.float64]], parameters: dict[str, Any], outputs: int):
        sets = [arrays[name] for name in ("x", "validation_x", "test_x") if name in arrays]
        labels = [arrays[name] for name in ("y", "validation_y", "test_y") if name in arrays]
        self._columns = np.ascontiguousarray(np.column_stack([np.vstack(sets), np.concatenate(labels)]).T)
        self._train, self._test = len(arrays["y"]), len(arrays["test_y"])
        self._validation = len(arrays.get("validation_y", ()))
        self._quota = np.array([self._train, self._validation, self._test])
        self._groups = np.repeat(np.arange(3, dtype=np.int8), self._quota)
        self._kind, self._standardize, self._label_noise = "none", 0, 0.0
        self._is_plain = losses.is_plain(parameters)
        features = len(self._columns) - 1
        if not self._is_plain:
            self.terms = losses.terms_of(parameters, features, outputs, False)
        self.dimension = features if self._is_plain else self.terms.start.size


class FunctionRows(_Function):
    """Rows, each draw its own; with the losses that `dataset` has."""

    validation_needs = "which returns no validation_x"

    def __init__(self, where: str, function: Callable, parameters: dict[str, Any], folder: Path):
        super().__init__(where, function, parameters, folder)
        self._parameters, first = parameters, self.first()
        if first["x"].ndim != 2:
            raise InputError(f"{where}: x must have shape (rows, features), got {first['x'].shape}")
        d = first["x"].shape[1]
        pairs = [("x", "y"), ("test_x", "test_y"), ("validation_x", "validation_y")]
        wanted: dict[str, tuple[int, ...]] = {}
        for x, y in pairs:
            if (x in first) != (y in first):
                raise InputError(f"{where}: returns one of {x} and {y} without the other")
            rows = len(first[x]) if x in first and first[x].ndim else 0
            wanted |= {x: (rows, d), y: (rows,)}
        self._check(first, wanted)
        self._outputs, loss = 1, parameters.get("loss", losses.SQUARED)
        if loss in losses.OF_CLASSES:
            self._outputs = self._count_classes(first, loss)
        example = _OneDraw(first, parameters, self._outputs)
        self.dimension, self.terms = example.dimension, example.terms

    def _count_classes(self, arrays, loss):
        """How many scores a row has: of classes 0, 1, ... as many as there are for softmax, else 1."""
        labels = np.concatenate([array for name, array in arrays.items() if name.endswith("y")])
        if (
            (labels != np.rint(labels)).any()
            or labels.min() < 0
            or (loss in losses.OF_TWO_CLASSES and labels.max() > 1)
        ):
            known = "0 and 1" if loss in losses.OF_TWO_CLASSES else "0, 1, 2, ..."
            raise InputError(
                f"{self._where}: y of loss = {loss!r} are the classes {known}, got {labels.min():g} to {labels.max():g}"
            )
        return int(labels.max()) + 1 if loss == losses.SOFTMAX else 1

    def _dealt(self, root, draw):
        """The source of one draw."""
        arrays = self.one(root, draw)
        loss = self._parameters.get("loss", losses.SQUARED)
        if loss in losses.OF_CLASSES and self._count_classes(arrays, loss) > self._outputs:
            raise InputError(f"{self._where}: draw {draw} has a class that the first draw has not")
        return _OneDraw(arrays, self._parameters, self._outputs)

    def _each(self, root, draws, ask):
        """What is asked of every draw's source, end to end along the draws."""
        found = [ask(self._dealt(root, draw), np.array([draw]), n) for n, draw in enumerate(draws.tolist())]
        return [None if column[0] is None else np.concatenate(column) for column in zip(*found, strict=True)]

    def draw(self, root: int, draws: NDArray[np.int64], workers: int) -> Batch:
        """The quadratics of the rows."""
        return Batch(*self._each(root, draws, lambda own, one, _: own.draw(root, one, 1)))

    def rows(self, root: int, draws: NDArray[np.int64], batch: Batch, workers: int) -> list[NDArray[np.float64]]:
        """The train rows of these draws."""
        return self._each(root, draws, lambda own, one, n: own.rows(root, one, _only(batch, n), 1))

    @property
    def samples(self) -> SamplesOf | None:
        """The rows themselves."""
        return self._samples

    def _samples(self, root, draws, workers):
        """The rows of these draws."""
        has_validation = "validation_x" in self._shapes

        def ask(own, one, _):
            sets = own._samples(root, one, 1)
            parts = (sets.train, sets.test, *([sets.validation] if has_validation else []))
            return [array for part in parts for array in part]

        found = [Samples(*pair) for pair in zip(*[iter(self._each(root, draws, ask))] * 2, strict=True)]
        return Sets(found[0], found[2] if has_validation else None, found[1])

    @property
    def validation(self) -> ValidationOf | None:
        """The validation losses, where there is a validation set."""
        return self._validation_loss if "validation_x" in self._shapes else None

    def _validation_loss(self, root, draws, batch, workers):
        """The mean squared errors on the validation rows."""
        from .source import Quadratic

        def ask(own, one, n):
            return own._validation_loss(root, one, _only(batch, n), 1)

        return Quadratic(*self._each(root, draws, ask))


def _only(batch, n):
    """The problem of one of a batch's draws."""
    return batch._make(None if values is None else values[n : n + 1] for values in batch)
