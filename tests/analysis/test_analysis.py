"""Comparisons over seeds: against enumerations and loops, on arrays with known answers, and on runs."""

import math

import numpy as np
import pytest
import runs
from hypothesis import given
from hypothesis import strategies as st
from made import made_run

import simlr
from naive import answers as naive_answers
from simlr.analysis import directions, families, pairs, statistics, summary
from simlr.analysis.schedule_parts import ScheduleParts
from simlr.errors import InputError
from simlr.papers import nakkiran2020

FLOW = {"kind": "flow"}
KEPT = {"record__stop_residual": True, "record__points": 0}


# ---- estimates ----


@given(st.integers(0, 7), st.integers(0, 7))
def test_the_sign_test_counts_all_coins(wins, losses):
    assert statistics.sign_test(wins, losses) == pytest.approx(naive_answers.sign_test(wins, losses), rel=1e-12)


@pytest.mark.parametrize(("wins", "losses"), [(250, 262), (100, 413), (300, 900), (49000, 50000), (0, 600)])
def test_many_signs_agree_with_whole_numbers(wins, losses):
    trials = wins + losses
    total, term = 0, 1
    for k in range(min(wins, losses) + 1):
        total, term = total + term, term * (trials - k) // (k + 1)
    exact = math.exp(math.log(total) - (trials - 1) * math.log(2.0))
    assert statistics.sign_test(wins, losses) == pytest.approx(min(1.0, exact), rel=1e-8)


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 19, 20, 100, 513])
def test_the_interval_of_a_median_is_made_of_order_statistics(count):
    values = np.sort(np.random.default_rng(count).lognormal(size=count))
    middle, low, high = statistics.median_interval(values)
    assert middle == pytest.approx(np.median(values))
    assert (low, high) == naive_answers.median_ends(values.tolist())


def test_below_six_values_no_interval_can_be_had():
    """The chance that all of n values lie on one side of the median is 2^(1 - n)."""
    assert [statistics.median_rank(count) for count in (1, 5, 6, 8, 9)] == [0, 0, 1, 1, 2]


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40))
def test_the_interval_of_the_mirrored_values_is_mirrored(values):
    ordered = np.sort(np.array(values))
    middle, low, high = statistics.median_interval(ordered)
    assert statistics.median_interval(np.sort(-ordered)) == (-middle, -high, -low)
    assert low <= middle <= high


LAWS = {
    "normal": (lambda rng, shape: rng.standard_normal(shape), 0.0),
    "lognormal": (lambda rng, shape: rng.lognormal(0.0, 2.0, shape), 1.0),
    "Cauchy": (lambda rng, shape: rng.standard_cauchy(shape), 0.0),
}


@pytest.mark.parametrize("count", [20, 100, 1000])
@pytest.mark.parametrize("law", LAWS)
def test_intervals_and_sign_tests_cover_what_they_say(law, count):
    """Of 2,000 samples; with 10,000 they are in docs/analysis.md. Not below 94 % by over 3 Monte Carlo errors."""
    draw, median = LAWS[law]
    samples = np.sort(draw(np.random.default_rng(count), (2000, count)), axis=1)
    ends = np.array([statistics.median_interval(sample)[1:] for sample in samples])
    covered = ((ends[:, 0] <= median) & (median <= ends[:, 1])).mean()
    below = (samples < median).sum(axis=1)
    kept = np.mean([statistics.sign_test(int(n), int(count - n)) > 0.05 for n in below])
    least = 0.94 - 3.0 * math.sqrt(0.94 * 0.06 / 2000)
    assert least < covered < 0.98 and least < kept < 0.98


def test_wins_are_those_of_resampling_one_by_one():
    losses = np.random.default_rng(5).normal([[0.0], [0.1], [0.5]], 1.0, (3, 30))
    expected = naive_answers.wins_by_resampling(losses.tolist(), 2000, 1)
    found = statistics.win_shares(losses)
    assert found.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(found, expected, atol=5 * math.sqrt(0.25 / 1000 + 0.25 / 2000))


def test_values_that_never_reach_never_win_and_ties_share():
    losses = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [np.inf] * 3])
    assert statistics.win_shares(losses).tolist() == [0.5, 0.5, 0.0]
    assert np.isnan(statistics.win_shares(np.full((2, 3), np.inf))).all()
    assert np.isnan(statistics.win_shares(np.empty((2, 0)))).all()


