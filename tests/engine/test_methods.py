"""Optimisers, averages and noise as axes of a grid: against twins in theta, and bit by bit."""

import numpy as np
import pytest
from runs import ROOT

import simlr
from naive import stochastic as naive
from simlr.errors import InputError
from simlr.inputs import toml

GRID = """
name = "walks"
[problem]
kind = "dataset"
file = "diabetes.csv"
train_rows = [30, 21]
test_rows = 50
[seeds]
count = 9
root = 5
[stop]
train_loss = [0.9, 0.65]
max_steps = 400
[record]
points = 12
seeds = 3
iterates = true
[[schedule]]
kind = "constant"
learning_rate = [0.02, 0.1]
[[schedule]]
kind = "cosine"
unit = "sharpness"
learning_rate = 0.5
steps = 300
[[optimizer]]
kind = "gd"
[[optimizer]]
kind = "momentum"
momentum = [0.5, 0.9]
average = "tail"
average_start = 20
[[optimizer]]
kind = "nesterov"
average = "exponential"
[[noise]]
kind = "none"
[[noise]]
kind = "gradient"
sigma = [0.1, 0.3]
[[noise]]
kind = "gradient"
sigma = 0.2
covariance = "hessian"
[[noise]]
kind = "minibatch"
batch_size = [2, 5]
[[noise]]
kind = "minibatch"
batch_size = 4
sampling = "epochs"
"""
RESULTS = (
    *("train_loss", "test_loss", "average_train_loss", "average_test_loss", "stop_step", "stop_time", "status"),
    *("trajectory_train_loss", "trajectory_test_loss", "trajectory_average_test_loss", "trajectory_iterate"),
)


def grid(text=GRID, **changes):
    return simlr.GridConfig.from_tables(toml.read(text)[0], ROOT / "data").replace(**changes)


@pytest.fixture(scope="module")
def run():
    return simlr.run(grid())


def test_the_axes_multiply(run):
    names = list(run.schedule)
    assert len(names) == len(set(names)) == 3 * 4 * 7
    assert "cosine, momentum[momentum=0.5,average=tail,average_start=20], gradient[sigma=0.3]" in names
    assert set(run["schedule_momentum"][~np.isnan(run["schedule_momentum"])]) == {0.5, 0.9}
    assert set(run["schedule_noise"]) == {"", "gradient", "minibatch"}
    assert set(run.engine) <= {1, 2, 3}


@pytest.mark.parametrize(("threads", "block_seeds"), [(1, 0), (2, 4), (1, 18)])
def test_bits_do_not_depend_on_threads_and_blocks(run, threads, block_seeds):
    other = simlr.run(grid(run={"block_seeds": block_seeds}), threads=threads)
    for name in RESULTS:
        assert run[name].tobytes() == other[name].tobytes(), name


def test_a_schedule_does_not_depend_on_the_others(run):
    text = GRID.replace("learning_rate = [0.02, 0.1]", "learning_rate = 0.1").replace(
        "momentum = [0.5, 0.9]", "momentum = 0.9"
    )
    few = simlr.run(grid(text))
    names = [name.replace("constant,", "constant[learning_rate=0.1],") for name in few.schedule]
    rows = [list(run.schedule).index(name) for name in names]
    for name in RESULTS:
        np.testing.assert_array_equal(few[name], run[name][rows], err_msg=name)


def test_noise_is_common_to_all_schedules_and_averages_only_watch(run):
    plain = simlr.run(
        grid(GRID.replace('average = "tail"\naverage_start = 20\n', "").replace('average = "exponential"\n', ""))
    )
    np.testing.assert_array_equal(
        plain.test_loss[run["schedule_optimizer"] != "gd"], run.test_loss[run["schedule_optimizer"] != "gd"]
    )
    assert "average_test_loss" not in plain.names
    assert np.isnan(run["average_test_loss"][run["schedule_optimizer"] == "gd"]).all()
    assert np.isfinite(run["average_test_loss"][run["schedule_optimizer"] != "gd"]).all()


