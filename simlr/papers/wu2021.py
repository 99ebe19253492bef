"""Wu, Zou, Braverman, Gu (2021), Direction Matters: On the Implicit Bias of Stochastic Gradient Descent with Moderate
Learning Rate.

arXiv:2011.02538 (ICLR 2021). Over-parameterised least squares, n rows x_i in d >= n dimensions, y = <w*, x>: both SGD
and GD converge to the solution nearest the start, but along different directions. In simlr's units (the train loss is
the mean of squares, factor 2 in its gradient) one row's step multiplies the error along it by 1 - 2 eta ||x_i||^2:

    moderate    1 / ||x_1||^2 < eta < 1 / ||x_2||^2, the longest row first: SGD's error stays along x_1, where each
                visit turns it over, and dies out along all others; annealed to a small rate, it shrinks along x_1;
    small       eta < 1 / (2 ||x_1||^2): the longest row is fitted first, the error is left along the shortest;
    GD          averages over rows, so that the moderate rate is a small one for it: it ends along the shortest, too.

On the set where the train loss is alpha, an isotropic test loss ||w - w*||^2 is smallest, 2 alpha / lam_1, where the
error lies along the top eigenvector, and lam_1 / lam_n times that along the bottom one. The Rayleigh quotient of the
error is lam_1 over how far from optimal it is. Where rows are not quite orthogonal each drags the error along the
others a little, which limits how far down this reaches.
"""

from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..claims.verdict import UNDECIDED, Control, Finding, Verdict, at_least, at_most, verdict
from ..config.grid import GridConfig
from ..inputs import rules
from ..inputs.parameters import Parameter
from ..kernels.status import REACHED
from ..problems.source import Batch, Problem, Source, empty_batch
from ..store.run import Run

SOURCE = "Wu, Zou, Braverman, Gu (2021), arXiv:2011.02538, abstract, the two-dimensional example and main theorems"
CLAIM = (
    "SGD with a moderate, then annealed learning rate ends along the large-eigenvalue directions and is nearly optimal "
    "among all points of equal train loss; GD with the same rates ends along the small ones and is not."
)
RECONSTRUCTION = (
    "The claim, the two-dimensional and the high-dimensional setting and the Rayleigh "
    "quotient are the paper's. The regimes of learning rates are theirs as we understand them, not quoted. Row lengths "
    "(squares 1, 1/2 and 1/10), 8 rows in 100,000 dimensions, the rates 1.001 "
    "for 400 steps and then 0.2, the levels of train loss, a start at distance 1 along every row, and 10 % as what "
    "'nearly' means are ours. The test loss leaves out what no row lets one learn."
)
PLANE, ORTHOGONAL, SPHERE = "plane", "orthogonal", "sphere"
MODERATE, SMALL = 1.001, 0.2
_GRID = """
name = "wu2021"

[problem]
kind = "wu2021"
setting = ["plane", "orthogonal", "sphere"]

[seeds]
count = 64

[stop]
train_loss = [1e-3, 3e-4]
max_steps = 50000

[record]
points = 400
seeds = 2
iterates = true

[[schedule]]
name = "annealed"
phases = [
    {{ kind = "constant", learning_rate = {first}, steps = 400 }},
    {{ kind = "constant", learning_rate = 0.2 }},
]

[[schedule]]
name = "small"
kind = "constant"
learning_rate = 0.2

[[noise]]
kind = "none"

[[noise]]
kind = "minibatch"
batch_size = {batch}
sampling = ["replacement", "epochs"]
"""
GRID = _GRID.format(first=MODERATE, batch=1)
ANNEALED, SMALL_RATE = "annealed", "small"
NEARLY = 0.1
UNLUCKY = 0.05  # of the seeds, whose rows are drawn in an odd order, count for nothing: the claim is one of probability


# ---- the problem ----


