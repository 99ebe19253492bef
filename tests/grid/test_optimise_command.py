"""`simlr optimise`: the optimum of a grid's problem beside the usual shapes, its files, and what is refused."""

import csv
import json
import runpy

import numpy as np
import pytest
from strict import parsed

import simlr
from simlr.__main__ import main
from simlr.errors import InputError
from simlr.grid.job import Job

PROBLEM = """
name = "small"
[problem]
kind = "population"
dimension = 12
capacity = 2.0
source = 0.4
[stop]
train_loss = 0.1
[[schedule]]
kind = "constant"
learning_rate = 0.1
[[noise]]
kind = "gradient"
sigma = 0.3
covariance = "hessian"
"""
NOISE = {"kind": "gradient", "sigma": 0.3, "covariance": "hessian"}
LAM = 2.0 * np.arange(1, 13)[None] ** -2.0
START = np.sqrt(np.arange(1, 13)[None] ** (-1.0 - 0.4 * 2.0 + 2.0))
LIMITED = ["--steps", "20", "--cap", "0.4", "--shape", "monotone", "--warmup-steps", "2"]


@pytest.fixture
def grid(folder):
    (folder / "small.toml").write_text(PROBLEM)
    return folder / "small.toml"


def mean_loss(rates):
    """E of the test loss after the steps, in plain Python: p <- (1 - eta lam)^2 p + eta^2 sigma^2 lam."""
    total = 0.0
    for lam, start in zip(LAM[0].tolist(), START[0].tolist(), strict=True):
        p = start * start
        for eta in rates:
            p = (1.0 - eta * lam) ** 2 * p + eta * eta * 0.09 * lam
        total += 0.5 * lam * p
    return total


