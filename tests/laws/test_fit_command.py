"""`simlr fit`: curves from files as trainers write them, what is printed and written, and what is refused."""

import gzip

import numpy as np
import pytest
from strict import parsed

from simlr.__main__ import main
from simlr.errors import InputError
from simlr.laws import best_schedule, predict, read_curve
from simlr.laws.best import jumps, rates_between, usual_shapes

TRUE = {"L0": 2.6, "A": 0.5, "C": 1.0, "alpha": 0.5, "lambda": 0.99}
AT = np.arange(40, 1001, 40)


@pytest.fixture
def files(tmp_path):
    for name, rates in usual_shapes(1000, 3e-3, 40).items():
        losses = predict("annealing", TRUE, rates, AT) * np.exp(1e-4 * np.sin(AT))
        lines = [f"{step},{float(rates[step - 1])!r},{float(loss)!r}" for step, loss in zip(AT, losses, strict=True)]
        (tmp_path / f"{name}.csv").write_text(
            "\n".join(["global_step,Learning Rate,val/loss", *lines]).replace("np.float64(", "").replace(")", "") + "\n"
        )
    return [str(tmp_path / f"{name}.csv") for name in ("constant", "cosine", "linear", "wsd")]


FEW = ["--law", "annealing", "--starts", "1", "--warmup", "40", "--resamples", "40"]


def test_a_fit_as_json(files, capsys):
    assert main(["fit", *files, *FEW, "--hold-out", "wsd", "--json"]) == 0
    found = parsed(capsys.readouterr().out)
    assert found["format"] == "simlr fit 1"
    assert found["parameters"]["L0"] == pytest.approx(2.6, rel=0.02)
    assert found["rmse_out_of_sample"] < 2e-3
    assert [one["held_out"] for one in found["errors"]] == [False, False, False, True]
    low, high = found["intervals"]["alpha"]
    assert low < found["parameters"]["alpha"] < high


