"""Rows, tables and verdicts: against plain Python on the same arrays, and on runs for which the claim cannot hold."""

import math
import re
import statistics

import numpy as np
import pytest
import runs
from hypothesis import given
from hypothesis import strategies as st
from made import made_run

import simlr
from naive import answers as naive_answers
from simlr.analysis import levels, summary
from simlr.analysis.statistics import quantiles, wilson
from simlr.analysis.summary import baseline
from simlr.analysis.verdict import verdict_of
from simlr.papers import nakkiran2020
from simlr.report.plain.terminal import table

REACHED, OUT_OF_STEPS, DIVERGED, AT_FLOOR = 1, 2, 3, 4
FLOW = {"kind": "flow"}
ANNEALED = {"name": "annealed", "phases": [{"kind": "constant", "learning_rate": 1.5, "steps": 1}, FLOW]}


def reference(**changes):
    """A run of the paper's own two schedules, in memory, so that its arrays can be tampered with."""
    small = {"seeds__count": 400, "record__points": 0, "schedule": [FLOW, ANNEALED]}
    return simlr.run(runs.grid(nakkiran2020.GRID, **(small | changes)))


@pytest.fixture(scope="module")
def claim():
    """A finished run of the claim; not to be changed."""
    return reference()


def by_name(rows):
    return {(row.schedule, row.level): row for row in rows}


# ---- rows ----


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 3), st.integers(1, 3))
def test_rows_agree_with_plain_python(draw, seeds, schedules, levels):
    rng = np.random.default_rng(draw)
    shape = (schedules, seeds, levels)
    status = rng.integers(0, 5, shape)
    test = np.where(status == 0, np.nan, rng.lognormal(size=shape))
    run = made_run(status, test, np.geomspace(1e-1, 1e-3, levels), ("a", "flow", "b"))
    base = 1 if schedules > 1 else 0
    rows = summary.rows(run)
    assert len(rows) == schedules * levels
    for number, row in enumerate(rows):
        s, e = divmod(number, levels)
        own = [float(test[s, n, e]) for n in range(seeds) if status[s, n, e] == REACHED]
        told = {0: None, 2: math.inf, 3: math.inf, 4: None}
        of_both = [[told.get(int(status[i, n, e]), float(test[i, n, e])) for n in range(seeds)] for i in (base, s)]
        counted, logs = naive_answers.compared(*of_both, [0.0] * seeds, [0.0] * seeds, 1.0)
        assert (row.schedule, row.baseline) == (run["schedule"][s], run["schedule"][base])
        assert (row.reached, row.pairs, row.seeds) == (len(own), counted["pairs"], seeds)
        counts = (row.not_run, row.reached, row.out_of_steps, row.diverged, row.at_floor)
        assert counts == tuple(int((status[s, :, e] == code).sum()) for code in range(5))
        assert_median(row.test_loss, own)
        assert_median(row.test_loss_over_level, [loss / row.level for loss in own])
        if 2 * counted["missed_both"] > counted["pairs"]:
            assert math.isnan(row.ratio)
        elif not logs or math.isfinite(statistics.median(logs)):
            assert_median(row.ratio, [math.exp(statistics.median(logs))] if logs else [])
        if counted["pairs"]:
            assert row.above_1 == sum(log > 1e-9 for log in logs) / counted["pairs"]
            assert 0.0 <= row.above_1_low <= row.above_1 <= row.above_1_high <= 1.0


def assert_median(found, values):
    if values:
        assert found == pytest.approx(statistics.median(values), rel=1e-12)
    else:
        assert math.isnan(found)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.integers(0, 2**30 - 1))
def test_quantiles_are_those_of_numpy(values, bits):
    mask = np.array([bits >> i & 1 == 1 for i in range(len(values))])
    values = np.array(values)
    found = quantiles(values[None, :, None], mask[None, :, None], [0.05, 0.5, 0.75, 1.0])[:, 0, 0]
    if mask.any():
        np.testing.assert_allclose(found, np.quantile(values[mask], [0.05, 0.5, 0.75, 1.0]), rtol=1e-12, atol=1e-9)
    else:
        assert np.isnan(found).all()


