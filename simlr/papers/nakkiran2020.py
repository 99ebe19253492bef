"""Nakkiran (2020), Learning Rate Annealing Can Provably Help Generalization, Even for Convex Problems.

arXiv:2005.07360. x is e_1 or e_2 with probability 1/2 each, y = <theta_star, x> without noise, n = 3 samples, and the
test distribution is the same. With probability 3/4 the sample holds one axis twice: curvature (4/3, 2/3). There

    (A) gradient flow ends along the flat axis, with test loss -> 3/2 eps at train loss eps;
    (B) learning rate 3/2 = 2/sharpness for one step, then flow, ends along the steep axis, with test loss 3/4 eps;
    A/B = 2 - 6 eps a^2 / b^4 + O(eps^2),

a and b being the start's residuals along the doubled and the single axis. With probability 1/4 (one axis three times)
the unseen axis never moves and the ratio is 1. The claim is the paper's abstract and introduction; the dimension, n and
the learning rate are a reconstruction.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..claims.verdict import HOLDS, UNDECIDED, Control, Finding, Verdict, outcome_of, verdict
from ..inputs import rules
from ..inputs.parameters import Parameter
from ..kernels.status import REACHED
from ..problems.source import Batch, Problem, Source, empty_batch
from ..store.run import Run

SOURCE = "Nakkiran (2020), arXiv:2005.07360, abstract and introduction"
CLAIM = "With probability 3/4 over the train samples, the test loss of (A) is twice that of (B) at equal train loss."
RECONSTRUCTION = (
    "The claim and its factor are the paper's abstract and introduction. The dimension (2), the sample size (3), the "
    "large rate (3/2 for one step, or 2/sharpness) and the flow in place of a small rate are chosen to make them exact."
)
ROWS = 3
BASELINE, ANNEALED = "flow", "annealed"

GRID = """\
name = "nakkiran2020"

[problem]
kind = "nakkiran2020"

[seeds]
count = 4096

[stop]
train_loss = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
max_steps = 100000

[record]
points = 200
flow_time = 20.0
seeds = 64

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
HIGHEST_LEVEL = 1e-3
# |A/B - 2| may be this much times eps a^2 / b^4: the theory's 6, and room for the next order.
FIRST_ORDER, FIRST_ORDER_ROOM = 6.0, 6.5
# Start points whose first-order term is larger than this at every level tell nothing.
LARGEST_TOLERANCE = 0.1
ROUNDING = 1e-9
# The large step leaves b times a rounding error, whose square is no longer small beside levels below this times b^2.
LEFT_BY_ROUNDING = 1e-20
SHARE, SIGMAS, FEWEST_SEEDS = 0.75, 4.0, 100
HALFWAY = 1.5  # a seed shows the effect where its ratio is nearer to 2 than to 1


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

    return Theory("theory: 2 - 6 eps a^2/b^4 + ...", ratio)


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
        return verdict(f"{CLAIM} {ROLES}", [_undecided(f"the grid has no schedule {missing}")])
    status = run["status"]
    done = (status != 0).all(axis=(0, 2))
    test = np.where(status == REACHED, run["test_loss"], np.nan)
    findings: list[Finding] = []
    for label, seeds, everything in _groups(run, done):
        for index in annealed:
            pair = _Pair(run, test[flow[0], seeds], test[index, seeds], seeds).findings(everything)
            about = f"{run['schedule'][index]}{label}: "
            findings += [found._replace(what=about + found.what) for found in _shortened(pair, bool(findings))]
    if not done.all():
        findings.append(Finding("not finished", f"{done.sum()} of {done.size} seeds are done", "", outcome=UNDECIDED))
    return verdict(f"{CLAIM} {ROLES}", findings, finished=done.all())


