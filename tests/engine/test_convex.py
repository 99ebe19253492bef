"""Logistic, softmax, Huber and squared hinge losses, and ridges: against twins, closed forms, and bit by bit."""

import math

import numpy as np
import pytest
from runs import ROOT as PROJECT
from runs import assert_same_bits, bits, command, run_blocks

import simlr
from naive import convex as naive
from naive import stochastic as methods
from simlr.engine import convex
from simlr.errors import InputError
from simlr.grid.job import Job
from simlr.store import file_format

ROWS, TRAIN, TEST = 60, 30, 25
LONG = 10_000
ROOT = 3

GRID = """
name = "convex"
[problem]
kind = "dataset"
file = "table.csv"
target = "y"
train_rows = 30
test_rows = 25
intercept = true
[seeds]
count = 2
root = 3
[stop]
steps = [1, 7, 10000]
[record]
points = 12
seeds = 2
iterates = true
[[schedule]]
kind = "cosine"
unit = "sharpness"
learning_rate = 0.3
steps = 10000
[[optimizer]]
kind = "gd"
average = "tail"
average_start = 5
[[optimizer]]
kind = "momentum"
momentum = 0.5
[[optimizer]]
kind = "nesterov"
momentum = 0.5
average = "exponential"
[[optimizer]]
kind = "sgd"
batch_size = 3
[[optimizer]]
kind = "sgd"
batch_size = 7
sampling = "epochs"
"""


def table_of(kind, rows=ROWS, seed=0):
    """Features (rows, 3) and a target that goes with the loss, not separable: numbers as they stand in the file."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.standard_normal((rows, 3)), 4)
    score = x @ [1.0, -0.5, 0.25] + rng.standard_normal(rows)
    if kind in ("logistic", "squared_hinge"):
        return x, np.where(score > 0, 1, -1)
    if kind == "softmax":
        return x, np.digitize(score, [-0.7, 0.7])
    return x, np.round(score + 5.0 * (rng.random(rows) < 0.1), 4)


def write_table(folder, x, y):
    """The table as CSV."""
    lines = [",".join([*(f"{v}" for v in row), str(label)]) for row, label in zip(x, y, strict=True)]
    (folder / "table.csv").write_text("\n".join(["a,b,c,y", *lines]) + "\n")


def grid_of(folder, text=GRID, **changes):
    """A grid in a folder, single values replaced by dotted keys with __ for the dot."""
    (folder / "grid.toml").write_text(text)
    overrides = [(key.replace("__", "."), value) for key, value in changes.items()]
    return simlr.GridConfig.from_toml(folder / "grid.toml", overrides)


def rows_of(x, y, kind, draw):
    """(x, y) of the train and of the test rows of one draw, with the intercept's column, which least squares lack."""
    numbers = kind in ("squared", "huber")
    train, test = naive.split(np.column_stack([x, y]).astype(float), ROOT, draw, TRAIN, TEST)
    raw_train, raw_test = naive.split(np.column_stack([x, y]), ROOT, draw, TRAIN, TEST, standardize=False)
    parts = []
    for scaled, raw in ((train, raw_train), (test, raw_test)):
        features = np.column_stack([scaled[:, :-1], np.ones(len(scaled))])[:, : 3 if kind == "squared" else 4]
        parts.append((features, scaled[:, -1] if numbers else raw[:, -1]))
    return parts


def strength_of(x, ridge):
    """The ridge of every parameter of a class: none of the intercept's."""
    return ridge * np.array([1.0, 1.0, 1.0, 0.0])[: x.shape[1]]


def twin(kind, train, method, rates, ridge, outputs, draw):
    """All iterates (T + 1, k d) by the formulas."""
    x, y = train
    strength = strength_of(x, ridge)

    def gradient(theta, t):
        picked = slice(None)
        if method["kind"] == "sgd":
            draw_rows = methods.picked if method["sampling"] == "replacement" else methods.dealt
            picked = list(draw_rows(ROOT, draw, t, method["batch_size"], TRAIN))
        return naive.gradient(kind, x[picked], y[picked], theta.reshape(outputs, -1), strength).reshape(-1)

    optimizer = "gd" if method["kind"] == "sgd" else method["kind"]
    return methods.iterates(gradient, np.zeros(x.shape[1] * outputs), rates, optimizer, method.get("momentum", 0.0))