def test_a_page_and_the_schedule_that_the_law_calls_best(files, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    assert main(["fit", *files[:2], *FEW, "--optimise", "--horizon", "200", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "Predicted last losses" in printed and "best to the law" in printed
    page = (out / "fit.html").read_text()
    assert (
        "Content-Security-Policy" in page
        and page.count("<svg") >= 2
        and "http://" not in page.replace("http://www.w3.org", "")
    )
    rates = np.loadtxt(out / "schedule.csv", delimiter=",", skiprows=1)[:, 1]
    assert rates.size == 200 and (np.diff(rates[40:]) <= 1e-18).all() and rates.max() == pytest.approx(3e-3, rel=0.02)


def test_the_best_schedule_is_at_most_each_usual_shape():
    found = best_schedule("multi-power", "25M", 600, 3e-4, warmup=60)
    assert found.loss <= min(found.shapes.values()) + 1e-9
    assert found.loss == pytest.approx(predict("multi-power", "25M", found.rates)[0], rel=1e-12)
    with pytest.raises(InputError, match="warmup must leave at least 2 of the 10 steps"):
        best_schedule("multi-power", "25M", 10, 3e-4, warmup=9)


def test_without_drops_in_the_law_no_rate_falls():
    found = best_schedule("annealing", {**TRUE, "C": 0.0}, 100, 1e-2)
    np.testing.assert_allclose(found.rates, 1e-2, rtol=1e-6)


def test_rates_between_rows():
    np.testing.assert_allclose(rates_between([2, 4, 6], [0.2, 0.4, 0.4]), [0.2, 0.2, 0.3, 0.4, 0.4, 0.4])
    np.testing.assert_allclose(rates_between([2, 4, 6, 8], [1.0, 1.0, 0.5, 0.5]), [1, 1, 1, 1, 1, 0.5, 0.5, 0.5])
    np.testing.assert_allclose(rates_between([4, 5], [1.0, 1.0], warmup=4), [0.0, 0.25, 0.5, 0.75, 1.0])
    # Rows within the warm-up have their own rates: the line from 0 ends at the first of them.
    np.testing.assert_allclose(rates_between([3, 5, 9], [0.2, 0.4, 0.8], warmup=9), [0, 0.1, *np.arange(0.2, 0.9, 0.1)])
    np.testing.assert_allclose(rates_between([1, 2], [0.1, 0.2], warmup=9), [0.1, 0.2])
    assert jumps(np.array([1.0, 0.8, 0.6])) == [] and jumps(np.array([1.0, 1.0, 0.5, 0.5])) == [1]


def written(tmp_path, text):
    path = tmp_path / "curve.csv"
    path.write_text(text)
    return path


def test_steps_that_count_from_0(files):
    one, other = read_curve(files[1]).curve, read_curve(files[1], first_step=0).curve
    assert (np.asarray(other.steps) == np.asarray(one.steps) + 1).all()
    assert other.rates.size == one.rates.size + 1
    assert (np.asarray(other.rates)[other.steps - 1] == np.asarray(one.rates)[one.steps - 1]).all()


def test_units_and_odd_headers(tmp_path):
    text = "Iteration (k);LR (1e-3);Train Loss;note\n0,1;2,0;3,5;1\n0,2;1,0;3,25;1\n0,3;1,0;3,0;2\n"
    curve = read_curve(written(tmp_path, text)).curve
    assert curve.steps.tolist() == [100, 200, 300] and curve.losses.tolist() == [3.5, 3.25, 3.0]
    assert curve.rates[99] == pytest.approx(2e-3) and curve.rates[199] == pytest.approx(1e-3)
    text = "step,lr,loss,ema\n0,1,9,0\n5,1,4,0\n9,1,3,2\n"
    found = read_curve(written(tmp_path, text), loss="loss")
    assert found.curve.steps.tolist() == [5, 9] and "step 0" in " ".join(found.notes)


def test_the_loss_that_is_taken_of_several_is_said(tmp_path):
    path = tmp_path / "two.csv"
    path.write_text("step,lr,train_loss,val_loss\n1,0.1,3.0,4.0\n2,0.1,2.0,3.0\n3,0.1,1.5,2.5\n")
    said = "the loss is the column 'val_loss', not 'train_loss'; --loss NAME takes another"
    found = read_curve(path)
    np.testing.assert_array_equal(found.curve.losses, [4.0, 3.0, 2.5])
    assert said in found.notes
    assert not [note for note in read_curve(path, loss="train_loss").notes if "--loss" in note]


@pytest.mark.parametrize(
    "text, message",
    [
        ("step,lr,los\n1,1,1\n2,1,1\n3,1,1\n", "no column is known as the loss"),
        ("1,1,1\n2,1,1\n3,1,1\n", "no header"),
        ("step,lr,loss\n1,1,1\n1,1,1\n3,1,1\n", "row 2: steps must ascend, got 1"),
        ("step,lr,loss\n1,1,1\n2.5,1,1\n3,1,1\n", "row 2: a step must be a whole number >= 0, got 2.5"),
        ("step,lr,loss\n1,1,1\n2,1,-1\n3,1,1\n", "row 2: a loss must be > 0, got -1"),
        ("step,lr,loss\n1,1,1\n2,-1,1\n3,1,1\n", "row 2: a learning rate must be >= 0, got -1"),
        ("step,lr,loss\n1,1,1\n2,1,\n3,1,1\n", "row 2: no number in the column 'loss', .* 1 of 3 rows; leave"),
        ("step,lr,val_loss,train_loss\n1,1,,1\n2,1,,1\n", "'val_loss', the loss, as in 2 of 2 rows; --loss NAME"),
        ("step (tokens),lr,loss\n1,1,1\n2,1,1\n3,1,1\n", "unit 'tokens' of column 'step \\(tokens\\)' is not known"),
        ("step,lr,LR,loss\n1,1,1,1\n2,1,1,1\n3,1,1,1\n", "2 columns may be the rate; --rate NAME says which"),
        ("step,lr,loss\n1,1,1\n2,1,abc\n3,1,1\n", "line 3"),
        ("step,lr,loss\n4,0,1\n5,1,1\n6,1,1\n", "the learning rate is 0 up to step 4"),
    ],
)  # fmt: skip
def test_bad_files_are_told_in_one_line(tmp_path, text, message, capsys):
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=message) as refusal:
        read_curve(path)
    assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)


def test_each_bad_file_has_a_line_and_the_status_is_2(files, tmp_path, capsys):
    bad = written(tmp_path, "step,lr,loss\n1,1,1\n1,1,1\n3,1,1\n")
    assert main(["fit", files[0], str(bad), str(tmp_path / "missing.csv"), *FEW]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2 and "curve.csv" in lines[0] and "missing.csv" in lines[1]
    assert main(["fit", files[0], "--law", "anealing"]) == 2
    assert "did you mean 'annealing'" in capsys.readouterr().err
    for option in (["--horizon", "9"], ["--peak", "0.1"], ["--export", "json"]):
        capsys.readouterr()
        assert main(["fit", *files, *option]) == 2
        assert (
            capsys.readouterr().err == f"simlr: {option[0]} is of the schedule that a law calls best; add --optimise\n"
        )


# ---- what is told, and what is refused before the work ----


def curve_file(path, losses):
    path.write_text("step,lr,loss\n" + "".join(f"{10 * (k + 1)},0.1,{loss:.9g}\n" for k, loss in enumerate(losses)))
    return str(path)


def test_losses_that_rise_are_told_and_no_law_is_near_them(tmp_path, capsys):
    file = curve_file(tmp_path / "rising.csv", [1.0 + 0.1 * k for k in range(40)])
    assert main(["fit", file, "--resamples", "0", "--starts", "1", "--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "rising: the loss rises, from 1.15 in the first tenth of the rows to 4.75 in the last" in out
    assert "the law tells no more than the mean of the losses of rising" in out and "one start was followed" in out


@pytest.mark.parametrize("loss", [1e300, 1e-300])
def test_losses_whose_squares_are_no_numbers_are_refused(tmp_path, capsys, loss):
    assert main(["fit", curve_file(tmp_path / "far.csv", [loss] * 20)]) == 2
    assert "far.csv: row 1: a loss must be from 1e-100 to 1e+100" in capsys.readouterr().err


def test_hints_name_options_that_there_are(tmp_path, capsys):
    few = ["--resamples", "0", "--starts", "1", "--json"]
    latin, comma = tmp_path / "latin.csv", tmp_path / "comma.csv"
    rows = "".join(f"{k},0.1,{1 + 1 / k:.3f},0\n" for k in range(1, 20))
    latin.write_bytes(("step,lr,loss,\xe9\n" + rows).encode("latin-1"))
    assert main(["fit", str(latin), *few]) == 2
    assert "--encoding 'latin-1'" in capsys.readouterr().err
    assert main(["fit", str(latin), "--encoding", "latin-1", *few]) == 0
    comma.write_text("step;lr;loss\n" + "".join(f"{k};1,100;2,{k + 100}\n" for k in range(1, 20)))
    assert main(["fit", str(comma), *few]) == 2
    assert "--decimal ','" in capsys.readouterr().err
    assert main(["fit", str(comma), "--decimal", ",", *few]) == 0


BAD = {
    "two letters": (["--separator", "ab"], "--separator must be one letter that parts columns"),
    "no decimal mark": (["--decimal", "x"], "--decimal: unknown value 'x'"),
    "one column twice": (["--loss", "lr"], "step, rate and loss must be columns of their own, got 'step', 'lr', 'lr'"),
    "a folder of nothing": (["--json", "--out", "here"], "--out is of files, and --json writes none"),
    "a file of nothing": (["--json", "--optimise", "--export", "csv"], "--export is of files, and --json writes none"),
    "the path of a curve": (
        ["--hold-out", "here/curve.csv"],
        "simlr: --hold-out: unknown curve 'here/curve.csv'; did you mean 'curve'?",
    ),
    "no rate": (["--optimise", "--peak", "0"], "--peak must be a finite number > 0, got 0"),
    "too long": (["--optimise", "--horizon", "99999999"], "--horizon must be a whole number from 1 to 10000000"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_bad_options_are_one_line_before_the_fit(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.setattr("simlr.laws.__main__.fit", None)  # which is not called
    assert main(["fit", curve_file(tmp_path / "curve.csv", [2.0, 1.5, 1.2] * 3), *arguments]) == 2
    out, err = capsys.readouterr()
    assert message in err and err.count("\n") == 1 and out == ""


def test_a_tab_as_a_shell_gives_it_and_a_packed_file(tmp_path, capsys):
    rows = "".join(f"{k}\t0.1\t{1 + 1 / k:.3f}\n" for k in range(1, 20))
    with gzip.open(tmp_path / "packed.csv.gz", "wt") as file:
        file.write("step\tlr\tloss\n" + rows)
    few = ["--resamples", "0", "--starts", "1", "--json", "--separator", "\\t"]
    assert main(["fit", str(tmp_path / "packed.csv.gz"), *few]) == 0
    found = parsed(capsys.readouterr().out)
    assert found["errors"][0]["name"] == "packed" and found["start_gap"] is None


def test_a_peak_beyond_the_curves_is_said_to_be_one(files, capsys):
    assert main(["fit", files[1], *FEW, "--json", "--optimise", "--horizon", "100", "--peak", "1"]) == 0
    assert "the highest rate that was fitted: the law is extrapolated" in capsys.readouterr().err


@pytest.mark.parametrize("is_file", [True, False])
def test_a_folder_that_cannot_be_written_is_refused_before_the_fit(tmp_path, capsys, monkeypatch, is_file):
    monkeypatch.setattr("simlr.laws.__main__.fit", None)  # which is not called
    file = curve_file(tmp_path / "curve.csv", [2.0 / (k + 1.0) for k in range(20)])
    (tmp_path / "taken" if is_file else tmp_path / "fit.html").write_text("mine")
    assert main(["fit", file, "--out", str(tmp_path / "taken" if is_file else tmp_path)]) == 2
    assert ("is not a folder" if is_file else "fit.html there was not made by simlr") in capsys.readouterr().err


@pytest.mark.parametrize("quiet", [True, False])
def test_progress_is_told_unless_it_is_not_wanted(tmp_path, capsys, monkeypatch, quiet):
    monkeypatch.setattr("simlr.cli.progress.LEAST_SECONDS", 0.0)
    file = curve_file(tmp_path / "curve.csv", [2.0 / (k + 1.0) for k in range(20)])
    arguments = ["fit", file, "--resamples", "0", "--starts", "2", "--json", *(["--quiet"] if quiet else [])]
    assert main(arguments) == 0
    assert ("of 5 parts" in capsys.readouterr().err) != quiet
