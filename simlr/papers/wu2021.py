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

The theorems are about most draws. A statement does not hold where it is shown that fewer than 95 % of all draws keep to
it, and holds where that is not so and it is shown that more than 2/3 do, at `evidence.LEVEL`, which takes 18 seeds. A
seed that ran out of steps counts against either, and a moderate phase that is too short for the other rows decides
nothing. Of 600 draws at another root all keep to the statements on the moderate rate, and 96 to 97 % to those on the
small one. With 64 seeds a share of 0.93 has a power of 0.99.
"""

from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..claims import evidence
from ..claims.verdict import FAILS, HOLDS, UNDECIDED, Control, Verdict, undecided, verdict
from ..config.grid import GridConfig
from ..inputs import rules
from ..inputs.parameters import Parameter
from ..problems.source import Batch, Problem, Source, empty_batch
from ..store.run import Run
from ._wu import ANNEALED, HIGHEST_LEVEL, SMALL_RATE, Ends, statements_of

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
GRID = f"""
name = "wu2021"

[problem]
kind = "wu2021"
setting = ["plane", "orthogonal", "sphere"]

[seeds]
count = 64

[stop]
train_loss = [1e-3, 3e-4]
landing = "exact"
max_steps = 50000

[record]
points = 400
seeds = 2
iterates = true

[[schedule]]
name = "annealed"
phases = [
    {{ kind = "constant", learning_rate = {MODERATE}, steps = 400 }},
    {{ kind = "constant", learning_rate = {SMALL} }},
]

[[schedule]]
name = "small"
kind = "constant"
learning_rate = {SMALL}

[[noise]]
kind = "none"

