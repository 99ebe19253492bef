"""The explorer: its numbers beside the engine's in a real browser, how it looks there, and what it refuses."""

import configparser
import fnmatch
import json
import math
import re

import browser
import numpy as np
import pytest
import runs

import simlr
from simlr.errors import InputError
from simlr.report import __main__ as report
from simlr.report.explorer import data, page, recurrence

FLOW = {"name": "flow", "kind": "flow"}
SETTINGS, CLOSE = 8, 1e-9
SET = """(values) => Object.entries(values).forEach(([id, value]) => {
  const field = document.getElementById(id);
  field.value = value;
  field.dispatchEvent(new Event("input", {bubbles: true}));
})"""
READ = """Object.fromEntries([...document.querySelectorAll("data")].map((one) => [one.id, Number(one.value)]))"""
SAID = "document.getElementById('sentence').textContent + ' ' + document.getElementById('reason').textContent"


def annealed(name, rate, steps, unit="absolute"):
    """A schedule of large steps, then a flow."""
    phases = (
        [{"kind": "constant", "learning_rate": rate, "steps": steps}, {"kind": "flow"}] if steps else [{"kind": "flow"}]
    )
    return {"name": name, "unit": unit, "phases": phases}


def problems(folder):
    """{name: problem table} of every kind that has two parameters."""
    random = np.random.default_rng(5)
    features = random.normal(size=(30, 2)) @ [[2.0, 0.5], [0.0, 0.7]]
    np.savez(folder / "table.npz", features=features, target=features @ [1.0, -1.0] + random.normal(size=30))
    np.savez(
        folder / "arrays.npz", curvature=random.uniform(0.1, 3.0, (4, 2)), residual=random.normal(size=(4, 2)),
        offset=random.normal(size=(4, 2)), test_matrix=np.array([[1.0, 0.6], [0.6, 0.5]]), train_floor=np.full(4, 0.2),
    )  # fmt: skip
    return {
        "nakkiran2020": {"kind": "nakkiran2020"},
        "gaussian": {"kind": "gaussian", "dimension": 2, "train_rows": 4, "label_noise": [0.0, 0.3]},
        "dataset": {"kind": "dataset", "file": "table.npz", "train_rows": 8, "test_rows": 15},
        "quadratic": {"kind": "quadratic", "file": "arrays.npz"},
    }


def grid(name, problem, folder, schedules, levels, points=60):
    """A grid whose levels are above the train floor, and landed on."""
    tables = {
        "name": name, "problem": problem, "seeds": {"count": 4}, "schedule": schedules,
        "stop": {"excess_train_loss": levels, "landing": "exact", "max_steps": 20000}, "record": {"points": points},
    }  # fmt: skip
    return simlr.GridConfig.from_tables(tables, folder)


@pytest.fixture(scope="module")
def folder_of_runs(tmp_path_factory):
    return tmp_path_factory.mktemp("explorer")


@pytest.fixture(scope="module")
def explorers(folder_of_runs):
    """{name: the page's path}, each beside its run."""
    made = {}
    for name, problem in problems(folder_of_runs).items():
        schedules = [FLOW, annealed("annealed", 2.0, 1, "sharpness")]
        simlr.run(grid(name, problem, folder_of_runs, schedules, [1e-2, 1e-4]), out=folder_of_runs / f"{name}.h5")
        assert report.main(["--explore", str(folder_of_runs / f"{name}.h5")]) == 0
        made[name] = folder_of_runs / f"{name}-report" / page.NAME
    return made


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser.started(tmp_path_factory.mktemp("browser")) as started:
        yield started


def values_of(path):
    """The numbers in a page."""
    return json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(encoding="utf-8"))[1])


def random_settings(values):
    """Settings of a page's controls, of every combination: a rate at the edge, ones beyond it, no steps, ..."""
    random = np.random.default_rng(7)
    for k in range(SETTINGS):
        group = k % len(values["groups"])
        samples = values["groups"][group]["samples"]
        place = int(random.integers(len(samples)))
        sample = samples[place]
        rate = 2.0 / max(sample["curvature"]) * (1.0 if k == 1 else random.uniform(0.0, 1.3))
        start = recurrence.excess(sample["curvature"], sample["start"])
        level = start * 10.0 ** random.uniform(-6.0, -0.1)
        yield group, place, float(rate), int(random.integers(9)), float(level)


