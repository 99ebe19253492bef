"""Optimisers that go through the rows of a loss, in whole runs: against twins, bit by bit, and what is refused."""

import functools

import numpy as np
import pytest
from runs import assert_same_bits, run_blocks

import simlr
from naive import convex as naive
from naive import optimizers as twins
from naive import stochastic as draws
from simlr.engine import convex
from simlr.errors import InputError

ROOT, TRAIN = 3, 30
KINDS = (
    *("adam", "adamw", "nadam", "rmsprop", "adagrad", "sign", "lion", "schedule_free_sgd", "schedule_free_adamw"),
    "polyak_momentum",
)
GRID = """
name = "optimizers"
[problem]
kind = "dataset"
file = "table.csv"
target = "y"
train_rows = 30
test_rows = 25
[seeds]
count = 2
root = 3
[stop]
steps = [1, 7, 300]
[record]
points = 12
seeds = 2
iterates = true
[[schedule]]
kind = "cosine"
learning_rate = 0.02
end_learning_rate = 0.002
steps = 300
"""
MORE = """
[[optimizer]]
kind = "momentum"
dampening = 0.5
weight_decay = 0.1
[[optimizer]]
kind = "nesterov"
clip_value = 0.05
[[optimizer]]
kind = "gd"
clip_norm = 0.2
convention = "optax"
[[optimizer]]
kind = "adamw"
convention = "optax"
beta2 = 0.9
[[optimizer]]
kind = "sgd"
batch_size = 3
weight_decay = 0.1
"""
TABLES = "".join(f'[[optimizer]]\nkind = "{kind}"\n' for kind in KINDS) + MORE
LION, FREE = (TABLES.index(f'[[optimizer]]\nkind = "{kind}"') for kind in ("lion", "schedule_free_adamw"))
NOISE = '[[noise]]\nkind = "minibatch"\nbatch_size = 4\n'


def grid_of(folder, text=GRID + TABLES, **changes):
    """A grid of 60 rows in a folder, single values replaced by dotted keys with __ for the dot."""
    rng = np.random.default_rng(0)
    x = np.round(rng.standard_normal((60, 3)), 4)
    y = np.where(x @ [1.0, -0.5, 0.25] + rng.standard_normal(60) > 0, 1, -1)
    lines = [",".join([*(f"{v}" for v in row), str(label)]) for row, label in zip(x, y, strict=True)]
    (folder / "table.csv").write_text("\n".join(["a,b,c,y", *lines]) + "\n")
    (folder / "grid.toml").write_text(text)
    overrides = [(key.replace("__", "."), value) for key, value in changes.items()]
    return simlr.GridConfig.from_toml(folder / "grid.toml", overrides)


def rows_of(folder, draw, numbers=False):
    """The train rows of one draw."""
    table = np.loadtxt(folder / "table.csv", delimiter=",", skiprows=1)
    train, _ = naive.split(table, ROOT, draw, TRAIN, 25)
    raw, _ = naive.split(table, ROOT, draw, TRAIN, 25, standardize=False)
    return train[:, :-1], (train if numbers else raw)[:, -1]


@functools.cache
def picked(draw, t, batch):
    """The rows of a mini-batch, alike for all optimisers."""
    return draws.picked(ROOT, draw, t, batch, TRAIN)


def twin(kind, rows, optimizer, noise, rates, draw):
    """All iterates by the formulas."""
    x, y = rows

    def gradient(theta, t):
        own = picked(draw, t, noise["batch_size"]) if "batch_size" in noise else slice(None)
        return naive.gradient(kind, x[own], y[own], theta[None])[0]

    own = {name: value for name, value in optimizer.items() if name not in ("kind", "batch_size", "sampling")}
    return twins.iterates(optimizer["kind"], gradient, np.zeros(3), rates, **own)


def cosine(steps):
    """The rates of the grid."""
    return 0.002 + 0.018 * 0.5 * (1.0 + np.cos(np.pi * np.arange(steps) / steps))


@pytest.mark.parametrize(
    ("loss", "length", "noisy"),
    [
        ("logistic", 120, False),
        ("squared", 120, False),
        pytest.param("logistic", 10_000, True, marks=pytest.mark.slow),
    ],
)
def test_every_optimizer_equals_its_twin(loss, length, noisy, tmp_path):
    """To 1e-11 of the largest value.

    Over 10,000 steps with mini-batches: at the minimum of a loss without noise Adam's kinds divide what rounding left
    by its own size, so that every twin goes its own way there.
    """
    text = (GRID + TABLES[: TABLES.rindex("[[optimizer]]")] + NOISE if noisy else GRID + TABLES).replace(
        "300", str(length)
    )
    config = grid_of(tmp_path, text, problem__loss=loss)
    run, draw = simlr.run(config), 1
    rows = rows_of(tmp_path, draw, loss == "squared")
    for s, (optimizer, noise, _) in enumerate(config.methods()):
        wanted = twin(loss, rows, optimizer, noise, cosine(length), draw)
        found, at = run["trajectory_iterate"][s, draw], run["recorded_step"][s]
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(found, wanted[at], rtol=0.0, atol=1e-11 * scale, err_msg=optimizer["kind"])
        losses = [naive.loss(loss, *rows, wanted[step][None]) for step in (1, 7, length)]
        np.testing.assert_allclose(run["train_loss"][s, draw], losses, rtol=1e-10)


