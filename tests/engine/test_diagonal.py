"""Diagonal linear networks and noise of labels: against twins, closed forms and what is known of their limits."""

import math

import numpy as np
import pytest
from runs import assert_same_bits, command, run_blocks

import simlr
from naive import convex as naive
from naive import optimizers as methods
from naive import stochastic
from simlr.engine import convex
from simlr.errors import InputError
from simlr.problems.losses import Objective
from simlr.problems.sharpness import sharpness

ROOT, ROWS, INPUTS, SCALE = 3, 10, 6, 0.3
LONG = 10_000
TARGET = [1.0, -0.5, 0.25, 0.0, 0.0, 0.0]
GRID = f"""
name = "diagonal"
[problem]
kind = "gaussian"
dimension = {INPUTS}
train_rows = {ROWS}
target = {TARGET}
label_noise = 0.2
held_out_rows = 40
model = "diagonal"
initial_scale = {SCALE}
[seeds]
count = 2
root = {ROOT}
[stop]
steps = [1, 7, {LONG}]
[record]
points = 12
seeds = 2
iterates = true
[[schedule]]
kind = "cosine"
learning_rate = 0.05
steps = {LONG}
"""
OPTIMIZERS = """
[[optimizer]]
kind = "gd"
[[optimizer]]
kind = "nesterov"
momentum = 0.5
weight_decay = 0.01
[[optimizer]]
kind = "adam"
epsilon = 1e-3
[[optimizer]]
kind = "schedule_free_sgd"
[[optimizer]]
kind = "sgd"
batch_size = 3
"""
NOISES = """
[[noise]]
kind = "labels"
sigma = [0.0, 0.5]
[[noise]]
kind = "labels"
sigma = 0.5
batch_size = 3
[[noise]]
kind = "labels"
sigma = 0.5
batch_size = 4
sampling = "epochs"
[[optimizer]]
kind = "gd"
[[optimizer]]
kind = "momentum"
momentum = 0.5
"""


def grid_of(text, *overrides):
    return simlr.GridConfig.from_toml(text, overrides)


def rows_of(draw, kind="squared"):
    """((x, y) of the train rows, (x, y) of the held-out ones), drawn by NumPy."""
    parts = []
    for step, rows in ((0, ROWS), (2, 40)):
        x = stochastic.stream(ROOT, draw, 0, step).standard_normal((rows, INPUTS))
        y = x @ TARGET + 0.2 * stochastic.stream(ROOT, draw, 2, step).standard_normal(rows)
        parts.append((x, np.sign(y) if kind in ("logistic", "squared_hinge") else y))
    return parts


def gradient_of(kind, x, y, optimizer, noise, draw):
    """g(theta, t) of theta = (u, v), by the chain rule, on the rows and with the labels of a step."""
    batch = noise.get("batch_size") or 0

    def gradient(theta, t):
        u, v = np.split(theta, 2)
        picked = np.arange(len(y))
        if batch:
            chosen = stochastic.dealt if noise.get("sampling") == "epochs" else stochastic.picked
            picked = np.array(chosen(ROOT, draw, t, batch, len(y)))
        labels = y[picked].copy()
        if noise["kind"] == "labels":
            xi = stochastic.stream(ROOT, draw, 2, t + 1).standard_normal(batch or len(y))
            labels += noise["sigma"] * xi[: len(picked)]
        g = naive.gradient(kind, x[picked], labels, (u * v)[None])[0]
        return np.concatenate([g * v, g * u])

    return gradient


def twin(kind, train, optimizer, noise, rates, draw):
    """All iterates (T + 1, 2 d)."""
    own = {key: value for key, value in optimizer.items() if key not in ("kind", "batch_size", "sampling")}
    name = "gd" if optimizer["kind"] == "sgd" else optimizer["kind"]
    start = np.repeat([SCALE, 0.0], INPUTS)
    return methods.iterates(name, gradient_of(kind, *train, optimizer, noise, draw), start, rates, **own)