[[noise]]
kind = "minibatch"
batch_size = 1
sampling = ["replacement", "epochs"]
"""


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
        return verdict(CLAIM, [undecided(f"the grid has no schedule {missing[0][0]!r} with {missing[0][1]}")])
    if not (run["level"] <= HIGHEST_LEVEL).any():
        return verdict(CLAIM, [undecided(f"no train loss is at or below {HIGHEST_LEVEL:g}")])
    done = (run["status"] != 0).all(axis=(0, 2))
    statements = []
    for label, seeds in _settings(run):
        seeds = seeds[done[seeds]]
        if seeds.size:
            ends = Ends(run, seeds)
            short = _too_short(run, found[ANNEALED, "replacement"], seeds, ends.lowest)
            statements += statements_of(ends, label, found, short)
    outcomes = evidence.outcomes([one.shown for one in statements])
    findings = [one.finding(outcome) for one, outcome in zip(statements, outcomes, strict=True)]
    return verdict(CLAIM, findings, finished=bool(done.all()))


def _too_short(run, index, seeds, level):
    """Whether a moderate phase ends before the error along all rows but the longest is small beside the level.

    Along a row a visit multiplies it by 1 - 2 eta ||x_i||^2, and it has steps / n visits. A rate that is not moderate
    is never too short.
    """
    made = next(made for made, *_ in run.config.combinations() if made.name == run["schedule"][index])
    rate, count = float(made.rates(0, 1)[0]), int(np.isfinite(run["curvature"][seeds[0]]).sum())
    given = {key: run[f"problem_{key}"][seeds[0]] if f"problem_{key}" in run.names else run.config.problem[key]
             for key in ("condition", "middle")}  # fmt: skip
    squares = np.array([1.0 / given["condition"], *([given["middle"]] if count > 2 else [])])
    visits = made.phases[0].steps / count
    with np.errstate(over="ignore"):
        left = (abs(1.0 - 2.0 * rate * squares) ** (2.0 * visits)).max()
    return rate >= 1.0 and left > 0.1 * level


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


def controls() -> list[Control]:
    """Rates, batches, rows and eigenvalues for which nothing sets SGD and GD apart, and runs that cannot tell."""
    first, batch = "schedule.0.phases.0.learning_rate", "noise.1.batch_size"
    longest = "below 1 / (2 ||x_1||^2) SGD fits the longest row first, as GD does"
    average = "a batch of n rows averages as GD does: the moderate rate is then a small one"
    drag = "rows that overlap drag the error back along each other, and the theorem asks for nearly orthogonal ones"
    equal = "no direction then costs much less test loss than another, and GD's is nearly optimal, too"
    swapped = [
        {"kind": "constant", "learning_rate": SMALL, "steps": 400},
        {"kind": "constant", "learning_rate": MODERATE},
    ]
    dragged = (("problem.setting", SPHERE), ("problem.dimension", 16))
    last = "schedule.0.phases.1.learning_rate"
    seeds, levels = "that most draws keep to it takes 18 of them", "these are reached before any direction dies out"
    table = (
        ("a small rate from the start", longest, FAILS, ((first, SMALL),)),
        ("batches of all rows", average, FAILS, ((batch, 8),)),
        ("8 random rows in 16 dimensions", drag, FAILS, dragged),
        ("rows of one length", equal, FAILS, (("problem.condition", 1.0), ("problem.middle", 1.0))),
        ("eigenvalues that are nearly equal", equal, FAILS, (("problem.condition", 1.05),)),
        ("one seed", seeds, UNDECIDED, (("seeds.count", 1),)),
        ("ten seeds", seeds, UNDECIDED, (("seeds.count", 10),)),
        ("too few steps", "the small rate has one step", UNDECIDED, (("stop.max_steps", 401),)),
        ("the rates the other way round", longest, FAILS, (("schedule.0.phases", swapped),)),
        ("0.6 in place of the moderate rate", "it settles the longest row", FAILS, ((first, 0.6),)),
        ("never annealed", "the error along x_1 never shrinks", UNDECIDED, ((last, MODERATE),)),
        ("GD alone", "there is nothing to compare", UNDECIDED, (("noise", [{"kind": "none"}]),)),
        ("high levels", levels, UNDECIDED, (("stop.train_loss", [0.3, 0.1]),)),
        ("condition number 30", "400 steps are too few for the last row", UNDECIDED, (("problem.condition", 30.0),)),
        ("a moderate phase of 20 steps", "nothing has died out", UNDECIDED, (("schedule.0.phases.0.steps", 20),)),
        ("one of two settings", "the plane alone", HOLDS, (("problem.setting", PLANE),)),
    )  # fmt: skip
    few = (("seeds.count", 24), ("record.points", 0), ("record.iterates", False))
    return [
        Control(name, why, (*few, *changes), expected=expected, always=place in (0, 1, 2, 3, 5))
        for place, (name, why, expected, changes) in enumerate(table)
    ]


# ---- pictures ----


def pictures(run: Run) -> list:
    """The paths in the plane, and the Rayleigh quotient as the train loss falls."""
    found = roles(run)
    shown = [(key, found[key]) for key in _SHOWN if key in found]
    seeds = [(label, own) for label, own in _settings(run) if own[0] in run["recorded_seed"]]
    drawn = [quotients_picture(run, shown, seeds)] if shown and seeds else []
    plane = [place for place, seed in enumerate(run["recorded_seed"]) if np.isfinite(run["curvature"][seed]).sum() == 2]
    if plane and shown and "trajectory_iterate" in run.names:
        drawn.insert(0, paths_picture(run, shown, plane[0]))
    return drawn


FIRST_DRAWN, LAST_DRAWN = 2.0, 1e-5  # train losses
_SHOWN = {
    (ANNEALED, "replacement"): "SGD, moderate then small",
    (ANNEALED, "gd"): "GD, the same rates",
    (SMALL_RATE, "replacement"): "SGD, small rate",
}


def paths_picture(run: Run, shown: list, place: int) -> Any:
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


def quotients_picture(run: Run, shown: list, settings: list) -> Any:
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