def controls() -> list[Control]:
    """The same check where each of its parts must fail."""
    few = ("seeds.count", 1024)
    stable = [{"kind": "constant", "learning_rate": 0.75, "steps": 1}, {"kind": "flow"}]
    return [
        Control(
            "a stable rate: one step at 3/4 in place of 3/2",
            "1/sharpness settles the steep axis at once, so (B) too ends along the flat one",
            (few, ("schedule", [{"name": BASELINE, "kind": "flow"}, {"name": ANNEALED, "phases": stable}])),
        ),
        Control(
            "the start at theta_star along one axis",
            "the step and the flow then leave the same error, so their ratio is 1 in most seeds",
            (few, ("problem.theta_star", [1.0, 0.0])),
        ),
    ]


def _undecided(why):
    return Finding(why, "", "", outcome=UNDECIDED)


def _shortened(pair, later):
    """The findings of one pair; of later ones that hold as the first did, only the share and the factor."""
    holds = all(found.outcome == HOLDS for found in pair)
    return pair[:2] if later and holds else pair


def _groups(run, done):
    """The seeds that are done, by problem parameters: [(label, indices, whether they are all 8 samples), ...]."""
    keys = [name for name in run.names if name.startswith("problem_")]
    seeds = np.flatnonzero(done)
    if not keys:
        return [("", seeds, run.config.problem["samples"] == "all")] if seeds.size else []
    groups = {}
    values = list(zip(*(run[key].tolist() for key in keys), strict=True))
    for seed in seeds.tolist():
        groups.setdefault(values[seed], []).append(seed)
    found = []
    for value, own in groups.items():
        named = dict(zip(keys, value, strict=True))
        label = "".join(f" [{key.removeprefix('problem_')} = {v}]" for key, v in named.items())
        samples = named.get("problem_samples", run.config.problem["samples"])
        found.append((label, np.array(own), samples == "all"))
    return found