LENGTHS = [(300, 12), (300, 0), pytest.param(LONG, 12, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("length", "few"), LENGTHS)
@pytest.mark.parametrize(
    ("kind", "steps"), [("squared", OPTIMIZERS), ("logistic", OPTIMIZERS), ("squared", NOISES), ("huber", NOISES)]
)
def test_every_optimizer_and_noise_equals_its_twin(kind, steps, length, few, monkeypatch):
    """To 1e-11 of the largest value; with rows in the lanes, and with schedules in them."""
    monkeypatch.setattr(convex, "FEW_SCHEDULES", few)
    run = simlr.run(grid_of((GRID + steps).replace(f"{LONG}", f"{length}"), ("problem.loss", kind)))
    rates = 0.05 * 0.5 * (1.0 + np.cos(np.pi * np.arange(length) / length))
    for draw in (0, 1):
        train, test = rows_of(draw, kind)
        for s, (optimizer, noise, _) in enumerate(run.config.methods()):
            wanted = twin(kind, train, optimizer, noise, rates, draw)
            found = run["trajectory_iterate"][s, draw]
            np.testing.assert_allclose(
                found, wanted[run["recorded_step"][s]], rtol=0.0, atol=1e-11 * np.abs(wanted).max()
            )
            for e, step in enumerate((1, 7, length)):
                beta = np.prod(np.split(wanted[step], 2), axis=0)
                assert run["train_loss"][s, draw, e] == pytest.approx(naive.loss(kind, *train, beta[None]), rel=1e-9)
                assert run["test_loss"][s, draw, e] == pytest.approx(naive.loss(kind, *test, beta[None]), rel=1e-9)
                assert run["l1_norm"][s, draw, e] == pytest.approx(np.abs(beta).sum(), rel=1e-9)
                entries = np.abs(beta).sum() ** 2 / (beta**2).sum()
                assert run["effective_entries"][s, draw, e] == pytest.approx(entries, rel=1e-9)
    np.testing.assert_array_equal(run["target"][0], TARGET + [np.nan] * INPUTS)


ORTHOGONAL = """
name = "orthogonal"
[problem]
kind = "dataset"
file = "rows.csv"
target = "y"
test_data = "test.csv"
standardize = "none"
model = "diagonal"
initial_scale = 0.4
[seeds]
count = 1
[stop]
steps = [400]
[record]
points = 5
seeds = 1
iterates = true
[[schedule]]
kind = "constant"
learning_rate = 0.005
steps = 400
"""


def flow_time(beta, wanted, c):
    """When the flow of one entry, beta' = 4 (b - beta) sqrt(beta^2 + c^2) from 0, is at beta; c = scale^2 / 2."""
    r = math.hypot(wanted, c)

    def primitive(at):
        return math.log((c * c + wanted * at + r * math.hypot(at, c)) / abs(wanted - at)) / r

    return (primitive(beta) - primitive(0.0)) / 4.0


def test_an_orthogonal_design_is_the_flow_in_closed_form(tmp_path):
    """Entry by entry; the error halves with the rate, as does that of u^2 - v^2, which the flow conserves."""
    x = np.array([[1, 1, 1], [1, -1, 1], [1, 1, -1], [1, -1, -1]]) * [1.0, 1.0, 1.0]
    wanted = np.array([1.5, -0.7, 0.2])
    lines = ["a,b,c,y", *(",".join(map(str, [*row, row @ wanted])) for row in x)]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "test.csv").write_text("\n".join([*lines, "2.0,1.0,0.5,1.0"]) + "\n")
    (tmp_path / "grid.toml").write_text(ORTHOGONAL)
    errors, drifts = [], []
    for halvings in range(3):
        rate, steps = 0.005 / 2**halvings, 400 * 2**halvings
        changes = [("schedule.0.learning_rate", rate), ("schedule.0.steps", steps), ("stop.steps", [steps])]
        run = simlr.run(simlr.GridConfig.from_toml(tmp_path / "grid.toml", changes))
        u, v = np.split(run["trajectory_iterate"][0, 0, -1], 2)
        times = [flow_time(beta, b, 0.08) for beta, b in zip(u * v, wanted, strict=True)]
        errors.append(np.array(times) - 2.0)
        drifts.append(u**2 - v**2 - 0.16)
    for found in (errors, drifts):
        assert np.abs(found[0]).max() < 0.05
        np.testing.assert_allclose(found[0] / found[1], 2.0, rtol=0.05)
        np.testing.assert_allclose(found[1] / found[2], 2.0, rtol=0.03)


FEWER_ROWS = """
name = "bias"
[problem]
kind = "gaussian"
dimension = 16
train_rows = 8
target = [1.0, -1.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
model = "diagonal"
initial_scale = 1.0
[seeds]
count = 3
[stop]
steps = [60000]
[record]
points = 4
seeds = 3
iterates = true
[[schedule]]
kind = "constant"
learning_rate = 5e-5
steps = 60000
"""