def largest(kind, x, ridge):
    """The largest eigenvalue of what the Hessian is nowhere above."""
    most = {"squared": 2.0, "logistic": 0.25, "softmax": 0.5, "huber": 1.0, "squared_hinge": 2.0}[kind]
    return np.linalg.eigvalsh(most * x.T @ x / len(x) + np.diag(strength_of(x, ridge)))[-1]


KINDS = [("logistic", 0.0), ("softmax", 0.05), ("huber", 0.0), ("squared_hinge", 0.01), ("squared", 0.3)]


@pytest.mark.parametrize(("kind", "ridge"), KINDS)
@pytest.mark.parametrize(("length", "few"), [(300, 12), (300, 0), pytest.param(LONG, 12, marks=pytest.mark.slow)])
def test_every_loss_and_optimizer_equals_its_twin(kind, ridge, length, few, tmp_path, monkeypatch):
    """To 1e-11 of the largest value; with rows in the lanes, and with schedules in them."""
    monkeypatch.setattr(convex, "FEW_SCHEDULES", few)
    x, y = table_of(kind)
    write_table(tmp_path, x, y)
    text = GRID.replace(f"{LONG}", f"{length}")
    run = simlr.run(grid_of(tmp_path, text, problem__loss=kind, problem__ridge=ridge))
    outputs, draw = 3 if kind == "softmax" else 1, 1
    train, test = rows_of(x, y, kind, draw)
    top = largest(kind, train[0], ridge)
    assert run["sharpness"][draw] == pytest.approx(top, rel=1e-12)
    rates = 0.3 * 0.5 * (1.0 + np.cos(np.pi * np.arange(length) / length)) / top
    for s, (method, _, _) in enumerate(run.config.methods()):
        wanted = twin(kind, train, method, rates, ridge, outputs, draw)
        found = run["trajectory_iterate"][s, draw]
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(found, wanted[run["recorded_step"][s]], rtol=0.0, atol=1e-11 * scale)
        check_losses(run, s, draw, kind, (train, test), wanted, ridge)
        check_averages(run, s, draw, kind, train, wanted, ridge)


def check_losses(run, s, draw, kind, parts, wanted, ridge):
    """The losses at the stops and moments are those of the twin's iterates."""
    (train, test), d = parts, parts[0][0].shape[1]
    strength = strength_of(train[0], ridge)
    for e, step in enumerate(run["level"].astype(int)):
        theta = wanted[step].reshape(-1, d)
        assert run["stop_step"][s, draw, e] == step
        assert run["train_loss"][s, draw, e] == pytest.approx(naive.loss(kind, *train, theta, strength), rel=1e-10)
        assert run["test_loss"][s, draw, e] == pytest.approx(naive.loss(kind, *test, theta), rel=1e-10)
        found = run["test_accuracy"][s, draw, e]
        assert math.isnan(found) if kind in ("huber", "squared") else found == naive.accuracy(kind, *test, theta)
        found = run["margin"][s, draw, e]
        assert math.isnan(found) if kind in ("huber", "squared") else found == pytest.approx(margin(*train, theta))
    for k, step in enumerate(run["recorded_step"][s]):
        theta = wanted[step].reshape(-1, d)
        found = run["trajectory_train_loss"][s, draw, k]
        assert found == pytest.approx(naive.loss(kind, *train, theta, strength), rel=1e-10)


def margin(x, y, theta):
    """The least distance of a row's own side, as a share of |theta|."""
    sides = []
    for row, label in zip(x, y, strict=True):
        scores = list(theta @ row)
        sides.append(label * scores[0] if len(scores) == 1 else scores.pop(int(label)) - max(scores))
    return min(sides) / math.sqrt((theta**2).sum())


