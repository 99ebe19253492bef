"""[expectation] in a grid: against a twin, `simlr.expected_losses`, and the sampled means of the same grid."""

import numpy as np
import pytest
import runs

import simlr
from naive import expectation as naive
from simlr.errors import InputError
from simlr.grid.job import Job
from simlr.inputs import toml
from simlr.store import merging

# Train rows fewer than features and more than them, a test loss with no diagonal, padded axes.
TABLE = """
name = "means"
[expectation]
[problem]
kind = "gaussian"
dimension = 4
train_rows = [3, 7]
label_noise = 0.5
[seeds]
count = 3
root = 2
[stop]
steps = [1, 7, 30]
[record]
points = 6
seeds = 2
[run]
block_seeds = 2
[[schedule]]
kind = "cosine"
learning_rate = [0.1, 0.3]
steps = 30
[[schedule]]
kind = "constant"
unit = "sharpness"
learning_rate = 0.4
steps = 20
[[optimizer]]
kind = "gd"
average = "exponential"
average_decay = 0.8
[[optimizer]]
kind = "momentum"
momentum = 0.7
[[optimizer]]
kind = "nesterov"
momentum = 0.6
average = "tail"
average_start = 3
[[noise]]
kind = "gradient"
sigma = 0.3
[[noise]]
kind = "gradient"
sigma = 0.2
covariance = "hessian"
[[noise]]
kind = "minibatch"
batch_size = 2
"""
POPULATION = """
name = "population"
[expectation]
[problem]
kind = "quadratic"
file = "population.npz"
[stop]
train_loss = [0.9, 0.7]
max_steps = 60
[record]
points = 7
[[schedule]]
kind = "linear"
learning_rate = 0.2
steps = 60
[[optimizer]]
kind = "gd"
[[optimizer]]
kind = "nesterov"
momentum = 0.5
[[noise]]
kind = "none"
[[noise]]
kind = "fresh"
batch_size = [1, 4]
sigma = 0.3
"""


def population(folder, floor=0.25):
    """Three problems of three axes, in a file."""
    generator = np.random.default_rng(4)
    arrays = {"curvature": generator.uniform(0.2, 1.5, (3, 3)), "residual": generator.standard_normal((3, 3))}
    np.savez(folder / "population.npz", **arrays, train_floor=np.array([0.0, floor, floor]))


def problem_of(run, job, n):
    """The problem of a seed as the twin has it."""
    known = {name: run[name][n] for name in ("curvature", "train_floor", "test_floor")}
    known |= {"residual": run["initial_residual"][n], "test_matrix": run["test_matrix"][n], "rows": None}
    size = int(np.isfinite(known["curvature"]).sum())
    index, draw = n // 3, np.array([n % 3])
    batch = job.sources[index].draw(job.config.seeds["root"], draw, 1)
    known |= {"offset": batch.offset[0], "misfits": None}
    if job.sources[index].rows is not None:
        z, rho = job.sources[index].rows(job.config.seeds["root"], draw, batch, 1)
        known |= {"rows": z[0], "misfits": rho[0]}
    known = {k: v[:size] if k in ("curvature", "residual") else v for k, v in known.items()}
    return known | {"test_matrix": known["test_matrix"][:size, :size]}


def twin_of(run, job, s, n):
    """All moments of a cell by the twin, and its rates."""
    problem, (optimizer, noise) = problem_of(run, job, n), job.plan.methods[s]
    schedule = job.plan.schedules[s]
    eta = schedule.rates(0, schedule.length) / (run["sharpness"][n] if schedule.unit == "sharpness" else 1.0)
    average = {"kind": optimizer.get("average", "none"), "decay": optimizer.get("average_decay", 0.0)}
    average["start"] = optimizer.get("average_start", 0)
    return naive.means(problem, eta, optimizer["kind"], optimizer.get("momentum", 0.0), average, noise), eta


@pytest.fixture(scope="module")
def tabled():
    config = simlr.GridConfig.from_toml(TABLE)
    return simlr.run(config), Job(config)


NAMES = "train_loss", "test_loss", "train_loss_variance", "average_train_loss", "average_test_loss"


def test_every_optimiser_average_and_noise_has_the_twins_means(tabled):
    run, job = tabled
    for s, n in np.ndindex(run["train_loss"].shape[:2]):
        expected, eta = twin_of(run, job, s, n)
        at = np.minimum([1, 7, 30], len(eta))
        averaged, rows = "average" in job.plan.methods[s][0], job.plan.methods[s][1]["kind"] == "minibatch"
        for which, name in enumerate(NAMES):
            values = run[name][s, n]
            if (which == 2 and rows) or (which > 2 and not averaged):
                assert np.isnan(values).all(), (s, n, name)
            else:
                np.testing.assert_allclose(values, expected[at, which], rtol=1e-9, err_msg=f"{s} {n} {name}")
        assert run["stop_step"][s, n].tolist() == at.tolist()
        assert run["status"][s, n].tolist() == [5, 5, 5 if len(eta) == 30 else 2]
        np.testing.assert_allclose(run["stop_time"][s, n], [eta[:k].sum() for k in at], rtol=1e-12)
        if n in run["recorded_seed"]:
            row, steps = run["recorded_seed"].tolist().index(n), run["recorded_step"][s]
            for which, name in ((0, "train_loss"), (1, "test_loss"), (3, "average_train_loss")):
                values = run[f"trajectory_{name}"][s, row]
                if which == 3 and not averaged:
                    continue
                np.testing.assert_allclose(values, expected[steps, which], rtol=1e-9)


