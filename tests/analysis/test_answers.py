"""Questions of a grid and their answers: against loops, on known arrays, and the ready grids by the command line."""

import csv
import html
import math
import re
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import runs
from hypothesis import given
from hypothesis import strategies as st

import simlr
from naive import answers as naive_answers
from simlr.analysis import answer_words, answers, comparison, growth, outcomes
from simlr.analysis.run_analysis import Analysis
from simlr.analysis.schedule_parts import ScheduleParts
from simlr.analysis.summary import baseline
from simlr.config import question as questions
from simlr.errors import InputError
from simlr.report import __main__, answer_text
from simlr.report.figures import answer, style
from simlr.report.view import View

FLOW = {"kind": "flow"}
ASKED = {"text": "Does annealing help?", "compare": ["annealed", "flow"]}
RATES = {"name": "rates", "kind": "constant", "learning_rate": [0.3, 0.1, 0.03]}
NOISY = {
    "problem": {"kind": "gaussian", "dimension": 4, "train_rows": [8, 16], "label_noise": 0.2},
    "seeds__count": 20,
    "record__points": 0,
    "stop": {"steps": [5, 50]},
    "schedule": [{"name": "rates", "kind": "constant", "unit": "sharpness", "learning_rate": [0.05, 0.2, 0.8, 1.9]}],
    "optimizer": [{"kind": "gd"}, {"kind": "momentum", "momentum": [0.5, 0.9]}],
    "noise": [{"kind": "minibatch", "batch_size": [1, 4]}],
}


def asked(question=ASKED, **changes):
    """A small grid with a question."""
    return runs.grid(**({"record__points": 0} | changes), question=question)


# ---- the table ----


def test_a_question_is_complete_and_goes_round():
    config = asked()
    told = {"text": "Does annealing help?", "measure": "test_loss", "margin": 0.02, "over": []}
    assert config.question == told | {"compare": [{"schedule": ["annealed"]}, {"schedule": ["flow"]}]}
    assert simlr.GridConfig.from_toml(config.to_toml()) == config
    plain = runs.grid(record__points=0)
    assert plain.question == {} and "[question]" not in plain.to_toml()
    assert config.identity() == plain.identity()  # another question may be asked of the same run
    assert plain.replace(question=ASKED) == config


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"text": ""}, "question.text must be a string of one line, not empty, got ''"),
        ({"compare": ["anealed", "flow"]}, "compare[0].schedule: unknown schedule 'anealed'; did you mean 'annealed'?"),
        ({"compare": ["annealed"]}, "question.compare must be a list of two sides"),
        ({"compare": ["flow", "flow"]}, "question.compare: both sides have schedule 'flow'"),
        ({"compare": [{"kind": "linear"}, "flow"]}, "question.compare[0].kind: unknown kind 'linear'; valid are "),
        ({"compare": [{"kind": "phasse"}, "flow"]}, "compare[0].kind: unknown kind 'phasse'; did you mean 'phases'?"),
        ({"compare": [{"momentun": 0.5}, "flow"]}, "question.compare[0]: unknown key 'momentun'"),
        (
            {"compare": [{"at": 0.5}, "flow"]},
            "question.compare[0].at must be one of the levels [0.0001, 0.01], or 'end'",
        ),
        ({"compare": [{"at": "end", "schedule": "cosine"}, "flow"]}, "needs the recorded ends of all seeds"),
        ({"over": ["learning_rat"]}, "unknown parameter 'learning_rat'"),
        ({"over": ["learning_rate"]}, "question.over, compare[0]: unknown parameter 'learning_rate'"),
        ({"measure": "loss"}, "question.measure: unknown measure 'loss'"),
        ({"margin": -1}, "question.margin must be a finite number >= 0, got -1"),
        ({"best": "learning_rate"}, "question must have exactly one of compare and best, got both"),
        ({"compar": 1}, "question: unknown key 'compar'; did you mean 'compare'?"),
        ({"against": "steps"}, "question.against goes with best"),
    ],
)
def test_bad_questions_are_refused_in_one_line(changes, line):
    with pytest.raises(InputError, match=re.escape(line)) as refused:
        asked(ASKED | changes)
    assert len(str(refused.value).splitlines()) == 1


