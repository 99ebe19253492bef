"""What a report finds: cases in which a headline could mislead, and that headline, tables and CSV say the same."""

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

import simlr
from simlr.analysis import budgets, comparison, families, pairs
from simlr.analysis.on_page import groups
from simlr.analysis.run_analysis import Analysis
from simlr.analysis.wording import at_value, spoken, told_apart
from simlr.errors import InputError
from simlr.papers import nakkiran2020
from simlr.report import __main__, headlines
from simlr.report.figures import analysis as figures
from simlr.report.figures import optima as optima_figure
from simlr.report.figures import run as figures_of_run
from simlr.report.figures.progress import over
from simlr.report.material import material
from simlr.report.optima import optima
from simlr.report.pages import as_html, drawn
from simlr.report.sections import sections
from simlr.report.tables import short_table, tables
from simlr.report.view import View

FLOW = {"kind": "flow"}
ANNEALED = {"name": "annealed", "phases": [{"kind": "constant", "learning_rate": 1.5, "steps": 1}, FLOW]}
QUIET = {"record__points": 0}
# One level in a problem of curvatures 2/3 and 4/3: a step of this rate ends about 30 % below the level.
CASES = {
    "all seeds of one schedule diverge": {
        "schedule": [FLOW, {"name": "boom", "kind": "constant", "learning_rate": 2.5}],
    },
    "a schedule that overshoots by 30 %": {
        "schedule": [FLOW, {"name": "coarse", "kind": "constant", "learning_rate": 0.15}],
    },
    "two schedules that are the same": {"schedule": [FLOW, {"name": "again", **FLOW}]},
    "annealing": {"schedule": [FLOW, ANNEALED]},
}
HEADLINES = {
    "all seeds of one schedule diverge": (
        "At train loss 1e-4, flow is surely better: boom does not get there in 40 of 40 seeds",
        "worse",
    ),
    "a schedule that overshoots by 30 %": (
        r"coarse cannot be compared with flow: at train loss 1e-4 their train losses are [\d.]+ % apart",
        "apart",
    ),
    "two schedules that are the same": (
        "At train loss 1e-4, again and flow tie: exactly the same test loss in every seed",
        "tie",
    ),
    "annealing": (
        r"At train loss 1e-4, annealed ends with surely less test loss than flow: exactly 0.5 times as much",
        "better",
    ),
}


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    """(name, run, folder of its report)."""
    folder = tmp_path_factory.mktemp("case")
    simlr.run(runs.grid(**(QUIET | {"stop__train_loss": [1e-2, 1e-4]} | CASES[request.param])), out=folder / "run.h5")
    assert __main__.main([str(folder / "run.h5"), "--out", str(folder / "made")]) == 0
    return request.param, simlr.load(folder / "run.h5"), folder / "made"


def of_section(run, key):
    return next(section for section in sections(Analysis(run)) if section.key == key)


