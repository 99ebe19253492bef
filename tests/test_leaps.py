"""Closed forms for constant learning rates: against steps taken one by one, and against the recurrence engine."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simlr
from simlr.kernels.leaps import first_divergence, first_passage
from simlr.schedules import build, check_phase

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
    stepped, leapt = engines
    assert set(stepped.engine) == {1, 3} and set(leapt.engine) == {2}
    np.testing.assert_array_equal(stepped.status, leapt.status)
    np.testing.assert_array_equal(stepped.stop_step, leapt.stop_step)


@pytest.mark.parametrize(
    "name", ["train_loss", "test_loss", "stop_time", "trajectory_train_loss", "trajectory_test_loss"]
)
def test_both_engines_agree(engines, name):
    stepped, leapt = engines
    np.testing.assert_allclose(leapt[name], stepped[name], rtol=1e-10, atol=1e-300)


def test_closed_forms_do_not_depend_on_the_blocks():
    config = simlr.GridConfig.from_toml(GRID.format(engine="closed-form"))
    whole, cut = simlr.run(config, threads=1), simlr.run(config.replace(run={"block_seeds": 7}))
    for name in ("train_loss", "test_loss", "stop_step", "stop_time", "status", "trajectory_test_loss"):
        assert whole[name].tobytes() == cut[name].tobytes(), name


def test_a_schedule_without_constant_pieces_is_refused_by_name():
    text = GRID.format(engine="closed-form").replace('kind = "step"', 'kind = "step"\nname = "decay"', 1)
    bent = text.replace("step_size = 300\ngamma = 0.5", "steps = 100").replace('kind = "step"', 'kind = "cosine"')
    with pytest.raises(simlr.config.InputError, match=r"'closed-form'.*'decay\[learning_rate=1\.4\]'.*not constant"):
        simlr.run(simlr.GridConfig.from_toml(bent))


def test_pieces_of_a_step_decay_are_its_rates():
    table = check_phase("s", {"kind": "step", "learning_rate": 0.7, "step_size": 30, "gamma": 0.3, "steps": 100})
    schedule = build("s", "s", "absolute", [table], 1000)
    pieces = schedule.constant_pieces()
    assert [steps for _, steps in pieces] == [30, 30, 30, 10]
    rates = np.repeat([rate for rate, _ in pieces], [steps for _, steps in pieces])
    np.testing.assert_array_equal(rates, schedule.rates(0, 100))