GROWING = {"text": "How does it grow?", "best": "learning_rate", "against": "batch_size"}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"against": "batchsize"}, "question.against: unknown parameter 'batchsize'; did you mean 'batch_size'?"),
        ({"against": "learning_rate"}, "best and against are both 'learning_rate'"),
        ({"best": "kind"}, "question.best: kind must have at least two values, all numbers > 0"),
        ({"over": []}, "question.over goes with compare"),
        ({"exponent": "one"}, "question.exponent must be a finite number, got 'one'"),
        ({"among": "none"}, "question.among.schedule: unknown schedule 'none'"),
    ],
)
def test_bad_questions_of_growth_are_refused_in_one_line(changes, line):
    with pytest.raises(InputError, match=re.escape(line)):
        asked(GROWING | changes, **NOISY)


def test_a_bad_question_ends_the_command_and_touches_nothing(folder):
    (folder / "grid.toml").write_text(runs.SMALL + '\n[question]\ntext = "?"\ncompare = ["annealed", "flo"]\n')
    told = runs.assert_refused(runs.command("grid.toml", "--out", "out.h5", cwd=folder))
    assert "did you mean 'flow'?" in told
    assert [path.name for path in folder.iterdir()] == ["grid.toml"]


# ---- two sides ----


def test_the_paper_is_answered():
    """In three samples of four the annealed test loss is half of the flow's."""
    (row_high, row_low) = sorted(answers.compare(*_of(asked(seeds__count=400))), key=lambda row: -row.level)
    assert row_low.ratio == pytest.approx(0.5, abs=1e-3) and row_low.outcome == answers.BETTER
    assert row_low.win_share_low < 0.75 < row_low.win_share_high
    assert (row_low.tuned_on, row_low.pairs, row_low.missed_a) == (0, 400, 0)
    found = answers.answer(simlr.run(asked(seeds__count=400)))
    assert found.outcome == "yes" and found.sentence == (
        "Yes: annealed ends with less test loss than flow in both settings, most at train loss 1e-4: exactly 0.5 times "
        "as much."
    )
    turned = answers.answer(simlr.run(asked(ASKED | {"compare": ["flow", "annealed"]}, seeds__count=400)))
    assert turned.outcome == "no"
    assert row_high.ratio > row_low.ratio


def _of(config):
    return simlr.run(config), config.question


def test_equals_are_no_difference():
    twins = [FLOW, {"name": "annealed", **FLOW}]
    found = answers.answer(simlr.run(asked(schedule=twins)))
    assert found.outcome == "no difference"
    assert {(row.ratio, row.ratio_low, row.ratio_high, row.win_share) for row in found.rows} == {(1.0, 1.0, 1.0, 0.0)}


def test_a_side_of_several_is_tuned_on_other_seeds_against_loops():
    question = {"text": "?", "compare": [{"optimizer": "momentum"}, {"optimizer": "gd"}], "over": ["batch_size"]}
    run = simlr.run(asked(question, **NOISY))
    rows = answers.compare(run, run.config.question)
    assert len(rows) == 2 * 2 * 2
    assert {row.where["batch_size"] for row in rows} == {1, 4}
    names = run.schedule.tolist()
    for row in rows:
        seeds = np.flatnonzero(run.problem_train_rows == row.where["train_rows"])
        e = run.level.tolist().index(row.level)
        sides = []
        for kind in ("momentum", "gd"):
            own = [s for s, name in enumerate(names) if f", {kind}" in name]
            own = [
                s
                for s in own
                if f"minibatch[{row.where['batch_size']}]" in names[s]
                or f"batch_size={row.where['batch_size']}]" in names[s]
            ]
            sides.append({names[s]: [float(run.test_loss[s, n, e]) for n in seeds] for s in own})
        a, b, ratio, wins, pairs = naive_answers.tuned_ratio(*sides)
        assert (row.a, row.b, row.pairs) == (a, b, pairs)
        assert row.ratio == pytest.approx(ratio, rel=1e-12)
        assert row.win_share == pytest.approx(wins / pairs)