@pytest.mark.parametrize("name", ["nakkiran2020", "gaussian", "dataset", "quadratic"])
def test_the_numbers_are_the_engines(name, explorers, folder_of_runs, chromium):
    values = values_of(explorers[name])
    settings = list(random_settings(values))
    schedules = [annealed(f"s{k}", rate, steps) for k, (_, _, rate, steps, _) in enumerate(settings)]
    levels = [level for *_, level in settings]
    config = grid(name, problems(folder_of_runs)[name], folder_of_runs, [FLOW, *schedules], levels, points=0)
    run = simlr.run(config)
    shown = chromium.open(explorers[name])
    for k, (group, place, rate, steps, level) in enumerate(settings):
        controls = {"group": group} if len(values["groups"]) > 1 else {}
        controls |= {"rate": rate, "steps": steps, "level": level, "sample": place + 1}
        shown.evaluate(f"({SET})({json.dumps(controls)})")
        read = shown.evaluate(READ)
        seed = values["groups"][group]["samples"][place]["seed"]
        for kind, row in (("small", 0), ("large", k + 1)):
            assert run["status"][row, seed, k] == 1
            for end, dataset in (("test", "test_loss"), ("train", "train_loss"), ("time", "stop_time")):
                assert read[f"{kind}-{end}"] == pytest.approx(float(run[dataset][row, seed, k]), rel=CLOSE, abs=0.0)
        ratio = run["test_loss"][0, seed, k] / run["test_loss"][k + 1, seed, k]
        assert read["ratio"] == pytest.approx(float(ratio), rel=CLOSE, abs=0.0)
    assert shown.complaints() == [] and shown.requests() == [explorers[name].as_uri()]


def test_the_page_without_scripts_says_what_the_engine_says(explorers, folder_of_runs):
    """The recurrence in Python, too: no browser needed."""
    for name, path in explorers.items():
        values, run = values_of(path), simlr.load(folder_of_runs / f"{name}.h5")
        own = values["own"]
        for sample in values["groups"][0]["samples"]:
            rate = 2.0 / max(sample["curvature"])
            for row, steps in enumerate((0, 1)):
                end = recurrence.descend(sample["curvature"], sample["start"], rate, steps, 1e-2)
                loss = page._test_loss(data.Sample(**sample), end.residual)
                assert loss == pytest.approx(float(run["test_loss"][row, sample["seed"], 0]), rel=CLOSE)
        assert own["level"] in (1e-2, 1e-4) and own["steps"] == 1


def test_the_ratio_is_the_published_one(explorers, chromium):
    """2 - 6 eps a^2 / b^4 with a = b = 1 from (0, 0) to (1, 1), where the sample holds an axis twice."""
    shown = chromium.open(explorers["nakkiran2020"])
    for level in (1e-4, 1e-6):
        shown.evaluate(f"({SET})({{level: {level}, rate: 1.5, steps: 1}})")
        assert shown.evaluate(READ)["ratio"] == pytest.approx(2.0 - 6.0 * level, abs=100.0 * level**2 + 1e-12)
    said = shown.evaluate(SAID)
    assert "help from" in shown.evaluate("document.getElementById('best').textContent")
    assert "help to the lowest" in shown.evaluate("document.getElementById('until').textContent")
    assert "1 large step of 1.5 first: small steps alone end with 2.0 times as much" in said


def bisected(curvature, start, level):
    """The time at which a flow meets a level, by halving."""
    low, high = 0.0, 1e9
    while low < (middle := (low + high) / 2) < high:
        now = [r * math.exp(-lam * middle) for lam, r in zip(curvature, start, strict=True)]
        low, high = (
            (middle, high)
            if sum(lam * r * r for lam, r in zip(curvature, now, strict=True)) > 2 * level
            else (low, middle)
        )
    return high


def test_the_crossing_is_where_halving_finds_it():
    random = np.random.default_rng(3)
    for _ in range(200):
        curvature, start = 10.0 ** random.uniform(-4, 4, 2), 10.0 ** random.uniform(-3, 3, 2)
        level = recurrence.excess(curvature, start) * 10.0 ** random.uniform(-8, -1e-3)
        end = recurrence.descend(list(curvature), list(start), 1.0, 0, level)
        assert end.flow_time == pytest.approx(bisected(curvature, start, level), rel=1e-12)


