"""Schedules of kind "optimal" in a grid: their rates, where they are kept, and what is refused."""

import numpy as np
import pytest

import simlr
from simlr.engine.optimal import in_grid
from simlr.errors import InputError
from simlr.grid.cluster import worker
from simlr.grid.job import Job
from simlr.store import merging

GRID = """
name = "optima"
[expectation]
[problem]
kind = "population"
dimension = 30
capacity = 2.0
source = [0.4, 1.2]
[stop]
steps = [10, 40]
[record]
points = 4
[[schedule]]
kind = "optimal"
cap = "stability"
[[schedule]]
kind = "cosine"
learning_rate = [0.05, 0.1, 0.2, 0.3]
steps = [10, 40]
[[noise]]
kind = "fresh"
batch_size = 2
sigma = 0.4
"""
# Draws that differ, each with a floor of its own, which is in every new row.
FEATURES = GRID.replace("source = [0.4, 1.2]", "source = 0.4\nrandom_features = 5").replace(
    "[stop]", "[seeds]\ncount = 4\nroot = 3\n[run]\nblock_seeds = 1\n[stop]"
)


@pytest.fixture(scope="module")
def optima():
    return simlr.run(simlr.GridConfig.from_toml(GRID))


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    path = tmp_path_factory.mktemp("optima") / "features.h5"
    return simlr.run(simlr.GridConfig.from_toml(FEATURES), out=path), path


def never(*args, **kwargs):
    raise AssertionError("computed anew")


def ends(run, name):
    """Mean end losses by horizon of a schedule in the seeds of each problem: loss (N,) at the end."""
    s = run["schedule"].tolist().index(name)
    return run["test_loss"][s, :, [10, 40].index(int(run["schedule_steps"][s]))]


def test_the_loss_at_the_end_is_the_one_that_was_found(optima):
    for n, source in enumerate(("0.4", "1.2")):
        for steps in (10, 40):
            name = f"optimal[steps={steps},source={source}]"
            s = optima["schedule"].tolist().index(name)
            assert ends(optima, name)[n] == pytest.approx(optima["schedule_expected_loss"][s], rel=1e-10)
            assert optima["schedule_gradient_norm"][s] < 1e-4
            assert optima["schedule_optimised_for"][s] == f"source={source}"


def test_no_schedule_of_the_grid_ends_below_the_optimum_of_its_problem(optima):
    for n, source in enumerate(("0.4", "1.2")):
        for steps in (10, 40):
            best = ends(optima, f"optimal[steps={steps},source={source}]")[n]
            others = [name for name in optima["schedule"].tolist() if f"steps={steps}" in name]
            assert len(others) == 6
            assert all(ends(optima, name)[n] >= best * (1 - 1e-9) for name in others)


def test_the_rates_are_those_of_the_python_call(optima):
    lam = 2.0 * np.arange(1, 31)[None] ** -2.0
    start = np.sqrt(np.arange(1, 31)[None] ** (-1.0 - 1.2 * 2.0 + 2.0))
    noise = {"kind": "fresh", "batch_size": 2, "sigma": 0.4}
    best = simlr.optimise(lam, start, 40, noise, limits={"cap": "stability"})
    (found,) = (s for s, _ in optima.config.schedules() if s.name == "optimal[steps=40,source=1.2]")
    np.testing.assert_allclose(found.rates(0, 40), best.rates(), rtol=1e-3)
    assert best.loss[0] == pytest.approx(ends(optima, found.name)[1], rel=1e-7)


def test_draws_with_floors_of_their_own_are_averaged(features):
    run, _ = features
    assert np.ptp(run["train_floor"]) > 0.0
    for steps in (10, 40):
        s = run["schedule"].tolist().index(f"optimal[steps={steps}]")
        end = ends(run, f"optimal[steps={steps}]")
        assert end.mean() == pytest.approx(run["schedule_expected_loss"][s], rel=1e-10)
        others = [name for name in run["schedule"].tolist() if f"steps={steps}" in name]
        assert all(ends(run, name).mean() >= end.mean() * (1 - 1e-9) for name in others)


def test_computed_rates_are_kept_and_not_computed_again(features, tmp_path, monkeypatch):
    run, path = features
    config = run.config
    assert simlr.GridConfig.from_toml(config.to_toml()) == config
    monkeypatch.setattr(in_grid, "search", never)
    assert Job(config).config == config
    again = simlr.run(simlr.GridConfig.from_toml(FEATURES), out=path, resume=True)
    assert np.array_equal(again["test_loss"], run["test_loss"], equal_nan=True)
    taken, _ = worker._job(worker.order(config, 1))
    for ours, theirs in zip(Job(config).plan.schedules, taken.plan.schedules, strict=True):
        assert np.array_equal(ours.rates(0, 40), theirs.rates(0, 40))
    with pytest.raises(AssertionError, match="computed anew"):
        Job(config.replace(seeds={"root": 4}))
    with pytest.raises(AssertionError, match="computed anew"):
        Job(config.replace(problem={**config.problem, "capacity": 1.9}))