def check_averages(run, s, draw, kind, train, wanted, ridge):
    """The train loss of the averaged iterate at the second stop; NaN without one."""
    found, step = run["average_train_loss"][s, draw, 1], 7
    average = {
        "tail": lambda: methods.tail(wanted, 5, step),
        "exponential": lambda: methods.exponential(wanted[: step + 1], 0.99)[step],
    }.get(run.config.methods()[s][0].get("average"))
    if average is None:
        assert math.isnan(found)
        return
    theta = average().reshape(-1, train[0].shape[1])
    assert found == pytest.approx(naive.loss(kind, *train, theta, strength_of(train[0], ridge)), rel=1e-10)


GOLDENS = {
    1.0: (0.479802, 0.108022, 0.0103436, 0.00510427),
    10.0: (0.107306, 0.0103254, 0.00100559, 0.000501574),
}


def test_separable_points_have_the_known_losses_and_no_minimiser(tmp_path):
    """Points (0.1, 0.9) and (0.1, -0.5) of one class; the second one is mirrored, with its label."""
    lines = ["a,b,y,part", "0.1,0.9,1,train", "-0.1,0.5,-1,train", "0.1,0.2,1,test"]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    text = """
[problem]
kind = "dataset"
file = "table.csv"
target = "y"
split = "part"
standardize = "none"
loss = "logistic"
[seeds]
count = 1
[stop]
steps = [100, 1000, 10000, 20000]
[record]
points = 0
[[schedule]]
kind = "constant"
learning_rate = [1.0, 10.0]
"""
    run = simlr.run(grid_of(tmp_path, text))
    for s, losses in enumerate(GOLDENS.values()):
        np.testing.assert_allclose(run["train_loss"][s, 0], losses, rtol=6e-6)
    assert run["train_floor"][0] == 0.0
    assert np.isnan(run["train_minimiser"]).all()
    # eta gamma^2 T L -> 1
    assert 10.0 * 0.01 * 20000 * run["train_loss"][1, 0, -1] == pytest.approx(1.0, rel=0.01)


LEVELS = GRID.replace("steps = [1, 7, 10000]", "train_loss = [0.6, 0.01, 0.66]\nmax_steps = 400").replace(
    "steps = 10000", "steps = 400"
)


def small(folder, **changes):
    """A logistic regression with levels, whose blocks are small."""
    x, y = table_of("logistic")
    write_table(folder, x, np.where(y > 0, "yes", "no"))
    return grid_of(folder, LEVELS, problem__loss="logistic", seeds__count=5, **changes)


def test_levels_are_first_passages(tmp_path):
    """The first step at which the train loss is at or below the level; below the floor there is none."""
    config = small(tmp_path)
    run = simlr.run(config)
    x, y = table_of("logistic")
    for draw in range(5):
        train, _ = rows_of(x, y, "logistic", draw)
        rates = 0.3 * 0.5 * (1.0 + np.cos(np.pi * np.arange(400) / 400)) / largest("logistic", train[0], 0.0)
        assert (run["status"][:, draw, 1] == 4).all()
        assert run["initial_train_loss"][draw] == pytest.approx(math.log(2.0), rel=1e-15)
        for s, (method, _, _) in enumerate(config.methods()):
            wanted = twin("logistic", train, method, rates, 0.0, 1, draw)
            losses = [naive.loss("logistic", *train, theta[None]) for theta in wanted]
            for e, level in ((0, 0.6), (2, 0.66)):
                below = [t for t, loss in enumerate(losses) if loss <= level]
                assert run["status"][s, draw, e] == (1 if below else 2)
                assert run["stop_step"][s, draw, e] == (below[0] if below else 400)