def records(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_headline_of_each_case(case):
    name, run, _ = case
    expected, outcome = HEADLINES[name]
    told = of_section(run, "against").headline
    assert re.fullmatch(expected, told), told
    (pair,) = Analysis(run).against.values()
    assert pair.outcome == outcome


def test_headline_tables_and_csv_say_the_same(case):
    """Parsed: the Markdown's table of pairs, pairs.csv and summary.csv, beside the headline."""
    name, _, folder = case
    _, outcome = HEADLINES[name]
    text = (folder / "report.md").read_text(encoding="utf-8").replace("\\", "")
    (headline,) = [line for line in text.splitlines() if re.fullmatch(rf"\*\*{HEADLINES[name][0]}\.\*\*", line)]
    assert headline
    page = (folder / "report.html").read_text(encoding="utf-8")
    if outcome in ("worse", "apart"):  # nothing can be drawn; else the picture's title says it
        assert html.escape(headline.strip("*.")) in page
    level = [row for row in records(folder / "pairs.csv") if float(row["level"]) == 1e-4]
    (row,) = level
    # pairs.csv has the schedules in the run's order, flow first: less is then more.
    turned = {"better": "worse", "worse": "better"}.get(outcome, outcome)
    assert row["outcome"] == turned
    (summed,) = [
        row for row in records(folder / "summary.csv") if row["schedule"] != "flow" and float(row["level"]) == 1e-4
    ]
    assert (row["pairs"], row["apart"]) == (summed["pairs"], summed["apart"])
    if outcome == "apart":
        assert row["pairs"] == "0" and row["ratio"] == "" == summed["ratio"]
        assert "Not at equal train loss, and not counted" in text
        return
    assert float(row["ratio"]) == pytest.approx(float(summed["ratio"]), rel=1e-12)
    assert float(row["win_share"]) == float(row["wins"]) / float(row["pairs"])
    line = next(line for line in text.splitlines() if comparison.SAYS[outcome] in line and line.startswith("| "))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[4] == f"{row['pairs']} of {row['seeds']}"
    assert {"worse": "lost", "tie": "1.000", "better": "0.500"}[outcome] == cells[1]


def test_three_of_a_hundred_seeds_left_decide_nothing(run_arrays):
    """97 train floors lie at or above the level: whatever the three say, it is not sure."""
    seeds = 100
    floors = np.where(np.arange(seeds) < 3, 0.0, 1.0)
    arrays = {"curvature": np.ones((seeds, 2)) * [2.0, 0.5], "residual": np.ones((seeds, 2)), "train_floor": floors}
    run = run_arrays(arrays, [FLOW, {**ANNEALED, "unit": "sharpness"}], [1e-3], record={"points": 0})
    told = of_section(run, "against").headline
    assert told == (
        "At train loss 0.001, it is not decided whether annealed or flow ends with less test loss: only 3 of 100 seeds "
        "to compare"
    )
    (pair,) = Analysis(run).against.values()
    assert (pair.pairs, pair.seeds, pair.outcome) == (3, 100, "unsure")
    view = View(run, Analysis(run).rows)
    assert "only 3 of 100 seeds can be compared" in view.sentence()
    assert "%" not in view.sentence_of_wins()


# ---- what the default run said ----


@pytest.fixture(scope="module")
def default():
    """The default run as it stops where its steps end, in fewer seeds."""
    text = re.sub(r"landing = .*\n", "", nakkiran2020.GRID)
    return Analysis(simlr.run(runs.grid(text, seeds__count=300, record__points=0)))


def test_small_constant_rates_are_not_surely_less(default):
    """11 of 11 comparisons were, for the least step below the level."""
    by_name = {name: pair for (_, name), pair in default.against.items()}
    less = {name for name, pair in by_name.items() if pair.outcome == "better"}
    assert less == {"annealed", "annealed-1.4", "annealed-sharpness"}
    headline = of_section(default.run, "against").headline
    assert headline.startswith("3 of 11 schedules end with surely less test loss than flow; ")
    told = {comparison.SAYS[pair.outcome] for pair in by_name.values()}
    counted = Counter(pair.outcome for pair in by_name.values())
    assert sum(map(int, re.findall(r"(?:^|; )(\d+) ", headline))) == len(by_name) == sum(counted.values()) and told


def test_a_table_has_no_note_on_marks_that_it_lacks_and_none_is_empty():
    """Of stops below their levels: accuracies bear no mark of it, and no schedule is left for the table of pairs."""
    grid = CASES["a schedule that overshoots by 30 %"]
    run = simlr.run(runs.grid(**grid, stop__train_loss=[1e-2, 1e-4], **QUIET))
    plain, classes = Analysis(run).rows, [replace(row, test_accuracy=0.9) for row in Analysis(run).rows]
    assert "~" in "".join(short_table(plain).lines[0]) and any(note[0] == "~" for note in short_table(plain).notes)
    accuracies = short_table(classes)
    assert accuracies.title.startswith("Test rows classified correctly, in %") and not accuracies.notes
    assert [table.title for table in of_section(run, "against").tables] == ["Not at equal train loss, and not counted"]
    section = of_section(run, "directions")
    assert section.note.startswith("The picture of which directions keep the error needs the residuals at the stops")


def test_what_is_made_for_another_number_of_steps_is_said_to_be():
    """Where a cell has no ratio and the schedule has taken the steps; where all have one nothing is said."""
    note = "-: the schedule or the baseline is made for another number of steps"
    rate, cosine = ({"name": kind, "kind": kind, "learning_rate": 0.3} for kind in ("constant", "cosine"))
    for steps, said in ((40, True), ([10, 40], False)):
        run = simlr.run(runs.grid(schedule=[rate, cosine | {"steps": steps}], stop={"steps": [10, 40]}, **QUIET))
        ratio = tables(Analysis(run).lines)[1]
        assert (note in ratio.notes) is said is ("-" in ratio.lines[0])


def test_what_is_not_at_equal_train_loss_never_leads(default):
    """Step decay beat constant 0.3 "in 100 % of the seeds: the most of any", at train losses 69 % apart."""
    section = of_section(default.run, "annealing")
    assert not section.headline.startswith("step-decay") and "100 %" not in section.headline
    won = [f"{100 * row.win_share:.0f}" for row in section.rows if row.outcome == "better"]
    alike = won.count(max(won, key=int)) - 1  # one of those that win as often is not told as if it alone did
    assert alike > 1 and f" with annealed ({alike} others as often): it ends" in section.headline
    apart = {row.a for row in section.rows if row.outcome == "apart"}
    assert "step-decay" in apart
    assert any(table.title.startswith("Not at equal train loss") for table in section.tables)
    drawn = figures.annealing(View(default.run, default.rows), section.rows, section.headline)
    labels = [text.get_text() for text in drawn.figure.axes[0].get_yticklabels()]
    assert not set(labels) & apart


def test_seeds_that_diverge_are_lost(default):
    """Cosine "won in 100 %" of the seeds in which it did not diverge."""
    (pair,) = [row for row in pairs.compare(default.run, "cosine", "flow") if row.level == 1e-6]
    diverged = int((default.run.status[-1, :, -1] == 3).sum())
    assert diverged > 40 and pair.missed_a == diverged == pair.losses
    assert pair.outcome != "better" and pair.pairs + pair.apart == pair.seeds
    row = next(row for row in default.rows if row.schedule == "cosine" and row.level == 1e-6)
    assert (row.pairs, row.apart, row.above_1) == (pair.pairs, pair.apart, pair.win_share)


def test_no_headline_has_snake_case_or_numbers_that_collide(default):
    view = View(default.run, default.rows)
    told = [section.headline for section in sections(default) if section.headline]
    told += [view.sentence(), view.sentence_of_wins(), view.sentence_of_times()]
    for text in told:
        assert not re.search(r"\d \d", text) and not re.search(r"(?<!\[)\b[a-z]+_[a-z]+\b(?!=)", text), text


# ---- the rule ----


def judged_one(a, b, apart=None, beside=(), **more):
    found = comparison.tally(np.array(a, float), np.array(b, float), apart)
    return comparison.judged([comparison.Judged(**found)], 0.02, beside)[0]


def test_surely_takes_twenty_pairs_a_margin_and_a_sign_test_that_holds_beside_the_others():
    noise = np.linspace(0.98, 1.02, 20)
    assert judged_one(0.5 * noise, np.ones(20)).outcome == "better"
    assert judged_one(np.ones(20), 0.5 * noise).outcome == "worse"
    assert judged_one(0.5 * noise[:19], np.ones(19)).outcome == "unsure"
    assert judged_one(0.99 * np.ones(20), np.ones(20)).outcome == "even"
    # The same numbers beside a hundred thousand others as good: p = 2^-19 is no more small enough.
    assert judged_one(0.5 * noise, np.ones(20), beside=[1e-9] * 100_000).outcome == "better"
    assert judged_one(0.5 * noise, np.ones(20), beside=[0.9] * 100_000).outcome == "unsure"


def test_both_failing_tie_and_one_failing_loses():
    a, b = [np.inf] * 5 + [1.0] * 20, [np.inf] * 5 + [np.inf] * 15 + [2.0] * 5
    row = judged_one(a, b)
    assert (row.pairs, row.wins, row.losses, row.ties, row.missed_both) == (25, 20, 0, 5, 5)
    assert row.outcome == "better" and row.ratio == 0.0
    assert judged_one([np.inf] * 30, [np.inf] * 30).outcome == "neither"
    assert judged_one([np.nan] * 30, [1.0] * 30).outcome == "nothing"


def test_equal_in_the_middle_seeds_is_no_tie_where_one_side_fails_in_many_others():
    a = np.r_[np.ones(48), np.full(12, np.inf)]
    row = judged_one(a, np.ones(60))
    assert (row.ratio_low, row.ratio_high, row.missed_a) == (1.0, 1.0, 12) and row.outcome == "unsure"
    assert judged_one(a, np.r_[np.full(12, np.inf), np.ones(48)]).outcome == "tie"  # both fail as often
    assert judged_one(a[:50], np.ones(50)).outcome == "tie"  # two failures say little


def test_what_a_pair_was_chosen_among_counts_in_the_correction_of_its_p():
    """22 wins of 24 are sure of a comparison by itself, not of the best of hundreds."""
    few = {"record__points": 0, "seeds__count": 24}
    rates = [float(rate) for rate in np.linspace(0.02, 0.6, 200)]
    schedule = [ANNEALED, {"name": "rates", "kind": "constant", "learning_rate": rates}]
    found = Analysis(simlr.run(runs.grid(schedule=schedule, stop__train_loss=[1e-2], stop__landing="exact", **few)))
    (annealed,) = found.annealed
    others = [*found.against.values()]
    assert len(others) < 200 and found.annealed[0].p_holm >= (len(others) + 1) * min(1.0, annealed.p) * (annealed.p > 0)
    least = min([annealed, *others], key=lambda row: row.p)
    # 199 steady ones stand behind the one that annealing meets, and behind the 23 that the page shows.
    assert least.p_holm == pytest.approx(min(1.0, (len(others) + 1 + 199 + 200 - len(others)) * least.p))


def test_an_outcome_does_not_hang_on_what_is_apart():
    """12 pairs of 50 wins, 20 losses, and 30 seeds apart that could turn it."""
    a, b = np.r_[np.full(40, 0.5), np.full(2, 2.0), np.full(39, 0.5)], np.ones(81)
    apart = np.arange(81) >= 42
    row = judged_one(a, b, apart)
    assert (row.pairs, row.apart) == (42, 39) and row.outcome == "apart"
    assert judged_one(a, b, np.arange(81) >= 60).outcome == "better"


def test_a_budget_compares_what_is_made_for_it():
    schedules = [
        {"name": "cosine", "kind": "cosine", "learning_rate": 0.3, "steps": [10, 40]},
        {"name": "rate", "kind": "constant", "learning_rate": 0.1},
        {"name": "decay", "kind": "step", "learning_rate": 0.5, "step_size": 5, "gamma": 0.5},
    ]
    question = {"text": "?", "compare": ["cosine", "rate"], "measure": "train_loss"}
    run = simlr.run(runs.grid(schedule=schedules, stop={"steps": [10, 40]}, question=question, **QUIET))
    assert budgets.made_for(run).tolist() == [[True, False], [False, True], [True, True], [True, True]]
    found = Analysis(run).answer
    assert [row.a for row in found.rows] == ["cosine[steps=10]", "cosine[steps=40]"]
    told = {(row.a, row.b, row.level) for row in Analysis(run).pairs}
    assert ("cosine[steps=10]", "rate", 10.0) in told and ("cosine[steps=40]", "rate", 10.0) not in told


BUDGETS = {
    "schedule": [
        {"name": "cosine", "kind": "cosine", "learning_rate": [0.1, 0.3], "steps": [10, 40]},
        {"name": "linear", "kind": "linear", "learning_rate": 0.3, "steps": "budget"},
    ],
    "stop": {"steps": [10, 40]},
}


def test_what_is_made_anew_for_each_budget_is_one_line_and_one_baseline():
    """Every budget is compared with the baseline that is made for it; tables have no cell of what is cut off."""
    run = simlr.run(runs.grid(**BUDGETS, **QUIET))
    found = Analysis(run)
    assert budgets.lines_of(run) == {0: [0, 1], 1: [0, 1], 2: [2, 3], 3: [2, 3], 4: [4, 5], 5: [4, 5]}
    assert budgets.at_each_budget(run, 0) == budgets.at_each_budget(run, 1) == [0, 1]
    of_base = {row.level: row.test_loss for row in found.rows if row.schedule == row.baseline}
    for row in found.rows:
        made = row.schedule.endswith(f"steps={int(row.level)}]")
        assert row.baseline == f"cosine[learning_rate=0.1,steps={int(row.level)}]"
        assert row.pairs == (40 if made else 0) and (row.ratio == row.ratio) == made
    assert of_base == {10.0: found.rows[0].test_loss, 40.0: found.rows[3].test_loss}
    loss, ratio = tables(found.lines)
    assert [line[0] for line in loss.lines] == ["cosine, rate 0.1 (baseline)", "cosine, rate 0.3", "linear"]
    assert not any(cell == "-" for table in (loss, ratio) for line in table.lines for cell in line[1:])
    assert {pair.b for pair in found.against.values()} == {"cosine[learning_rate=0.1,steps=40]"}
    assert "cosine at 40 steps" in of_section(run, "best").headline
    view = View(run, found.rows)
    assert view.shown and all("steps=40" in name and view.levels_of(name) == [40.0] for name in view.shown)
    assert len(view.depths) <= len(view.shown)


def test_optima_of_several_budgets_are_one_baseline():
    """What is found of an optimum, its loss and how near it is, differs with its budget, and is no parameter."""
    problem = {"kind": "population", "dimension": 5, "capacity": 1.0, "source": 0.5}
    schedule = [{"kind": "optimal", "cap": 0.5}, {"kind": "constant", "learning_rate": [0.1, 0.4]}]
    noise = {"kind": "gradient", "sigma": 1.0, "covariance": "hessian"}
    grid = {"problem": problem, "schedule": schedule, "noise": [noise], "expectation": {}, "stop": {"steps": [20, 50]}}
    run = simlr.run(runs.grid(**grid, seeds__count=1, record__points=0))
    found = Analysis(run)
    assert budgets.lines_of(run) == {0: [0, 1], 1: [0, 1]}
    loss, ratio = tables(found.lines)
    assert loss.lines[0][0] == "optimal (baseline)" and ratio.title.startswith("Test loss of optimal /")
    assert not any("-" in line[1:] or "-*" in line[1:] for table in (loss, ratio) for line in table.lines)
    # The test loss is the train loss on a population: a picture of their quotient would show its rounding.
    assert figures_of_run.losses_at_equal_train_loss(View(run, found.rows)) is None


def test_schedules_that_are_not_one_at_each_budget_keep_their_own_lines():
    decays = {"kind": "warmup_stable_decay", "learning_rate": 0.1, "decay_steps": [2, 5], "steps": [10, 40]}
    run = simlr.run(runs.grid(schedule=[{"name": "decays", **decays}], stop={"steps": [10, 40]}, **QUIET))
    found = Analysis(run)
    assert budgets.lines_of(run) == {} and found.lines is found.rows


def test_of_equally_good_values_none_is_an_edge_unless_all_are():
    assert families.edge_of([1, 2, 3], [1]) == "lowest" and families.edge_of([1, 2, 3], [3]) == "highest"
    assert families.edge_of([1, 2, 3], [2]) == families.edge_of([1, 2, 3], [1, 3]) == families.edge_of([1], []) == ""
    assert families.edge_of(["a", "b"], ["a"]) == ""


def test_what_another_table_tried_and_ends_with_less_is_told_at_the_edge():
    rates = [{"name": "small", "kind": "constant", "learning_rate": [1.0, 0.1]}]
    large = [{"name": "large", "kind": "constant", "learning_rate": 1.4}]
    stop = {"train_loss": [1e-2], "max_steps": 100_000, "landing": "exact"}
    edges = []
    for schedule in (rates, rates + large):
        run = simlr.run(runs.grid(schedule=schedule, stop=stop, **QUIET))
        edges.append([(row.edge, row.beaten_by) for row in Analysis(run).best if row.best])
    assert edges == [[("highest", "")], [("highest", "large")]]
    told = "The best learning rate: 1 (small, the highest tried: large ends with less)"
    assert of_section(run, "best").headline == told


@pytest.mark.parametrize("points", [0, 10])
def test_what_ends_above_where_it_started_is_not_called_the_best(points):
    """Whether trajectories are recorded or not, and whatever else was tried."""
    ok = {"name": "ok", "kind": "constant", "unit": "sharpness", "learning_rate": 1.0}
    blowup = {"name": "blowup", "kind": "constant", "unit": "sharpness", "learning_rate": [5.0, 50.0]}
    told = {}
    for name, schedule in (
        ("alone", [blowup]),
        ("beside", [ok, blowup]),
        ("some", [blowup | {"learning_rate": [1, 5]}]),
    ):
        run = simlr.run(runs.grid(schedule=schedule, stop={"steps": [20]}, record__points=points))
        told[name] = of_section(run, "best")
    assert told["alone"].headline == told["beside"].headline == "No value tried ends below where it started"
    assert told["beside"].tables[0].lines[0][-4:] == ("none below the start", "-", "-", "-")
    assert told["some"].headline == "The best learning rate: 1 (blowup, the lowest tried: a better one may lie beyond)"


def test_of_few_seeds_the_best_says_of_how_many_and_is_not_called_sure():
    rates = [{"name": "rates", "kind": "constant", "learning_rate": [1.0, 0.3, 0.1]}]
    stop = {"train_loss": [1e-2], "max_steps": 100_000, "landing": "exact"}
    told = of_section(simlr.run(runs.grid(schedule=rates, stop=stop, seeds__count=4, **QUIET)), "best")
    assert told.headline.startswith("The best learning rate over 4 of 4 seeds (too few to say): ")
    assert told.tables[0].lines[0][5:7] == ("-", "-")
    assert "of fewer than 20 seeds nothing is told of resamples" in told.tables[0].notes


def test_a_level_at_which_all_start_is_said_to_be_one():
    rates = [{"name": "rates", "kind": "constant", "learning_rate": [0.3, 0.1]}]
    stop = {"train_loss": [1e3, 1e-9], "max_steps": 3}
    run = simlr.run(runs.grid(schedule=rates, stop=stop, **QUIET))
    told = "Every seed starts at or below train loss 1000, the last level that is reached: nothing is trained there"
    assert of_section(run, "against").headline == told
    assert "any from" not in of_section(run, "best").headline
    (loss, _) = tables(Analysis(run).lines)
    assert "every seed starts at or below 1000: nothing is trained there" in loss.notes
    assert not any("~" in cell for line in loss.lines for cell in line)


def test_a_best_value_at_another_level_than_the_last_says_at_which():
    rates = [{"name": "rates", "kind": "constant", "learning_rate": [0.3, 0.1]}]
    stop = {"train_loss": [0.1, 1e-9], "max_steps": 40, "landing": "exact"}
    assert (
        "at train loss 0.1: " in of_section(simlr.run(runs.grid(schedule=rates, stop=stop, **QUIET)), "best").headline
    )


def test_the_best_at_the_edge_is_said_in_the_headline():
    rates = [{"name": "rates", "kind": "constant", "learning_rate": [1.4, 1.0, 0.1]}]
    stop = {"train_loss": [1e-2], "max_steps": 100_000, "landing": "exact"}
    run = simlr.run(runs.grid(schedule=rates, stop=stop, **QUIET))
    told = of_section(run, "best").headline
    assert re.search(r"the (lowest|highest) tried: a better one may lie beyond", told), told
    assert headlines.best("steps", [], 0.02) == ""


def choice(value, test_loss, **changed):
    """A `Choice` of a family, so far as its sentence needs it."""
    row = {"family": "constant", "parameter": "learning_rate", "value": value, "test_loss": test_loss, "edge": ""}
    row |= {"best": False, "below_level": False, "win_share": 0.0, "above_start": False, "beaten_by": ""}
    return SimpleNamespace(**(row | changed))


def test_a_value_that_ends_at_less_train_loss_is_among_no_best():
    rows = [choice(0.1, 1.0, best=True, win_share=1.0), choice(0.3, 1.001), choice(1.0, 1.0, below_level=True)]
    left = "1 of 3 left out that end at less train loss"
    told = headlines.best("train_loss", [rows], 0.02)
    assert told == f"The best learning rate: any from 0.1 to 0.3, 2 % apart at most, {left} (constant)"
    told = headlines.best("train_loss", [[rows[0], rows[2]]], 0.02)
    assert told == "The best learning rate: 0.1, 1 of 2 left out that end at less train loss (constant)"
    none = [choice(0.1, math.nan), choice(0.3, math.nan)]
    assert headlines.best("train_loss", [none], 0.02).endswith("gets there at equal train loss in most seeds")
    assert headlines.best("steps", [none], 0.02) == "No value that was tried gets there in most seeds"


def test_values_that_end_alike_are_told_so_beside_others_that_do_not_get_there():
    rows = [
        choice(0.1, math.inf),
        choice(0.3, 1.0, best=True, win_share=1.0),
        choice(1.0, 1.001),
        choice(3.0, math.inf),
    ]
    missing = "2 of 4 left out that do not get there in most seeds"
    told = headlines.best("train_loss", [rows], 0.02)
    assert told == f"The best learning rate: any from 0.3 to 1, 2 % apart at most, {missing} (constant)"
    rows[2] = choice(1.0, math.inf)
    rows[3] = choice(3.0, 1.001)
    assert "any from" not in headlines.best("train_loss", [rows], 0.02)


def test_the_edges_of_families_without_room_are_told():
    first, edge = choice(0.1, 1.0, best=True), choice(0.9, 2.0, best=True, edge="highest", family="cosine")
    told = headlines.best("steps", [[first, choice(0.9, 2.0)]], 0.02, others=[[choice(0.1, 3.0), edge]])
    assert told == "The best learning rate: 0.1 (constant) and 1 more family (0.9, the highest tried, of cosine)"


def test_what_can_be_compared_is_shown_before_all_others():
    """Large rates end far below the level with the highest ratios, and cannot be compared."""
    rates = [{"name": "rates", "kind": "constant", "learning_rate": [0.01, 0.012, 0.9, 0.8, 0.7]}]
    run = simlr.run(runs.grid(schedule=rates, stop={"train_loss": [0.1], "max_steps": 10_000}, **QUIET))
    (group,) = groups(Analysis(run).rows, 3).values()
    assert group.shown[:2] == ["rates[learning_rate=0.01]", "rates[learning_rate=0.012]"]
    aside = [pair for pair in Analysis(run).against.values() if pair.outcome == comparison.APART]
    told = headlines.against("train_loss", aside, 0.02, others=40)
    begins = "None of 2 schedules, those of the highest ratios among 40 schedules, can be compared with rates at"
    assert told.startswith(begins), told
    caption = figures.against(View(run, Analysis(run).rows), list(Analysis(run).against.values()), "title").caption
    assert "at most 1 % of the level's excess over the floor count as equal" in caption


def test_values_that_end_alike_are_not_called_the_best():
    """Exactly at the level, small constant rates end with the same test loss."""
    rates = [{"name": "rates", "kind": "constant", "learning_rate": [0.003, 0.002, 0.001]}]
    stop = {"train_loss": [1e-2], "max_steps": 100_000, "landing": "exact"}
    run = simlr.run(runs.grid(schedule=rates, stop=stop, **QUIET))
    assert (
        of_section(run, "best").headline == "The best learning rate: any from 0.001 to 0.003, 2 % apart at most (rates)"
    )


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("flow", "flow"),
        ("large[learning_rate=1.0]", "large at learning rate 1"),
        ("annealed[phase1.steps=10]", "annealed at 10 steps in phase 1"),
        ("100-steps[batch_size=1,optimizer=gd]", "100-steps at batches of 1 and optimiser gradient descent"),
        (
            "constant[learning_rate=0.003], gd, minibatch[batch_size=8,sampling=epochs]",
            "constant, gradient descent, mini-batches at learning rate 0.003, batches of 8 and shuffled epochs",
        ),
        ("own[milestones=[10,20],gamma=0.5]", "own at milestones [10,20] and gamma 0.5"),
        ("named[so]", "named[so]"),
        ("small, gd", "small with gradient descent"),
        ("small, nesterov, minibatch", "small with Nesterov and mini-batches"),
        ("mine, yours", "mine, yours"),
    ],
)
def test_a_sentence_names_schedules_by_the_words_of_their_parameters(name, told):
    assert spoken(name) == told