def test_divergence_is_said_and_compared_with_nothing(explorers, chromium):
    shown = chromium.open(explorers["nakkiran2020"])
    shown.evaluate(f"({SET})({{steps: 9000, rate: 1.9}})")
    assert "The large steps diverge: after 270 large steps" in shown.evaluate(SAID)
    assert shown.evaluate("document.getElementById('ratio').value") == "NaN"
    shown.evaluate(f"({SET})({{level: 3}})")
    assert "nothing is left to train" in shown.evaluate(SAID)
    shown.evaluate(f"({SET})({{level: 0.01, steps: 3, rate: 1.7}})")
    assert "beyond the edge of stability, 1.5" in shown.evaluate(SAID)
    assert shown.complaints() == []


def test_a_wrong_number_is_named_and_nothing_else_changes(explorers, chromium):
    shown = chromium.open(explorers["nakkiran2020"])
    before = shown.evaluate(READ)
    for field, value, rule in (("rate", -1, "0 or more"), ("steps", 1.5, "a whole number"), ("level", 0, "above 0"),
                               ("sample", 0, "a whole number from 1"), ("rate", "", "0 or more")):  # fmt: skip
        shown.evaluate(f"({SET})({json.dumps({field: value})})")
        assert rule in shown.evaluate(SAID) and shown.evaluate(READ) == before
        assert shown.evaluate(f"document.getElementById('{field}').getAttribute('aria-invalid')") == "true"
    shown.evaluate("document.getElementById('reset').click()")
    assert shown.evaluate(READ) == before and "At train loss" in shown.evaluate(SAID)
    assert shown.evaluate("document.querySelector('[aria-invalid=true]')") is None


def test_the_keyboard_moves_it(explorers, chromium):
    shown = chromium.open(explorers["nakkiran2020"])
    before = shown.evaluate(SAID)
    shown.press("Tab", 9)
    assert shown.evaluate("document.activeElement.id") == "rate-range"
    shown.press("ArrowLeft", 37)
    assert shown.evaluate(SAID) != before
    unlabelled = """[...document.querySelectorAll("input, select")]
      .filter((field) => !field.labels.length && !field.getAttribute("aria-label")).length"""
    assert shown.evaluate(unlabelled) == 0
    assert shown.evaluate("document.getElementById('sentence').closest('[aria-live=polite]') !== null")


def test_it_prints_all_that_it_shows(explorers, chromium, tmp_path):
    shown = chromium.open(explorers["gaussian"], width=720)
    shown.print_to_pdf(tmp_path / "printed.pdf")
    assert (tmp_path / "printed.pdf").read_bytes().startswith(b"%PDF")
    shown.media(kind="print")
    assert shown.evaluate("document.documentElement.scrollWidth") <= 720
    assert shown.evaluate("[...document.querySelectorAll('figure > svg')].every((one) => one.clientWidth > 300)")


@pytest.mark.parametrize("width", [1200, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_the_first_screen_holds_verdict_and_picture(width, dark, explorers, chromium, tmp_path):
    shown = chromium.open(explorers["gaussian"], width=width, dark=dark)
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    for part in ("sentence", "plane", *(["rate", "close", "by-rate"] if width == 1200 else [])):
        bottom = shown.evaluate(f"document.getElementById('{part}').getBoundingClientRect().bottom")
        assert 0 < bottom <= 800, part
    paper = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper)[:3])) < 200) == dark
    assert shown.complaints() == []


def test_without_scripts_there_is_the_runs_own_case(explorers, chromium):
    shown = chromium.open(explorers["nakkiran2020"], scripts=False)
    assert shown.evaluate("document.querySelectorAll('#plane path.path').length") == 2
    assert shown.evaluate("getComputedStyle(document.querySelector('form')).display") == "none"
    said = shown.evaluate("document.body.innerText")
    assert "which does not run here" in said and "and 1 large step of 1.5 first end at test loss 0.0075" in said
    assert shown.complaints() == [] and len(shown.requests()) == 1


# ---- the file itself ----


def test_the_page_asks_for_nothing_and_names_cannot_break_it(explorers, folder_of_runs):
    run = simlr.load(folder_of_runs / "gaussian.h5")
    text = page.explorer_page(run, "</script>@STATIC@<img src=x>")
    assert "<img" not in text and text.count("</script>") == 2 and "&lt;/script&gt;@STATIC@" in text
    assert "default-src 'none'" in text and "unsafe" not in text
    assert not re.search(r"https?:|\beval\(|new Function|\bfetch\(|style=", text)
    assert len((page.FOLDER / "explorer.js").read_text(encoding="utf-8")) < 21_000