def test_without_noise_and_momentum_stochastic_steps_are_exact_descent():
    text = GRID[: GRID.index("[[optimizer]]")]
    plain = simlr.run(grid(text + '[[optimizer]]\nkind = "gd"\n'))
    stochastic = simlr.run(
        grid(text + '[[optimizer]]\nkind = "momentum"\nmomentum = 0.0\n[[noise]]\nkind = "gradient"\nsigma = 0.0\n')
    )
    np.testing.assert_array_equal(stochastic.stop_step, plain.stop_step)
    np.testing.assert_allclose(stochastic.test_loss, plain.test_loss, rtol=1e-11)


def rows_of_split(seed):
    """Train rows (X, y) of one seed of the first combination, in NumPy alone: 30 rows, standardised over themselves."""
    table = np.loadtxt(ROOT / "data" / "diabetes.csv", delimiter=",", skiprows=1)
    uniforms = np.random.Generator(np.random.Philox(key=[5, seed], counter=[0, 0, 1, 0])).random(len(table))
    train = table[np.argsort(uniforms, kind="stable")[:30]]
    train = (train - train.mean(axis=0)) / train.std(axis=0)
    return train[:, :-1], train[:, -1]


@pytest.mark.parametrize("sampling", ["replacement", "epochs"])
def test_mini_batches_are_those_of_a_loop_on_the_rows(run, sampling):
    size = 5 if sampling == "replacement" else 4
    wanted = (run["schedule_noise"] == "minibatch") & (run["schedule_sampling"] == sampling)
    wanted &= (run["schedule_batch_size"] == size) & (run["schedule_optimizer"] == "gd")
    s = int(np.flatnonzero(wanted & (run["schedule_learning_rate"] == 0.02))[0])
    for seed in range(3):
        x, y = rows_of_split(seed)
        theta, last = np.zeros(x.shape[1]), 0
        for slot, step in enumerate(run["recorded_step"][s]):
            for t in range(last, max(step, 0)):
                if sampling == "replacement":
                    picked = np.floor(naive.stream(5, seed, naive.BATCH, t).random(size) * 30).astype(int)
                else:
                    epoch, place = divmod(t, 8)
                    order = np.argsort(naive.stream(5, seed, naive.BATCH, epoch).random(30), kind="stable")
                    picked = order[place * size : place * size + size]
                batch = x[picked]
                theta = theta - 0.02 * (2.0 / len(picked)) * batch.T @ (batch @ theta - y[picked])
            if step >= 0:
                last = step
                np.testing.assert_allclose(run["trajectory_iterate"][s, seed, slot], theta, rtol=1e-9, atol=1e-11)


def test_sgd_is_descent_on_mini_batches(run):
    text = GRID[: GRID.index("[[optimizer]]")] + '[[optimizer]]\nkind = "sgd"\nbatch_size = 5\n'
    sgd = simlr.run(grid(text))
    wanted = (
        (run["schedule_noise"] == "minibatch") & (run["schedule_batch_size"] == 5) & (run["schedule_optimizer"] == "gd")
    )
    for name in ("test_loss", "stop_step", "trajectory_iterate"):
        np.testing.assert_array_equal(sgd[name], run[name][wanted])


