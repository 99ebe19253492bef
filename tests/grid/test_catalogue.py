"""`simlr`, `simlr list` and `simlr new`: what they print, and that the grid which is written runs."""

import contextlib
import importlib.util

import pytest
import runs
from strict import parsed

import simlr
from simlr.__main__ import COMMANDS, main
from simlr.cli import arguments
from simlr.config.grid import GridConfig
from simlr.errors import InputError
from simlr.grid import catalogue, listing, new
from simlr.schedules import checking

TABLE = "a,price,b\n" + "\n".join(f"{i % 7},{i * 0.5 + i % 3},{(i * i) % 11}" for i in range(40)) + "\n"


def test_the_help_fits_a_screen(capsys):
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24 and all(len(line) < 80 for line in lines)
    assert all(f"  {name}" in "\n".join(lines) for name in COMMANDS)


@pytest.mark.parametrize("kind", simlr.schedules.kinds())
def test_each_schedule_has_its_formula_and_parameters(kind, capsys):
    assert main(["list", kind]) == 0
    text = capsys.readouterr().out
    assert simlr.schedules.describe(kind) in text
    for name in simlr.schedules.parameters(kind):
        assert f"  {name} " in text and checking.meaning_of(kind, name)
    assert text.isascii() or kind == "flow"


def test_the_drawing_of_a_cosine_falls_from_the_top():
    rows = [line.partition("|")[2] for line in catalogue.drawing("cosine").splitlines() if "|" in line]
    at = [
        max(row for row, line in enumerate(rows) if line.ljust(catalogue.WIDTH)[column] == "*") for column in range(60)
    ]
    assert at == sorted(at) and (at[0], at[-1]) == (0, catalogue.HEIGHT - 1)


def test_the_list_has_each_default_as_a_grid_has_it():
    lines = [" ".join(line.split()) for line in listing.everything().splitlines()]
    assert "label_noise sigma of N(0, sigma^2) in every label, tested ones included (default 0.0)" in lines
    assert any(line.startswith("dimension d; ") and line.endswith("(default 0)") for line in lines)
    assert any(line.startswith("split column ") and line.endswith("(default '')") for line in lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_names_a_command_that_there_is(command, capsys):
    """`python -m simlr.X` where X is a module, else `simlr X`."""
    with contextlib.suppress(SystemExit):
        main([command, "--help"])
    told = capsys.readouterr().out.split()[1:]
    module = told[2] if told[0] == "python" else told[0]
    assert importlib.util.find_spec(module) is not None and (told[0] == "python" or told[1] == command)


@pytest.mark.parametrize(
    ("started", "module", "called"),
    [
        ("/usr/bin/simlr", "grid", "simlr run"),
        ("C:/Scripts/simlr.exe", "laws", "simlr fit"),
        ("/lib/simlr/__main__.py", "report", "simlr report"),
        ("/lib/simlr/grid/__main__.py", "grid", "python -m simlr.grid"),
        ("notebook.py", "report", "python -m simlr.report"),
    ],
)
def test_a_command_is_called_as_it_was(started, module, called, monkeypatch):
    """In its help and in what it advises: `simlr run` goes on with `simlr run ... --resume`."""
    monkeypatch.setattr("sys.argv", [started, "run"])
    assert arguments.called(module) == called


def test_another_name_and_a_wrong_one(capsys):
    assert main(["list", "wsd"]) == 0 and "also called wsd" in capsys.readouterr().out
    assert main(["list", "cosin"]) == 2
    assert capsys.readouterr().err == "simlr: list: unknown name 'cosin'; did you mean 'cosine'?\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("optimal", "equal_pieces"), ("softmax", "(loss)"), ("stop", "docs/stopping.md"), ("dataset", "docs/convex.md"),
    ],
)  # fmt: skip
def test_what_is_no_plain_kind_has_an_entry_too(name, said, capsys):
    assert main(["list", name]) == 0 and said in capsys.readouterr().out


