"""Of the runs that come with simlr: headline, tables and CSV files say the same, and small rates go to the flow's."""

import csv
import math
import re
from collections import Counter

import numpy as np
import pytest
import runs

import simlr
from simlr.analysis import comparison
from simlr.analysis.answer_words import digits
from simlr.analysis.run_analysis import Analysis
from simlr.analysis.wording import MEASURES
from simlr.papers import nakkiran2020
from simlr.report import __main__, answer_text
from simlr.report.sections import against

# name -> what makes it small
GRIDS = {
    "nakkiran2020": {"seeds__count": 40, "record__points": 20},
    "annealing": {"seeds__count": 24},
    "cosine-or-wsd": {"seeds__count": 24},
    "diabetes": {"seeds__count": 40, "record__points": 20},
    "early-stopping": {"seeds__count": 24, "stop__max_steps": 1000},
    "linear-scaling": {"seeds__count": 8, "stop__max_steps": 300},
    "momentum": {"seeds__count": 24, "stop__max_steps": 300},
    "warmup": {"seeds__count": 24},
}
EVERY_TIME = ("nakkiran2020", "annealing", "early-stopping")
# outcome -> how a headline says it of several
SAID = {
    comparison.BETTER: r"with surely less",
    comparison.WORSE: r"with surely more",
    comparison.TIE: r"ties? exactly",
    comparison.EVEN: r"differs? by less",
    comparison.OPEN: r"(?:is|are) not decided",
    comparison.APART: r"(?:is|are) not at equal train loss",
    comparison.NEITHER: r"gets? there in few seeds",
    comparison.NOTHING: r"(?:has|have) nothing to compare",
}
TURNED = {comparison.BETTER: comparison.WORSE, comparison.WORSE: comparison.BETTER}