def test_the_best_value_of_one_problem_among_several_says_of_which():
    problem = {"kind": "gaussian", "dimension": 3, "train_rows": [8, 16], "label_noise": 0.1}
    schedule = [{"name": "rates", "kind": "constant", "unit": "sharpness", "learning_rate": [0.5, 1.0]}]
    stop = {"excess_train_loss": [1e-3], "max_steps": 10_000, "landing": "exact"}
    run = simlr.run(runs.grid(problem=problem, schedule=schedule, stop=stop, **QUIET))
    assert of_section(run, "best").headline.startswith("The best learning rate at 8 rows: ")
    view = View(run, Analysis(run).rows)
    assert view.sentence().startswith("At 8 rows and train loss 0.001 above the floor, ")
    assert view.problem == " At 8 rows, one of 2 settings of the problem."
    assert view.sentence_of_times().startswith("Train loss 0.001 above the floor is reached at 8 rows by rates at ")


def test_one_of_several_that_gets_nowhere_is_told_apart_from_one_of_more_test_loss():
    boom = {"name": "boom", "kind": "constant", "learning_rate": 2.5}
    run = simlr.run(runs.grid(schedule=[ANNEALED, FLOW, boom], stop__train_loss=[1e-2, 1e-4], **QUIET))
    told = headlines.against(run.config.level_kind, list(Analysis(run, base=0).against.values()), 0.02)
    assert told.endswith("; 2 end with surely more (1 of them by not getting there)")


