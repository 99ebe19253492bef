"""Runs that grow: bit by bit the run that had asked for all, with what is there computed no second time."""

import os
import shutil
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest
import runs
from systems import of_unix, with_sigterm

import simlr
from simlr.config.reading import config_of
from simlr.engine import block_engine
from simlr.errors import DamageError, InputError, RunError
from simlr.grid.extend import ENDING, Extension
from simlr.grid.job import Job

GAUSSIAN = {"kind": "gaussian", "dimension": 3, "train_rows": 5}
CONSTANT = {"kind": "constant", "learning_rate": [0.05, 0.3, 2.5]}
COSINE = {"kind": "cosine", "learning_rate": 0.4, "steps": 150}
INVERSE = {"kind": "inverse_sqrt", "learning_rate": 0.3}


def tables(**changes):
    """A small grid as nested dicts; tables are replaced whole, `stop` and `record` key by key."""
    grid = {
        "name": "small",
        "problem": dict(GAUSSIAN),
        "seeds": {"count": 20, "root": 3},
        "stop": {"train_loss": [1.5, 0.3], "max_steps": 200},
        "record": {"points": 6, "seeds": 5},
        "run": {"block_seeds": 7},
        "schedule": [dict(CONSTANT), dict(COSINE), dict(INVERSE)],
    }
    for key, value in changes.items():
        merged = isinstance(value, dict) and key in ("stop", "record", "seeds")
        grid[key] = {**grid[key], **value} if merged else value
    return grid


@pytest.fixture
def cells(monkeypatch):
    """How many cells the engine computes from now on: a list with one number a call."""
    found = []
    before = block_engine.Engine.block

    def block(self, first, last):
        found.append((last - first) * len(self._plan.schedules))
        return before(self, first, last)

    monkeypatch.setattr(block_engine.Engine, "block", block)
    return found


def grown(small, large, cells=None, path="run.h5"):
    """The cells that an extension took over, which it has to be equal to the large run in all bits to."""
    simlr.run(small, path)
    extension = Extension(Job(config_of(large)), path)
    if cells is not None:
        cells.clear()
    run = simlr.run(large, path, extend=True)
    if cells is not None:
        assert sum(cells) == extension.computed
    assert run.complete and not os.path.exists(path + ENDING)
    runs.assert_same_bits(run, simlr.run(large))
    return extension.reused


# ---- more of everything, one at a time ----


def test_more_seeds(folder, cells):
    assert grown(tables(), tables(seeds={"count": 33}), cells) == 5 * 20


def test_more_seeds_of_every_problem(folder, cells):
    """The new seeds of the first problem lie in the midst, and more of its trajectories are kept."""
    problem = {**GAUSSIAN, "train_rows": [5, 9, 2]}
    assert grown(tables(problem=problem, seeds={"count": 4}), tables(problem=problem, seeds={"count": 9}), cells) == 60


def test_more_schedules_in_the_midst(folder, cells):
    schedules = [{**CONSTANT, "learning_rate": [0.01, 0.05, 2.5, 0.3]}, INVERSE, {"kind": "flow"}, COSINE]
    assert grown(tables(), tables(schedule=schedules), cells) == 5 * 20


def test_one_rate_becomes_a_list(folder):
    """The schedule has another name then."""
    one, two = ({"kind": "constant", "learning_rate": rates} for rates in (0.1, [0.2, 0.1]))
    assert grown(tables(schedule=[one]), tables(schedule=[two])) == 20


@pytest.mark.slow
def test_more_optimisers_and_noise(folder, cells):
    more = {"optimizer": [{"kind": "momentum", "momentum": 0.5, "average": "tail", "average_start": 5}, {"kind": "gd"}]}
    more["noise"] = [{"kind": "gradient", "sigma": [0.1, 0.2]}, {"kind": "none"}]
    assert grown(tables(), tables(**more), cells) == 5 * 20


def test_more_levels_compute_what_was_not_at_its_end(folder, cells):
    """Of a run that had ended, or diverged, at an easier level all harder ones are known."""
    small, large = tables(), tables(stop={"train_loss": [0.31, 1.5, 0.2, 0.3], "max_steps": 200})
    reused = grown(small, large, cells)
    run = simlr.run(small)
    ended = np.isin(run.status[:, :, 0], (2, 3)).sum()
    assert 0 < reused <= ended