def test_a_seed_that_one_side_misses_is_lost_for_it():
    boom = {"name": "annealed", "kind": "constant", "learning_rate": 2.5}
    (row, *_) = answers.compare(*_of(asked(schedule=[FLOW, boom])))
    assert row.missed_a == row.pairs == 40 and row.outcome == answers.WORSE
    assert row.ratio == math.inf and row.win_share == 0.0


def test_the_end_is_what_a_budget_of_all_steps_gives():
    table = {"name": "rates", "kind": "constant", "learning_rate": 0.1, "steps": 30}
    question = {"text": "?", "compare": [{"schedule": "rates", "at": 10}, {"schedule": "rates", "at": "end"}]}
    changes = {"schedule": [table], "stop": {"steps": [10, 30]}, "record__points": 3, "record__seeds": "all"}
    run = simlr.run(asked(question, **changes))
    seeds = np.arange(40)
    values = outcomes.values_of(ScheduleParts(run), 0, seeds, questions.END, "test_loss")
    np.testing.assert_array_equal(values, run.test_loss[0, :, 1])
    (row,) = answers.compare(run, run.config.question)
    assert row.ratio == pytest.approx(np.median(run.test_loss[0, :, 0] / run.test_loss[0, :, 1]), rel=1e-9)
    assert answers.answer(run).axes == ()


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.5, 0.9, "better"), (1.1, 2.0, "worse"), (0.99, 1.01, "even"), (0.9, 1.1, "unsure"), (0.97, 0.99, "unsure")],
)
def test_what_an_interval_says(low, high, expected):
    assert comparison.outcome_of(low, high, 0.02) == expected


def test_unsure_comparisons_neither_help_nor_hinder():
    def of(*told):
        return answers.overall_outcome([_row(1.0, 1, 1.0, outcome=one) for one in told])

    assert of("better", "unsure") == "yes" and of("worse") == "no" and of("even", "unsure") == "no difference"
    assert (
        of("unsure") == "not sure"
        and of("worse", "even") == "no"
        and of("better", "even") == of("better", "worse") == "it depends"
    )


def _row(ratio, n, level, outcome="better"):
    counts = ("seeds", "apart", "missed_a", "missed_b", "missed_both", "wins", "losses", "ties", "tuned_on")
    numbers = dict.fromkeys(counts, 0) | dict.fromkeys(("ratio_apart", "p"), math.nan)
    numbers |= dict.fromkeys(("ratio_low", "ratio_high", "win_share", "win_share_low", "win_share_high"), ratio)
    named = {"problem": (("n", n),), "over": (), "level": level, "a": "a", "b": "b", "edge_a": "", "edge_b": ""}
    return answers.Comparison(**named, **numbers, ratio=ratio, pairs=9, outcome=outcome)


@pytest.mark.parametrize(
    ("edges", "told"),
    [
        ([("", "")], []),
        ([("learning_rate highest", "")], ["For A the best learning rate is the highest tried"]),
        (
            [("learning_rate highest, steps lowest", "learning_rate lowest")],
            [
                "For A the best learning rate is the highest tried and the best number of steps is the lowest tried, "
                "for B the best learning rate is the lowest tried"
            ],
        ),
        (
            [("learning_rate highest, steps lowest", ""), ("learning_rate highest", "learning_rate lowest"), ("", "")],
            [
                "For A the best learning rate is the highest or lowest tried in 2 of 3 settings and the best number of "
                "steps in 1 of 3, for B the best learning rate in 1 of 3 settings"
            ],
        ),
        (
            [("learning_rate highest", "steps highest"), ("learning_rate highest", "steps highest")],
            [
                "For A the best learning rate is the highest tried in both settings, for B the best number of "
                "steps in both settings"
            ],
        ),
    ],
)
def test_edges_of_what_was_tried_are_told_in_one_sentence(edges, told):
    question = {"compare": [{"name": "A"}, {"name": "B"}], "measure": "test_loss", "margin": 0.02}
    words = answer_words.Words(SimpleNamespace(config=SimpleNamespace(level_kind="steps")), question, ())
    rows = [SimpleNamespace(pairs=1, edge_a=a, edge_b=b) for a, b in edges]
    assert words._edges(rows) == [f"{text}, so a better one may lie beyond." for text in told]