def test_a_wheel_holds_the_pages_parts():
    settings = configparser.RawConfigParser()
    settings.read(runs.ROOT / "setup.cfg", encoding="utf-8")
    patterns = [pattern.strip() for pattern in settings["options.package_data"]["simlr.report.explorer"].split(",")]
    parts = [path.name for path in page.FOLDER.iterdir() if path.is_file() and path.suffix != ".py"]
    assert parts and all(any(fnmatch.fnmatch(part, pattern) for pattern in patterns) for part in parts)


def test_many_samples_are_some_of_them(folder_of_runs):
    config = grid("many", {"kind": "gaussian", "dimension": 2, "train_rows": 4, "label_noise": [0.0, 0.1, 0.2]},
                  folder_of_runs, [FLOW], [1e-2], points=0)  # fmt: skip
    found = data.material(simlr.run(config.replace(seeds={"count": 100, "root": 0})))
    assert [len(samples) for _, samples in found.groups] == [66, 66, 66] and found.covers == "198 samples of 300"
    assert not found.is_own and found.own.rate == 2.0 / max(found.groups[0][1][0].curvature)


def test_a_fit_through_too_little_is_none():
    line = np.column_stack([np.linspace(0.0, 1.0, 20), np.zeros(20)])
    assert data.fitted(line, line[:, 0] ** 2, np.eye(2)) is None
    bent = np.column_stack([np.linspace(0.0, 1.0, 20), np.linspace(0.0, 1.0, 20) ** 3])
    losses = 0.5 + bent @ [2.0, -1.0] + (bent**2).sum(axis=1)
    assert data.fitted(bent[:5], losses[:5], np.eye(2)) is None
    assert data.fitted(bent, np.cos(9.0 * losses) + 2.0, np.eye(2)) is None
    _, slope, floor = data.fitted(bent, losses, np.eye(2))
    assert [*slope, floor] == pytest.approx([2.0, -1.0, 0.5], rel=1e-10)


# ---- what is refused ----


def refusal(arguments, capsys):
    """The one line of a command that ends with status 2."""
    assert report.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    return err


def test_runs_that_cannot_be_explored_are_refused_in_one_line(half, finished, folder, capsys):
    kept = runs.ROOT / "tests/kept"
    assert "is not finished: 3 of 6 blocks done" in refusal(["--explore", str(half)], capsys)
    assert "d = 10 parameters; the explorer draws runs of d = 2" in refusal(
        ["--explore", str(kept / "diabetes.h5")], capsys
    )
    assert "is a study" in refusal(["--explore", str(kept / "schaipp2025.h5")], capsys)
    assert "no-such.h5" in refusal(["--explore", "no-such.h5"], capsys)
    (folder / "made").mkdir()
    (folder / "made" / page.NAME).write_text("mine")
    assert "was not made by simlr" in refusal(["--explore", str(finished), "--out", "made"], capsys)


def test_the_page_opens_with_a_schedule_that_diverges_and_none_that_is_too_long(folder_of_runs):
    schedules = [FLOW, annealed("long", 0.5, 15000), annealed("wild", 1.9, 9000)]
    run = simlr.run(grid("wild", problems(folder_of_runs)["nakkiran2020"], folder_of_runs, schedules, [1e-2], points=0))
    own = data.material(run).own
    assert (own.rate, own.steps) == (1.9, 9000)
    text = page.explorer_page(run, "wild.h5")
    assert "at train loss 0.01; 9000 large steps of 1.9 first diverge." in text and len(text) < 200_000


@pytest.mark.parametrize("option", [["--format", "csv"], ["--baseline", "flow"], ["--schedules", "nakkiran2020"]])
def test_options_of_a_report_do_not_go_with_it(option, finished, capsys):
    given = ["--explore", *option] + ([] if option[0] == "--schedules" else [str(finished)])
    with pytest.raises(SystemExit) as ended:
        report.main(given)
    assert ended.value.code == 2 and "--explore" in capsys.readouterr().err


def test_a_test_loss_that_the_file_does_not_tell_is_refused(folder_of_runs):
    problem = problems(folder_of_runs)["dataset"]
    run = simlr.run(grid("untold", problem, folder_of_runs, [FLOW], [1e-2], points=0))
    with pytest.raises(InputError, match=r"record.points = 100 and a flow"):
        data.material(run)
