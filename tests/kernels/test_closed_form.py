"""Closed forms: constant rates and tabulated products, against steps one by one and against the recurrence engine."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simlr
from simlr.kernels.descent import products
from simlr.kernels.descent.constant_rate import first_divergence, first_passage
from simlr.plan.stages import stages
from simlr.schedules.checking import build, check_phase

LIMIT = 2e100
FACTORS = st.one_of(st.floats(-1.3, 1.3), st.sampled_from([0.0, 1.0, -1.0, 0.5, 1.0000001, -0.9999999]))
CELLS = st.lists(st.tuples(st.floats(-3.0, 3.0), FACTORS), min_size=1, max_size=5)

GRID = """
engine = "{engine}"
[problem]
kind = "nakkiran2020"
[seeds]
count = 40
[stop]
train_loss = [1e-1, 1e-2, 1e-6, 1e-12]
max_steps = 5000
[record]
points = 60
seeds = 7
[[schedule]]
kind = "constant"
learning_rate = [0.0, 0.3, 0.01, 0.001, 0.5, 0.99, 1.0, 1.001, 1.4999, 1.5, 1.7, 3.0, 1e200]
[[schedule]]
name = "in-sharpness"
kind = "constant"
unit = "sharpness"
learning_rate = [0.3, 1.0, 1.5, 1.9999, 2.0, 2.0001]
[[schedule]]
kind = "step"
learning_rate = [1.4, 0.9]
step_size = 300
gamma = 0.5
[[schedule]]
name = "annealed"
phases = [{{ kind = "constant", learning_rate = [1.45, 1.05], steps = 1000 }}, {{ kind = "flow" }}]
"""


def square_sums(x, factors, steps):
    """sum_i x_i(k)^2 for k = 0 .. steps, one step after the other."""
    x, factors = np.array(x), np.array(factors)
    sums = [float(x @ x)]
    for _ in range(steps):
        x = x * factors
        sums.append(float(x @ x))
    return sums


def decays(factors):
    """-log |f|, infinite where f is 0."""
    return np.array([-math.log(abs(f)) if f != 0.0 else np.inf for f in factors])


@given(CELLS, st.floats(1e-6, 20.0), st.integers(0, 5), st.integers(1, 300))
def test_first_passage_is_where_steps_first_pass(cell, threshold, start, last):
    x, factors = zip(*cell, strict=True)
    sums = square_sums(x, factors, last)
    if start >= last or sums[start] <= threshold or any(abs(s / threshold - 1) < 1e-9 for s in sums):
        return
    passed = [k for k in range(start + 1, last + 1) if sums[k] <= threshold]
    assert first_passage(np.array(x), decays(factors), threshold, start, last) == (passed[0] if passed else last + 1)


@given(CELLS, st.integers(1, 3000))
def test_first_divergence_is_where_steps_first_leave_the_limit(cell, last):
    x, factors = zip(*cell, strict=True)
    with np.errstate(over="ignore", invalid="ignore"):
        sums = square_sums(x, factors, last)
    if any(abs(s / LIMIT - 1) < 1e-9 for s in sums):
        return
    left = [k for k in range(1, last + 1) if not sums[k] <= LIMIT]
    assert first_divergence(np.array(x), decays(factors), last) == (left[0] if left else last + 1)


@pytest.fixture(scope="module")
def engines():
    return [simlr.run(simlr.GridConfig.from_toml(GRID.format(engine=e))) for e in ("recurrence", "closed-form")]


def test_both_engines_stop_at_the_same_steps(engines):
    stepped, skipped = engines
    assert set(stepped.engine) == {1, 3} and set(skipped.engine) == {2}
    np.testing.assert_array_equal(stepped.status, skipped.status)
    np.testing.assert_array_equal(stepped.stop_step, skipped.stop_step)


@pytest.mark.parametrize(
    "name", ["train_loss", "test_loss", "stop_time", "trajectory_train_loss", "trajectory_test_loss"]
)
def test_both_engines_agree(engines, name):
    stepped, skipped = engines
    np.testing.assert_allclose(skipped[name], stepped[name], rtol=1e-10, atol=1e-300)


def test_closed_forms_do_not_depend_on_the_blocks():
    config = simlr.GridConfig.from_toml(GRID.format(engine="closed-form"))
    whole, cut = simlr.run(config, threads=1), simlr.run(config.replace(run={"block_seeds": 7}))
    for name in ("train_loss", "test_loss", "stop_step", "stop_time", "status", "trajectory_test_loss"):
        assert whole[name].tobytes() == cut[name].tobytes(), name


VARYING = """
engine = "{engine}"
[problem]
kind = "nakkiran2020"
[seeds]
count = 150
[stop]
train_loss = [1e-1, 1e-2, 1e-6, 1e-12]
max_steps = 50000
[record]
points = 60
seeds = 7
[[schedule]]
kind = "cosine"
learning_rate = [0.001, 0.0003, 0.3, 1.4, 1.5, 1.7, 3.0, 0.0]
steps = 40000
[[schedule]]
name = "in-sharpness"
kind = "linear"
unit = "sharpness"
learning_rate = [1e-3, 0.5, 2.1]
steps = 20000
[[schedule]]
kind = "exponential"
learning_rate = [1.0, 1e-3]
gamma = 0.9999
[[schedule]]
name = "growing"
kind = "exponential"
learning_rate = 1e-9
gamma = 1.001
[[schedule]]
name = "warm, stable, cooled, flowing"
phases = [{{ kind = "warmup", learning_rate = [1.2, 1e-3], steps = 10000 }},
          {{ kind = "constant", learning_rate = 1e-3, steps = 9000 }},
          {{ kind = "cosine", learning_rate = 1e-3, steps = 30000 }}, {{ kind = "flow" }}]