def test_what_it_depends_on_is_the_axis_that_the_ratio_follows():
    axes = (("n", (1, 2)), ("train_loss", (0.1, 0.01)))
    rows = [_row(2.0**n * 1.01**level, n, level) for n in (1, 2) for level in (0.1, 0.01)]
    assert answers.dependence(rows, axes) == ("n",)
    both = [_row(2.0**n * (1 + level) ** 9.0, n, level) for n in (1, 2) for level in (0.1, 0.01)]
    assert set(answers.dependence(both, axes)) == {"n", "train_loss"} or answers.dependence(both, axes) == (
        "train_loss",
    )
    assert answers.dependence([_row(1.0, n, 0.1) for n in (1, 2)], axes) == ()


# ---- growth ----


@given(st.floats(-2.0, 2.0), st.floats(0.1, 5.0), st.floats(-3.0, 3.0))
def test_the_vertex_of_a_parabola_is_found(vertex, bend, height):
    x = np.linspace(-3.0, 3.0, 7)
    y = np.exp(height + bend * (x - vertex) ** 2)
    assert growth.vertices(np.exp(x), y[:, None])[0] == pytest.approx(vertex, abs=1e-6)


def test_the_vertex_at_an_end_is_the_end_and_of_nothing_is_nothing():
    medians = np.array([[1.0, math.inf, math.inf], [2.0, math.inf, 3.0], [3.0, math.inf, math.inf]])
    found = growth.vertices([1.0, 2.0, 4.0], medians)
    assert found[[0, 2]].tolist() == [0.0, math.log(2.0)] and math.isnan(found[1])


def test_a_power_law_has_its_exponent():
    against = [1, 2, 4, 8]
    resampled = np.log(np.array(against, float))[:, None] * np.linspace(0.69, 0.71, 101)
    found = [(0.7 * math.log(a), resampled[i], 1.0, "") for i, a in enumerate(against)]
    curve = growth._Curve((), 0.1, against, found)
    for first, last in ((0, 3), (1, 2)):
        assert curve.exponent(first, last) == pytest.approx((0.7, 0.6904, 0.7096), abs=1e-3)
    assert [row.outcome for row in curve.rows(0.7)] == ["", "agrees", "agrees", "agrees"]
    assert {row.outcome for row in curve.rows(1.0)[1:]} == {"differs"}


def test_growth_is_answered():
    question = GROWING | {"among": {"optimizer": "gd"}, "measure": "train_loss"}
    run = simlr.run(asked(question, **NOISY))
    found = answers.answer(run)
    assert len(found.rows) == 2 * 2 * 2
    assert {row.against for row in found.rows} == {1, 4}
    assert "the best learning rate grows with the batch size " in found.sentence
    assert answer.picture(run, found).key == "answer"
    assert len(answer_text.table(run, found).lines) == 8


# ---- the ready grids ----

# name -> (what makes it small, rows of its answer)
READY = {
    "annealing": (["--seeds", "16"], 3 * 4 * 2),
    "warmup": (["--seeds", "16"], 2 * 2 * 3),
    "cosine-or-wsd": (["--seeds", "16"], 2 * 2 * 3),
    "momentum": (["--seeds", "16", "--set", "stop.max_steps=300"], 3 * 3 * 2),
    "linear-scaling": (["--seeds", "8", "--set", "stop.max_steps=300"], 2 * 7 * 2),
    "early-stopping": (["--seeds", "8", "--set", "stop.max_steps=1000"], 5 * 3),
    "one-pass": (["--seeds", "40"], 2 * 2 * 3),
}