def test_a_landed_stop_lies_on_the_level(tmp_path):
    """On the line of the step that met it, at the share of it that is given."""
    config = small(tmp_path, stop__landing="exact", record__points=0)
    run, whole = simlr.run(config), simlr.run(small(tmp_path, record__points=0))
    reached = run["status"] == 1
    assert reached[:, :, [0, 2]].any()
    np.testing.assert_array_equal(run["status"], whole["status"])
    np.testing.assert_array_equal(run["stop_step"], whole["stop_step"])
    level = np.broadcast_to(run["level"], reached.shape)
    np.testing.assert_allclose(run["train_loss"][reached], level[reached], rtol=2e-15)
    assert (run["stop_fraction"][reached] > 0.0).all() and (run["stop_fraction"][reached] <= 1.0).all()
    x, y = table_of("logistic")
    train, test = rows_of(x, y, "logistic", 0)
    rates = 0.3 * 0.5 * (1.0 + np.cos(np.pi * np.arange(400) / 400)) / largest("logistic", train[0], 0.0)
    for s, (method, _, _) in enumerate(config.methods()):
        wanted = twin("logistic", train, method, rates, 0.0, 1, 0)
        for e in (0, 2):
            if run["status"][s, 0, e] == 1:
                step, share = run["stop_step"][s, 0, e], run["stop_fraction"][s, 0, e]
                theta = wanted[step - 1] + share * (wanted[step] - wanted[step - 1])
                assert run["test_loss"][s, 0, e] == pytest.approx(naive.loss("logistic", *test, theta[None]), rel=1e-10)
                elapsed = rates[: step - 1].sum() + share * rates[step - 1]
                assert run["stop_time"][s, 0, e] == pytest.approx(elapsed, rel=1e-12)


def test_bits_do_not_depend_on_blocks_threads_or_a_resume(tmp_path):
    """Nor on what else is in the block."""
    whole = simlr.run(small(tmp_path, stop__landing="exact"), threads=1)
    assert_same_bits(simlr.run(small(tmp_path, stop__landing="exact", run__block_seeds=2), threads=2), whole)
    assert_same_bits(simlr.run(small(tmp_path, stop__landing="exact", run__block_seeds=5), threads=2), whole)
    config, path = small(tmp_path, stop__landing="exact", run__block_seeds=2), tmp_path / "run.h5"
    run_blocks(config, path, [1])
    assert_same_bits(simlr.run(config, path, resume=True), whole)