def test_levels_are_met_by_the_mean_curve(tmp_path):
    population(tmp_path)
    config = simlr.GridConfig.from_tables(toml.read(POPULATION)[0], tmp_path)
    run, job = simlr.run(config), Job(config)
    assert run["seed"].size == 3
    assert "mean curve" in run.attributes["expectation"]
    for s, n in np.ndindex(run["train_loss"].shape[:2]):
        if job.plan.methods[s][1]["kind"] == "none" and job.plan.methods[s][0] == {"kind": "gd"}:
            assert (run["train_loss_variance"][s, n] == 0.0).all()
        problem, (optimizer, noise) = problem_of(run, job, n) | {"offset": np.zeros(3)}, job.plan.methods[s]
        eta = job.plan.schedules[s].rates(0, 60)
        curve = naive.means(problem, eta, optimizer["kind"], optimizer.get("momentum", 0.0), {"kind": "none"}, noise)
        for e, level in enumerate((0.9, 0.7)):
            met = np.flatnonzero(curve[:, 0] <= level)
            at = met[0] if met.size else 60
            assert run["status"][s, n, e] == (1 if met.size else 2)
            assert run["stop_step"][s, n, e] == at
            np.testing.assert_allclose(run["train_loss"][s, n, e], curve[at, 0], rtol=1e-10)
            np.testing.assert_allclose(run["test_loss"][s, n, e], curve[at, 1], rtol=1e-10)


def in_folder(text, folder, **overrides):
    """A grid whose data files are in a folder."""
    return simlr.GridConfig.from_tables(toml.read(text)[0], folder).replace(**overrides)


def test_the_grid_has_the_bits_of_expected_losses(tmp_path):
    population(tmp_path, floor=0.0)
    config = in_folder(POPULATION.replace("train_loss = [0.9, 0.7]", "steps = [10, 60]"), tmp_path)
    run, job = simlr.run(config), Job(config)
    for s, (optimizer, noise) in enumerate(job.plan.methods):
        if optimizer == {"kind": "gd"} and noise["kind"] == "none":
            continue  # a run as any, by the engine of exact descent
        eta = job.plan.schedules[s].rates(0, 60)[None]
        got = simlr.expected_losses(
            run["curvature"], run["initial_residual"], eta, noise, optimizer, steps=np.array([10, 60])
        )
        for name in ("train_loss", "test_loss"):
            assert run[name][s].tobytes() == np.ascontiguousarray(getattr(got, name)[0]).tobytes()


SAMPLED = """
name = "sampled"
[problem]
kind = "dataset"
file = "rows.csv"
target = "y"
split = "part"
[seeds]
count = 2000
[stop]
steps = [3, 25]
[record]
points = 4
seeds = "all"
[[schedule]]
kind = "linear"
learning_rate = 0.1
steps = 25
[[optimizer]]
kind = "gd"
average = "exponential"
average_decay = 0.7
[[optimizer]]
kind = "momentum"
momentum = 0.6
[[optimizer]]
kind = "nesterov"
momentum = 0.5
average = "tail"
average_start = 2
[[noise]]
kind = "gradient"
sigma = 0.2
[[noise]]
kind = "minibatch"
batch_size = 2
"""


def test_the_noisy_kernels_have_these_means_on_average(tmp_path):
    """The same grid with its noise drawn: within four standard errors at every stop and recorded moment."""
    generator = np.random.default_rng(6)
    rows = generator.standard_normal((12, 2)) @ np.array([[1.0, 0.4], [0.0, 0.7]])
    labels = rows @ np.array([1.0, -0.5]) + 0.5 * generator.standard_normal(12)
    lines = [
        f"{a},{b},{y},{'train' if k < 8 else 'test'}" for k, ((a, b), y) in enumerate(zip(rows, labels, strict=True))
    ]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,y,part", *lines]) + "\n")
    drawn = simlr.run(in_folder(SAMPLED, tmp_path))
    exact = simlr.run(in_folder(SAMPLED, tmp_path, expectation={}))
    assert exact["seed"].size == 1 and drawn["seed"].size == 2000
    compared = 0
    for name in ("train_loss", "test_loss", "average_train_loss", "average_test_loss"):
        for prefix in ("", "trajectory_"):
            sample, mean = drawn[prefix + name], exact[prefix + name][:, 0]
            error = sample.std(axis=1, ddof=1) / np.sqrt(2000)
            known = np.isfinite(mean)
            assert (abs(sample.mean(axis=1) - mean) <= 4.0 * error + 1e-12)[known].all(), name
            compared += known.sum()
    assert compared >= 2 * 6 * 6
    spread, normal = drawn["train_loss"].var(axis=1, ddof=1), np.isfinite(exact["train_loss_variance"][:, 0])
    np.testing.assert_allclose(spread[normal], exact["train_loss_variance"][:, 0][normal], rtol=0.25)