# The quickest of them for everybody, the others where one waits.
@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=() if one == "early-stopping" else pytest.mark.slow) for one in READY]
)
def test_a_ready_grid_answers_its_question(name, folder, capsys):
    arguments, count = READY[name]
    grid = runs.ROOT / f"data/{name}.toml"
    process = runs.command(grid, "--out", "run.h5", *arguments, cwd=folder, timeout=400)
    assert process.returncode == 0, process.stderr
    question = simlr.GridConfig.from_toml(grid).question
    assert question["text"] in " ".join(process.stdout.split())
    formats = "md,csv,html" if name == "early-stopping" else "md,csv"
    assert __main__.main(["run.h5", "--out", "made", "--format", formats]) == 0
    found = answers.answer(simlr.load("run.h5"))
    told = " ".join(capsys.readouterr().out.split())
    assert found.sentence in told and found.short in " ".join(process.stdout.split())
    assert found.outcome in (outcomes.YES, outcomes.NO, outcomes.DEPENDS, outcomes.SAME, outcomes.UNSURE)
    for text in (found.sentence, found.short):
        assert re.search(r"\(95 % \S+ to \S+\)|not decided, with \d+ of \d+ seeds", text)
    # In short, too, it is said that the best lies where nothing further was tried, and below it not again.
    assert ("may lie beyond" in found.sentence) == ("may lie beyond" in found.short)
    assert "tried" not in found.details
    assert len(found.short) <= len(found.sentence) and found.short.startswith(found.lead)
    if "html" in formats:
        page = (folder / "made/report.html").read_text(encoding="utf-8")
        assert page.index(question["text"]) < page.index("<h2>") and html.escape(found.short) in page
        assert page.index(html.escape(found.short)) < page.index("<figure")  # what it leaves out stands below
        assert not found.details or page.index(html.escape(found.details)) > page.index("</figure>")
    with open("made/answer.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == count
    picture = answer.picture(simlr.load("run.h5"), found)
    assert style.saved(picture.figure, "png", dpi=30).startswith(b"\x89PNG")
    assert question["text"] in " ".join(picture.figure.get_suptitle().split())


def test_a_part_of_a_run_answers_nothing(folder):
    (folder / "grid.toml").write_text(asked().to_toml())
    assert runs.command("grid.toml", "--out", "part.h5", "--shard", "0/2", cwd=folder).returncode == 0
    assert answers.answer(simlr.load("part.h5")) is None


def test_a_lead_that_most_settings_do_not_decide_says_so():
    def words_of(*told):
        rows = [_row(1.0, n, 1.0, outcome=one) for n, one in enumerate(told)]
        question = {"compare": [{"name": "one"}, {"name": "other"}], "measure": "test_loss", "margin": 0.02}
        run = SimpleNamespace(config=SimpleNamespace(level_kind="steps"))
        words = answer_words.Words(run, question, [("n", tuple(range(len(told))))])
        return words.short(rows, words.lead(rows, answers.overall_outcome(rows), ("n",)))

    few = words_of("even", "unsure", "unsure")
    assert few.startswith(
        "No difference, where it is decided: in 1 of the 3 settings one and other differ by less than"
    )
    assert words_of("worse", "unsure", "unsure").startswith("No, where it is decided: one ends with more test loss")
    assert words_of("better", "unsure", "unsure").startswith("Yes, where it is decided: ")
    assert words_of("even", "even", "unsure").startswith("No difference: ")
    assert words_of("unsure", "unsure").startswith("Not sure: ")


def test_a_page_leads_with_the_comparison_that_the_question_asks():
    """Momentum against none on two batch sizes: others are compared with what was chosen where they differ most."""
    problem = {"kind": "gaussian", "dimension": 4, "train_rows": [12, 24], "label_noise": 0.3}
    rates = {"name": "constant", "kind": "constant", "unit": "sharpness", "learning_rate": [0.01, 0.3, 1.0]}
    grid = {
        "problem": problem,
        "schedule": [rates],
        "optimizer": [{"kind": "gd"}, {"kind": "momentum", "momentum": [0.5, 0.8]}],
        "noise": [{"kind": "minibatch", "batch_size": [4, 12]}],
        "stop": {"excess_train_loss": [0.05], "max_steps": 2000, "landing": "exact"},
        "question": {
            "text": "Does momentum need fewer steps?",
            "compare": [{"name": "momentum", "optimizer": "momentum"}, {"name": "plain descent", "optimizer": "gd"}],
            "over": ["batch_size"],
            "measure": "stop_step",
        },
    }
    run = simlr.run(runs.grid(**grid, seeds__count=48, record__points=0))
    found = Analysis(run)
    lead, rows = found.lead, found.answer.rows
    better = [row for row in rows if row.outcome == "better"] or [row for row in rows if row.outcome == "worse"]
    most = max(better or rows, key=lambda row: abs(math.log(row.ratio)))
    assert (lead.a, lead.b, lead.problem, lead.over) == (most.a, most.b, most.problem, dict(most.over))
    assert str(run.schedule[found.base]) == lead.b != str(run.schedule[baseline(run)])
    assert {row.baseline for row in found.rows} == {lead.b}
    assert list(lead.labels)[:2] == [lead.b, lead.a]
    assert {lead.labels[row.a] for row in rows if row.problem == most.problem} == {
        "momentum, batches of 4", "momentum, batches of 12"
    }  # fmt: skip
    # Asked alone, with the page's correction, the answer is the same; another baseline may be asked for.
    assert answers.answer(run).sentence == found.answer.sentence
    assert Analysis(run, base=1).base == 1
    view = View(run, found.rows, lead)
    assert view.shown[:2] == [lead.b, lead.a] and view.last == lead.level
    assert set(view.shown) == set(lead.labels)
    assert view.where.startswith(
        f"batches of {dict(most.over)['batch_size']:g}, {dict(most.problem)['train_rows']:g} rows"
    )
    assert "momentum" in view.sentence() and "plain descent" in view.sentence()
    # Cells of a page wrap: the words stay, however long they are.
    rest = "momentum[momentum=0.9], minibatch[batch_size=8]"
    names = [f"{n}-steps[learning_rate=0.0025,warmup_steps={n}], {rest}" for n in (600, 3000)]
    told = [f"{n}-steps, rate 0.0025, warm-up {n}, momentum 0.9, batches of 8" for n in (600, 3000)]
    names.append("100-steps[learning_rate=1,warmup_steps=0], gd, minibatch[batch_size=1]")
    long = found.answer._replace(rows=[replace(rows[0], a=names[0], b=name) for name in names[1:]])
    assert [line[-2] for line in answer_text.table(run, long).lines] == [told[0]] * 2
    assert answer_text.table(run, long).lines[0][-1] == told[1]
    # What is told of all that are drawn names no batches but each schedule's own.
    told = view.sentence_of_ratios({name: [view.rows[name, view.last]] for name in view.shown if name != lead.b})
    assert told.startswith(
        f"At {dict(most.problem)['train_rows']:g} rows and train loss 0.05 above the floor, test loss"
    )
    assert f"test loss of {lead.labels[lead.b]}, over" in told and re.search(
        r"\((momentum|plain descent), batches of", told
    )
    # With a gradient flow that stays the baseline, whatever is asked.
    annealed = {"name": "annealed", "phases": [{"kind": "constant", "learning_rate": 1.5, "steps": 1}, FLOW]}
    again = Analysis(simlr.run(runs.grid(schedule=[annealed, FLOW, RATES], question=ASKED, record__points=0)))
    assert (again.lead.a, again.lead.b, str(again.run.schedule[again.base])) == ("annealed", "flow", "flow")


OUTCOMES = {"less": "better", "fewer steps": "better", "more": "worse", "equal": "even", "not decided": "unsure"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["annealing", "warmup", "cosine-or-wsd", "momentum", "one-pass", "early-stopping"])
def test_the_page_of_the_ready_grids_says_what_they_answer(name):
    """data/README.md has how many of a grid's comparisons came out how; other schedules of the page change none."""
    page = (runs.ROOT / "data/README.md").read_text(encoding="utf-8")
    cell = re.search(rf"^\| {name} \| (.*?) \|", page, re.M)[1].split(": ", 1)[1]
    told = {OUTCOMES[words]: int(count) for count, words in re.findall(r"(\d+)(?: of \d+)? ([a-z ]+)", cell)}
    rows = Analysis(simlr.run(runs.ROOT / f"data/{name}.toml")).answer.rows
    found = Counter({"tie": "even"}.get(row.outcome, row.outcome) for row in rows)
    assert found == Counter(told) and f"of {len(rows)} " in cell