@pytest.mark.parametrize(("least", "mode"), [(1e-6, "absolute"), (0.001, "relative")])
def test_validation_stops_a_run(tmp_path, least, mode):
    """At the best check of a twin."""
    x, y = table_of("logistic", rows=90)
    write_table(tmp_path, x, y)
    rule = f"patience = [2], every = 3, min_delta = {least}, min_delta_mode = {mode!r}"
    text = GRID.replace("steps = [1, 7, 10000]", f"validation = {{ {rule} }}\nmax_steps = 300")
    text = text.replace("steps = 10000", "steps = 300").replace("test_rows", "validation_rows = 20\ntest_rows")
    config = grid_of(tmp_path, text, problem__loss="logistic", problem__ridge=0.01)
    run = simlr.run(config)
    for draw in (0, 1):
        train, rest = naive.split(np.column_stack([x, y]), ROOT, draw, TRAIN, 20, standardize=False)
        mean, spread = train[:, :3].mean(axis=0), train[:, :3].std(axis=0)
        own, held = ((part[:, :3] - mean) / spread for part in (train, rest))
        own, held = (np.column_stack([part, np.ones(len(part))]) for part in (own, held))
        rates = 0.3 * 0.5 * (1.0 + np.cos(np.pi * np.arange(300) / 300)) / largest("logistic", own, 0.01)
        for s, (method, _, _) in enumerate(config.methods()):
            wanted = twin("logistic", (own, train[:, 3]), method, rates, 0.01, 1, draw)
            best, wait, at = math.inf, -1, 0
            for step in range(0, 301, 3):
                found = naive.loss("logistic", held, rest[:, 3], wanted[step][None])
                if (found + least < best) if mode == "absolute" else (found < best * (1.0 - least)):
                    best, wait, at = found, 0, step
                elif (wait := wait + 1) == 2:
                    break
            assert run["stop_step"][s, draw, 0] == at
            assert run["validation_loss"][s, draw, 0] == pytest.approx(best, rel=1e-10)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"problem__loss": "logistc"}, "unknown loss 'logistc'; did you mean 'logistic'?"),
        ({"problem__huber_delta": 2.0}, "problem.huber_delta goes with loss = 'huber'"),
        ({"problem__features": "rbf"}, "problem.intercept goes with features = 'linear'"),
        ({"problem__label_noise": 0.1}, "label_noise"),
        ({"engine": "closed-form"}, "closed form"),
        ({"expectation": {}, "record__iterates": False, "optimizer": [{"kind": "momentum"}]}, "no exact means"),
        ({"schedule": [{"kind": "flow"}], "stop": {"train_loss": [0.5]}}, "a flow goes with"),
        ({"noise": [{"kind": "gradient", "sigma": 0.1}], "optimizer": [{"kind": "gd"}]}, "noise 'gradient'"),
        ({"record__stop_residual": True}, "record.stop_residual"),
    ],
)
def test_what_is_not_there_is_refused(changes, said, tmp_path):
    x, y = table_of("logistic")
    write_table(tmp_path, x, y)
    with pytest.raises(InputError) as refusal:
        simlr.run(grid_of(tmp_path, **{"problem__loss": "logistic", "engine": "auto"} | changes))
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("labels", "loss", "said"),
    [
        (["a", "b", "c"], "logistic", "3 classes ('a', 'b', 'c'), and this loss takes two; loss = 'softmax'"),
        (["0", "1", "2"], "squared_hinge", "loss = 'softmax' takes all of them"),
        (["a", "b", "c"], "squared", "loss = 'logistic' takes two of them, 'softmax' any number"),
        (["a", "a", "a"], "softmax", "1 class; two at least"),
        (["0.5", "1", "2"], "softmax", "holds 0.5, which names no class"),
        (["0.5", "1", "2"], "logistic", "holds 0.5, which names no class; loss = 'squared' or 'huber' takes numbers"),
    ],
)
def test_classes_that_a_loss_does_not_take_are_refused(labels, loss, said, tmp_path):
    x, _ = table_of("logistic")
    write_table(tmp_path, x, [labels[i % 3] for i in range(ROWS)])
    with pytest.raises(InputError) as refusal:
        simlr.run(grid_of(tmp_path, problem__loss=loss))
    assert said in str(refusal.value)


@pytest.mark.parametrize("labels", [("no", "yes"), ("false", "true"), ("0", "1"), ("-1", "1"), ("3", "20")])
def test_two_classes_are_found_whatever_they_are_called(labels, tmp_path):
    """The first in the order of numbers, or of letters, is -1."""
    x, y = table_of("logistic")
    write_table(tmp_path, x, [labels[int(label > 0)] for label in y])
    config = grid_of(tmp_path, LEVELS, problem__loss="logistic", seeds__count=1)
    run = simlr.run(config)
    assert f"'{labels[0]}' is -1, '{labels[1]}' is 1" in run.attributes["problem_data"]
    write_table(tmp_path, x, y)
    assert bits(simlr.run(config))["train_loss"] == bits(run)["train_loss"]


@pytest.mark.parametrize(
    ("labels", "classes", "said"),
    [
        (("False", "True", "true"), "'False', 'true'", "'True', 'true' are one class, 'true'"),
        (("FALSE", "TRUE", "TRUE"), "'FALSE', 'TRUE'", ""),
        (("false", "True", "TRUE"), "'false', 'true'", "'TRUE', 'True' are one class, 'true'"),
        (("a", "No", "no"), "'No', 'a', 'no'", "the classes 'No', 'no' differ by case alone"),
    ],
)
def test_words_for_true_and_false_are_one_class_however_they_are_written(labels, classes, said, tmp_path):
    """Others that differ by case alone are not, and get a word."""
    x, _ = table_of("softmax")
    write_table(tmp_path, x, [labels[i % 3] for i in range(ROWS)])
    told = Job(grid_of(tmp_path, problem__loss="softmax")).data()[0]
    assert f"classes: {classes}" in told
    assert said in told
    assert said or "class," not in told