SGD = '[[optimizer]]\nkind = "sgd"\nbatch_size = 2\n'
FLOW = '[[schedule]]\nkind = "flow"\n'
REFUSED = [
    ('[[optimizer]]\nkind = "momentun"', "unknown kind 'momentun'; did you mean 'momentum'?"),
    ('[[optimizer]]\nkind = "momentum"\nmomentum = 1.0', "momentum must be a number from 0 to below 1, got 1.0"),
    ('[[optimizer]]\nkind = "gd"\nmomentum = 0.9', "unknown key 'momentum'"),
    ('[[optimizer]]\nkind = "gd"\naverage = "tale"', "unknown average 'tale'; did you mean 'tail'?"),
    ('[[optimizer]]\nkind = "gd"\naverage_start = 3', "average_start goes with average = 'tail', not with 'none'"),
    ('[[optimizer]]\nkind = "sgd"', "batch_size is missing"),
    ('[[optimizer]]\nkind = "sgd"\nbatch_size = 0', "batch_size must be a whole number >= 1, got 0"),
    (SGD + '[[noise]]\nkind = "gradient"\nsigma = 1', "mini-batches itself"),
    ('[[noise]]\nkind = "gradients"', "unknown kind 'gradients'; did you mean 'gradient'?"),
    ('[[noise]]\nkind = "gradient"', "sigma is missing"),
    ('[[noise]]\nsigma = 1.0', "kind is missing"),
    ('[[noise]]\nkind = "gradient"\nsigma = -1.0', "sigma must be a finite number >= 0, got -1.0"),
    ('[[noise]]\nkind = "gradient"\nsigma = 1\ncovariance = "hesian"', "did you mean 'hessian'?"),
    ('[[noise]]\nkind = "minibatch"\nbatch_size = 2\nsampling = "epoch"', "did you mean 'epochs'?"),
    ('[[noise]]\nkind = "none"\n[[noise]]\nkind = "none"', "noise: the same one is given twice"),
    ('noise = "gradient"', "noise must be a list of at least one table"),
    (FLOW + '[[optimizer]]\nkind = "momentum"', "a flow goes with exact gradient descent, not 'momentum[mom"),
    (FLOW + '[[noise]]\nkind = "gradient"\nsigma = 1', "a flow goes with exact gradient descent, not 'gradient[sig"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), REFUSED)
def test_what_cannot_be_is_refused_in_one_line(text, sentence):
    head = GRID[: GRID.index("[[optimizer]]")]
    with pytest.raises(InputError) as refusal:
        grid(text + "\n" + head if text.startswith("noise =") else head + text)
    assert sentence in str(refusal.value) and "\n" not in str(refusal.value)


def test_mini_batches_need_rows_and_closed_forms_exact_gradients(tmp_path):
    np.savez(tmp_path / "q.npz", curvature=np.ones((3, 2)), residual=np.ones((3, 2)))
    text = f'problem = {{ kind = "quadratic", file = "{tmp_path / "q.npz"}" }}\nstop = {{ train_loss = 0.1 }}\n'
    text += '[[schedule]]\nkind = "constant"\nlearning_rate = 0.1\n'
    with pytest.raises(InputError, match=r"problem 'quadratic' has no rows to draw from"):
        simlr.run(simlr.GridConfig.from_toml(text + '[[noise]]\nkind = "minibatch"\nbatch_size = 1\n'))
    with pytest.raises(InputError, match=r"'constant' has no closed form with optimizer 'nesterov'"):
        simlr.run(simlr.GridConfig.from_toml('engine = "closed-form"\n' + text + '[[optimizer]]\nkind = "nesterov"\n'))


def test_label_noise_is_a_draw_of_its_own(run):
    """On the train rows alone: theta_hat is that of the noisy labels, and mini-batches draw from them."""
    text = GRID.replace("train_rows = [30, 21]", "train_rows = 30\nlabel_noise = [0.0, 0.5]").replace(
        "count = 9", "count = 3"
    )
    text = text[: text.index("[[optimizer]]")] + SGD
    noisy = simlr.run(grid(text))
    assert list(noisy["problem_label_noise"]) == [0.0] * 3 + [0.5] * 3
    clean = (
        (run["schedule_noise"] == "minibatch") & (run["schedule_batch_size"] == 2) & (run["schedule_optimizer"] == "gd")
    )
    np.testing.assert_array_equal(noisy.test_loss[:, :3], run.test_loss[clean][:, :3])
    for seed in range(3):
        x, y = rows_of_split(seed)
        y = y + 0.5 * naive.stream(5, seed, 2, 0).standard_normal(30)
        wanted = np.linalg.lstsq(x, y, rcond=None)[0]
        np.testing.assert_allclose(noisy["train_minimiser"][3 + seed], wanted, rtol=1e-9)
        theta = np.zeros(x.shape[1])
        for t in range(3):
            picked = np.floor(naive.stream(5, seed, naive.BATCH, t).random(2) * 30).astype(int)
            theta = theta - 0.02 * x[picked].T @ (x[picked] @ theta - y[picked])
        slot = list(noisy["recorded_step"][0]).index(3)
        np.testing.assert_allclose(noisy["trajectory_iterate"][0, 3 + seed, slot], theta, rtol=1e-9)
