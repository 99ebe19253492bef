"""The framework of papers: a paper from one file, its run file, its verdict, its report, and the command over all."""

import contextlib
import csv
import html
import importlib
import re
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import runs
from strict import parsed

import simlr
from simlr import papers
from simlr.analysis.verdict import verdict_of as verdict_of_run
from simlr.claims.registry import load_paper, paper_names
from simlr.claims.verdict import FAILS, HOLDS, NOT_RUN, UNDECIDED, Finding, at_least, at_most, near
from simlr.claims.verdict import verdict as verdict_of
from simlr.config import study as studies
from simlr.config.grid import GridConfig
from simlr.config.reading import read
from simlr.errors import DamageError, InputError, RunError
from simlr.grid import command as commands
from simlr.grid.study import study_datasets
from simlr.papers import __main__
from simlr.report import __main__ as _report
from simlr.store import verify
from simlr.store.file_format import Field
from simlr.store.read import load

DOCUMENT = runs.ROOT / "docs/adding-a-paper.md"
YOUNG = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL).group(1)


@contextlib.contextmanager
def dropped_in(folder, **files):
    """Papers that lie in a folder of their own, for the duration."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    papers.__path__.append(str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        papers.__path__.remove(str(folder))
        for name in files:
            sys.modules.pop(f"simlr.papers.{name}", None)
            vars(papers).pop(name, None)


@pytest.fixture(scope="module")
def young(tmp_path_factory):
    """The paper of the document, as if its file lay in simlr/papers."""
    with dropped_in(tmp_path_factory.mktemp("papers"), young1953=YOUNG):
        yield load_paper("young1953")


@pytest.fixture(scope="module")
def file(young, tmp_path_factory):
    """Its run file, made by the command; not to be changed."""
    path = tmp_path_factory.mktemp("young") / "young.h5"
    assert commands.grid_command(["young1953", "--out", str(path), "--quiet"]) == 0
    return path


# ---- one file, no edit elsewhere ----


def test_the_worked_example_runs_and_holds(file):
    run = simlr.load(file)
    assert run.complete and run.is_study
    verdict = verdict_of_run(run)
    assert verdict.outcome == HOLDS
    assert len(verdict.findings) == 6


def test_it_is_listed_by_itself(young, capsys):
    assert commands.grid_command(["--list"]) == 0
    out = capsys.readouterr().out
    assert "young1953" in out.split("STUDIES")[0]
    assert "numbers of steps (required)" in out.split("STUDIES")[1]


def test_the_documents_file_is_neat(tmp_path):
    """The example obeys the rules for the style of the others."""
    (tmp_path / "young1953.py").write_text(YOUNG)
    command = [sys.executable, "-m", "ruff", "check", "--config", str(runs.ROOT / "pyproject.toml"), "young1953.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_underscored_modules_are_no_papers():
    assert "__main__" not in paper_names()
    assert {"nakkiran2020"} <= set(paper_names())


def test_every_paper_has_what_it_needs():
    for name in paper_names():
        paper = load_paper(name)
        for text in (paper.SOURCE, paper.CLAIM, paper.RECONSTRUCTION):
            assert isinstance(text, str) and text.strip(), name
        config = read(paper.GRID)
        assert (config.paper, config.name) == (name, name)
        assert paper.controls(), f"{name} has no negative control"
        for control in paper.controls():
            assert read(control.grid or paper.GRID, control.overrides).paper == name


def test_a_study_is_no_problem_and_a_problem_no_study(young):
    with pytest.raises(InputError, match=r"problem.kind: unknown kind 'young1953'"):
        GridConfig.from_toml(simlr.papers.load("nakkiran2020").GRID, [("problem.kind", "young1953")])
    with pytest.raises(InputError, match=r"study.kind: unknown study 'nakkiran2020'"):
        read(young.GRID, [("study.kind", "nakkiran2020")])


# ---- the description ----


def test_a_description_is_complete_and_goes_round(young):
    config = read(young.GRID)
    assert config.study == {
        "kind": "young1953",
        "kappa": 100.0,
        "steps": (1.0, 2.0, 5.0, 10.0, 20.0, 50.0),
        "stretch": 1.0,
    }
    assert read(config.to_toml()) == config
    assert config.replace(seeds={"count": 3}).seeds == {"count": 3, "root": 0}
    assert config.replace(name="other").identity() == config.identity()
    assert config.replace(study={"kappa": 10.0}).identity() != config.identity()


BAD = [
    (("study.kapa", 1.0), r"study \(kind 'young1953'\): unknown key 'kapa'; did you mean 'kappa'"),
    (("study.kappa", -1.0), r"study.kappa must be a finite number > 0, got -1.0"),
    (("study.kind", "young1935"), r"study.kind: unknown study 'young1935'; did you mean 'young1953'"),
    (("study.kind", 3), r"study.kind must be a string, got 3"),
    (("seeds.count", 0), r"seeds.count must be a whole number >= 1, got 0"),
    (("stop.steps", 3), r"study: unknown key 'stop'"),
    (("study", 3), r"study must be a table, got 3"),
    (("name", "a/b"), r"name must be fit for a file name"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_descriptions_are_refused_in_one_line(young, folder, capsys, change, message):
    with pytest.raises(InputError, match=message):
        read(young.GRID, [change])
    Path("bad.toml").write_text(young.GRID)
    assert commands.grid_command(["bad.toml", "--set", "study.kapa=1.0"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [entry.name for entry in folder.iterdir()] == ["bad.toml"]


def test_a_missing_parameter_is_named(young):
    with pytest.raises(InputError, match=r"study \(kind 'young1953'\): steps is missing"):
        read('[study]\nkind = "young1953"\n')
    with pytest.raises(InputError, match=r"study\.kind is missing"):
        read("[study]\nkappa = 3.0\n")
    with pytest.raises(InputError, match=r"\[study\] makes it a study"):
        GridConfig.from_toml(young.GRID)


# ---- the run file ----


def test_the_file_is_readable_by_everyone(file):
    with h5py.File(file, "r") as opened:
        assert opened.attrs["format"] == "simlr"
        assert opened.attrs["study"] == "young1953"
        assert {"config", "identity", "kernel_digest", "numpy_version", "processor", "started_at"} <= set(opened.attrs)
        assert opened["worst_factor"].dims[0][0].name == "/step"
        assert opened["worst_factor"].attrs["long_name"].startswith("largest")
    run = simlr.load(file)
    assert run.dims("worst_factor") == ("step",)
    assert run.step.tolist() == [1, 2, 5, 10, 20, 50]
    assert run.finished_at > 0.0 and run.wall_seconds >= 0.0
    dataset = run.to_xarray()
    assert dataset.worst_factor.dims == ("step",)
    xarray, expected = pytest.importorskip("xarray"), run.worst_factor[4]
    with xarray.open_dataset(file, engine="h5netcdf") as opened:
        assert opened.worst_factor.sel(step=20).item() == expected


def test_memory_and_file_hold_the_same(young, file):
    here, there = simlr.run(read(young.GRID)), simlr.load(file)
    assert here.names == there.names
    for name in set(here.names) - {"finished_at", "wall_seconds"}:
        assert np.array_equal(here[name], there[name])
        assert here.dims(name) == there.dims(name)


def test_it_is_verified_by_its_seal(file, tmp_path):
    assert "sound: the run of study 'young1953'" in verify.verify(file)
    broken = tmp_path / "broken.h5"
    content = bytearray(file.read_bytes())
    with h5py.File(file, "r") as opened:
        content[opened["worst_factor"].id.get_offset() + 3] ^= 1
    broken.write_bytes(content)
    with pytest.raises(RunError, match="is damaged"):
        verify.verify(broken)
    with pytest.raises(DamageError, match="is damaged"):
        simlr.load(broken)


def test_existing_files_are_kept(young, file, tmp_path, capsys):
    path = tmp_path / "young.h5"
    path.write_bytes(file.read_bytes())
    before = path.read_bytes()
    assert commands.grid_command(["young1953", "--out", str(path)]) == 2
    assert "exists; --resume goes on with it, --overwrite replaces it" in capsys.readouterr().err
    assert commands.grid_command(["young1953", "--out", str(path), "--resume"]) == 0
    assert path.read_bytes() == before
    assert commands.grid_command(["young1953", "--out", str(path), "--resume", "--set", "study.kappa=3.0"]) == 2
    assert "holds another grid (study.kappa is 100.0 there, 3.0 here)" in capsys.readouterr().err
    assert commands.grid_command(["young1953", "--out", str(path), "--overwrite", "--quiet"]) == 0
    assert path.read_bytes() != before


def test_resume_starts_where_there_is_nothing(young, tmp_path):
    assert commands.grid_command(["young1953", "--out", str(tmp_path / "new.h5"), "--resume", "--quiet"]) == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["new.h5"]


def test_shards_are_refused_and_dry_runs_touch_nothing(young, folder, capsys):
    assert commands.grid_command(["young1953", "--shard", "0/2"]) == 2
    assert "is a study, which is measured whole" in capsys.readouterr().err
    assert commands.grid_command(["young1953", "--dry-run"]) == 0
    assert "worst_factor (step)" in capsys.readouterr().out
    assert not list(folder.iterdir())


def test_a_study_is_no_shard(file, tmp_path, capsys):
    from simlr import merge

    assert merge.main([str(file), "--out", str(tmp_path / "whole.h5")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


WAITING = YOUNG.replace(
    "    kappa, stretch = task",
    "    import time\n\n    open('own/begun', 'w').close()\n    time.sleep(60)\n    kappa, stretch = task",
).replace("young1953", "waiting")


def test_an_interrupted_study_leaves_nothing(folder):
    """Ctrl-C while it measures: one line, status 130, no file."""
    (folder / "own").mkdir()
    (folder / "own/waiting.py").write_text(WAITING)
    code = (
        "import sys, simlr.papers; simlr.papers.__path__.append('own'); from simlr.grid import main; "
        "sys.exit(main(['waiting', '--out', 'w.h5']))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, env=runs.environment())
    assert "waiting: the worst error" in process.stderr.readline()
    runs.wait_until((folder / "own/begun").exists, process)
    process.terminate()
    begin = time.monotonic()
    error = process.stderr.read()
    assert process.wait(timeout=30) == 130
    assert time.monotonic() - begin < 10.0
    assert error.strip() == "interrupted; of an unfinished study nothing is kept"
    assert sorted(entry.name for entry in folder.iterdir()) == ["own"]


# ---- arrays ----


def described(fields, **sizes):
    """A study of these fields, with seeds."""
    study = studies.Study("made", "", (), fields, None)

    class Config(studies.StudyConfig):
        definition = study

    return Config("made", {"kind": "made"}, {"count": sizes.get("seeds", 2), "root": 0})


FIELDS = (
    Field("error", ("schedule", "seed"), "<f8", "error"),
    Field("schedule", ("schedule",), "str", "names"),
)


def test_coordinates_are_made_where_they_are_not_given():
    found, sizes = study_datasets(described(FIELDS), {"error": np.ones((3, 2)), "schedule": ["a", "b", "c"]})
    arrays = {field.name: array.tolist() for field, array in found}
    assert sizes == {"schedule": 3, "seed": 2}
    assert arrays == {"schedule": ["a", "b", "c"], "seed": [0, 1], "error": [[1.0, 1.0]] * 3}
    assert found[-1][0].name == "error"


@pytest.mark.parametrize(
    ("measured", "message"),
    [
        ({"error": np.ones((3, 2))}, "declares .* and measured"),
        ({"error": np.ones(3), "schedule": ["a"]}, "must have the dimensions"),
        ({"error": np.ones((3, 2)), "schedule": ["a"]}, r"schedule must have shape \(3,\), got \(1,\)"),
        ({"error": np.ones((1, 5)), "schedule": ["a"]}, r"error must have shape \(1, 2\), got \(1, 5\)"),
        ({"error": np.ones((1, 2), complex), "schedule": ["a"]}, "Cannot cast"),
    ],
)
def test_arrays_that_are_not_as_declared_are_refused(measured, message):
    with pytest.raises((ValueError, TypeError), match=message):
        study_datasets(described(FIELDS), measured)


# ---- findings and verdicts ----


def test_findings_are_judged():
    assert near("x", 1.0, 1.1, 0.2).outcome == HOLDS
    assert near("x", 1.0, 2.0, 0.2).outcome == FAILS
    assert near("x", 100.0, 101.0, 0.02, relative=True).outcome == HOLDS
    assert near("x", float("nan"), 1.0, 10.0).outcome == UNDECIDED
    assert at_most("x", 2.0, 2.0).outcome == HOLDS
    assert at_least("x", float("nan"), 2.0).outcome == UNDECIDED
    assert at_most("x", float("inf"), 2.0).outcome == UNDECIDED
    assert at_least("x", 1.5, 2.0).outcome == FAILS


def test_a_control_has_the_outcome_that_it_must(young, monkeypatch, capsys):
    """A control may have to be undecided or to hold; those that are not always run are so with --controls."""
    first = young.controls()[0]
    more = [first, first._replace(name="no mistake", overrides=(), expected=HOLDS, always=False)]
    monkeypatch.setattr(young, "controls", lambda: more)
    assert __main__.main(["young1953", "--quiet"]) == 0
    assert "no mistake" not in capsys.readouterr().out
    assert __main__.main(["young1953", "--quiet", "--controls"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"control: no mistake +holds, as it must", out)
    assert re.search(r": verdict, after \d+\.\d s  +holds", out)  # what it took stands in no column of measurements
    more[1] = more[1]._replace(expected=UNDECIDED)
    assert __main__.main(["young1953", "--quiet", "--controls"]) == 1
    assert "WRONG: must be undecided" in capsys.readouterr().out


def test_every_paper_has_a_table_of_controls():
    for name in paper_names():
        if not (runs.ROOT / f"simlr/papers/{name}.py").exists():
            continue  # dropped in by a test
        controls = load_paper(name).controls()
        assert len(controls) >= 10, name
        assert {control.expected for control in controls} == {HOLDS, FAILS, UNDECIDED}, name
        assert {control.expected for control in controls if control.always} >= {FAILS, UNDECIDED}, name
        assert len({control.name for control in controls}) == len(controls), name


def test_a_finding_reads_as_a_line():
    found = near("ratio", 1.9999996, 2.0, 1e-6, note="at level 1e-6")
    assert str(found) == "ratio: 2; theory 2; tolerance 1e-6; at level 1e-6"
    assert str(found._replace(outcome=FAILS)).endswith(": does not hold")
    assert str(Finding("no schedule", "", "", outcome=UNDECIDED)) == "no schedule: undecided"
    assert at_most("x", 0.25, 1 / 3).cells() == ("x", "0.25", "<= 0.333333", "", "holds")


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([HOLDS, HOLDS], HOLDS),
        ([HOLDS, NOT_RUN], HOLDS),
        ([NOT_RUN], UNDECIDED),
        ([], UNDECIDED),
        ([HOLDS, UNDECIDED], UNDECIDED),
        ([FAILS, UNDECIDED, HOLDS], FAILS),
    ],
)
def test_a_verdict_is_that_of_its_findings(outcomes, expected):
    findings = [Finding("x", 1.0, 1.0, outcome=outcome) for outcome in outcomes]
    assert verdict_of("claim", findings).outcome == expected
    assert verdict_of("claim", findings, finished=False).outcome == UNDECIDED


# ---- the report ----


def test_the_report_has_claim_figures_and_picture(young, file, tmp_path, capsys):
    assert _report.main([str(file), "--out", str(tmp_path / "made")]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for words in (young.CLAIM, young.RECONSTRUCTION, "verdict: holds", "worst factor after 50 steps"):
        assert words in out
    made = {entry.name for entry in (tmp_path / "made").iterdir()}
    assert made == {"report.html", "report.md", "findings.csv"}
    page = html.unescape((tmp_path / "made/report.html").read_text(encoding="utf-8"))
    assert page.count("<figure") == 1 and "<img" not in page
    assert young.RECONSTRUCTION in page
    assert "<td>worst factor after 20 steps</td>" in page
    with open(tmp_path / "made/findings.csv", newline="", encoding="utf-8") as opened:
        records = list(csv.DictReader(opened))
    assert [record["outcome"] for record in records] == ["holds"] * 6
    assert float(records[0]["measured"]) == pytest.approx(float(records[0]["paper"]), rel=1e-12)


# ---- all of them ----

BAD_CONTROL = YOUNG.replace('("study.stretch", 1.2)', '("study.kappa", 50.0)').replace("young1953", "lenient")
NO_CONTROL = YOUNG.replace("    return [Control(", "    return [][:0] and [Control(").replace("young1953", "unchecked")
WRONG = YOUNG.replace("1.0 / np.cosh", "1.01 / np.cosh").replace("young1953", "mistaken")


def test_the_command_judges_claims_and_controls(young, tmp_path, capsys):
    assert __main__.main(["young1953", "--out", str(tmp_path / "kept"), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "worst factor after 50 steps" in out
    assert re.search(r"control: the largest curvature .* does not hold, as it must\n", out)
    assert "1 of 1 claims hold" in out
    assert [entry.name for entry in (tmp_path / "kept").iterdir()] == ["young1953.h5"]
    assert __main__.main(["young1953", "--out", str(tmp_path / "kept"), "--quiet"]) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err


def test_the_command_speaks_json(young, capsys):
    assert __main__.main(["young1953", "--json", "--quiet"]) == 0
    (found,) = parsed(capsys.readouterr().out)["papers"]
    assert (found["paper"], found["verdict"], found["passed"], found["file"]) == ("young1953", "holds", True, "")
    assert found["findings"][0]["measured"] == pytest.approx(99 / 101)
    assert found["controls"][0]["outcome"] == "does not hold"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("lenient", BAD_CONTROL, "WRONG: must not hold"),
        ("unchecked", NO_CONTROL, "not so: unchecked"),
        ("mistaken", WRONG, "does not hold"),
    ],
)
def test_what_is_not_as_it_must_be_fails(tmp_path, capsys, name, text, words):
    """A control that holds, a claim without a control, and a claim that does not hold: exit status 1."""
    with dropped_in(tmp_path / "own", **{name: text}):
        assert __main__.main([name, "--quiet"]) == 1
    assert words in capsys.readouterr().out


def test_the_command_refuses_in_one_line(folder, capsys):
    assert __main__.main(["nakkiran2002"]) == 2
    assert "papers: unknown paper 'nakkiran2002'; did you mean 'nakkiran2020'?" in capsys.readouterr().err
    assert __main__.main(["nakkiran2020", "--out", "no/where"]) == 2
    assert "the folder no does not exist" in capsys.readouterr().err
    assert not list(folder.iterdir())


def test_the_command_lists(capsys):
    assert __main__.main(["--list"]) == 0
    assert "arXiv:2005.07360" in capsys.readouterr().out


def test_the_reference_claim_and_its_controls(capsys):
    assert __main__.main(["nakkiran2020", "--quiet"]) == 0
    assert capsys.readouterr().out.count("does not hold, as it must") == 2


def test_loading_a_run_of_a_study_loads_no_numba(file, young):
    code = f"import sys, simlr; run = simlr.load({str(file)!r}); run.worst_factor; print('numba' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=runs.environment()
    )
    assert done.stdout.strip() == "False", done.stderr


def test_store_is_the_only_way_in(tmp_path):
    """A study's file that lost its end is refused, as every run file is."""
    with pytest.raises(InputError):
        load(tmp_path / "none.h5")