def test_the_scale_of_the_start_chooses_between_the_l1_and_the_l2_solution():
    """Woodworth et al. (2020): of all that fits, the flow ends where arcsinh(2 beta / scale^2) lies among the rows;
    for a small scale that is the shortest in the l1 norm, for a large one in the l2 norm."""
    scipy = pytest.importorskip("scipy.optimize")
    chosen = ((1e-3, 0.02), (0.5, 0.005), (20.0, 5e-5))
    runs = [
        simlr.run(grid_of(FEWER_ROWS, ("problem.initial_scale", scale), ("schedule.0.learning_rate", rate)))
        for scale, rate in chosen
    ]
    for draw in range(3):
        x = stochastic.stream(0, draw, 0, 0).standard_normal((8, 16))
        y = x[:, 0] - x[:, 1]
        l1 = scipy.linprog(np.ones(32), A_eq=np.hstack([x, -x]), b_eq=y).fun
        l2 = np.linalg.pinv(x) @ y
        betas = [np.prod(np.split(run["trajectory_iterate"][0, draw, -1], 2), axis=0) for run in runs]
        for beta in betas:
            np.testing.assert_allclose(x @ beta, y, atol=3e-3)
        for beta, scale in zip(betas[1:], (0.5, 20.0), strict=True):
            mirrored = np.arcsinh(2.0 * beta / scale**2)
            outside = mirrored - np.linalg.pinv(x) @ (x @ mirrored)
            assert np.linalg.norm(outside) < 0.02 * np.linalg.norm(mirrored)
        assert np.abs(betas[0]).sum() == pytest.approx(l1, rel=0.01)
        assert np.linalg.norm(betas[2] - l2) < 1e-3 * np.linalg.norm(l2)
        assert np.abs(betas[2]).sum() > 1.2 * l1
        assert np.linalg.norm(betas[0]) > 1.1 * np.linalg.norm(l2)


def test_bits_do_not_depend_on_blocks_threads_or_a_resume(tmp_path):
    text = (GRID + NOISES).replace(f"{LONG}", "60")
    few = [("seeds.count", 5), ("record.sharpness", True)]
    whole = simlr.run(grid_of(text, *few), threads=1)
    two = grid_of(text, *few, ("run.block_seeds", 2))
    assert_same_bits(simlr.run(two, threads=2), whole)
    run_blocks(two, tmp_path / "run.h5", [1])
    assert_same_bits(simlr.run(two, tmp_path / "run.h5", resume=True), whole)


def test_levels_are_met_and_landed_upon():
    """The loss along a step is no parabola, and no convex function: the landing still meets the level."""
    text = (GRID + OPTIMIZERS).replace(f"steps = [1, 7, {LONG}]", 'train_loss = [0.5, 0.1]\nlanding = "exact"')
    run = simlr.run(grid_of(text.replace(f"steps = {LONG}", "steps = 2000")))
    reached = run["status"] == 1
    assert reached.mean() > 0.7
    level = np.broadcast_to(run["level"], reached.shape)
    np.testing.assert_allclose(run["train_loss"][reached], level[reached], rtol=2e-14)


@pytest.mark.parametrize("kind", ["squared", "logistic", "softmax", "huber"])
def test_its_sharpness_is_that_of_the_whole_hessian(kind):
    """Of all products of differences of the gradient, along every axis."""
    rng, outputs = np.random.default_rng(4), 3 if kind == "softmax" else 1
    x = rng.normal(size=(12, 5))
    labels = {"softmax": rng.integers(0, 3, 12) * 1.0, "logistic": rng.choice([-1.0, 1.0], 12)}
    y = labels.get(kind, rng.normal(size=12))
    half = 5 * outputs
    theta = rng.normal(size=(4, 2 * half)) * np.array([[1e-3], [0.3], [1.0], [2.0]])
    theta[0] = np.repeat([0.3, 0.0], half)

    def gradient(at):
        u, v = np.split(at, 2)
        g = naive.gradient(kind, x, y, (u * v).reshape(outputs, -1)).reshape(-1)
        return np.concatenate([g * v, g * u])

    found = sharpness(Objective(kind, x, y, outputs, 1.0, np.zeros(half), "diagonal"), theta)
    for one, value in zip(theta, found, strict=True):
        moves = 1e-6 * np.eye(2 * half)
        hessian = np.array([(gradient(one + move) - gradient(one - move)) / 2e-6 for move in moves])
        assert value == pytest.approx(np.linalg.eigvalsh(0.5 * (hessian + hessian.T))[-1], rel=1e-6)