def test_least_squares_with_a_ridge_gain_no_column_of_ones(tmp_path):
    """Centred on the train rows it would have a gradient of rounding errors, which Adam blows up to steps of eta."""
    changes = {"problem__loss": "squared", "problem__ridge": 0.3, "record__points": 0}
    text = GRID + '[[optimizer]]\nkind = "adam"\n'
    with_one = simlr.run(grid_of(tmp_path, text, problem__intercept=True, **changes))
    assert with_one["train_minimiser"].shape == (2, 3)
    x, y = rows_of(tmp_path, 1, True)
    wanted = twins.iterates(
        "adam", lambda w, t: naive.gradient("squared", x, y, w[None], 0.3)[0], np.zeros(3), cosine(300)
    )
    losses = [naive.loss("squared", x, y, wanted[step][None], 0.3) for step in (1, 7, 300)]
    np.testing.assert_allclose(with_one["train_loss"][0, 1], losses, rtol=1e-10)
    without = simlr.run(grid_of(tmp_path, text, **changes))
    for name in ("train_loss", "test_loss", "sharpness"):
        np.testing.assert_array_equal(with_one[name], without[name])
    huber = simlr.run(grid_of(tmp_path, text, problem__intercept=True, **(changes | {"problem__loss": "huber"})))
    assert huber["train_minimiser"].shape == (2, 4)


LEVELS = (GRID + TABLES).replace("steps = [1, 7, 300]", "train_loss = [0.66, 0.6]\nmax_steps = 300")


def test_a_landed_stop_lies_on_the_level(tmp_path):
    """On the line of the step that met it."""
    config = grid_of(tmp_path, LEVELS, problem__loss="logistic", stop__landing="exact")
    run, whole = simlr.run(config), simlr.run(grid_of(tmp_path, LEVELS, problem__loss="logistic"))
    reached = run["status"] == 1
    assert reached.mean() > 0.8
    np.testing.assert_array_equal(run["stop_step"], whole["stop_step"])
    level = np.broadcast_to(run["level"], reached.shape)
    np.testing.assert_allclose(run["train_loss"][reached], level[reached], rtol=4e-15)
    assert (whole["train_loss"][reached] <= level[reached]).all()


def test_bits_do_not_depend_on_blocks_threads_a_resume_or_company(tmp_path, monkeypatch):
    """With rows in the lanes, and with schedules in them."""

    def grid(text=LEVELS, **changes):
        return grid_of(tmp_path, text, problem__loss="logistic", stop__landing="exact", seeds__count=5, **changes)

    whole = simlr.run(grid(), threads=1)
    assert_same_bits(simlr.run(grid(run__block_seeds=2), threads=2), whole)
    path = tmp_path / "run.h5"
    run_blocks(grid(run__block_seeds=2), path, [1])
    assert_same_bits(simlr.run(grid(run__block_seeds=2), path, resume=True), whole)
    for few in (0, 12):  # of more than 12 schedules another order of sums serves better
        monkeypatch.setattr(convex, "FEW_SCHEDULES", few)
        some = [simlr.run(grid(LEVELS.replace(TABLES, own))) for own in (TABLES[LION:], TABLES[LION:FREE])]
        np.testing.assert_array_equal(some[1]["trajectory_iterate"], some[0]["trajectory_iterate"][:2])


def test_least_squares_by_rows_is_least_squares(tmp_path):
    """The same grid with gradient descent, with and without a table that asks for rows."""
    plain = simlr.run(grid_of(tmp_path, GRID))
    both = simlr.run(grid_of(tmp_path, GRID + '[[optimizer]]\nkind = "gd"\n[[optimizer]]\nkind = "adam"\n'))
    assert both.config.by_rows
    assert not plain.config.by_rows
    for name in ("train_loss", "test_loss", "train_floor"):
        np.testing.assert_allclose(both[name][:1] if both[name].ndim > 1 else both[name], plain[name], rtol=1e-10)