@pytest.mark.parametrize("seeds", [1, 2, 5, 40, 333])
def test_joint_medians_are_those_of_the_resampled_losses(seeds):
    """Against NumPy's median of the losses picked one by one; ties and infinite losses among them."""
    random = np.random.default_rng(seeds)
    losses = np.round(random.lognormal(size=(4, seeds)), 1)
    losses[random.random((4, seeds)) < 0.2] = np.inf
    losses[3, : (seeds + 1) // 2] = np.inf
    found = np.concatenate(list(statistics.joint_medians(losses, 50)), axis=1)
    picked = statistics.generator(seeds).integers(0, seeds, (50, seeds))
    ordered = np.sort(losses[:, picked], axis=2)
    low, high = ordered[:, :, (seeds - 1) // 2], ordered[:, :, seeds // 2]
    np.testing.assert_array_equal(found, np.where(low == high, low, 0.5 * low + 0.5 * high))


def test_a_resample_whose_median_lies_far_off_is_looked_through_whole(monkeypatch):
    losses = np.random.default_rng(0).normal(size=(3, 200))
    expected = np.concatenate(list(statistics.joint_medians(losses)), axis=1)
    within = statistics._medians_within

    def narrow(counts, order, ordered, window):
        return within(counts, order, ordered, (99, 101) if window != (0, 200) else window)

    assert within(*_resampled_parts(losses), (99, 101)) is None
    monkeypatch.setattr(statistics, "_medians_within", narrow)
    np.testing.assert_array_equal(np.concatenate(list(statistics.joint_medians(losses)), axis=1), expected)


def _resampled_parts(losses):
    order = np.argsort(losses, axis=1, kind="stable")
    counts = next(iter(statistics._resampled(losses.shape[1], 100)))
    return counts, order, np.take_along_axis(losses, order, axis=1)


# ---- pairs ----


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_pairs_against_plain_python_their_inverse_and_other_orders(draw, seeds):
    rng = np.random.default_rng(draw)
    status = rng.integers(0, 5, (2, seeds, 1))
    test = rng.lognormal(size=(2, seeds, 1))
    train = 0.1 - 0.0015 * rng.random((2, seeds, 1))
    test[1, : seeds // 3] = test[0, : seeds // 3]
    run = made_run(status, test, [0.1], train_loss=train)
    (row,), (back,) = pairs.compare(run, "flow", "other"), pairs.compare(run, "other", "flow")
    told = {0: None, 1: 1.0, 2: math.inf, 3: math.inf, 4: None}
    a, b = (
        [told[s] and (loss if s == 1 else math.inf) for s, loss in zip(status[i, :, 0], test[i, :, 0], strict=True)]
        for i in (0, 1)
    )
    expected, logs = naive_answers.compared(a, b, train[0, :, 0], train[1, :, 0], 0.1)
    assert expected == {name: getattr(row, name) for name in expected}
    assert (back.wins, back.losses, back.p, back.pairs, back.apart) == (
        row.losses,
        row.wins,
        row.p,
        row.pairs,
        row.apart,
    )
    assert (
        row.p == pytest.approx(naive_answers.sign_test(*[min(n, 7) for n in (row.wins, row.losses)]))
        or max(row.wins, row.losses) > 7
    )
    if not row.pairs or 2 * row.missed_both > row.pairs:
        assert math.isnan(row.ratio)
    else:
        low, high = naive_answers.median_ends(logs)
        for end, log in (("ratio", np.median(logs)), ("ratio_low", low), ("ratio_high", high)):
            if not math.isnan(log):  # between the two infinities
                assert getattr(row, end) == pytest.approx(math.exp(log), rel=1e-12)
        for one, other in (("ratio", "ratio"), ("ratio_low", "ratio_high"), ("ratio_high", "ratio_low")):
            inverse = 1.0 / getattr(back, other) if getattr(back, other) else math.inf
            assert getattr(row, one) == pytest.approx(inverse, rel=1e-12)
    both = [n for n in range(seeds) if status[0, n, 0] == status[1, n, 0] == 1]
    gaps = [abs(max(a, b) / min(a, b) - 1.0) for a, b in ((train[0, n, 0], train[1, n, 0]) for n in both)]
    if both:
        assert row.train_gap == back.train_gap == pytest.approx(np.median(gaps), abs=1e-12)
    assert row.equal_train_loss == (bool(both) and not row.apart)
    order = rng.permutation(seeds)
    (mixed,) = pairs.compare(made_run(status[:, order], test[:, order], [0.1], train_loss=train[:, order]), 0, 1)
    assert {k: v for k, v in mixed.record().items() if v == v} == {k: v for k, v in row.record().items() if v == v}


@pytest.mark.parametrize(("kind", "own"), [("steps", [5]), ("validation_patience", [6, 2])])
def test_pairs_and_best_values_take_the_outcomes_of_their_own_rule(kind, own):
    """A budget spent, or a stop by validation, is a result as reaching a level is; who diverges has lost."""
    status = np.array([[[own[0]], [own[-1]], [own[0]]], [[own[0]], [own[0]], [3]]])
    test = np.array([[[1.0], [1.0], [1.0]], [[2.0], [2.0], [2.0]]])
    run = made_run(status, test, [10], kind=kind)
    (pair,) = pairs.compare(run, 0, 1)
    assert (pair.pairs, pair.wins, pair.missed_b, pair.ratio) == (3, 3, 1, 0.5)
    losses, reached = families.penalised([pairs.Side(run, s) for s in (0, 1)], np.arange(3), 0)
    assert reached.tolist() == [[True] * 3, [True, True, False]]
    assert losses.tolist() == [[1.0, 1.0, 1.0], [2.0, 2.0, np.inf]]


def test_levels_that_are_overshot_are_no_equal_train_loss():
    train = np.array([[[0.1], [0.1]], [[0.1], [0.05]]])
    run = made_run(np.ones((2, 2, 1)), np.ones((2, 2, 1)), [0.1], train_loss=train)
    (row,) = pairs.compare(run, "flow", "other")
    assert row.train_gap == pytest.approx(0.5) and not row.equal_train_loss
    assert pairs.compare(run, "flow", "other", tolerance=0.6)[0].equal_train_loss


def test_two_zeros_are_equal_and_infinite_ratios_stay_so():
    run = made_run(np.ones((2, 3, 1)), [[[0.0], [0.0], [0.0]], [[0.0], [1.0], [1.0]]], [0.1])
    (row,) = pairs.compare(run, "flow", "other")
    assert (row.wins, row.losses, row.ties, row.ratio) == (2, 0, 1, 0.0)
    assert pairs.compare(run, "other", "flow")[0].ratio == math.inf


def test_names_that_are_not_there_are_refused():
    run = made_run(np.ones((2, 1, 1)), np.ones((2, 1, 1)), [0.1])
    with pytest.raises(InputError, match="unknown schedule 'floe'; did you mean 'flow'"):
        pairs.compare(run, "floe", "other")
    with pytest.raises(InputError, match="unknown measure 'testloss'; did you mean 'test_loss'"):
        pairs.compare(run, "flow", "other", measure="testloss")


def test_all_pairs_or_those_with_the_baseline(monkeypatch):
    run = made_run(np.ones((3, 2, 1)), np.ones((3, 2, 1)), [0.1], ("a", "flow", "c"))
    rows, everything = pairs.table_of_pairs(run, 1)
    assert everything and [(row.a, row.b) for row in rows] == [("a", "flow"), ("a", "c"), ("flow", "c")]
    monkeypatch.setattr(pairs, "MOST_PAIRS", 2)
    rows, everything = pairs.table_of_pairs(run, 1)
    assert not everything and [(row.a, row.b) for row in rows] == [("a", "flow"), ("c", "flow")]


def test_the_claim_in_pairs():
    run = simlr.run(runs.grid(nakkiran2020.GRID, seeds__count=400, record__points=0))
    row = pairs.compare(run, "flow", "annealed")[-1]
    assert row.ratio == pytest.approx(2.0, rel=1e-5) and row.ratio_low == pytest.approx(2.0, rel=1e-5)
    share = (run.curvature[:, 1] > 0).mean()
    assert (row.wins, row.losses / row.pairs) == (0, share)
    assert row.train_gap < 1e-9 and row.p < 1e-60


# ---- families ----


def family_run(**changes):
    schedules = [
        FLOW,
        {"kind": "constant", "learning_rate": [1.0, 0.1, 0.3]},
        {"kind": "step", "learning_rate": [0.5, 1.0], "gamma": [0.1, 0.5], "step_size": 10},
    ]
    return simlr.run(runs.grid(**({"schedule": schedules, "record__points": 0} | changes)))


def test_families_are_what_one_table_expands_to():
    found = {(name, key): members for name, key, members in families.families(family_run())}
    assert found == {
        ("constant", "learning_rate"): [2, 3, 1],
        ("step[gamma=0.1]", "learning_rate"): [4, 6],
        ("step[gamma=0.5]", "learning_rate"): [5, 7],
        ("step[learning_rate=0.5]", "gamma"): [4, 5],
        ("step[learning_rate=1.0]", "gamma"): [6, 7],
    }


def test_whole_numbers_of_a_family_are_written_as_in_a_grid():
    """Although the run file has them as floats, beside the NaN of schedules without steps of their own."""
    schedules = [FLOW, {"kind": "cosine", "learning_rate": [0.1, 0.5], "steps": [20, 40]}]
    found = {name for name, _, _ in families.families(family_run(schedule=schedules))}
    assert found == {"cosine[learning_rate=0.1]", "cosine[learning_rate=0.5]", "cosine[steps=20]", "cosine[steps=40]"}


def test_optimisers_are_parameters_too():
    optimizers = [{"kind": "momentum", "momentum": [0.2, 0.5]}, {"kind": "nesterov", "momentum": 0.5}]
    run = family_run(schedule=[{"kind": "constant", "learning_rate": [0.1, 0.2]}], optimizer=optimizers)
    found = {(name, key) for name, key, _ in families.families(run)}
    assert ("constant[learning_rate=0.1,optimizer=momentum]", "momentum") in found
    assert ("constant[momentum=0.2,optimizer=momentum]", "learning_rate") in found
    assert ("constant[learning_rate=0.2,momentum=0.5]", "optimizer") in found


def test_the_best_value_its_sureness_and_the_edge():
    test = np.array([[3.0, 3.1, 3.2], [1.0, 1.1, 1.2], [2.0, 2.1, 2.2]])[:, :, None]
    more = {"schedule_learning_rate": np.array([0.1, 0.3, 1.0])}
    run = made_run(np.ones((3, 3, 1)), test, [0.1], ("a", "b", "c"), tables=("x",) * 3, **more)
    rows = families.best_values(run)
    assert [row.best for row in rows] == [row.best_mean for row in rows] == [False, True, False]
    assert [row.win_share for row in rows] == [0.0, 1.0, 0.0]
    assert {row.edge for row in rows} == {""}
    ends = families.best_values(made_run(np.ones((3, 3, 1)), test[[1, 0, 2]], [0.1], ("a", "b", "c"), tables=("x",) * 3, **more))  # fmt: skip # noqa: E501
    assert [row.edge for row in ends] == ["lowest", "", ""]


@pytest.mark.parametrize(
    ("beyond", "edge", "beaten_by"), [(1.5, "", ""), (1.0, "lowest", ""), (0.99, "lowest", ""), (0.5, "lowest", "d")]
)
def test_an_end_is_no_edge_where_all_that_others_tried_beyond_it_ends_with_more(beyond, edge, beaten_by):
    """By more than the margin of 2 % another one is said to be better."""
    test = np.array([1.0, 2.0, 3.0, beyond])[:, None, None] * np.ones((1, 3, 1))
    more = {"schedule_learning_rate": np.array([0.1, 0.3, 1.0, 0.01])}
    tables = ("x", "x", "x", "y")
    run = made_run(np.ones((4, 3, 1)), test, [0.1], tuple("abcd"), tables=tables, **more)
    (best,) = [row for row in families.best_values(run) if row.best]
    assert (best.value, best.edge, best.beaten_by) == (0.1, edge, beaten_by)


def test_a_value_that_diverges_is_never_best():
    status = np.array([[1, 1, 1], [3, 3, 1]])[:, :, None]
    test = np.array([[5.0, 5.0, 5.0], [1.0, 1.0, 1.0]])[:, :, None]
    more = {"schedule_learning_rate": np.array([0.1, 9.0])}
    rows = families.best_values(made_run(status, test, [0.1], ("a", "b"), tables=("x",) * 2, **more))
    assert [row.best for row in rows] == [True, False]
    assert (rows[1].reached, rows[1].test_loss, rows[0].edge) == (1, math.inf, "lowest")


SHAPES = {
    "steady": [FLOW, {"kind": "constant", "learning_rate": 0.1}],
    "annealed": [
        {"kind": "cosine", "learning_rate": 1.0, "steps": 99},
        {"phases": [{"kind": "constant", "learning_rate": 0.5, "steps": 3}, FLOW]},
        {"kind": "warmup_stable_decay", "learning_rate": 1.0, "steps": 50, "warmup_steps": 5, "decay_steps": 10},
    ],
    "other": [{"kind": "warmup", "learning_rate": 1.0, "steps": 50}],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_anneals(shape):
    named = [{"name": str(i), **table} for i, table in enumerate(SHAPES[shape])]
    made = runs.grid(schedule=named).schedules()
    assert {families.shape_of(schedule) for schedule, _ in made} == {shape}


def test_annealing_wins_in_three_seeds_of_four():
    run = simlr.run(runs.grid(nakkiran2020.GRID, seeds__count=400, record__points=0))
    rows = families.annealing(run)
    assert {row.b for row in rows} == {name for name in run.schedule if name.startswith(("flow", "constant"))}
    last = {(row.a, row.b): row for row in rows if row.level == 1e-6}
    assert last["annealed", "flow"].win_share == (run.curvature[:, 1] > 0).mean()


# ---- directions, bias and variance ----


def test_shares_against_loops():
    run = simlr.run(runs.grid(**KEPT))
    rows = {(row.schedule, row.level, row.rank): row for row in directions.directions(run)}
    for s, name in enumerate(run.schedule):
        for e, level in enumerate(run.level):
            seeds = np.flatnonzero(run.status[s, :, e] == 1)
            cells = [
                naive_answers.shares(run.curvature[n], run.stop_residual[s, n, e], run.offset[n], run.test_matrix[n])
                for n in seeds
            ]
            for rank in range(2 if cells else 0):
                row = rows[name, level, rank + 1]
                train, test = (np.array([cell[i][rank] for cell in cells]) for i in (0, 1))
                assert row.seeds == len(seeds)
                assert row.train_share == pytest.approx(train.mean(), rel=1e-9, abs=1e-12)
                assert row.test_share == pytest.approx(test.mean(), rel=1e-9, abs=1e-12)
                error = test.std(ddof=1) / math.sqrt(len(seeds))
                assert row.test_share_error == pytest.approx(error, rel=1e-6, abs=1e-7)


def numbers(row):
    return [value for value in row.record().values() if not isinstance(value, str)]


def test_pieces_of_seeds_change_nothing(monkeypatch):
    run = simlr.run(runs.grid(**KEPT))
    whole, spread = directions.directions(run), directions.bias_and_variance(run)
    monkeypatch.setattr(directions, "CELLS_AT_ONCE", 50)
    for one, other in zip(directions.directions(run), whole, strict=True):
        # Errors of means near 1 come from differences of squares: half of the digits are theirs.
        assert numbers(one) == pytest.approx(numbers(other), rel=1e-9, abs=1e-8, nan_ok=True)
    for one, other in zip(directions.bias_and_variance(run), spread, strict=True):
        assert numbers(one) == pytest.approx(numbers(other), rel=1e-6, abs=1e-15, nan_ok=True)


def test_annealing_leaves_its_error_along_the_steep_axis():
    grid = runs.grid(nakkiran2020.GRID, seeds__count=100, record__points=0, record__stop_residual=True)
    run = simlr.run(grid)
    rows = [row for row in directions.directions(run) if row.level == 1e-6 and row.rank == 1]
    share = {row.schedule: row.train_share for row in rows}
    both = (run.curvature[:, 1] > 0).mean()
    assert share["annealed"] == pytest.approx(1.0)
    assert share["flow"] == pytest.approx(1.0 - both, abs=1e-3)


def test_bias_and_variance_against_all_pairs_of_seeds():
    run = simlr.run(runs.grid(**KEPT, seeds__count=9))
    sigma = 0.5 * np.eye(2)
    rows = {(row.schedule, row.level): row for row in directions.bias_and_variance(run)}
    for s, name in enumerate(run.schedule):
        for e, level in enumerate(run.level):
            seeds = np.flatnonzero(run.status[s, :, e] == 1)
            row = rows[name, level]
            assert row.seeds == seeds.size
            if seeds.size < 3:
                assert math.isnan(row.bias_squared) and row.note == "too few seeds"
                continue
            errors = np.einsum("nij,nj->ni", run.curvature_axes, run.stop_residual[s, :, e] + run.offset)[seeds]

            def of(which, part, errors=errors):
                return naive_answers.bias_and_variance(errors[which], sigma)[part]

            everyone = list(range(seeds.size))
            assert row.bias_squared == pytest.approx(of(everyone, 0), rel=1e-8, abs=1e-12)
            assert row.variance == pytest.approx(of(everyone, 1), rel=1e-8, abs=1e-12)
            for part, name_ in enumerate(("bias_squared_error", "variance_error")):
                expected = naive_answers.jackknife(lambda which, part=part: of(which, part), seeds.size)
                assert getattr(row, name_) == pytest.approx(expected, rel=1e-6, abs=1e-12)
            excess = (run.test_loss[s, seeds, e] - run.test_floor[seeds]).mean()
            assert row.bias_squared + row.variance == pytest.approx(excess, rel=1e-9)


def test_where_bias_means_nothing_the_note_says_why(tmp_path):
    grid = runs.grid(runs.ROOT / "data/diabetes.toml", seeds__count=6, **KEPT)
    rows = directions.bias_and_variance(simlr.run(grid.replace(folder=str(runs.ROOT / "data"))))
    assert {row.note for row in rows} == {directions.NO_TARGET}
    assert all(math.isnan(row.variance) for row in rows)


def test_other_test_distributions_are_no_common_one(run_arrays):
    matrices = np.stack([np.eye(2), 2.0 * np.eye(2), np.eye(2)])
    arrays = {"curvature": np.ones((3, 2)), "residual": np.ones((3, 2)), "test_matrix": matrices}
    run = run_arrays(arrays, [FLOW], [0.1], record={"points": 0, "stop_residual": True})
    assert {row.note for row in directions.bias_and_variance(run)} == {directions.OTHER_TEST}


def test_without_residuals_there_is_nothing_to_say(finished):
    run = simlr.load(finished)
    assert directions.directions(run) == directions.bias_and_variance(run) == []


def test_infinite_values_have_an_interval_too():
    values = np.array([-np.inf, 0.0, np.inf, np.inf])
    middle, low, high = statistics.median_interval(values)
    assert (middle, low, high) == (np.inf, -np.inf, np.inf)
    assert statistics.median_interval(np.sort(-values)) == (-middle, -high, -low)


def test_seeds_are_grouped_as_a_loop_would():
    """Several parameters, text among them, that do not come in ascending order."""
    generator = np.random.default_rng(3)
    size, scale = np.array(["small", "large"], object)[generator.integers(0, 2, 60)], generator.integers(0, 3, 60) / 4.0
    run = made_run(np.ones((1, 60, 1)), np.ones((1, 60, 1)), [0.1], problem_size=size, problem_scale=scale)
    expected = {}
    for seed in range(60):
        expected.setdefault((("scale", float(scale[seed])), ("size", size[seed])), []).append(seed)
    groups = summary.problem_groups(run)
    assert [(problem, seeds.tolist()) for problem, seeds in groups] == list(expected.items())
    assert summary.problem_groups(run) is groups


def test_parts_of_schedules_are_read_once_while_there_is_room(monkeypatch):
    run = made_run(np.ones((3, 8, 2)), np.arange(48.0).reshape(3, 8, 2), [0.1, 0.01], names=("a", "b", "c"))
    looks, part = [], run.part
    monkeypatch.setattr(run, "part", lambda name, s: looks.append((name, s)) or part(name, s))
    held = ScheduleParts(run)
    for _ in range(2):
        np.testing.assert_array_equal(held("test_loss", 1), part("test_loss", 1))
    assert looks == [("status", 1), ("test_loss", 1)]
    monkeypatch.setattr("simlr.analysis.schedule_parts.BYTES_HELD", 0)
    held("status", 2)
    held("test_loss", 1)
    # What gave way is read anew, its status first.
    assert looks[2:] == [("status", 2), ("status", 1), ("test_loss", 1)]