def test_the_picture_says_over_how_many_seeds_a_median_is_that_some_do_not_reach():
    """A rate of 1.45 diverges in the seeds of curvature 4/3 or 2, and not in those of a smaller one."""
    some = {"name": "some", "kind": "constant", "learning_rate": 1.45, "steps": 3000}
    run = simlr.run(runs.grid(schedule=[FLOW, some], stop__train_loss=[1e-2], **QUIET | {"stop__max_steps": 3000}))
    reached = int((run.status[1, :, 0] == 1).sum())
    assert 0 < reached < 40
    caption = figures_of_run.losses_at_equal_train_loss(View(run, Analysis(run).rows)).caption
    assert f"Over those of the 40 seeds that get there: some ({reached}) at the least." in caption


@pytest.mark.parametrize("asked", [["annealed", {"name": "the small rate", "schedule": ["flow"]}], None])
def test_the_section_on_annealing_says_which_rivals_it_has_where_the_question_has_fewer(asked):
    """The question's rival is the flow alone; beside a large rate that is kept annealing cannot surely win."""
    large = {"name": "large", "kind": "constant", "learning_rate": 1.1}
    grid = {"schedule": [FLOW, large, ANNEALED], "stop__train_loss": [1e-2]}
    question = {"question": {"text": "?", "compare": asked}} if asked else {}
    told = of_section(simlr.run(runs.grid(**grid, **question, **QUIET)), "annealing")
    assert "the best of all steady schedules (flow and large)" in told.headline
    assert told.headline.endswith("; the question compares with the small rate alone") is bool(asked)
    assert headlines.annealing("train_loss", []) == ""


