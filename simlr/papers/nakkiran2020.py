"""Nakkiran (2020), Learning Rate Annealing Can Provably Help Generalization, Even for Convex Problems.

arXiv:2005.07360. x is e_1 or e_2 with probability 1/2 each, y = <theta_star, x> without noise, n = 3 samples, and the
test distribution is the same. With probability 3/4 the sample holds one axis twice: curvature (4/3, 2/3). There

    (A) gradient flow ends along the flat axis, with test loss -> 3/2 eps at train loss eps;
    (B) learning rate 3/2 = 2/sharpness for one step, then flow, ends along the steep axis, with test loss 3/4 eps;
    A/B = 2 - 6 eps a^2 / b^4 + O(eps^2),

a and b being the start's residuals along the doubled and the single axis. With probability 1/4 (one axis three times)
the unseen axis never moves and the ratio is 1. The claim is the paper's abstract and introduction; the dimension, n and
the learning rate are a reconstruction.

The share 3/4 is judged by 4 standard errors of a binomial, two-sided 6e-5 for each pair (A), (B); the nearest shares
that samples of three rows can have, 5/8 and 7/8, are 18 away at 4096 seeds. All else is exact but for rounding.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..claims.verdict import FAILS, HOLDS, UNDECIDED, Control, Finding, Verdict, undecided, verdict
from ..inputs import rules
from ..inputs.parameters import Parameter
from ..kernels.status import REACHED
from ..problems.source import Batch, Problem, Source, empty_batch
from ..store.run import Run
from ._nakkiran import ROWS, Pair

SOURCE = "Nakkiran (2020), arXiv:2005.07360, abstract and introduction"
CLAIM = "With probability 3/4 over the train samples, the test loss of (A) is twice that of (B) at equal train loss."
RECONSTRUCTION = (
    "The claim and its factor are the paper's abstract and introduction. The dimension (2), the sample size (3), the "
    "large rate (3/2 for one step, or 2/sharpness) and the flow in place of a small rate are chosen to make them exact."
)
BASELINE, ANNEALED = "flow", "annealed"
FLOW = {"name": BASELINE, "kind": "flow"}

GRID = """\
name = "nakkiran2020"

[problem]
kind = "nakkiran2020"

[seeds]
count = 4096

[stop]
train_loss = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
landing = "exact"
max_steps = 100000

[record]
points = 200
flow_time = 20.0
seeds = 64
stop_residual = true

[[schedule]]
name = "flow"
kind = "flow"

[[schedule]]
name = "annealed"
phases = [{ kind = "constant", learning_rate = 1.5, steps = 1 }, { kind = "flow" }]

[[schedule]]
name = "annealed-1.4"
phases = [{ kind = "constant", learning_rate = 1.4, steps = 5 }, { kind = "flow" }]

[[schedule]]
name = "annealed-sharpness"
unit = "sharpness"
phases = [{ kind = "constant", learning_rate = 2.0, steps = 1 }, { kind = "flow" }]

[[schedule]]
name = "constant"
kind = "constant"
learning_rate = [0.3, 0.1, 0.03, 0.01, 0.003, 0.001]

[[schedule]]
name = "step-decay"
kind = "step"
learning_rate = 1.4
step_size = 20
gamma = 0.3
steps = 2000