@pytest.mark.parametrize(
    ("tables", "changes", "said"),
    [
        ('kind = "adm"', {}, "unknown kind 'adm'; did you mean 'adam'?"),
        ('kind = "adam"\nbeta_1 = 0.9', {}, "unknown key 'beta_1'; did you mean 'beta1'?"),
        ('kind = "adam"\nbeta1 = 1.0', {}, "beta1 must be a number from 0 to below 1, got 1.0"),
        ('kind = "adam"\nepsilon = 0.0', {}, "epsilon must be a finite number > 0, got 0.0"),
        ('kind = "adam"\nconvention = "optax"', {}, "torch and optax agree"),
        ('kind = "rmsprop"\nconvention = "jax"', {}, "convention"),
        ('kind = "rmsprop"\nconvention = ["optax", "torch"]', {}, "one a table"),
        ('kind = "schedule_free_sgd"\naverage = "tail"', {}, "is an average already"),
        ('kind = "nadam"\nconvention = "optax"\nmomentum_decay = 0.1', {}, "momentum_decay"),
        ('kind = "adam"', {"problem__features": "rbf"}, "acts axis by axis"),
        ('kind = "adam"', {"engine": "closed-form"}, "optimizer 'adam' has no closed form"),
        ('kind = "gd"\nweight_decay = 0.1', {"engine": "closed-form"}, "optimizer 'gd' with weight_decay has no"),
        ('kind = "adam"', {"expectation__bin_error": 0.0, "record__iterates": False}, "has no exact means"),
        ('kind = "adam"', {"record__stop_residual": True}, "has no residuals"),
    ],
)
def test_what_does_not_go_is_refused_in_one_line(tables, changes, said, tmp_path):
    with pytest.raises(InputError, match=r"\S") as caught:
        grid_of(tmp_path, f"{GRID}[[optimizer]]\n{tables}\n", **changes)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_flow_and_drawn_quadratics_are_refused(tmp_path):
    tables = GRID.partition("[problem]")[2]
    flow = GRID[: GRID.index("[[schedule]]")].replace("[1, 7, 300]", "[1]") + '[[schedule]]\nkind = "flow"\n'
    with pytest.raises(InputError, match="flow goes with exact gradient descent, not with optimizer 'adam'"):
        grid_of(tmp_path, flow.replace("steps = [1]", "train_loss = [0.5]") + '[[optimizer]]\nkind = "adam"\n')
    drawn = '[problem]\nkind = "nakkiran2020"\n' + tables[tables.index("[seeds]") :] + '[[optimizer]]\nkind = "adam"\n'
    with pytest.raises(InputError, match="goes with problems that have rows"):
        simlr.run(grid_of(tmp_path, drawn))


def test_a_table_without_later_keys_is_the_one_that_it_was(tmp_path):
    """So that files that were written before there were any are of the same grid."""
    tables = grid_of(tmp_path, GRID + '[[optimizer]]\nkind = "momentum"\nweight_decay = 0.0\n').tables()["optimizer"]
    assert tables == [{"kind": "momentum", "momentum": 0.9}]


def test_names_say_what_is_not_the_default(tmp_path):
    config = grid_of(tmp_path)
    names = [name for _, _, name in config.methods()]
    assert names[:2] == ["adam", "adamw"]
    assert names[-2] == "adamw[beta2=0.9,convention=optax]"
    assert names[-5] == "momentum[momentum=0.9,dampening=0.5,weight_decay=0.1]"


@pytest.mark.parametrize("optimizer", [{"kind": "adam"}, {"kind": "gd", "weight_decay": 0.1}])
def test_quadratics_in_their_own_axes_refuse_what_goes_by_rows(optimizer):
    """And do not take it for gradient descent."""
    one, noise = np.ones((1, 2)), {"kind": "none"}
    for call in (
        lambda: simlr.expected_losses(one, one, np.ones((1, 3)), noise, optimizer),
        lambda: simlr.loss_gradient(one, one, np.ones(3), noise, optimizer),
    ):
        with pytest.raises(InputError, match="goes through the rows of a loss"):
            call()


def test_gaussian_rows_start_at_zero(tmp_path):
    """A start of another place is refused; without one Adam goes."""
    dataset = 'kind = "dataset"\nfile = "table.csv"\ntarget = "y"\ntrain_rows = 30\ntest_rows = 25'
    text = GRID.replace(dataset, 'kind = "gaussian"\ndimension = 3\ntrain_rows = 30') + '[[optimizer]]\nkind = "adam"\n'
    run = simlr.run(grid_of(tmp_path, text))
    assert (run["train_loss"][0, :, -1] < run["train_loss"][0, :, 0]).all()
    with pytest.raises(InputError, match="optimizer 'adam' starts at 0"):
        grid_of(tmp_path, text, problem__start=[1.0, 0.0, 0.0])
