"""Going on with, and joining, what other code has computed: refused by name, or accepted and said in the file."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import runs

import simlr
from simlr import merge
from simlr.errors import InputError
from simlr.grid import __main__ as grid_command
from simlr.grid import job as job_module
from simlr.grid import provenance
from simlr.grid.job import Job
from simlr.report import __main__ as report
from simlr.store import compatibility, merging
from simlr.store.verify import verify


def pretend(patch, **changes):
    """Let what is computed from now on come from other code."""
    environment = {**provenance.environment_here(), **changes}
    patch.setattr(job_module, "environment_here", lambda: environment)


@pytest.fixture
def begun(folder):
    """A run of which other code has computed blocks 0, 1 and 4."""
    with pytest.MonkeyPatch.context() as patch:
        pretend(patch, kernel_digest="old kernels", numba_version="0.64.0")
        runs.run_blocks(runs.grid(), "run.h5", [0, 1, 4])
    return "run.h5"


SAID = ["seeds 0 to 13, 28 to 34: kernel digest 'old kernels', numba version '0.64.0'"]


def test_it_is_refused_by_name_and_accepted_by_a_word(begun, finished):
    before = Path(begun).read_bytes()
    with pytest.raises(InputError, match=r"with kernel digest 'old kernels', here is .*; --accept-other takes them"):
        simlr.run(runs.grid(), begun, resume=True)
    assert Path(begun).read_bytes() == before and os.listdir() == [begun]
    run = simlr.run(runs.grid(), begun, resume=True, accept_other=True)
    assert run.complete and run.accepted_other == SAID and os.listdir() == [begun]
    runs.assert_same_bits(run, simlr.load(finished))  # the code is the same here, whatever it is called
    assert verify(begun).endswith(f"bytes; other code has computed {SAID[0]}")
    # From now on it is this code's, and the word stays.
    assert simlr.run(runs.grid(), begun, resume=True).accepted_other == SAID


def test_only_what_is_missing_is_computed(begun, monkeypatch):
    computed = []
    before = job_module.Job._compute
    monkeypatch.setattr(
        job_module.Job,
        "_compute",
        lambda self, w, blocks, *rest: (computed.extend(blocks), before(self, w, blocks, *rest)),
    )
    simlr.run(runs.grid(), begun, resume=True, accept_other=True)
    assert computed == [2, 3, 5]


def test_the_report_and_the_commands_say_so(begun, capsys):
    Path("grid.toml").write_text(runs.SMALL)
    arguments = ["grid.toml", "--out", begun, "--quiet"]
    assert grid_command.main([*arguments, "--accept-other"]) == 2
    assert capsys.readouterr().err == "simlr: --accept-other goes with --resume or --extend\n"
    assert grid_command.main([*arguments, "--resume"]) == 2
    assert "--accept-other" in capsys.readouterr().err
    assert grid_command.main([*arguments, "--resume", "--accept-other"]) == 0
    assert report.main([begun, "--out", "made", "--format", "md"]) == 0
    assert "old kernels" in Path("made/report.md").read_text()


@pytest.mark.parametrize("moment", ["put_in_place", "begin"])
def test_a_failure_leaves_what_was_there(moment, begun, monkeypatch):
    from simlr.store import create

    def fail(*arguments, **keywords):
        raise KeyboardInterrupt

    before = Path(begun).read_bytes()
    monkeypatch.setattr(create.Made if moment == "put_in_place" else create, moment, fail)
    with pytest.raises(KeyboardInterrupt):
        simlr.run(runs.grid(), begun, resume=True, accept_other=True)
    assert Path(begun).read_bytes() == before and os.listdir() == [begun]


def test_of_a_file_without_blocks_there_is_nothing_to_say(folder):
    with pytest.MonkeyPatch.context() as patch:
        pretend(patch, blas="another")
        runs.run_blocks(runs.grid(), "run.h5", [])
    assert simlr.run(runs.grid(), "run.h5", resume=True, accept_other=True).accepted_other == []


def test_damaged_blocks_are_not_taken_over(begun, finished):
    place = simlr.store.survey(begun).places["test_loss"]
    runs.flip(begun, place.start + 8 * 2 * 3)
    run = simlr.run(runs.grid(), begun, resume=True, accept_other=True)
    assert run.accepted_other == [SAID[0].replace("0 to 13", "7 to 13")]
    runs.assert_same_bits(run, simlr.load(finished))


def test_other_data_are_never_accepted(folder):
    text = runs.SMALL.replace('kind = "nakkiran2020"', 'kind = "quadratic"\nfile = "mine.npz"')
    np.savez("mine.npz", curvature=np.array([[1.0, 0.5]] * 40), residual=np.ones((40, 2)))
    runs.run_blocks(runs.grid(text), "run.h5", [0])
    np.savez("mine.npz", curvature=np.array([[1.0, 0.4]] * 40), residual=np.ones((40, 2)))
    with pytest.raises(InputError, match=r"the data that the grid names \('mine\.npz'\) are not what they were"):
        simlr.run(runs.grid(text), "run.h5", resume=True, accept_other=True)


def test_shards_of_other_code_are_joined_by_a_word(folder, finished, capsys):
    names = []
    for i, kernels in enumerate(["first", "second", "first"]):
        with pytest.MonkeyPatch.context() as patch:
            pretend(patch, kernel_digest=kernels)
            job = Job(runs.grid(), (i, 3))
            job.run(*job.open(f"{i}.h5"))
        names.append(f"{i}.h5")
    with pytest.raises(InputError, match=r"merging would mix results .*; --accept-other takes them together"):
        merging.merge(names, "run.h5")
    assert merge.main([*names, "--out", "run.h5", "--accept-other", "--quiet"]) == 0
    run = simlr.load("run.h5")
    assert run.accepted_other == ["seeds 14 to 27: kernel digest 'second'"]
    assert run.attributes["kernel_digest"] == "first"
    runs.assert_same_bits(run, simlr.load(finished))
    # A shard that was accepted before keeps its word, counted through the grid.
    with pytest.MonkeyPatch.context() as patch:
        pretend(patch, kernel_digest="first")
        shutil.copy("1.h5", "again.h5")
        job = Job(runs.grid(), (1, 3))
        job.run(*job.open("again.h5", resume=True, accept_other=True))
    merging.merge([names[0], "again.h5", names[2]], "more.h5")
    assert simlr.load("more.h5").accepted_other == ["seeds 14 to 27: kernel digest 'second'"]


def test_the_word_is_no_part_of_what_must_agree():
    assert compatibility.ACCEPTED not in compatibility.PROVENANCE