def test_the_optimum_and_the_shapes_beside_it_are_those_of_the_python_call(grid, capsys):
    assert main(["optimise", "small.toml", *LIMITED, "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    told = parsed(out)
    assert err == "" and told["format"] == "simlr optimise 1" and not (grid.parent / "small-optimum").exists()
    (one,) = told["optima"]
    limits = {"cap": 0.4, "shape": "monotone", "warmup_steps": 2}
    best = simlr.optimise(LAM, START, 20, NOISE, limits=limits)
    assert one["expected_loss"] == pytest.approx(float(best.loss[0]), rel=1e-9)
    rates = np.repeat(one["learning_rate"], np.diff([*one["first_step"], 20]))
    assert mean_loss(rates.tolist()) == pytest.approx(one["expected_loss"], rel=1e-9)
    assert rates.max() <= 0.4 and (np.diff(rates[2:]) <= 0.0).all() and one["cap_binds"] == best.cap_binds
    assert one["gradient_norm"] < 1e-5 and 0.0 <= one["start_gap"] < 1e-3 and one["floor"] == 0.0
    assert one["asked"] == {
        "steps": 20, "peak": 0.0, "equal_pieces": 0, "objective": "test_loss", "draws": 0, **limits
    }  # fmt: skip
    assert set(one["shapes"]) == set(best.families)
    for name, shape in one["shapes"].items():
        assert shape["expected_loss"] == pytest.approx(best.families[name].loss, rel=1e-9)
        assert shape["over_optimum"] == pytest.approx(best.over_optimum()[name], rel=1e-7) and shape["over_optimum"] > 1


@pytest.mark.parametrize("form", ["csv", "json", "torch"])
def test_the_written_rates_are_read_back_to_the_bit(grid, form, capsys):
    assert main(["optimise", "small.toml", "--steps", "3", "--export", form, "--quiet", "--out", "rates"]) == 0
    said = capsys.readouterr().out
    assert "optimum" in said and "gradient norm" in said and "warmup stable decay" in said
    (file,) = (grid.parent / "rates").iterdir()
    assert said.splitlines()[-1] == f"rates/{file.name}"
    found = Job(
        simlr.GridConfig.from_toml(
            PROBLEM.replace("train_loss = 0.1", "steps = 3").replace(
                'kind = "constant"\nlearning_rate = 0.1', 'kind = "optimal"'
            )
            + "[expectation]\n"
        )
    ).config.schedules()[0][0]
    expected = found.rates(0, 3)
    if form == "csv":
        rates = np.loadtxt(file, delimiter=",", skiprows=1, usecols=1)
    elif form == "json":
        told = json.loads(file.read_text())
        rates = np.repeat(told["learning_rate"], np.diff([*told["first_step"], told["steps"]]))
    else:
        rates = [runpy.run_path(str(file))["learning_rate"](t) for t in range(3)]
    assert np.array_equal(rates, expected)
    # A second time replaces what simlr has written.
    assert main(["optimise", "small.toml", "--steps", "3", "--export", form, "--quiet", "--out", "rates"]) == 0


def test_one_table_goes_to_the_file_that_is_named(grid, capsys):
    for _ in range(2):
        assert main(["optimise", "small.toml", "--steps", "3", "--csv", "mine.csv", "--json", "--quiet"]) == 0
        assert parsed(capsys.readouterr().out)["optima"][0]["file"] == "mine.csv"
    assert (grid.parent / "mine.csv").read_text().splitlines()[0] == "step,learning_rate"


def test_options_replace_the_keys_of_the_optima_that_the_grid_has(grid, capsys):
    text = PROBLEM.replace("train_loss = 0.1", "steps = [4, 5]").replace("source = 0.4", "source = [0.4, 1.2]")
    text += '[expectation]\n[[schedule]]\nname = "bounded"\nkind = "optimal"\ncap = 0.3\n'
    grid.write_text(text)
    assert main(["optimise", "small.toml", "--quiet", "--shape", "monotone", "--set", "problem.dimension=5"]) == 0
    written = sorted(path.name for path in (grid.parent / "small-optimum").iterdir())
    assert written == [f"optimum-{i}.csv" for i in (1, 2, 3, 4)]
    said = capsys.readouterr().out
    assert said.count("bounded: expected test loss after 4 steps, source=") == 2 and said.count("after 5 steps") == 2
    for i in (1, 2, 3, 4):
        with open(grid.parent / f"small-optimum/optimum-{i}.csv", newline="") as file:
            rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
        assert len(rates) == (4 if i < 3 else 5) and max(rates) <= 0.3 and sorted(rates, reverse=True) == rates
    with pytest.raises(SystemExit, match="2"):
        main(["optimise", "small.toml", "--steps", "4,4"])


REFUSED = {
    "no horizon": ([], "--steps is missing"),
    "a word for a cap": (["--steps", "5", "--cap", "stable"], "did you mean 'stability'?"),
    "a shape misspelled": (
        ["--steps", "5", "--shape", "monoton"],
        "simlr: --shape: unknown shape 'monoton'; did you mean 'monotone'?",
    ),
    "a cap that is none": (
        ["--steps", "5", "--cap", "abc"],
        "simlr: --cap must be a finite number > 0, 'none' or 'stability', got 'abc'",
    ),
    "a peak without a shape": (["--steps", "5", "--peak", "0.1"], "peak goes with a shape"),
    "a long warm-up": (["--steps", "5", "--warmup-steps", "5"], "warmup_steps must be below the 5 steps, got 5"),
    "too many draws": (["--steps", "5", "--draws", "3"], "draws must be at most 1"),
    "no number": (["--steps", "5", "--equal-pieces", "two"], "--equal-pieces must be"),
    "many lines": (["--steps", "2000000", "--out", "rates"], "export 'csv': at most 1,000,000 lines"),
    "two optima in one table": (["--steps", "5,6", "--csv", "a.csv"], "there are 2; use --out DIR"),
    "another form of table": (["--steps", "5", "--csv", "a.csv", "--export", "json"], "goes with --out DIR"),
    "somebody else's table": (["--steps", "5", "--csv", "theirs.csv"], "was not made by simlr"),
    "no folder": (["--steps", "5", "--out", "no/where"], "the folder no does not exist"),
    "mini-batches": (
        ["--steps", "5", "--set", 'noise=[{kind = "minibatch", batch_size = 2}]'],
        "not with mini-batches of the rows; near the minimum they are like noise 'gradient' with covariance = "
        "'hessian' and sigma = sqrt(2 train_floor / batch_size)",
    ),
    "an average": (["--steps", "5", "--set", 'optimizer=[{kind = "gd", average = "tail"}]'], "leave it out"),
    "an unknown key": (["--steps", "5", "--set", "problem.dimensoin=3"], "did you mean 'dimension'?"),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused_in_one_line(grid, given, message, capsys):
    (grid.parent / "theirs.csv").write_text("step,learning_rate,loss\n0,1,2\n")
    assert main(["optimise", "small.toml", "--quiet", "--json", *given]) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1
    assert {path.name for path in grid.parent.iterdir()} == {"small.toml", "theirs.csv"}


ROWS = """
[problem]
kind = "gaussian"
dimension = 5
train_rows = 200
label_noise = 0.5
[seeds]
count = 100
[stop]
steps = [1000]
[record]
points = 0
[[schedule]]
kind = "constant"
learning_rate = [0.01, 0.05]
"""


def test_the_noise_that_is_advised_in_the_place_of_mini_batches_is_near_to_them(folder, capsys):
    """The mean excess loss of 4 rows a batch, replaced by noise of the advised size, to a fifth; of 16 rows not."""

    def excess(noise):
        run = simlr.run(f"{ROWS}[[noise]]\n{noise}")
        return float(np.mean(run["train_floor"])), (run["train_loss"][:, :, 0] - run["train_floor"]).mean(axis=1)

    floor, drawn = excess('kind = "minibatch"\nbatch_size = 4')
    advised = [f'kind = "gradient"\ncovariance = "hessian"\nsigma = {np.sqrt(2.0 * floor / rows)}' for rows in (4, 16)]
    (_, near), (_, far) = map(excess, advised)
    assert (np.abs(near / drawn - 1.0) < 0.2).all() and (far < 0.4 * drawn).all()
    (folder / "rows.toml").write_text(f"{ROWS}[[noise]]\n{advised[0]}")
    assert main(["optimise", "rows.toml", "--steps", "20", "--quiet", "--draws", "3", "--json"]) == 0
    assert parsed(capsys.readouterr().out)["optima"][0]["expected_loss"] > 0.0


def test_the_same_is_said_as_of_a_grid(grid, capsys):
    text = PROBLEM.replace("train_loss = 0.1", "steps = 5") + "[expectation]\n"
    text = text.replace('kind = "constant"\nlearning_rate = 0.1', 'kind = "optimal"\npeak = 9e9\nshape = "monotone"')
    with pytest.raises(InputError) as refused:
        Job(simlr.GridConfig.from_toml(text))
    assert main(["optimise", "small.toml", "--steps", "5", "--peak", "9e9", "--shape", "monotone", "--quiet"]) == 2
    assert capsys.readouterr().err == f"simlr: small.toml: {refused.value}\n"


def test_a_paper_has_a_problem_too(folder, capsys):
    given = ["--steps", "3", "--draws", "2", "--set", "seeds.count=4", "--set", "problem.samples=random", "--json"]
    assert main(["optimise", "nakkiran2020", "--quiet", *given]) == 0
    (one,) = parsed(capsys.readouterr().out)["optima"]
    assert len(one["learning_rate"]) <= 3 and one["asked"]["draws"] == 2


def test_a_python_file_is_a_paper_here_too(folder, capsys):
    text = f'SOURCE = CLAIM = RECONSTRUCTION = "mine"\nGRID = """{PROBLEM}"""\ncheck = controls = lambda *_: ()\n'
    (folder / "mine.py").write_text(text)
    assert main(["optimise", "mine.py", *LIMITED, "--json", "--quiet"]) == 0
    (found,) = parsed(capsys.readouterr().out)["optima"]
    (folder / "small.toml").write_text(PROBLEM)
    assert main(["optimise", "small.toml", *LIMITED, "--json", "--quiet"]) == 0
    (same,) = parsed(capsys.readouterr().out)["optima"]
    assert found == {**same, "file": found["file"]} and found["expected_loss"] > 0.0