def test_the_json_is_as_documented(capsys):
    assert main(["list", "--json"]) == 0
    told = parsed(capsys.readouterr().out)
    assert told["format"] == catalogue.FORMAT and set(told) == {"format", "entries"}
    assert {"cosine", "gaussian", "momentum", "nakkiran2020", "record"} <= {entry["name"] for entry in told["entries"]}
    for entry in told["entries"]:
        assert set(entry) == {"name", "table", "meaning", "parameters"}
        assert all({"name", "meaning"} <= set(one) <= {"name", "default", "meaning"} for one in entry["parameters"])
    page = (runs.ROOT / "docs/json.md").read_text(encoding="utf-8")
    tables = next(line for line in page.splitlines() if line.startswith("| `table` |"))
    assert all(f"`{entry['table']}`" in tables for entry in told["entries"])
    assert all(f"`{key}`" in page for key in ("format", "entries", "name", "table", "meaning", "parameters", "default"))


def test_a_new_grid_is_read_and_never_overwrites(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text(TABLE)
    assert main(["new", "mine.csv"]) == 0
    said = capsys.readouterr().out
    assert "target: 'price', assumed by its name" in said and "other candidates for --target: a, b" in said.replace(
        " and", ","
    )
    config = GridConfig.from_toml("mine.toml")
    assert config.problem["target"] == "price" and config.problem["train_rows"] == 20
    assert len(config.combinations()) == 9
    before = (tmp_path / "mine.toml").read_bytes()
    assert main(["new", "mine.csv"]) == 2 and "is there already" in capsys.readouterr().err
    assert (tmp_path / "mine.toml").read_bytes() == before
    assert main(["new", "mine.csv", "--target", "b", "--out", "b.toml"]) == 0
    assert GridConfig.from_toml("b.toml").problem["target"] == "b"
    assert main(["new", "none.csv"]) == 2 and not (tmp_path / "none.toml").exists()


def test_what_numbers_the_rows_is_no_feature(tmp_path):
    rows = [f"{i + 1},{37 * i % 100},{2000 + i},{i * i % 7},{i % 5}" for i in range(40)]
    (tmp_path / "mine.csv").write_text("\n".join(["row,ID,year,a,y", *rows]))
    said = new.write(tmp_path / "mine.csv", tmp_path / "mine.toml")
    assert "left out, for they number the rows: row, ID" in said
    assert "other candidates for --target: year, a" in said
    assert list(GridConfig.from_toml(tmp_path / "mine.toml").problem["drop"]) == ["row", "ID"]


def test_a_feature_that_numbers_the_rows_stays_where_it_is_the_only_one(tmp_path):
    (tmp_path / "mine.csv").write_text("\n".join(["id,y", *(f"{i},{i % 5}" for i in range(40))]))
    said = new.write(tmp_path / "mine.csv", tmp_path / "mine.toml")
    assert "kept, for there is no other feature, though it numbers the rows: id" in said
    assert not GridConfig.from_toml(tmp_path / "mine.toml").problem["drop"]


@pytest.mark.parametrize(("words", "loss"), [(["no", "yes"], "logistic"), (["a", "b", "c"], "softmax")])
def test_a_target_of_words_gets_a_loss_of_classes(words, loss, tmp_path):
    rows = [f"{i % 7},{i % 11},{words[i % len(words)]}" for i in range(40)]
    (tmp_path / "mine.csv").write_text("\n".join(["a,b,label", *rows]))
    for options in ({}, {"target": "label", "out": tmp_path / "other.toml"}):
        out = options.pop("out", tmp_path / "mine.toml")
        new.write(tmp_path / "mine.csv", out, **options)
        problem = GridConfig.from_toml(out).problem
        assert (problem["loss"], problem["intercept"], problem["target"]) == (loss, True, "label")


@pytest.mark.parametrize(("word", "said"), [("{}%", "write it without '%'"), ("row-{}", "is not a number")])
def test_a_target_of_miswritten_numbers_or_of_names_is_still_refused(word, said, tmp_path):
    count = 5 if "%" in word else 40
    (tmp_path / "mine.csv").write_text("a,b\n" + "".join(f"{i},{word.format(i % count)}\n" for i in range(40)))
    with pytest.raises(InputError, match=said):
        new.write(tmp_path / "mine.csv", tmp_path / "mine.toml")


def test_the_new_grid_runs(tmp_path):
    (tmp_path / "mine.csv").write_text(TABLE)
    new.write(tmp_path / "mine.csv", tmp_path / "mine.toml")
    config = GridConfig.from_toml(tmp_path / "mine.toml", [("seeds.count", 2), ("record.points", 0)])
    run = simlr.run(config)
    assert run.complete and run.test_loss.shape == (9, 2, 2)