def test_a_model_is_an_axis():
    """The linear one of them is the one that stands alone, and has no further axes."""
    text = (GRID + OPTIMIZERS).replace(f"{LONG}", "200").replace("[seeds]", 'loss = "huber"\n[seeds]')
    both = simlr.run(grid_of(text, ("problem.model", ["linear", "diagonal"])))
    linear = text.replace('model = "diagonal"\n', "").replace(f"initial_scale = {SCALE}\n", "")
    alone = simlr.run(grid_of(linear))
    assert np.isnan(both["trajectory_iterate"][:, :2, :, INPUTS:]).all()
    assert np.isfinite(both["trajectory_iterate"][:, 2:]).all()
    assert alone["axis"].size == INPUTS
    network = simlr.run(grid_of(text))
    np.testing.assert_array_equal(both["train_loss"][:, :2], alone["train_loss"])
    np.testing.assert_array_equal(both["train_loss"][:, 2:], network["train_loss"])


def test_label_noise_goes_with_least_squares():
    """By rows, and without it they are those of least squares in closed form."""
    text = (GRID + NOISES).replace('model = "diagonal"\n', "").replace(f"initial_scale = {SCALE}\n", "")
    text = text.replace("held_out_rows = 40\n", "").replace(f"{LONG}", "200")
    noisy = simlr.run(grid_of(text))
    plain = simlr.run(grid_of(text[: text.index("[[noise]]")]))
    assert noisy.config.by_rows
    np.testing.assert_allclose(noisy["train_loss"][0], plain["train_loss"][0], rtol=1e-10)
    assert (noisy["train_loss"][2, :, 2] > plain["train_loss"][0, :, 2]).all()


REFUSED = [
    ([("problem.ridge", 0.1)], "problem.ridge goes with model = 'linear'"),
    ([("problem.model", "linear"), ("problem.initial_scale", 0.2)], "initial_scale goes with model = 'diagonal'"),
    ([("problem.model", "diagnal")], "'diagonal'"),
    ([("problem.initial_scale", 0.0)], "problem.initial_scale must be"),
    ([("problem.start", [1.0] * INPUTS)], "problem.start goes with the plain squared loss"),
    ([("engine", "closed-form")], "problem.model = 'diagonal' has no closed form"),
    (
        [("expectation", {}), ("record.iterates", False)],
        r"\[expectation\]: problem.model = 'diagonal' has no exact means",
    ),
    ([("schedule.0", {"kind": "flow"})], "a flow goes with the plain squared loss"),
    ([("noise", [{"kind": "gradient", "sigma": 0.1}])], "noise 'gradient' goes with the plain squared loss"),
    (
        [("noise", [{"kind": "labels", "sigma": 0.1}]), ("problem.loss", "logistic")],
        "noise 'labels' is added to numbers",
    ),
    ([("noise", [{"kind": "labels"}])], "sigma"),
]


@pytest.mark.parametrize(("changes", "said"), REFUSED)
def test_what_does_not_go_with_it_is_refused_in_one_line(changes, said):
    with pytest.raises(InputError, match=said) as told:
        simlr.run(grid_of(GRID.replace(f"{LONG}", "20"), *changes))
    assert len(str(told.value).splitlines()) == 1


def test_a_run_grows_and_is_merged_to_the_bits_of_one(tmp_path):
    """More seeds and rates, and two shards."""
    text = (GRID + NOISES).replace(f"{LONG}", "60").replace("seeds = 2", 'seeds = "all"')
    wanted = simlr.run(grid_of(text, ("seeds.count", 5), ("run.block_seeds", 2)))
    path = tmp_path / "run.h5"
    simlr.run(grid_of(text, ("seeds.count", 3), ("run.block_seeds", 2)), path)
    grown = simlr.run(grid_of(text, ("seeds.count", 5), ("run.block_seeds", 2)), path, extend=True)
    assert_same_bits(grown, wanted)
    (tmp_path / "grid.toml").write_text(text)
    settings = ["--set", "seeds.count=5", "--set", "run.block_seeds=2"]
    for index in (0, 1):
        shard = ["grid.toml", *settings, "--shard", f"{index}/2", "--out", f"{index}.h5"]
        done = command(*shard, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    done = command("0.h5", "1.h5", "--out", "whole.h5", cwd=tmp_path, module="simlr.merge")
    assert done.returncode == 0, done.stderr
    assert_same_bits(simlr.load(tmp_path / "whole.h5"), wanted)