def test_shards_have_the_bits_of_the_whole(features, tmp_path):
    run, _ = features
    paths = []
    for index in (1, 0):
        job = Job(simlr.GridConfig.from_toml(FEATURES), (index, 2))
        paths.append(tmp_path / f"{index}.h5")
        job.run(*job.open(paths[-1]))
    merging.merge(paths, tmp_path / "merged.h5")
    merged = simlr.load(tmp_path / "merged.h5")
    assert merged.config == run.config
    assert np.array_equal(merged["test_loss"], run["test_loss"], equal_nan=True)


def test_limits_are_kept_and_lists_are_axes():
    text = GRID.replace('cap = "stability"', 'cap = 0.2\nshape = ["monotone", "free"]\nwarmup_steps = 3\nsteps = 40')
    config = Job(simlr.GridConfig.from_toml(text).replace(problem={"kind": "population", "dimension": 5})).config
    optima = [s for s, p in config.schedules() if p["kind"] == "optimal"]
    assert [s.name for s in optima] == ["optimal[shape='monotone']", "optimal[shape='free']"]
    rates = optima[0].rates(0, 40)
    assert rates.max() <= 0.2 and (np.diff(rates[3:]) <= 0).all()
    np.testing.assert_allclose(rates[:3], rates[3] * np.arange(3) / 3, rtol=1e-12)


REFUSED = {
    "no exact means": ("[expectation]\n", "", "add a table \\[expectation\\]"),
    "a level": ("steps = [10, 40]\n[record]", "train_loss = 0.1\n[record]", "use stop.steps, not a level"),
    "another unit": ('cap = "stability"', 'unit = "sharpness"', "leave unit out"),
    "an unknown key": ('cap = "stability"', "capp = 1.0", "did you mean 'cap'"),
    "a word for a cap": ('cap = "stability"', 'cap = "stable"', "did you mean 'stability'"),
    "an average": ("[[noise]]", '[[optimizer]]\nkind = "gd"\naverage = "tail"\n[[noise]]', "leave it out"),
    "mini-batches": ('kind = "fresh"\nbatch_size = 2\nsigma = 0.4', 'kind = "minibatch"\nbatch_size = 2', "mini-batch"),
    "found by hand": ('cap = "stability"', "found = 3", "found must be"),
    "a long warm-up": (
        'cap = "stability"',
        "warmup_steps = 10",
        "kind 'optimal'. of source=0.4: warmup_steps must be below the 10 steps",
    ),
    "a high peak": (
        'cap = "stability"',
        'peak = 1e9\nshape = "monotone"',
        "kind 'optimal'. of source=0.4: peak must be at most the cap",
    ),
    "more draws than there are": ('cap = "stability"', "draws = 999", "draws must be at most 1, .*, got 999"),
    "more pieces than steps": (
        'cap = "stability"',
        "equal_pieces = 11",
        "equal_pieces must be at most 10, a step each, got 11",
    ),
}


@pytest.mark.parametrize(("old", "new", "message"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused_in_one_line(old, new, message):
    text = GRID.replace(old, new)
    assert text != GRID
    if message == "add a table \\[expectation\\]":
        text = text.replace('kind = "fresh"\nbatch_size = 2\nsigma = 0.4', 'kind = "gradient"\nsigma = 0.1')
    with pytest.raises(InputError, match=message) as refused:
        Job(simlr.GridConfig.from_toml(text))
    assert "\n" not in str(refused.value)


def test_a_test_loss_across_axes_is_refused():
    text = GRID.replace(
        'kind = "population"\ndimension = 30\ncapacity = 2.0\nsource = [0.4, 1.2]',
        'kind = "gaussian"\ndimension = 3\ntrain_rows = 8\ntest_covariance = [1.0, 2.0, 3.0]',
    ).replace('kind = "fresh"\nbatch_size = 2\nsigma = 0.4', 'kind = "gradient"\nsigma = 0.1')
    text = text.replace("[stop]", "[seeds]\ncount = 2\n[stop]")
    with pytest.raises(InputError, match="use objective = 'train_loss'"):
        Job(simlr.GridConfig.from_toml(text))
    job = Job(simlr.GridConfig.from_toml(text.replace('cap = "stability"', 'objective = "train_loss"')))
    assert "found" in job.config.schedule[0]


def test_rates_that_are_not_computed_are_not_read_as_numbers():
    schedule, _ = simlr.GridConfig.from_toml(GRID).schedules()[0]
    with pytest.raises(InputError, match=r"computed by simlr\.run"):
        schedule.rates(0, 10)