def test_a_plain_grid_says_nothing_of_losses(tmp_path):
    """Its description is what it was before there were any, so that files of old grids are gone on with."""
    x, y = table_of("squared")
    write_table(tmp_path, x, y)
    config = grid_of(tmp_path, problem__loss="squared", problem__ridge=0.0)
    assert not {"loss", "ridge", "huber_delta"} & config.problem.keys()
    assert config == grid_of(tmp_path)
    assert "test_accuracy" not in {field.name for field in file_format.all_fields(Job(config).plan)}


def test_whole_numbers_are_not_regressed_without_a_word(tmp_path):
    """They may be classes."""
    x, y = table_of("softmax")
    write_table(tmp_path, x, y)
    said = Job(grid_of(tmp_path)).data()[0]
    assert "its 3 whole numbers are taken as numbers (loss = 'softmax' takes classes)" in said
    x, y = table_of("squared")
    write_table(tmp_path, x, y)
    assert "whole numbers" not in Job(grid_of(tmp_path)).data()[0]


@pytest.mark.slow
def test_a_table_with_classes_goes_from_the_grid_to_the_page(tmp_path):
    """By the real commands: run whole and in shards, merged, verified, reported."""
    small(tmp_path)
    text = LEVELS.replace('target = "y"', 'target = "y"\nloss = ["logistic", "squared_hinge"]\nridge = 0.01')
    (tmp_path / "mine.toml").write_text(text.replace("count = 2", "count = 20"))
    shown = command("mine.toml", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "2 classes: 'no', 'yes'; loss logistic: 'no' is -1, 'yes' is 1" in shown.stderr
    assert "Test rows classified correctly, in %" in shown.stdout
    assert "[loss logistic]" in shown.stdout and "the first of 2 problem combinations" in shown.stdout
    for shard in ("0/2", "1/2"):
        part = command(
            "mine.toml", "--shard", shard, "--set", "run.block_seeds=8", "--out", f"{shard[0]}.h5", cwd=tmp_path
        )
        assert part.returncode == 0, part.stderr
    merged = command("0.h5", "1.h5", "--out", "merged.h5", cwd=tmp_path, module="simlr.merge")
    assert merged.returncode == 0, merged.stderr
    assert_same_bits(simlr.load(tmp_path / "merged.h5"), simlr.load(tmp_path / "data/convex.h5"))
    verified = command("--verify", "merged.h5", cwd=tmp_path)
    assert verified.returncode == 0 and "sound" in verified.stdout
    page = command("merged.h5", cwd=tmp_path, module="simlr.report")
    assert page.returncode == 0, page.stderr
    words = (tmp_path / "merged-report/report.md").read_text(encoding="utf-8")
    assert words.count("Test rows classified correctly") == 2  # of either loss
    assert "Test loss under loss = 'logistic': the mean log loss in nats" in words
    assert "test_accuracy" in (tmp_path / "merged-report/summary.csv").read_text(encoding="utf-8")


def test_the_grid_of_the_document_runs(tmp_path):
    """As it stands in docs/convex.md."""
    x, y = table_of("logistic", rows=150)
    write_table(tmp_path, x, np.where(y > 0, "yes", "no"))
    text = (PROJECT / "docs/convex.md").read_text(encoding="utf-8").split("```toml")[1].split("```")[0]
    text = text.replace("mine.csv", "table.csv").replace('"label"', '"y"')
    run = simlr.run(grid_of(tmp_path, text, seeds__count=3))
    assert run["test_accuracy"].shape == (2, 6, 3) and (run["test_accuracy"] > 0.5).all()


def test_a_kernel_learns_by_another_loss(tmp_path):
    """Points within a circle and out of it, no line between them; the loss is a twin's in the kernel's space."""
    rng = np.random.default_rng(4)
    x = np.round(rng.uniform(-1.5, 1.5, (ROWS, 3)), 4)
    y = np.where((x**2).sum(axis=1) > 2.0, 1, -1)
    write_table(tmp_path, x, y)
    changes = {"problem__intercept": False, "problem__features": "rbf", "problem__length_scale": 2.0}
    text = GRID.replace(f"{LONG}", "200")
    run = simlr.run(grid_of(tmp_path, text, problem__loss="logistic", problem__ridge=0.01, seeds__count=1, **changes))
    train, test = naive.split(np.column_stack([x, y]).astype(float), ROOT, 0, TRAIN, TEST)
    (_, labels), (_, told) = rows_of(x, y, "logistic", 0)

    def kernel(a, b):
        return np.exp(-((a[:, None, :3] - b[None, :, :3]) ** 2).sum(axis=2) / 8.0)

    # theta = sum_i a_i phi(x_i): a <- a - eta (slope / n + ridge a)
    own, alpha, losses = kernel(train, train), np.zeros(TRAIN), []
    top = np.linalg.eigvalsh(0.25 * own / TRAIN)[-1] + 0.01
    for t in range(200):
        slope = -labels / (1.0 + np.exp(labels * (own @ alpha)))
        alpha = alpha - 0.3 * 0.5 * (1.0 + np.cos(np.pi * t / 200)) / top * (slope / TRAIN + 0.01 * alpha)
        losses.append(np.log1p(np.exp(-told * (kernel(test, train) @ alpha))).mean())
    np.testing.assert_allclose(run["test_loss"][0, 0], [losses[0], losses[6], losses[199]], rtol=1e-9)


def test_random_features_learn_by_another_loss(tmp_path):
    """As many parameters as features."""
    x, y = table_of("softmax")
    write_table(tmp_path, x, y)
    changes = {"problem__intercept": False, "problem__features": "relu", "problem__feature_count": 20}
    text = GRID.replace(f"{LONG}", "200")
    run = simlr.run(grid_of(tmp_path, text, problem__loss="softmax", problem__ridge=0.05, **changes))
    assert run["axis"].size == 60
    assert (run["train_loss"][:, :, 2] < run["initial_train_loss"]).all()
    assert (run["train_loss"][:3, :, 2] >= run["train_floor"]).all()


GAUSSIAN = (
    GRID[: GRID.index("[problem]")]
    + """
[problem]
kind = "gaussian"
train_rows = 40
train_covariance = [2.0, 1.0, 0.5]
test_covariance = [1.0, 4.0, 1.0]
target = [1.0, -0.5, 0.25]
label_noise = 0.5
held_out_rows = 300
"""
    + GRID[GRID.index("[seeds]") :].replace(f"{LONG}", "100")
)


@pytest.mark.parametrize("kind", ["logistic", "squared_hinge", "huber", "squared"])
def test_gaussian_rows_have_the_signs_of_noisy_scores(kind, tmp_path):
    """Train and test rows drawn by the twin, the losses of its iterates."""
    run = simlr.run(grid_of(tmp_path, GAUSSIAN, problem__loss=kind, problem__ridge=0.02))
    for draw in (0, 1):
        parts = []
        for step, rows, spread in ((0, 40, [2.0, 1.0, 0.5]), (2, 300, [1.0, 4.0, 1.0])):
            x = methods.stream(ROOT, draw, 0, step).standard_normal((rows, 3)) * np.sqrt(spread)
            y = x @ [1.0, -0.5, 0.25] + 0.5 * methods.stream(ROOT, draw, 2, step).standard_normal(rows)
            parts.append((x, y if kind in ("huber", "squared") else np.sign(y)))
        (x, y), test = parts
        most = {"squared": 2.0, "logistic": 0.25, "huber": 1.0, "squared_hinge": 2.0}[kind]
        top = np.linalg.eigvalsh(most * x.T @ x / 40 + 0.02 * np.eye(3))[-1]
        rates = 0.3 * 0.5 * (1.0 + np.cos(np.pi * np.arange(100) / 100)) / top

        def gradient(theta, t, x=x, y=y):
            return naive.gradient(kind, x, y, theta[None], 0.02)[0]

        wanted = methods.iterates(gradient, np.zeros(3), rates)
        for e, step in enumerate((1, 7, 100)):
            found = naive.loss(kind, x, y, wanted[step][None], 0.02), naive.loss(kind, *test, wanted[step][None])
            assert run["train_loss"][0, draw, e] == pytest.approx(found[0], rel=1e-11)
            assert run["test_loss"][0, draw, e] == pytest.approx(found[1], rel=1e-11)
        np.testing.assert_array_equal(run["target"][draw], [1.0, -0.5, 0.25])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"problem__loss": "softmax"}, "two classes; use 'logistic'"),
        ({"problem__start": [1.0, 0.0, 0.0]}, "problem.start goes with the plain squared loss"),
        ({"problem__loss": "squared"}, "problem.held_out_rows: the plain squared loss"),
    ],
)
def test_what_gaussian_rows_do_not_have_is_refused(changes, said, tmp_path):
    with pytest.raises(InputError, match=said):
        simlr.run(grid_of(tmp_path, GAUSSIAN, **{"problem__loss": "logistic"} | changes))