def test_exact_means_are_not_called_too_few_seeds():
    """Of one seed of exact means the ratio is told, and no section counts the seeds in which something wins."""
    problem = {"kind": "population", "dimension": 5, "capacity": 1.0, "source": 0.5}
    schedule = [
        {"kind": "optimal", "cap": 0.5},
        {"kind": "constant", "learning_rate": [0.1, 0.4]},
        {"kind": "cosine", "learning_rate": 0.5, "steps": 50},
    ]
    noise = {"kind": "gradient", "sigma": 1.0, "covariance": "hessian"}
    grid = {"problem": problem, "schedule": schedule, "noise": [noise], "expectation": {}, "stop": {"steps": [50]}}
    found = Analysis(simlr.run(runs.grid(**grid, seeds__count=1, record__points=0)))
    parts = [*optima(found), *sections(found)]
    assert {part.key for part in parts} == {"optima", "best"}  # means have no residuals to be asked for
    view = View(found.run, found.rows)
    picture = optima_figure.optima(view, parts[0].rows, parts[0].headline)
    assert parts[0].key == "optima" and "the best of each other kind of schedule; rates below" in picture.caption
    assert re.match(r"At 50 steps, \S+ at learning rate \S+ has [\d.]+ times the test loss of optimal", view.sentence())
    assert figures_of_run.distribution(view) is None
    # What is asked, and what is told of it, stand on the page once.
    told = material(found, "run.h5")
    page = as_html(drawn(found, told), told)
    assert page.count("How far from the optimum does each shape end?") == 1
    assert page.count(f"{parts[0].headline}") == 1
    assert "over seeds" not in page and "resamples" not in page and "above 1 at" not in page
    assert "Expected test loss after " in page and "one recorded seed" not in page