@pytest.mark.parametrize(
    ("wins", "trials", "low", "high"),
    [(81, 263, 0.2535, 0.3682), (15, 148, 0.0598, 0.1644), (0, 20, 0.0, 0.2005), (1, 29, 0.0018, 0.1963)],
)
def test_wilson_interval(wins, trials, low, high):
    """Newcombe (1998), table I, method 4."""
    found = wilson(np.array(wins), np.array(trials))
    np.testing.assert_allclose(found, (wins / trials, low, high), atol=5e-5)


@pytest.mark.parametrize("trials", [1, 2, 7, 20, 100, 300])
def test_wilson_intervals_cover_every_share(trials):
    """The exact probability of all numbers of wins whose interval holds the true share, summed coin by coin."""
    _, low, high = wilson(np.arange(trials + 1), np.full(trials + 1, trials))
    for share in (1e-4, 0.003, 0.01, 0.054, 0.2, 0.5, 0.59, 0.75, 0.9, 0.97, 0.9936):
        covered = sum(
            math.comb(trials, k) * share**k * (1.0 - share) ** (trials - k)
            for k in range(trials + 1)
            if low[k] <= share <= high[k]
        )
        assert covered > 0.945, share
    np.testing.assert_allclose(low, 1.0 - high[::-1], atol=1e-12)


def test_rounding_does_not_win_and_two_zeros_are_equal():
    test = [[[1.0], [0.0], [1.0]], [[1.0 - 1e-15], [0.0], [0.5]]]
    row = summary.rows(made_run(np.ones((2, 3, 1)), test, [0.1]))[1]
    assert (row.pairs, row.above_1, row.ratio) == (3, 1 / 3, pytest.approx(1.0))


def test_excess_levels_are_compared_above_the_floor():
    run = made_run([[[1]]], [[[0.5]]], [0.1], kind="excess_train_loss", train_floor=np.array([0.02]))
    assert summary.rows(run)[0].train_loss_over_level == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("names", "kinds", "expected"),
    [
        (["a", "flow"], ["flow", "constant"], 1),
        (["a", "b"], ["constant", "flow"], 1),
        (["a", "b"], ["constant", "cosine"], 0),
    ],
)
def test_baseline(names, kinds, expected):
    more = {"schedule_kind": np.array(kinds, dtype=object)}
    assert baseline(made_run(np.ones((2, 1, 1)), np.ones((2, 1, 1)), [0.1], names, **more)) == expected


def test_problem_parameters_split_the_rows():
    test = np.array([[[1.0], [2.0], [30.0], [40.0]], [[1.0], [1.0], [10.0], [10.0]]])
    run = made_run(np.ones((2, 4, 1)), test, [0.1], problem_rows=np.array([20.0, 20.0, 50.0, 50.0]))
    rows = summary.rows(run)
    assert [row.problem for row in rows] == [(("rows", 20.0),)] * 2 + [(("rows", 50.0),)] * 2
    assert [row.test_loss for row in rows] == [1.5, 1.0, 35.0, 10.0]
    assert rows[0].record()["problem_rows"] == 20.0
    assert "[rows 50]" in table(rows)


def test_the_reference_run_against_numpy(claim):
    ratio = claim.test_loss[0] / claim.test_loss[1]
    rows = by_name(summary.rows(claim))
    for e, level in enumerate(claim.level):
        row = rows["annealed", level]
        assert row.ratio == pytest.approx(np.median(ratio[:, e]), rel=1e-14)
        assert row.test_loss_over_level == pytest.approx(0.75, rel=1e-9)
        assert row.above_1 == np.mean(ratio[:, e] > 1.2)
    theory = nakkiran2020.theory(claim).ratio(claim.level)
    np.testing.assert_allclose([rows["annealed", level].ratio for level in claim.level], theory, rtol=1e-12)
    np.testing.assert_allclose(theory[3:], 2.0 - 6.0 * claim.level[3:], rtol=1e-6)


# ---- unfinished runs ----