class _Pair:
    """Test losses (N, E) of (A) and of (B) on some seeds, beside what the theory says of them."""

    def __init__(self, run, flow, annealed, seeds):
        with np.errstate(over="ignore"):
            steep, flat = run["initial_residual"][seeds].T ** 2
        self._mixed = run["curvature"][seeds, 1] > 0.0
        self._at_target = not (steep + flat).any()
        self._due = self._mixed & (steep > 0.0) & (flat > 0.0)
        with np.errstate(all="ignore"):
            # eps a^2 / b^4, what the ratio's departure from 2 is measured in.
            order = np.where(self._mixed & (flat > 0.0), steep / flat**2, np.nan)[:, None] * run["level"]
            self._ratio = flow / annealed
        self._flow, self._annealed, self._level, self._order = flow, annealed, run["level"], order
        self._tolerance = np.clip(np.nan_to_num(FIRST_ORDER_ROOM * order, nan=np.inf), ROUNDING, LARGEST_TOLERANCE)
        self._usable = self._usable_levels(order, flat.max(initial=0.0))

    def _usable_levels(self, order, flat):
        """Which levels are low enough for the theory, and high enough for the step to have left nothing: bool (E,)."""
        worst = np.nanmax(order, axis=0, initial=0.0)
        low_enough = (self._level <= HIGHEST_LEVEL) & (FIRST_ORDER_ROOM * worst <= LARGEST_TOLERANCE)
        return low_enough & (self._level > 0.0) & (self._level >= LEFT_BY_ROUNDING * flat)

    def findings(self, everything: bool) -> list[Finding]:
        """[Finding, ...]: each measurement beside the theory and the tolerance."""
        if self._at_target:
            return [_undecided("the start is theta_star, so there is nothing to learn")]
        if not self._usable.any():
            return [_undecided(f"no level is low enough: at least one at or below {HIGHEST_LEVEL:g} is needed")]
        lowest = np.argmin(np.where(self._usable, self._level, np.inf))
        effect = self._ratio[:, lowest] >= HALFWAY
        found = [self._share(effect, everything, self._level[lowest])]
        due = effect | self._due
        if due.any():
            found += [self._factor(due), self._annealed_loss(due), self._flow_loss(due)]
        if not self._mixed.all():
            found.append(self._unseen())
        return found

    def _share(self, effect, everything, level):
        """The share of seeds with the effect against 3/4."""
        count, total = int(effect.sum()), effect.size
        measured = f"{count} of {total} seeds ({count / total:.4f})"
        found = Finding(f"ratio above {HALFWAY} at level {level:g}", measured, "3/4")
        if everything:
            if total < 2**ROWS:
                return found._replace(outcome=UNDECIDED, note=f"needs all {2**ROWS} samples")
            return found._replace(tolerance="exactly", outcome=outcome_of(count == SHARE * total))
        if total < FEWEST_SEEDS:
            return found._replace(outcome=UNDECIDED, note=f"needs at least {FEWEST_SEEDS} seeds")
        tolerance = SIGMAS * np.sqrt(SHARE * (1.0 - SHARE) / total)
        within = outcome_of(abs(count / total - SHARE) <= tolerance)
        return found._replace(tolerance=f"{tolerance:.4f} (4 sigma)", outcome=within)

    def _factor(self, due):
        """|A/B - 2| in the seeds that hold both axes, against 6 eps a^2/b^4."""
        worst = self._worst(abs(self._ratio - 2.0), self._tolerance, due)
        middle = np.median(self._ratio[due][:, worst.level])
        first = FIRST_ORDER * self._order[worst.seed, worst.level]
        note = f"|ratio - 2| up to {worst.off:.3g}, in theory 6 eps a^2/b^4 = {first:.3g}"
        what = f"median ratio of the seeds with both axes, at level {self._level[worst.level]:g}"
        return Finding(what, f"{middle:.7g}", 2.0, f"{worst.room:.3g}", worst.outcome, note)

    def _annealed_loss(self, due):
        """Test loss of (B) over eps against 3/4."""
        off = abs(self._annealed / (0.75 * self._level) - 1.0)
        worst = self._worst(off, np.full_like(off, ROUNDING), due)
        note = f"off by {worst.off:.2g} relative"
        measured = self._annealed[worst.seed, worst.level] / self._level[worst.level]
        return Finding("test loss of (B) / eps", measured, 0.75, f"{worst.room:g}", worst.outcome, note)

    def _flow_loss(self, due):
        """Test loss of (A) over eps against 3/2 - (9/2) eps a^2/b^4."""
        off = abs(self._flow / self._level - 1.5)
        worst = self._worst(off, 0.75 * self._tolerance, due)
        what = f"test loss of (A) / eps, at level {self._level[worst.level]:g}"
        measured = self._flow[worst.seed, worst.level] / self._level[worst.level]
        return Finding(what, measured, 1.5, f"{worst.room:.3g}", worst.outcome)

    def _unseen(self):
        """The ratio in seeds that hold one axis three times: 1."""
        off = abs(self._ratio - 1.0)
        worst = self._worst(off, np.full_like(off, ROUNDING), ~self._mixed)
        what = f"ratio of the {(~self._mixed).sum()} seeds that hold one axis three times"
        measured = self._ratio[worst.seed, worst.level]
        return Finding(what, measured, 1.0, f"{worst.room:g}", worst.outcome, f"off by {worst.off:.2g}")

    def _worst(self, off, room, seeds):
        """The cell of these seeds and the usable levels whose `off` is largest beside its tolerance `room`."""
        chosen = seeds[:, None] & self._usable
        off = np.where(chosen, np.where(np.isnan(off), np.inf, off), -np.inf)
        with np.errstate(over="ignore"):
            seed, level = np.unravel_index(np.argmax(off / room), off.shape)
        return _Worst(seed, level, off[seed, level], room[seed, level], outcome_of((off <= room).all()))


class _Worst(NamedTuple):
    """The cell that is farthest off, and whether all are within their tolerance."""

    seed: int
    level: int
    off: float
    room: float
    outcome: str