def test_of_one_recorded_seed_no_median_is_told():
    assert over(1) == "of the one recorded seed" and over(2) == "median over the 2 recorded seeds"


def test_the_page_leads_with_the_best_of_each_table():
    """Not with the rate that is so large that it hardly stays bounded."""
    rates = {"name": "rates", "kind": "constant", "unit": "sharpness", "learning_rate": [0.5, 1.0, 1.999]}
    run = simlr.run(
        runs.grid(schedule=[{"kind": "cosine", "learning_rate": 1.0, "steps": 20}, rates], stop={"steps": [20]})
    )
    view = View(run, Analysis(run).rows)
    ratios = {name: view.ratio(name) for name in view.names[1:]}
    assert view.rival == max(ratios, key=ratios.__getitem__) != "rates[learning_rate=1.999]"


def test_few_seeds_and_small_differences_are_said_to_be_such():
    """A share of seeds that win does not stand alone where the loss they win by counts as none."""
    near = {"name": "near", "kind": "constant", "learning_rate": 0.05}
    stop = {"train_loss": [1e-2], "max_steps": 100_000, "landing": "exact"}
    run = simlr.run(runs.grid(schedule=[FLOW, near], stop=stop, **QUIET))
    view = View(run, Analysis(run).rows)
    assert "near has a lower test loss than flow in " in view.sentence_of_wins()
    assert ", by less than 2 % in most, at train loss 0.01" in view.sentence_of_wins()
    assert view.sentence_of_ratios({"near": [view.rows["near", 1e-2]]}) == view.sentence()
    view.rows["near", 1e-2] = replace(view.rows["near", 1e-2], above_1=0.0)
    assert f"than flow in none of {run.seed.size} seeds, by less" in view.sentence_of_wins()
    run = simlr.run(runs.grid(schedule=[FLOW, near], stop=stop, seeds__count=8, **QUIET))
    assert View(run, Analysis(run).rows).sentence().endswith("8 seeds are too few to say which schedule is better")