@pytest.mark.slow
@pytest.mark.parametrize("levels", [{"excess_train_loss": [0.5, 1e-3]}, {"train_loss_fraction": [0.5, 0.1]}])
def test_levels_of_other_kinds(folder, levels):
    (kind, given), stop = *levels.items(), {"max_steps": 200}
    small, large = tables(), tables()
    small["stop"], large["stop"] = {**levels, **stop}, {kind: [*given, given[-1] / 3], **stop}
    grown(small, large)


def test_more_steps_compute_what_ran_out_of_them(folder, cells):
    """All but the cells that had met their levels early; the trajectories of some of these have other moments."""
    small, large = tables(record={"seeds": 2}), tables(record={"seeds": 2}, stop={"max_steps": 900})
    reused = grown(small, large, cells)
    assert 5 * 20 > reused > 18  # the cosine has steps of its own


def test_more_steps_without_trajectories(folder, cells):
    small = tables(record={"points": 0}, engine="recurrence")
    reused = grown(small, {**small, "stop": {**small["stop"], "max_steps": 5000}}, cells)
    run = simlr.run(small)
    out = np.isin(run.status, (2, 4)).any(axis=2)
    out[run.schedule == "cosine"] = False
    assert reused >= 100 - out.sum() - 40


def test_all_at_once(folder, cells):
    schedules = [COSINE, {"kind": "linear", "learning_rate": 0.2, "steps": 100}, CONSTANT, INVERSE]
    stop = {"train_loss": [0.1, 1.5, 0.3], "max_steps": 300}
    grown(tables(), tables(seeds={"count": 41}, schedule=schedules, stop=stop), cells)


# ---- all ways in which cells are computed ----

ROWS = {"kind": "gaussian", "dimension": 3, "train_rows": 6}
BUDGETS = {"steps": [10, 100], "max_steps": 150}
CHECKED = {"validation": {"patience": [2, 4], "every": 5}, "max_steps": 150}
WAYS = {
    "momentum": {"optimizer": [{"kind": "momentum", "momentum": 0.8}, {"kind": "gd"}]},
    "gradient noise": {"noise": [{"kind": "gradient", "sigma": 0.3}]},
    "mini-batches": {"noise": [{"kind": "minibatch", "batch_size": 2, "sampling": "epochs"}]},
    "average": {"optimizer": [{"kind": "gd", "average": "exponential"}, {"kind": "gd"}]},
    "adam": {"optimizer": [{"kind": "adam"}]},
    "landing": {"stop": {"landing": "exact"}},
    "residuals": {"record": {"stop_residual": True, "iterates": True}},
    "means": {"expectation": {}, "noise": [{"kind": "gradient", "sigma": 0.3}]},
    "binned means": {"expectation": {"bin_error": 0.05}, "noise": [{"kind": "gradient", "sigma": 0.3}]},
    "closed form": {"engine": "closed-form"},
    "recurrence": {"engine": "recurrence"},
    "many steps": {"stop": {"max_steps": 9000}, "seeds": {"count": 70}},
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_every_engine(folder, way):
    changes = WAYS[way]
    if way == "binned means":
        changes = {**changes, "problem": {"kind": "population", "dimension": 5}}
    small = tables(**changes)
    large = tables(**changes)
    large["seeds"] = {**small["seeds"], "count": small["seeds"]["count"] + 6}
    large["schedule"] = [{"kind": "step", "learning_rate": 0.2, "step_size": 40}, *small["schedule"]]
    large["stop"] = {**small["stop"], "max_steps": small["stop"]["max_steps"] * 3}
    grown(small, large)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [BUDGETS, CHECKED], ids=["budgets", "validation"])
def test_other_stops(folder, stop):
    small, large = tables(), tables(seeds={"count": 23})
    problem = {"kind": "nakkiran2020"} if "steps" in stop else {**ROWS, "validation_rows": 4}
    small |= {"stop": stop, "problem": problem}
    more = {**stop, "max_steps": 400}
    if "steps" in stop:
        more["steps"] = [10, 300, 100]
    else:
        more["validation"] = {**stop["validation"], "patience": [4, 3, 2]}
    large |= {"stop": more, "problem": problem}
    grown(small, large)
    grown(small, {**small, "seeds": {**small["seeds"], "count": 31}}, path="other.h5")


@pytest.mark.slow
def test_where_rows_are_gone_through_the_number_of_schedules_counts(folder, cells):
    """Beyond twelve schedules sums are added up in another order."""

    def of_rates(count):
        rates = [round(0.01 * (i + 1), 2) for i in range(count)]
        schedule = [{"kind": "constant", "learning_rate": rates}]
        return tables(optimizer=[{"kind": "adam"}], schedule=schedule, seeds={"count": 5})

    assert grown(of_rates(3), of_rates(8), cells) == 15
    assert grown(of_rates(3), of_rates(16), cells, path="other.h5") == 0