def test_problems_without_rows_of_their_own_refuse_a_loss(tmp_path):
    with pytest.raises(InputError, match="loss"):
        grid_of(tmp_path, GRID, problem={"kind": "population", "dimension": 3, "loss": "logistic"})


def test_a_loss_is_an_axis_and_least_squares_tell_two_numbers_apart(tmp_path):
    """The nearer of the two is told; seeds meet the same rows under either loss."""
    x, y = table_of("logistic")
    write_table(tmp_path, x, y)
    text = GRID.replace(f"{LONG}", "50")
    run = simlr.run(grid_of(tmp_path, text, problem__loss=["squared", "logistic"], problem__standardize="none"))
    assert run["problem_loss"].tolist() == ["squared", "squared", "logistic", "logistic"]
    for seed, draw in ((0, 0), (1, 1)):
        own, test = naive.split(np.column_stack([x, y]), ROOT, draw, TRAIN, TEST, standardize=False)
        own, test = ((np.column_stack([part[:, :3], np.ones(len(part))]), part[:, 3]) for part in (own, test))
        theta = run["trajectory_iterate"][0, seed, run["recorded_step"][0].tolist().index(50)][None]
        assert run["test_accuracy"][0, seed, 2] == naive.accuracy("squared", *test, theta)
        assert run["test_loss"][0, seed, 2] == pytest.approx(naive.loss("squared", *test, theta), rel=1e-12)
        assert run["train_floor"][seed] <= run["train_loss"][:, seed].min()


@pytest.mark.parametrize("rule", ["excess_train_loss", "train_loss_fraction"])
def test_other_kinds_of_levels_are_met(rule, tmp_path):
    """Above the floor, and as a share of the loss at the start."""
    x, y = table_of("logistic")
    write_table(tmp_path, x, y)
    stop = {rule: [0.9, 0.05], "landing": "exact", "max_steps": 400}
    run = simlr.run(grid_of(tmp_path, LEVELS, problem__loss="logistic", stop=stop))
    reached, floor = run["status"] == 1, run["train_floor"][:, None]
    if rule == "excess_train_loss":
        wanted = np.broadcast_to(floor + run["level"], reached.shape)
        assert (run["stop_step"][:, :, 0] == 0).all()  # log 2 is less than 0.9 above any floor
        reached[:, :, 0] = False
    else:
        wanted = np.broadcast_to(math.log(2.0) * run["level"], reached.shape)
        assert (run["status"][:, :, 1] == 4).all()
    assert reached.any()
    np.testing.assert_allclose(run["train_loss"][reached], wanted[reached], rtol=2e-15)