def test_schedules_that_tie_are_said_to_tie_and_once():
    """No share of the seeds is told in which one of two equal schedules wins, by less than so much or by anything."""
    one = {"kind": "constant", "learning_rate": 0.1}
    near = {"kind": "constant", "learning_rate": 0.101}
    stop, tie = {"steps": [10, 30]}, "At 30 steps, two and one tie: exactly the same test loss in every seed"
    for other, ties in ((one, True), (near, False)):
        run = simlr.run(runs.grid(schedule=[{"name": "one", **one}, {"name": "two", **other}], stop=stop, **QUIET))
        found = Analysis(run)
        told = material(found, "run.h5")
        page = re.sub('aria-label="[^"]*"', "", as_html(drawn(found, told), told))
        assert page.count(tie) == ties and ("has a lower test loss than" in page) is not ties
        assert not ties or "differs in test loss" not in page
    again = [{"name": name, **rule} for name, rule in (("one", one), ("two", one), ("three", one))]
    view = View(run := simlr.run(runs.grid(schedule=again, stop=stop, **QUIET)), Analysis(run).rows)
    assert view.sentence_of_wins() == tie and "no schedule that can be compared differs" in view.sentence()


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["flow", "constant[learning_rate=0.3]"], ["flow", "constant, rate 0.3"]),
        (
            ["flow", *(f"annealed[phase1.learning_rate={rate},phase1.steps=10]" for rate in (1.9, 1.99))],
            ["flow", "annealed, rate 1.9, 10 steps", "annealed, rate 1.99, 10 steps"],
        ),
        (
            [
                "constant[learning_rate=0.003], gd, minibatch[batch_size=8,sampling=epochs]",
                "constant[learning_rate=1.0], momentum[momentum=0.8], minibatch[batch_size=64,sampling=epochs]",
            ],
            ["rate 0.003, gradient descent, batches of 8", "rate 1, momentum 0.8, batches of 64"],
        ),
        (
            [
                "two[phase1.learning_rate=1,phase2.learning_rate=2]",
                "two[phase1.learning_rate=3,phase2.learning_rate=2]",
            ],
            ["rate 1", "rate 3"],
        ),
        (
            [
                "two[phase1.learning_rate=1,phase2.learning_rate=2]",
                "two[phase1.learning_rate=3,phase2.learning_rate=4]",
            ],
            ["rate 1 in phase 1, rate 2 in phase 2", "rate 3 in phase 1, rate 4 in phase 2"],
        ),
        (
            ["constant[batch_size=1,optimizer=gd]", "constant[batch_size=1,momentum=0.3,optimizer=momentum]"],
            ["gradient descent", "momentum 0.3"],
        ),
        (["small, gd", "small, nesterov[momentum=0.9]"], ["gradient descent", "Nesterov, momentum 0.9"]),
        (["only[learning_rate=0.1]"], ["only, rate 0.1"]),
        (["flat[learning_rate=0.0001]", "flat[learning_rate=1e-05]"], ["rate 1e-4", "rate 1e-5"]),
        (["bent[noise=0.1]", "bent[noise=0.2]"], ["noise 0.1", "noise 0.2"]),
        # What is the same wherever it is, is left out where there is no room for it.
        (
            [f"noisy[batch_size=2,noise=labels,sampling=replacement,sigma={sigma}]" for sigma in (0.1, 1.0)]
            + ["noisy"],
            ["label noise, sigma 0.1", "label noise, sigma 1", "noisy"],
        ),
        (["named[so]", "other"], ["named[so]", "other"]),
        (["same[learning_rate=0.1]", "same[rate=0.1]"], ["rate 0.1", "rate 0.1"]),
        ([], []),
    ],
)
def test_a_legend_names_schedules_by_what_they_differ_in(names, told):
    found = told_apart(names)
    assert list(found) == names and len(set(found.values())) == len(names)
    if len(set(told)) == len(told):
        assert list(found.values()) == told


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("batch_size", 0, "all rows in every batch"),
        ("batch_size", 8, "batches of 8"),
        ("batch_growth", 1.0, "batches that do not grow"),
        ("phase1_warmup_steps", 0, "no warm-up"),
        ("momentum", 0.0, "no momentum"),
        ("momentum", 0.5, "momentum 0.5"),
        ("noise", "labels", "label noise"),
        ("optimizer", "gd", "optimiser gradient descent"),
        # A problem's own parameters of these names.
        ("noise", 0.2, "noise 0.2"),
        ("noise", "heavy", "noise heavy"),
        ("optimizer", 3, "optimiser 3"),
    ],
)
def test_a_value_is_told_by_the_name_of_its_parameter_or_as_none_of_it(key, value, told):
    assert at_value(key, value) == told


def test_a_small_number_is_spoken_as_tables_have_it():
    assert spoken("flat[learning_rate=0.0001]") == "flat at learning rate 1e-4"
    assert spoken("flat[learning_rate=1.234567891e-05]") == "flat at learning rate 1.234567891e-05"


def test_two_sides_of_one_name_are_refused():
    sides = [{"name": "same", "schedule": "flow"}, {"name": "same", "schedule": "annealed"}]
    with pytest.raises(InputError, match="both sides are called 'same'"):
        runs.grid(schedule=[FLOW, ANNEALED], question={"text": "?", "compare": sides}, **QUIET)


def test_what_nothing_can_be_compared_with_is_said_to_be_so():
    coarse = {"name": "coarse", "kind": "constant", "learning_rate": [0.15, 0.2]}
    run = simlr.run(runs.grid(schedule=[FLOW, coarse], stop__train_loss=[1e-4], **QUIET))
    assert of_section(run, "against").headline.startswith("No schedule can be compared with flow; 2 are not at equal")
    run = simlr.run(runs.grid(schedule=[FLOW, coarse], stop={"train_loss": [0.0], "max_steps": 5}, **QUIET))
    assert of_section(run, "against").headline == "No seed gets to train loss 0: nothing to compare"