"""


@pytest.fixture(scope="module")
def varying():
    engines = ("recurrence", "closed-form", "auto")
    return [simlr.run(simlr.GridConfig.from_toml(VARYING.format(engine=e))) for e in engines]


def test_products_stop_at_the_same_steps(varying):
    stepped, skipped, mixed = varying
    assert set(stepped.engine) == {1, 3} and set(skipped.engine) == {2} and set(mixed.engine) == {3}
    for run in (skipped, mixed):
        np.testing.assert_array_equal(stepped.status, run.status)
        np.testing.assert_array_equal(stepped.stop_step, run.stop_step)


@pytest.mark.parametrize(
    "name", ["train_loss", "test_loss", "stop_time", "trajectory_train_loss", "trajectory_test_loss"]
)
def test_products_agree_with_steps(varying, name):
    for run in varying[1:]:
        np.testing.assert_allclose(run[name], varying[0][name], rtol=1e-10, atol=1e-300)


def test_products_do_not_depend_on_blocks_and_threads():
    config = simlr.GridConfig.from_toml(VARYING.format(engine="auto"))
    whole, cut = simlr.run(config, threads=1), simlr.run(config.replace(run={"block_seeds": 7}), threads=2)
    for name in ("train_loss", "test_loss", "stop_step", "stop_time", "status", "trajectory_test_loss"):
        assert whole[name].tobytes() == cut[name].tobytes(), name


def made_by(eta, every):
    """Table of the products of some rates, made as a run makes it: (cap, coefficient, time, misfit)."""
    rows = -(-eta.size // every)
    time, logs = np.zeros(rows + 1), np.zeros((rows + 1, products.POINTS))
    coefficient = np.zeros((rows + 1, products.NODES))
    cap = products.REACH / eta.max()
    products.row_sweep(eta, every, cap * products.FRACTIONS, logs, time, np.zeros(2, np.int64), 2)
    misfit = products.fit_rows(logs, time, cap * products.FRACTIONS, coefficient)
    return cap, coefficient, time, misfit


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=300), st.integers(1, 70), st.floats(1e-9, 1.0))
def test_tabulated_products_are_products(rates, every, share):
    eta = np.array(rates)
    if eta.max() < 1e-3:
        return
    cap, coefficient, time, misfit = made_by(eta, every)
    assert misfit <= products.ALLOWED
    lam, weight = share * cap, np.empty((1, products.NODES))
    products.set_weights(lam, cap, weight[0])
    for j in range(time.size):
        steps = min(j * every, eta.size)
        exact = math.fsum(math.log1p(-lam * rate) for rate in rates[:steps])
        assert products.log_product(coefficient, j, weight, 0) == pytest.approx(exact, rel=1e-13, abs=1e-14)
        assert time[j] == pytest.approx(math.fsum(rates[:steps]), rel=1e-14)


def test_a_table_that_misses_is_not_used(monkeypatch):
    config = simlr.GridConfig.from_toml(VARYING.format(engine="closed-form")).replace(seeds={"count": 3})
    sound = simlr.run(config)
    monkeypatch.setattr("simlr.engine.product_tables.ALLOWED_MISFIT", -1.0)
    stepped = simlr.run(config)
    np.testing.assert_array_equal(sound.stop_step, stepped.stop_step)
    np.testing.assert_allclose(stepped.test_loss, sound.test_loss, rtol=1e-10)


@given(st.integers(0, 48999))
def test_stages_cover_every_step_once(first):
    schedule = simlr.GridConfig.from_toml(VARYING.format(engine="auto")).schedules()[-1][0]
    made = [piece for stage in stages(schedule, first) for piece in stage]
    ends = [start + steps for start, steps, _ in made]
    assert [start for start, _, _ in made] == [first, *ends[:-1]] and ends[-1] == schedule.length
    assert all(rate is not None for stage in stages(schedule, first) for _, _, rate in stage[:-1])


def test_pieces_of_a_step_decay_are_its_rates():
    table = check_phase("s", {"kind": "step", "learning_rate": 0.7, "step_size": 30, "gamma": 0.3, "steps": 100})
    schedule = build("s", "s", "absolute", [table], 1000)
    pieces = schedule.pieces()
    assert [(first, steps) for first, steps, _ in pieces] == [(0, 30), (30, 30), (60, 30), (90, 10)]
    rates = np.repeat([rate for _, _, rate in pieces], [steps for _, steps, _ in pieces])
    np.testing.assert_array_equal(rates, schedule.rates(0, 100))