class _Rows(Source):
    """Draws of n rows of given lengths; an error is told by what it has in their span, in the Hessian's axes."""

    def __init__(self, parameters: dict[str, Any], folder: Path):
        self._setting, self._ambient = parameters["setting"], parameters["dimension"]
        middle = [] if self._setting == PLANE else [parameters["middle"]] * (parameters["rows"] - 2)
        self._squares = np.array([1.0, *middle, 1.0 / parameters["condition"]])
        self.dimension = self._squares.size
        if self._setting == SPHERE and self._ambient < self.dimension:
            rules.refuse("problem.dimension", f"at least rows = {self.dimension}", self._ambient)

    def _cosines(self, root, draw):
        """<x_i, x_j> of the rows brought to length 1, (n, n)."""
        if self._setting != SPHERE:
            return np.eye(self.dimension)
        from ..kernels.draws import SAMPLE, fill_normal

        normals = np.empty((self.dimension, self._ambient))
        fill_normal(normals.reshape(-1), root, draw, SAMPLE, 0)
        products = np.einsum("ik,jk->ij", normals, normals, optimize=False)
        lengths = np.sqrt(np.diag(products))
        return products / lengths[:, None] / lengths

    def _axes_of(self, root, draw):
        """Eigenvalues of X X^T, the largest first, its eigenvectors (n, n), columns, and the rows' cosines."""
        from ..kernels.problems.spectrum import symmetric_eigen

        cosines = self._cosines(root, draw)
        lengths = np.sqrt(self._squares)
        values, vectors = np.empty(self.dimension), np.empty((self.dimension, self.dimension))
        symmetric_eigen(cosines * lengths[:, None] * lengths, values, vectors)
        return values, vectors.T, cosines

    def draw(self, root: int, draws: NDArray[np.int64], workers: int) -> Batch:
        """H = (2/n) X^T X has the eigenvalues 2/n times those of X X^T, and the axes Q = X^T V / sqrt(values)."""
        from ..kernels.draws import TARGET, uniforms

        batch = empty_batch(draws.size, self.dimension)
        signs = np.where(uniforms(root, draws, TARGET, self.dimension) < 0.5, -1.0, 1.0)
        for k, draw in enumerate(draws.tolist()):
            values, vectors, cosines = self._axes_of(root, draw)
            batch.curvature[k] = 2.0 / self.dimension * values
            # Q^T of the start's error, sum_i +-x_i / ||x_i||.
            products = np.sqrt(self._squares) * (cosines * signs[k]).sum(axis=1)
            batch.initial_residual[k] = (vectors * products[:, None]).sum(axis=0) / np.sqrt(values)
        batch.curvature_axes[:] = batch.test_matrix[:] = np.eye(self.dimension)
        return batch

    def rows(
        self, root: int, draws: NDArray[np.int64], batch: Batch, workers: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """X Q = V sqrt(values); w* fits every row."""
        found = np.empty((draws.size, self.dimension, self.dimension))
        for k, draw in enumerate(draws.tolist()):
            values, vectors, _ = self._axes_of(root, draw)
            found[k] = vectors * np.sqrt(values)
        return found, np.zeros(found.shape[:2])


PROBLEM = Problem(
    "wu2021",
    "over-parameterised least squares on a few rows; the test loss is ||w - w*||^2 in their span",
    (
        Parameter(
            "setting",
            rules.one_of(PLANE, ORTHOGONAL, SPHERE),
            PLANE,
            "plane (2 orthogonal rows), orthogonal (n of them), or sphere (n random directions)",
        ),
        Parameter("rows", partial(rules.count, least=2), 8, "n, where not in the plane"),
        Parameter("dimension", rules.count, 100000, "d, on the sphere: random directions have cosines of d^(-1/2)"),
        Parameter("middle", rules.positive, 0.5, "squared length of all rows but the longest (1) and the shortest"),
        Parameter("condition", rules.positive, 10.0, "1 / squared length of the shortest row"),
    ),
    _Rows,
)


# ---- the check ----


def roles(run: Run) -> dict[tuple[str, str | None], int]:
    """{(schedule's name in the grid, "gd", "replacement" or "epochs"): index in the run}, the first of each."""
    place = {str(name): index for index, name in enumerate(run["schedule"])}
    config = cast(GridConfig, run.config)  # the claim is a grid's
    found: dict[tuple[str, str | None], int] = {}
    for family, (made, _, _, noise) in zip(config.families(), config.combinations(), strict=True):
        sampling = {"none": "gd", "minibatch": noise.get("sampling")}.get(noise["kind"])
        if made.name in place:
            found.setdefault((family, sampling), place[made.name])
    return found


def check(run: Run) -> Verdict:
    """Rayleigh quotients of the error at every level, setting by setting, and how far from optimal that is."""
    found = roles(run)
    needed = [(ANNEALED, "gd"), *((ANNEALED, sampling) for sampling in ("replacement", "epochs"))]
    missing = [key for key in needed if key not in found]
    if missing:
        what = f"the grid has no schedule {missing[0][0]!r} with {missing[0][1]}"
        return Verdict(UNDECIDED, CLAIM, (Finding(what, "", "", "", UNDECIDED),))
    done = (run["status"] != 0).all(axis=(0, 2))
    findings = []
    for label, seeds in _settings(run):
        seeds = seeds[done[seeds]]
        if seeds.size:
            findings += _of_setting(_Ends(run, seeds), label, found)
    return verdict(CLAIM, findings, finished=bool(done.all()))


def _settings(run):
    """[(label, indices of its seeds), ...], one for each combination of problem parameters."""
    keys = [name for name in run.names if name.startswith("problem_")]
    values = list(zip(*(run[key].tolist() for key in keys), strict=True)) or [()] * len(run["seed"])
    groups = {}
    for seed, value in enumerate(values):
        groups.setdefault(value, []).append(seed)
    return [
        (" ".join(map(str, value)) or run.config.problem["setting"], np.array(own)) for value, own in groups.items()
    ]


class _Ends:
    """Where runs stopped: Rayleigh quotients (N, E) of the error over the largest and the smallest eigenvalue."""

    def __init__(self, run, seeds):
        reached = run["status"][:, seeds] == REACHED
        with np.errstate(all="ignore"):
            quotient = 2.0 * run["train_loss"][:, seeds] / run["test_loss"][:, seeds]
        self._quotient = np.where(reached, quotient, np.nan)
        self._top = run["sharpness"][seeds][:, None]
        self._bottom = np.nanmin(run["curvature"][seeds], axis=1)[:, None]
        self.spread = float(np.median(self._top / self._bottom))

    def over_top(self, index: int) -> NDArray[np.float64]:
        """Of one schedule: 1 where the error lies along the top eigenvector, and the point is optimal."""
        return self._quotient[index] / self._top

    def over_bottom(self, index: int) -> NDArray[np.float64]:
        """Of one schedule: 1 where the error lies along the bottom eigenvector."""
        return self._quotient[index] / self._bottom


def _of_setting(ends, label, found):
    """The findings of one setting: what all but 5 % of the seeds keep to at the worst level."""
    findings = []
    for sampling in ("replacement", "epochs"):
        what = f"{label}: SGD, {sampling}: Rayleigh quotient / largest eigenvalue, 5 % quantile"
        findings.append(at_least(what, _worst(ends.over_top(found[ANNEALED, sampling])), 1.0 - NEARLY))
    what = f"{label}: GD, same rates: Rayleigh quotient / smallest eigenvalue, 95 % quantile"
    findings.append(at_most(what, -_worst(-ends.over_bottom(found[ANNEALED, "gd"])), 1.0 + NEARLY))
    ratio = ends.over_top(found[ANNEALED, "replacement"]) / ends.over_top(found[ANNEALED, "gd"])
    # A step of SGD goes well below the level, so test losses are compared per train loss.
    what = f"{label}: test loss per train loss, GD / SGD, 5 % quantile"
    note = f"at most the condition number, {ends.spread:.4g}"
    findings.append(at_least(what, _worst(ratio), (1.0 - NEARLY) ** 2 * ends.spread, note))
    if (SMALL_RATE, "replacement") in found:
        what = f"{label}: SGD, small rate: Rayleigh quotient / smallest eigenvalue, 95 % quantile"
        findings.append(at_most(what, -_worst(-ends.over_bottom(found[SMALL_RATE, "replacement"])), 1.0 + NEARLY))
    return findings


def _worst(values):
    """The 5 % quantile over seeds of (N, E) values at the level where it is smallest; NaN where one is."""
    return float(np.quantile(values, UNLUCKY, axis=0).min())


def controls() -> list[Control]:
    """A small rate from the start, batches of all rows, and rows that are far from orthogonal."""
    near = GRID.replace('["plane", "orthogonal", "sphere"]', '"sphere"\ndimension = 16')
    return [
        Control("a small rate from the start", "below 1 / (2 ||x_1||^2) SGD fits the longest row first, as GD does",
                grid=_GRID.format(first=SMALL, batch=1)),
        Control("batches of all rows", "a batch of n rows averages as GD does: the moderate rate is then a small one",
                grid=_GRID.format(first=MODERATE, batch=8)),
        Control("8 random rows in 16 dimensions", "rows that overlap drag the error back along each other, and the "
                "theorem asks for nearly orthogonal ones", grid=near),
    ]  # fmt: skip


# ---- pictures ----


def pictures(run: Run) -> list:
    """The paths in the plane, and the Rayleigh quotient as the train loss falls."""
    found = roles(run)
    shown = [(key, found[key]) for key in _SHOWN if key in found]
    seeds = [(label, own) for label, own in _settings(run) if own[0] in run["recorded_seed"]]
    drawn = [_quotients(run, shown, seeds)] if shown and seeds else []
    plane = [place for place, seed in enumerate(run["recorded_seed"]) if np.isfinite(run["curvature"][seed]).sum() == 2]
    if plane and shown and "trajectory_iterate" in run.names:
        drawn.insert(0, _paths(run, shown, plane[0]))
    return drawn


FIRST_DRAWN, LAST_DRAWN = 2.0, 1e-5  # train losses
_SHOWN = {
    (ANNEALED, "replacement"): "SGD, moderate then small",
    (ANNEALED, "gd"): "GD, the same rates",
    (SMALL_RATE, "replacement"): "SGD, small rate",
}


def _paths(run, shown, place):
    """w - w* in the plane, on the contours of the train loss."""
    from ..report.figures import style

    figure, panels = style.figure(len(shown), width=4.0 * len(shown))
    lam = run["curvature"][run["recorded_seed"][place]][:2]
    paths = [run["trajectory_iterate"][index, place, :, :2] for _, index in shown]
    reach = 1.15 * max(np.nanmax(abs(path)) for path in paths)
    grid = np.linspace(-reach, reach, 161)
    loss = 0.5 * (lam[0] * grid[None, :] ** 2 + lam[1] * grid[:, None] ** 2)
    for i, (axes, path, (key, _)) in enumerate(zip(panels, paths, shown, strict=True)):
        axes.contour(grid, grid, loss, levels=np.geomspace(1e-3, 3.0, 9), colors="#bbbbbb", linewidths=0.8)
        axes.plot(path[:, 0], path[:, 1], color=style.COLOURS[i + 1], linewidth=1.1, marker=".", markersize=4)
        axes.plot(*path[0], "o", color="#000000")
        axes.plot(0.0, 0.0, "*", color="#000000", markersize=12)
        axes.set_title(_SHOWN[key])
        axes.set_xlabel("along the long row")
    panels[0].set_ylabel("along the short row")
    style.title(figure, "SGD with a moderate rate comes in along the steep direction, the others along the flat one")
    caption = "The error w - w* from the start (dot) to the minimum (star), on contours of the train loss; one seed."
    return style.Picture("paths", caption, figure)


def _quotients(run, shown, settings):
    """The Rayleigh quotient against the train loss."""
    from ..report.figures import style

    figure, panels = style.figure(len(settings), width=5.0 * max(len(settings), 2))
    recorded = run["recorded_seed"].tolist()
    for axes, (label, own) in zip(panels, settings, strict=True):
        place = recorded.index(own[0])
        top = run["sharpness"][own[0]]
        for i, (key, index) in enumerate(shown):
            train = run["trajectory_train_loss"][index, place]
            look = {"color": style.COLOURS[i + 1], "linestyle": style.DASHES[i], "linewidth": 1.8}
            with np.errstate(all="ignore"):
                axes.plot(
                    train, 2.0 * train / run["trajectory_test_loss"][index, place] / top, label=_SHOWN[key], **look
                )
        style.logarithmic(axes, "x")
        style.logarithmic(axes, "y")
        axes.set_xlim(FIRST_DRAWN, LAST_DRAWN)
        axes.set_title(label)
        axes.set_xlabel("train loss, falling")
    panels[0].set_ylabel("Rayleigh quotient / largest eigenvalue")
    style.legend(figure, panels[0])
    style.title(figure, "At equal train loss SGD's error lies along large eigenvalues, where it costs least test loss")
    caption = "One seed of each setting. 1 is the best a point of that train loss can be, 0.1 about the worst."
    return style.Picture("quotients", caption, figure)