def test_an_unfinished_run_gives_rows_of_what_is_done(half, finished):
    run, whole = simlr.load(half), simlr.load(finished)
    done = (run.status != 0).all(axis=(0, 2))
    rows = summary.rows(run)
    assert 0 < done.sum() < done.size
    assert {row.not_run for row in rows} == {int((~done).sum())}
    for row in rows:
        s, e = list(run.schedule).index(row.schedule), list(run.level).index(row.level)
        reached = done & (whole.status[s, :, e] == REACHED)
        if reached.any():
            assert row.test_loss == pytest.approx(np.median(whole.test_loss[s, reached, e]), rel=1e-14)
    assert f"unfinished: {done.sum()} of 40 seeds done" in table(rows)


def test_a_run_that_has_not_begun(tmp_path):
    run = runs.run_blocks(runs.grid(), tmp_path / "run.h5", [])
    text = table(summary.rows(run))
    assert "unfinished: 0 of 40 seeds done" in text
    assert "nan" not in text
    assert verdict_of(run).outcome == "undecided"


# ---- tables ----


def test_the_default_table_fits_a_terminal():
    run = simlr.run(runs.grid(nakkiran2020.GRID, seeds__count=64, record__points=0))
    lines = table(summary.rows(run)).splitlines()
    assert max(map(len, lines)) <= 110
    assert len(lines) < 45
    assert any(line.startswith("! diverged: cosine") for line in lines)
    assert not any(line.startswith("~ ") for line in lines)
    whole_steps = simlr.run(runs.grid(nakkiran2020.GRID, seeds__count=64, record__points=0, stop__landing="step"))
    assert any(line.startswith("~ ") for line in table(summary.rows(whole_steps)).splitlines())


def test_many_schedules_are_shortened_with_a_note():
    names = [f"s{i}" for i in range(1000)]
    test = np.linspace(2.0, 1.0, 1000)[:, None, None] * np.ones((1000, 2, 1))
    rows = summary.rows(made_run(np.ones((1000, 2, 1)), test, [0.1], names))
    text = table(rows)
    assert len(rows) == 1000
    assert len(text.splitlines()) < 70
    assert "976 more: see the report's summary.csv" in text
    assert "s999" in text and "s0 (baseline)" in text


def test_levels_that_nobody_reached_are_dashes():
    status = np.array([[[AT_FLOOR, DIVERGED]], [[AT_FLOOR, OUT_OF_STEPS]]])
    rows = summary.rows(made_run(status, np.ones((2, 1, 2)), [0.2, 0.1]))
    text = table(rows)
    assert all(math.isnan(row.test_loss) and math.isnan(row.ratio) for row in rows)
    assert "nan" not in text and " - " in text.replace("-*", "- ")
    assert "level at or below the train floor: all schedules: 1 at 0.2 of 1 seed" in text
    assert "! diverged: flow: 1 at 0.1 of 1 seed" in text
    assert "* out of steps: other: 1 at 0.1 of 1 seed" in text


@pytest.mark.parametrize("levels", [[0.0], [1e-3], [1e-3, 0.0], list(np.geomspace(1, 1e-20, 30))])
def test_any_number_of_levels_is_laid_out(levels):
    shape = (2, 3, len(levels))
    text = table(summary.rows(made_run(np.ones(shape), np.ones(shape), levels)))
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(
    ("level", "text"), [(0.1, "0.1"), (1e-3, "0.001"), (1e-4, "1e-4"), (2.5e-7, "2.5e-7"), (0.0, "0"), (30.0, "30")]
)
def test_levels_read_as_one_writes_them(level, text):
    assert levels.level_text(level) == text


def test_names_cannot_steer_a_terminal():
    rows = summary.rows(made_run(np.ones((2, 1, 1)), np.ones((2, 1, 1)), [0.1], ("flow", "\x1b[2J\nred")))
    assert "\x1b" not in table(rows)
    assert "\\x1b[2J\\nred" in table(rows)


# ---- the claim ----


def test_the_claim_holds(claim):
    verdict = verdict_of(claim)
    assert verdict.outcome == "holds"
    assert len(verdict.findings) == 5
    assert all("theory" in line for line in verdict.lines)