# ---- what is refused ----

REFUSED = {
    "problem.train_rows": {"problem": {**GAUSSIAN, "train_rows": 6}},
    "problem.kind": {"problem": {"kind": "nakkiran2020"}},
    "seeds.root": {"seeds": {"root": 4}},
    "seeds.count": {"seeds": {"count": 19}},
    "stop.max_steps": {"stop": {"max_steps": 199}, "schedule": [CONSTANT, COSINE, INVERSE]},
    "stop.landing": {"stop": {"landing": "exact"}},
    "level 1.5": {"stop": {"train_loss": [0.3, 0.1]}},
    "record.points": {"record": {"points": 7}},
    "engine": {"engine": "recurrence"},
    "schedule 'cosine': learning_rate is 0.4 there, 0.5 here": {
        "schedule": [CONSTANT, {**COSINE, "learning_rate": 0.5}, INVERSE]
    },
    "schedule 'inverse_sqrt' is there, and not here": {"schedule": [CONSTANT, COSINE]},
    "schedule 'cosine': optimizer is 'gd' there, 'momentum' here": {
        "optimizer": [{"kind": "momentum", "momentum": 0.5}],
        "schedule": [{**COSINE}, {**CONSTANT}, {**INVERSE}],
    },
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The file of the small grid; not to be changed."""
    path = tmp_path_factory.mktemp("small") / "run.h5"
    simlr.run(tables(), path)
    return path


@pytest.mark.parametrize("key", REFUSED)
def test_all_else_is_refused_by_key(small, folder, key):
    shutil.copy(small, "run.h5")
    before = Path("run.h5").read_bytes()
    with pytest.raises(InputError) as refused:
        simlr.run(tables(**REFUSED[key]), "run.h5", extend=True)
    told = str(refused.value)
    assert key.partition(": optimizer")[0].split("'")[0] in told and len(told.splitlines()) == 1
    assert "schedule" in key or "there" in told
    assert Path("run.h5").read_bytes() == before and os.listdir() == ["run.h5"]


def test_there_has_to_be_a_file(folder):
    with pytest.raises(InputError, match="none"):
        simlr.run(tables(), "none.h5", extend=True)
    with pytest.raises(InputError, match="needs out"):
        simlr.run(tables(), extend=True)
    with pytest.raises(InputError, match="resume and extend"):
        simlr.run(tables(), "none.h5", resume=True, extend=True)


def test_other_code_is_accepted_by_word_alone(small, folder):
    shutil.copy(small, "run.h5")
    with h5py.File("run.h5", "r+") as file:
        file.attrs["numba_version"] = "0.1"
    large = tables(seeds={"count": 22})
    with pytest.raises(InputError, match="numba version"):
        simlr.run(large, "run.h5", extend=True)
    run = simlr.run(large, "run.h5", extend=True, accept_other=True)
    assert run.accepted_other == ["what was there before it was extended: numba version '0.1'"]
    runs.assert_same_bits(run, simlr.run(large))


# ---- files that are not whole, and extensions that are ended ----


def test_an_unfinished_and_damaged_run(folder, cells):
    large = tables(seeds={"count": 25})
    runs.run_blocks(config_of(tables()), "run.h5", [0, 2])
    place = simlr.store.survey("run.h5").places["test_loss"]
    runs.flip("run.h5", place.start + 8)
    extension = Extension(Job(config_of(large)), "run.h5")
    assert extension.damaged == ["block 0 (seeds 0 to 6)"] and extension.reused == 5 * 6
    extension.run()
    runs.assert_same_bits(simlr.load("run.h5"), simlr.run(large))


@pytest.mark.slow
def test_a_block_that_is_damaged_meanwhile(small, folder):
    shutil.copy(small, "run.h5")
    extension = Extension(Job(config_of(tables(seeds={"count": 25}))), "run.h5")
    os.utime("run.h5", ns=(os.stat("run.h5").st_atime_ns, extension._before.st_mtime_ns))
    place = simlr.store.survey("run.h5").places["test_loss"]
    runs.flip("run.h5", place.start + 8)
    with pytest.raises(DamageError, match="block 0"):
        extension.run()
    os.utime("run.h5", ns=(1, 1))
    assert simlr.run(tables(seeds={"count": 25}), "run.h5", extend=True).complete


def test_the_same_grid_is_gone_on_with(folder, cells):
    runs.run_blocks(config_of(tables()), "run.h5", [0, 2])
    cells.clear()
    assert simlr.run(tables(), "run.h5", extend=True).complete
    assert sum(cells) == 5 * 7
    assert simlr.run(tables(), "run.h5", extend=True).complete and len(cells) == 1


def test_what_was_begun_is_gone_on_with(small, folder, cells):
    shutil.copy(small, "run.h5")
    large, told = tables(seeds={"count": 41}, run={"block_seeds": 3}), []

    def interrupt(done, of):
        if done > 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simlr.run(large, "run.h5", extend=True, progress=interrupt)
    assert Path("run.h5").read_bytes() == small.read_bytes()
    cells.clear()
    Extension(Job(config_of(large)), "run.h5").run(tell=told.append)
    there = int(told[0].partition("goes on with it; ")[2].split()[0])  # how soon an interruption is met is chance
    assert (there == 14) == (sum(cells) == 0) and sum(cells) <= 5 * 16
    assert os.listdir() == ["run.h5"]
    runs.assert_same_bits(simlr.load("run.h5"), simlr.run(large))


@pytest.mark.slow
def test_what_was_begun_for_another_grid_starts_again(small, folder):
    shutil.copy(small, "run.h5")
    simlr.run(tables(seeds={"count": 50}), "run.h5" + ENDING)
    told, large = [], tables(seeds={"count": 30})
    Extension(Job(config_of(large)), "run.h5").run(tell=told.append)
    assert "starts again" in told[0] and "seeds.count is 50 there, 30 here" in told[0]
    runs.assert_same_bits(simlr.load("run.h5"), simlr.run(large))


def test_two_at_a_time(small, folder):
    shutil.copy(small, "run.h5")
    writer, _ = Job(config_of(tables())).open("run.h5", resume=True)
    with pytest.raises(RunError, match="another run is writing to it"):
        simlr.run(tables(seeds={"count": 30}), "run.h5", extend=True)
    writer.close()
    assert os.listdir() == ["run.h5"]


@of_unix
def test_no_room_for_both(small, folder, monkeypatch):
    shutil.copy(small, "run.h5")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 5, 5))
    with pytest.raises(InputError, match="the disk has 5 free"):
        simlr.run(tables(seeds={"count": 30}), "run.h5", extend=True)
    assert os.listdir() == ["run.h5"]


# ---- the command ----


def test_the_plan_says_beforehand_how_much_is_there(folder):
    Path("grid.toml").write_text(runs.SMALL)
    grid = "grid.toml", "--out", "run.h5", "--quiet"
    assert runs.command(*grid, cwd=folder).returncode == 0
    before = Path("run.h5").read_bytes()
    more = *grid[:3], "--seeds", "50", "--extend"
    plan = runs.command(*more, "--dry-run", cwd=folder)
    assert plan.stdout.splitlines()[-1] == "extends   240 cells of 300 are there, 60 are computed"
    assert Path("run.h5").read_bytes() == before
    done = runs.command(*more, cwd=folder)
    assert done.returncode == 0 and "240 cells of 300 are there, 60 are computed" in done.stderr
    runs.assert_same_bits(simlr.load("run.h5"), simlr.run(runs.grid(seeds__count=50)))
    again = runs.command(*more, cwd=folder)
    assert again.returncode == 0 and "nothing is missing" in again.stderr


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=[pytest.mark.slow, with_sigterm])]
)
def test_a_kill_leaves_the_old_file_and_the_same_command_goes_on(folder, number):
    Path("grid.toml").write_text(runs.SMALL)
    more = "grid.toml", "--out", "run.h5", "--seeds", "200000", "--set", "run.block_seeds=1000", "--extend"
    simlr.run(runs.grid(), "run.h5")
    before = Path("run.h5").read_bytes()
    process = runs.start(*more, "--quiet", cwd=folder)
    runs.wait_until(lambda: runs.has_begun("run.h5" + ENDING), process)
    process.send_signal(number)
    ended = runs.ended(process)
    assert ended.returncode in (-signal.SIGKILL, 130)
    assert number == signal.SIGKILL or ("--extend" in ended.stderr and "--resume" not in ended.stderr)
    assert Path("run.h5").read_bytes() == before
    done = runs.command(*more, cwd=folder)
    assert done.returncode == 0 and "goes on with it" in done.stderr
    assert sorted(os.listdir()) == ["grid.toml", "run.h5"]
    run = simlr.load("run.h5")
    assert run.complete and run.seed.size == 200000