# ---- how the work is cut ----


def test_bits_do_not_depend_on_how_the_work_is_cut(tabled, tmp_path, monkeypatch):
    whole = runs.bits(tabled[0])
    config = simlr.GridConfig.from_toml(TABLE)
    monkeypatch.chdir(tmp_path)
    one = simlr.run(config.replace(run={"block_seeds": 5}), threads=1)
    assert_same(whole, runs.bits(one))
    paths = []
    for index in range(2):
        job = Job(config, (index, 2))
        writer, blocks = job.open(f"{index}.h5")
        job.run(writer, blocks)
        paths.append(f"{index}.h5")
    merging.merge(paths, "merged.h5")
    assert_same(whole, runs.bits(simlr.load("merged.h5")))
    job = Job(config)
    writer, blocks = job.open("resumed.h5")
    job.run(writer, list(blocks)[:1])
    resumed = simlr.run(config, "resumed.h5", resume=True)
    assert_same(whole, runs.bits(resumed))


def assert_same(one, other):
    """Equal bits, by dataset."""
    assert one.keys() == other.keys()
    assert not [name for name in one if one[name] != other[name]]


def test_long_schedules_are_cut_into_chunks_without_a_trace(tmp_path):
    """9,000 steps take three chunks; a level and a budget beyond the first one."""
    text = POPULATION.replace("steps = 60", "steps = 9000").replace("learning_rate = 0.2", "learning_rate = 0.002")
    population(tmp_path, floor=0.0)
    run = simlr.run(
        in_folder(
            text.replace("train_loss = [0.9, 0.7]", "steps = [4096, 9000]").replace(
                "max_steps = 60", "max_steps = 9000"
            ),
            tmp_path,
        )
    )
    eta = 0.002 * (1.0 - np.arange(9000) / 9000)
    noise = {"kind": "fresh", "batch_size": 4, "sigma": 0.3}
    got = simlr.expected_losses(run["curvature"], run["initial_residual"], eta[None], noise, steps=[4096, 9000])
    s = [k for k, name in enumerate(run.schedule) if "gd" in name and "batch_size=4" in name]
    np.testing.assert_allclose(run["train_loss"][s], got.train_loss, rtol=1e-12)


# ---- what cannot be ----


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stop": {"validation": {"patience": 2}}}, "stop.validation looks at single runs"),
        ({"stop": {"train_loss": 0.1, "landing": "exact"}}, "stop.landing = 'exact' shortens the step of a single run"),
        ({"record": {"iterates": True}}, "record.iterates: [expectation] has means of losses"),
        ({"record": {"stop_residual": True}}, "record.stop_residual: [expectation] has means of losses"),
        (
            {"noise": [{"kind": "minibatch", "batch_size": 2, "sampling": "epochs"}]},
            "sampling = 'epochs' has no exact mean here; use sampling = 'replacement'",
        ),
        (
            {"schedule": [{"kind": "flow"}]},
            "schedule 'flow': a flow goes with exact gradient descent, not 'gradient[sigma=0.1]'",
        ),
        ({"expectation": {"seeds": 3}}, "expectation: unknown key 'seeds'"),
        ({"expectation": 3}, "expectation must be a table, got 3"),
        ({"noise": [{"kind": "fresh", "batch_size": 2}]}, "noise 'fresh': problem 'nakkiran2020' has no population"),
        (
            {"noise": [{"kind": "fresh", "batch_size": 2}], "expectation": None},
            "noise 'fresh': has exact means alone, and no seeds; add a table [expectation]",
        ),
    ],
)  # fmt: skip
def test_what_has_no_exact_mean_is_refused_in_one_line(changes, words):
    tables = {
        "problem": {"kind": "nakkiran2020"},
        "stop": {"train_loss": 0.1, "max_steps": 50},
        "schedule": [{"kind": "constant", "learning_rate": 0.1}],
        "noise": [{"kind": "gradient", "sigma": 0.1}],
        "expectation": {},
        **changes,
    }
    with pytest.raises(InputError) as caught:
        Job(simlr.GridConfig.from_tables(tables))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_table_goes_to_toml_and_back_and_is_part_of_the_identity():
    config = simlr.GridConfig.from_toml(TABLE)
    assert simlr.GridConfig.from_toml(config.to_toml()) == config
    without = simlr.GridConfig.from_tables({k: v for k, v in config.tables().items() if k != "expectation"})
    assert without.expectation is None and "expectation" not in without.to_toml()
    assert without.identity() != config.identity()