def test_all_samples_give_exactly_six_of_eight():
    verdict = verdict_of(reference(problem__samples="all"))
    assert verdict.outcome == "holds"
    assert "6 of 8 seeds" in verdict.lines[0]


def test_the_schedules_are_found_by_what_they_are():
    steps = {"kind": "step", "learning_rate": 2.0, "step_size": 5, "steps": 1}
    schedules = [{"name": "x", "unit": "sharpness", "phases": [steps, FLOW]}, {"name": "y", "phases": [FLOW]}]
    assert verdict_of(reference(schedule=schedules)).outcome == "holds"


@pytest.mark.parametrize("start", [[0.0, 0.0], [0.2, -3.0]])
def test_the_claim_holds_from_other_starts(start):
    verdict = verdict_of(reference(problem__start=start, problem__theta_star=[1.0, 2.0]))
    assert verdict.outcome == "holds", verdict.findings


def test_each_combination_of_parameters_is_checked():
    run = reference(problem__samples=["all", "random"], problem__theta_star=[[1.0, 1.0], [2.0, 1.0]])
    verdict = verdict_of(run)
    assert verdict.outcome == "holds", verdict.findings
    assert sum("of 8 seeds" in line for line in verdict.lines) == 2


def test_the_claim_fails_where_the_start_is_at_the_target_along_an_axis():
    verdict = verdict_of(reference(problem__theta_star=[1.0, 0.0]))
    assert verdict.outcome == "does not hold"
    assert any(line.endswith(": does not hold") for line in verdict.lines)


def a_little_more(test, status, mixed):
    test[1] *= 1.0 + 1e-8


def no_gain(test, status, mixed):
    test[1] = test[0]


def a_gain_where_none_is_due(test, status, mixed):
    test[0, ~mixed] *= 1.001


def no_gain_in_some_seeds(test, status, mixed):
    test[1, np.flatnonzero(mixed)[:60]] = 1.0


def one_level_missed(test, status, mixed):
    status[1, np.flatnonzero(mixed)[0], 5] = OUT_OF_STEPS


def flow_diverged(test, status, mixed):
    status[0, :, 3:] = DIVERGED


def one_cell_off(test, status, mixed):
    test[0, np.flatnonzero(mixed)[7], 4] = 1.501e-5


TAMPERED = [a_little_more, no_gain, a_gain_where_none_is_due, no_gain_in_some_seeds, one_level_missed, flow_diverged]


@pytest.mark.parametrize("change", [*TAMPERED, one_cell_off])
def test_the_check_can_fail(change):
    """Negative controls: losses and outcomes that the theory does not allow."""
    run = reference()
    change(run._source.read("test_loss"), run._source.read("status"), run.curvature[:, 1] > 0.0)
    assert verdict_of(run).outcome == "does not hold"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schedule": [FLOW, {**FLOW, "name": "again"}]}, r"no schedule \(B\)"),
        ({"schedule": [ANNEALED, {**ANNEALED, "name": "again"}]}, r"no schedule \(A\)"),
        ({"stop__train_loss": [1e-1, 1e-2]}, "no level is low enough"),
        ({"problem__theta_star": [1.0, 0.01]}, "no level is low enough"),
        ({"seeds__count": 50}, "needs at least 100 seeds"),
        ({"problem__samples": "all", "seeds__count": 7}, "needs all 8 samples"),
    ],
)
def test_the_check_can_be_undecided(changes, reason):
    verdict = verdict_of(reference(**changes))
    assert verdict.outcome == "undecided"

    assert any(re.search(reason, line) for line in verdict.lines)


def test_an_unfinished_run_is_undecided(tmp_path):
    run = runs.run_blocks(runs.grid(nakkiran2020.GRID, seeds__count=800), tmp_path / "run.h5", [0, 1, 2])
    verdict = verdict_of(run)
    assert verdict.outcome == "undecided"
    assert verdict.lines[-1].startswith("not finished: ")


def test_a_problem_without_a_check_has_no_verdict():
    assert verdict_of(made_run([[[1]]], [[[1.0]]], [0.1])) is None