def records(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(
    scope="module",
    params=[
        *(pytest.param(name, marks=() if name == "nakkiran2020" else pytest.mark.slow) for name in EVERY_TIME),
        *(pytest.param(name, marks=pytest.mark.proof) for name in GRIDS if name not in EVERY_TIME),
    ],
)
def shipped(request, tmp_path_factory):
    """(the analysis of a small run, its report in Markdown, the folder of its CSV files)."""
    name, folder = request.param, tmp_path_factory.mktemp("shipped")
    grid = nakkiran2020.GRID if name == "nakkiran2020" else runs.ROOT / f"data/{name}.toml"
    simlr.run(runs.grid(grid, **GRIDS[name]), out=folder / "run.h5")
    assert __main__.main([str(folder / "run.h5"), "--out", str(folder / "made"), "--format", "csv,md"]) == 0
    text = (folder / "made/report.md").read_text(encoding="utf-8").replace("\\", "")
    return Analysis(simlr.load(folder / "run.h5")), " ".join(text.split()), folder / "made"


def test_the_comparisons_with_the_baseline(shipped):
    found, text, folder = shipped
    section = against(found, found.shown)
    if section is None:
        assert found.run.schedule.size == 1
        return
    assert f"**{section.headline}.**" in text or section.headline in text
    # From pairs.csv alone: the schedules of the page, at the level at which it compares them.
    base = str(found.run.schedule[found.base])
    at = {tuple(str(value) for _, value in problem): group for problem, group in found.shown.items()}
    keys = [f"problem_{key}" for key, _ in next(iter(found.shown))]
    counted = Counter()
    for row in records(folder / "pairs.csv"):
        others = {row["a"], row["b"]} - {base}
        group = at.get(tuple(row[key] for key in keys))
        if len(others) == 1 and group and others <= set(group.shown) and float(row["level"]) == group.last:
            counted[row["outcome"] if row["b"] == base else TURNED.get(row["outcome"], row["outcome"])] += 1
    assert counted == Counter(pair.outcome for pair in found.against.values())
    lines = [line for table in section.tables for line in table.lines if len(table.header) == 7]
    if all(len(group.shown) == len(group.names) for group in found.shown.values()):
        assert Counter(line[-1] for line in lines) == Counter(
            {comparison.SAYS[key]: count for key, count in counted.items() if key != comparison.APART}
        )
    for line in lines:
        assert f"| {' | '.join(line)} |" in text
    if len(found.against) > 1:
        for outcome, words in SAID.items():
            parts = [part for part in section.headline.split("; ") if re.search(words, part)]
            number = parts and re.search(r"\d+|none", parts[0].lower())[0]
            assert (int(number) if number and number != "none" else 0) == counted[outcome], outcome


def test_the_answer(shipped):
    found, text, folder = shipped
    answer, question = found.answer, found.run.config.question
    if not question:
        assert answer is None and not (folder / "answer.csv").exists()
        return
    rows = records(folder / "answer.csv")
    assert answer.sentence in text and answer.lead and answer.short.startswith(answer.lead)
    assert len(rows) == len(answer.rows)
    table = answer_text.table(found.run, answer)
    for line in table.lines:
        assert f"| {' | '.join(line)} |" in text
    if "compare" not in question:
        assert sum(bool(row["edge"]) for row in rows) == int((re.findall(r"In (\d+) of", answer.sentence) or [0])[-1])
        return
    counted, measure = Counter(row["outcome"] for row in rows), MEASURES[question["measure"]]
    for outcome, words, extreme in ((comparison.BETTER, measure.less, min), (comparison.WORSE, measure.more, max)):
        for sentence in (answer.sentence, answer.short):
            told = re.search(re.escape(words) + r"(?: than [^.:]*?)? in (both|all \d+|\d+ of \d+) settings", sentence)
            assert bool(told) == bool(counted[outcome])
            if told:
                number = {"both": 2}.get(told[1]) or int(re.search(r"\d+", told[1])[0])
                assert number == counted[outcome]
                ratio = extreme(float(row["ratio"]) for row in rows if row["outcome"] == outcome)
                assert not 0.0 < ratio < math.inf or f"{digits(ratio)} {measure.times}" in sentence
    known = [line for line in table.lines if line[6] == comparison.SAYS[comparison.BETTER]]
    assert len(known) == counted[comparison.BETTER] or len(rows) > len(table.lines)


# ---- constant rates and the flow, at exactly equal train loss ----


def test_constant_rates_go_to_the_flow_and_the_flow_is_the_golden_one():
    """With u = exp(-4 tau / 3) the flow from the distances (a, b) = (1, 1) has train loss 2/3 u^2 + 1/3 u and test loss
    (u^2 + u) / 2; the level eps is met at the positive root, and annealed by the step of 3/2 has test loss 3/4 eps. Of
    their ratio the series is 2 - 6 eps + 72 eps^2 - 1080 eps^3 + ..."""
    run = simlr.run(runs.grid(nakkiran2020.GRID, seeds__count=64, record__points=0))
    assert run.config.stop["landing"] == "exact"
    both = np.flatnonzero(run.curvature[:, 1] > 0.0)
    names = run.schedule.tolist()
    of = {name: run.test_loss[s][both] / run.test_loss[names.index("annealed")][both] for s, name in enumerate(names)}
    for e, level in enumerate(run.level):
        u = 2.0 * 3.0 * level / (1.0 + math.sqrt(1.0 + 24.0 * level))
        golden = (u * u + u) / (1.5 * level)
        np.testing.assert_allclose(of["flow"][:, e], golden, rtol=1e-9)
        if level < 1.0 / 24.0:  # where the series, whose signs alternate, converges
            assert abs(golden - (2.0 - 6.0 * level + 72.0 * level**2)) < 1080.0 * level**3 + 1e-12
        rates = [0.3, 0.1, 0.03, 0.01, 0.003, 0.001]
        off = np.array([abs(of[f"constant[learning_rate={rate:g}]"][:, e] - golden) for rate in rates])
        assert (np.diff(off, axis=0) < 0.0).all()
        # Euler's method is of the first order: a third of the rate, a third of what is off.
        np.testing.assert_allclose(off[-2] / off[-1], 3.0, rtol=0.02)
        assert off[-1].max() < 0.002
