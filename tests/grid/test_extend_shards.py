"""Shards that grow, each by itself and then joined, or joined first: the bits of the run that had asked for all."""

import os
from pathlib import Path

import numpy as np
import pytest
import runs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import simlr
from simlr.errors import InputError
from simlr.grid.command import grid_command
from simlr.grid.extend import Extension
from simlr.grid.growth import NEW, seeds_there
from simlr.grid.job import Job
from simlr.grid.parts import parts
from simlr.store import merging

ROWS = {"problem__kind": "gaussian", "problem__dimension": 3, "problem__train_rows": [5, 9]}
MORE = {
    "seeds": {"seeds__count": 61},
    "levels": {"stop__train_loss": [1e-4, 1e-3, 1e-2]},
    "steps": {"stop__max_steps": 900},
    "schedules": {"schedule__3__learning_rate": [0.7, 0.2]},
    "all of it": {"seeds__count": 45, "stop__max_steps": 400, "schedule__3__learning_rate": [0.2, 0.7]},
}
COUNT = 3


def lay(config, count=COUNT):
    """The shards of a grid, by their files' names."""
    names = [f"{index}.h5" for index in range(count)]
    for index, name in enumerate(names):
        job = Job(config, (index, count))
        job.run(*job.open(name))
    return names


@given(arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 9))))
def test_parts_are_what_is_wanted_each_cell_once(wanted):
    times = np.zeros(wanted.shape, int)
    for schedules, begin, end in parts(wanted):
        assert begin < end
        times[list(schedules), begin:end] += 1
    assert (times == wanted).all()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(0, 5), st.data())
def test_every_seed_of_a_shard_is_found_by_its_draw(draws, more, data):
    """Beside a twin that goes by the names (combination, draw) of seeds alone."""
    config = runs.grid(run__block_seeds=1)
    there, here = (Job(config).plan for _ in range(2))
    names, found = [], []
    for plan, extra in ((there, 0), (here, more)):
        object.__setattr__(plan, "sizes", tuple((2, count + extra) for count in draws))
        plan.__dict__.pop("offsets", None)
        count = data.draw(st.integers(1, plan.blocks))
        found.append(plan.part(data.draw(st.integers(0, count - 1)), count))
        every = [(c, k) for c, number in enumerate(draws) for k in range(number + extra)]
        names.append(every[found[-1].first : found[-1].first + found[-1].seeds])
    wanted = [names[0].index(name) if name in names[0] else NEW for name in names[1]]
    assert seeds_there(*found).tolist() == wanted


@pytest.mark.parametrize("rows", [{}, pytest.param(ROWS, marks=pytest.mark.slow)], ids=["nakkiran2020", "two problems"])
@pytest.mark.parametrize("more", MORE)
def test_every_shard_by_itself(more, rows, folder):
    large = runs.grid(**rows, **MORE[more])
    names, reused = lay(runs.grid(**rows)), 0
    for index, name in enumerate(names):
        extension = Extension(Job(large, (index, COUNT)), name)
        reused += extension.reused
        extension.run()
    assert reused > 0 and sorted(os.listdir()) == names
    merging.merge(names, "joined.h5")
    whole = simlr.run(large)
    runs.assert_same_bits(simlr.load("joined.h5"), whole)
    if more == "schedules" and not rows:  # the seeds of each are what they were
        assert reused == 240
    for index, name in enumerate(names):
        job = Job(large, (index, COUNT))
        job.run(*job.open(f"new-{name}"))
        runs.assert_same_bits(simlr.load(name), simlr.load(f"new-{name}"))


def test_joined_first(folder):
    merging.merge(lay(runs.grid()), "joined.h5")
    large = runs.grid(**MORE["seeds"])
    extension = Extension(Job(large), "joined.h5")
    assert extension.reused == 240
    extension.run()
    runs.assert_same_bits(simlr.load("joined.h5"), simlr.run(large))


def test_the_command_names_the_way(folder, capsys):
    Path("grid.toml").write_text(runs.SMALL)

    def refused(*arguments):
        assert grid_command([*more, *arguments]) == 2
        told = capsys.readouterr().err
        assert len(told.splitlines()) == 1
        return told

    names = [f"data/small.shard-{index}-of-2.h5" for index in range(2)]
    more = "grid.toml", "--set", "schedule.3.learning_rate=[0.7,0.2]", "--extend"
    for shard in (["--shard", "0/2"], ["--shard", "1/2"], ["--out", "whole.h5"]):
        assert grid_command(["grid.toml", *shard, "--quiet"]) == 0
    before = Path(names[0]).read_bytes()
    whole = refused("--out", names[0])
    assert "holds shard 0/2: --extend with --shard 0/2 extends it alone; or join the shards first" in whole
    for shard in ("1/2", "0/3"):
        assert f"holds shard 0/2, and wanted is {shard}" in refused("--shard", shard, "--out", names[0])
    told = refused("--shard", "0/2", "--out", "whole.h5")
    assert "holds a whole run, which --extend leaves whole; leave --shard 0/2 out" in told
    assert Path(names[0]).read_bytes() == before
    for shard, told in (("0/2", "126 cells of 147 are there, 21"), ("1/2", "114 cells of 133 are there, 19")):
        assert grid_command([*more, "--shard", shard, "--dry-run"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == f"extends   {told} are computed"
        assert grid_command([*more, "--shard", shard, "--quiet"]) == 0
    assert grid_command([*more, "--shard", "1/2", "--seeds", "80", "--dry-run"]) == 0
    told = "0 cells of 266 are there, 266 are computed (19 seeds become another shard's; shards that are joined"
    assert told in capsys.readouterr().out.splitlines()[-1]
    merging.merge(names, "joined.h5")
    assert grid_command([*more, "--out", "whole.h5", "--quiet"]) == 0
    runs.assert_same_bits(simlr.load("joined.h5"), simlr.load("whole.h5"))


def test_shards_of_which_some_have_grown_are_not_joined(folder):
    names = lay(runs.grid())
    Extension(Job(runs.grid(**MORE["levels"]), (1, COUNT)), names[1]).run()
    with pytest.raises(InputError, match=r"1\.h5.*stop"):
        merging.merge(names, "joined.h5")
    assert not os.path.exists("joined.h5")