[[schedule]]
name = "cosine"
kind = "cosine"
learning_rate = 1.4
steps = 2000
"""


class _Samples(Source):
    """Samples of three rows, drawn at random or enumerated."""

    dimension = 2

    def __init__(self, parameters: dict[str, Any], folder: Path):
        self._all = parameters["samples"] == "all"
        self.limit = 2**ROWS if self._all else None
        self._start = np.array(parameters["start"])
        self._target = np.array(parameters["theta_star"])

    def _second_axis(self, root, draws):
        """Whether each row is e_2, (N, 3) bool: the bits of the draw's number, or uniforms of its stream above 1/2."""
        if self._all:
            return (draws[:, None] >> np.arange(ROWS)) & 1 == 1
        from ..kernels.draws import SAMPLE, uniforms

        return uniforms(root, draws, SAMPLE, ROWS) >= 0.5

    def draw(self, root: int, draws: NDArray[np.int64], workers: int) -> Batch:
        """The quadratic of each sample: lam = 2/3 (rows along each axis), the steeper axis first."""
        second = self._second_axis(root, draws).sum(axis=1)
        counts = np.stack([ROWS - second, second], axis=1)
        order = np.argsort(-counts, axis=1, kind="stable")
        rows = np.arange(draws.size)[:, None]
        batch = empty_batch(draws.size, self.dimension)
        batch.curvature[:] = counts[rows, order] * (2.0 / ROWS)
        batch.curvature_axes[:] = np.eye(2)[order].transpose(0, 2, 1)
        batch.train_minimiser[:] = np.where(counts > 0, self._target, self._start)
        batch.initial_residual[:] = (self._start - batch.train_minimiser)[rows, order]
        batch.offset[:] = (batch.train_minimiser - self._target)[rows, order]
        batch.test_matrix[:] = 0.5 * np.eye(2)
        batch.target[:] = self._target
        return batch

    def rows(
        self, root: int, draws: NDArray[np.int64], batch: Batch, workers: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The three rows of each sample, e_1 or e_2; theta_hat fits them exactly."""
        x = np.eye(2)[self._second_axis(root, draws).astype(np.int64)]
        return np.einsum("nkj,nji->nki", x, batch.curvature_axes[:, :2, :2], optimize=False), np.zeros(x.shape[:2])


PROBLEM = Problem(
    "nakkiran2020",
    "2-D least squares on 3 samples of e_1 or e_2 without noise; the test distribution is isotropic",
    (
        Parameter("samples", rules.one_of("random", "all"), "random", "random, or all 8 (seed k holds sample k)"),
        Parameter("start", rules.vector(2), (0.0, 0.0), "theta at the start"),
        Parameter("theta_star", rules.vector(2), (1.0, 1.0), "the target"),
    ),
    _Samples,
)


# ---- the check ----

ROLES = "(A) is gradient flow; (B) is one step at learning rate 3/2 or 2/sharpness, then flow."


class Theory(NamedTuple):
    """What the theory says of the ratio A/B, in words and as a function of the levels."""

    label: str
    ratio: Callable[[NDArray[np.float64]], NDArray[np.float64]]  # levels (E,) -> ratio (E,)


def theory(run: Run) -> Theory | None:
    """The `Theory` of a run's typical seed that holds both axes; None where there is no such seed.

    Train loss eps on the flow's path (a sqrt(z), b) times a common factor: (2/3) a^2 z^2 + (1/3) b^2 z = eps, with test
    loss (1/2)(a^2 z^2 + b^2 z), over 3/4 eps: 2 - 6 eps a^2 / b^4 + O(eps^2).
    """
    with np.errstate(over="ignore"):
        squares = run["initial_residual"][(run["curvature"] > 0.0).all(axis=1)] ** 2
    squares = squares[(squares > 0.0).all(axis=1)]
    if not squares.size:
        return None
    a2, b2 = squares[np.argsort(squares[:, 0] / squares[:, 1] ** 2, kind="stable")[len(squares) // 2]]

    def ratio(levels):
        levels = np.asarray(levels, dtype=np.float64)
        # The quadratic's root in the form that does not cancel.
        z = 6.0 * levels / (b2 + np.sqrt(b2**2 + 24.0 * a2 * levels))
        return 0.5 * (a2 * z**2 + b2 * z) / (0.75 * levels)

    two, four = "\N{SUPERSCRIPT TWO}", "\N{SUPERSCRIPT FOUR}"
    return Theory(f"theory: 2 - 6 \N{GREEK SMALL LETTER EPSILON} a{two}/b{four} + ...", ratio)


def flows(run: Run) -> list[int]:
    """Indices of the schedules (A): gradient flow from the start."""
    return [index for index, made in _made(run) if made.flows and made.length == 0]


def annealers(run: Run) -> list[int]:
    """Indices of the schedules (B): one step at 3/2, or at 2/sharpness, then flow; else what goes by that name."""
    wanted = {"absolute": 1.5, "sharpness": 2.0}
    found = [(index, made) for index, made in _made(run) if made.flows and made.length == 1]
    exact = [index for index, made in found if made.rates(0, 1)[0] == wanted[made.unit]]
    return exact or [index for index, made in found if made.name == ANNEALED]


def _made(run):
    """(index in the run, Schedule) of every schedule."""
    place = {str(name): index for index, name in enumerate(run["schedule"])}
    return [(place[made.name], made) for made, _ in run.config.schedules() if made.name in place]


def check(run: Run) -> Verdict:
    """Measure the claim on a run, as a `Verdict`: its share of seeds, its factor 2, and the seeds beside it.

    Undecided where (A) or (B) is not in the grid, the run is not finished, no level is low enough for the start, or the
    seeds are too few to tell 3/4 from something else.
    """
    flow, annealed = flows(run), annealers(run)
    if not flow or not annealed:
        missing = "(A)" if not flow else "(B)"
        return verdict(f"{CLAIM} {ROLES}", [undecided(f"the grid has no schedule {missing}")])
    status = run["status"]
    done = (status != 0).all(axis=(0, 2))
    test = np.where(status == REACHED, run["test_loss"], np.nan)
    findings: list[Finding] = []
    for label, seeds, everything in groups(run, done):
        for index in annealed:
            pair = Pair(run, test[flow[0], seeds], test[index, seeds], seeds).findings(everything)
            # Of later ones that hold as the first did, only the share and the factor.
            short = pair[:2] if findings and all(found.outcome == HOLDS for found in pair) else pair
            about = f"{run['schedule'][index]}{label}: "
            findings += [found._replace(what=about + found.what) for found in short]
    if not done.all():
        findings.append(Finding("not finished", f"{done.sum()} of {done.size} seeds are done", "", outcome=UNDECIDED))
    return verdict(f"{CLAIM} {ROLES}", findings, finished=done.all())


def controls() -> list[Control]:
    """Each part of the check where it must fail, and where there is nothing to judge by."""

    def annealing(rate, unit="absolute"):
        phases = [{"kind": "constant", "learning_rate": rate, "steps": 1}, {"kind": "flow"}]
        return [FLOW, {"name": ANNEALED, "unit": unit, "phases": phases}]

    settled = "the steep axis is then settled at once, so (B) too ends along the flat one"
    one_axis = "the step and the flow then leave the same error, so their ratio is 1 in most seeds"
    flat, seeds = (
        "the ratio is 2 in the limit of small levels alone",
        "a share is told from another by hundreds of seeds",
    )
    other = "the theory's law is about any start and target"
    table = (
        ("a stable rate: one step at 3/4 in place of 3/2", settled, FAILS, "schedule", annealing(0.75)),
        ("the start at theta_star along one axis", one_axis, FAILS, "problem.theta_star", [1.0, 0.0]),
        ("one seed", seeds, UNDECIDED, "seeds.count", 1),
        ("1/sharpness for one step", settled, FAILS, "schedule", annealing(1.0, "sharpness")),
        ("1.4 in place of 3/2", "the flow then ends along the flat axis", FAILS, "schedule", annealing(1.4)),
        ("99 seeds", seeds, UNDECIDED, "seeds.count", 99),
        ("high levels", flat, UNDECIDED, "stop.train_loss", [0.1, 0.01]),
        ("levels below what rounding leaves", "1e-20 b^2 is the least", UNDECIDED, "stop.train_loss", [1e-25]),
        ("nothing to learn", "the start is theta_star", UNDECIDED, "problem.theta_star", [0.0, 0.0]),
        ("a small start along one axis", flat, UNDECIDED, "problem.theta_star", [1.0, 0.01]),
        ("no schedule (B)", "there is nothing to compare", UNDECIDED, "schedule", [FLOW]),
        ("no schedule (A)", "there is nothing to compare", UNDECIDED, "schedule", annealing(1.5)[1:]),
        ("all samples, each once", "6 of 8 exactly", HOLDS, "problem.samples", "all"),
        ("another start", other, HOLDS, "problem.start", [0.2, -3.0]),
    )  # fmt: skip
    return [
        Control(name, why, (("seeds.count", 1024), (key, value)), expected=expected, always=place < 3)
        for place, (name, why, expected, key, value) in enumerate(table)
    ]


def groups(run: Run, done: NDArray[np.bool_]) -> list[tuple[str, NDArray[np.int64], bool]]:
    """The seeds that are done, by problem parameters: [(label, indices, whether they are all 8 samples), ...]."""
    keys = [name for name in run.names if name.startswith("problem_")]
    seeds = np.flatnonzero(done)
    if not keys:
        return [("", seeds, run.config.problem["samples"] == "all")] if seeds.size else []
    found_in: dict[tuple, list[int]] = {}
    values = list(zip(*(run[key].tolist() for key in keys), strict=True))
    for seed in seeds.tolist():
        found_in.setdefault(values[seed], []).append(seed)
    found = []
    for value, own in found_in.items():
        named = dict(zip(keys, value, strict=True))
        label = "".join(f" [{key.removeprefix('problem_')} = {v}]" for key, v in named.items())
        samples = named.get("problem_samples", run.config.problem["samples"])
        found.append((label, np.array(own), samples == "all"))
    return found
