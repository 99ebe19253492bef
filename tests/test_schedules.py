"""Schedules: each formula by its twin and by known values, joined phases, rate tables, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive
from simlr import schedules
from simlr.errors import InputError
from simlr.schedules import Phase, Schedule, tabulate
from simlr.tables import CHUNK, RateTables

rates = st.floats(1e-6, 10.0)
PARAMETERS = {
    "constant": {"learning_rate": rates},
    "step": {"learning_rate": rates, "step_size": st.integers(1, 50), "gamma": st.floats(0.1, 1.5)},
    "exponential": {"learning_rate": rates, "gamma": st.floats(0.9, 1.05)},
    "linear": {"learning_rate": rates, "end_learning_rate": rates},
    "polynomial": {"learning_rate": rates, "power": st.floats(0.1, 5.0), "end_learning_rate": rates},
    "cosine": {"learning_rate": rates, "end_learning_rate": rates},
    "warmup": {"learning_rate": rates, "start_learning_rate": rates},
}
DISCRETE = sorted(PARAMETERS)
steps_of_a_phase = st.integers(1, 200)


def phase(kind, steps, **parameters):
    return Phase(kind, steps, tuple(parameters.items()))


@st.composite
def phases(draw):
    kind = draw(st.sampled_from(DISCRETE))
    return phase(kind, draw(steps_of_a_phase), **draw(st.fixed_dictionaries(PARAMETERS[kind])))


# ---- the formulas ----


def test_every_kind_has_a_twin():
    assert schedules.kinds() == ["constant", "step", "exponential", "linear", "polynomial", "cosine", "warmup", "flow"]
    assert sorted([*DISCRETE, "flow"]) == sorted(schedules.kinds())


@pytest.mark.parametrize("kind", DISCRETE)
@given(data=st.data())
def test_rates_equal_the_twin(kind, data):
    steps = data.draw(steps_of_a_phase)
    parameters = data.draw(st.fixed_dictionaries(PARAMETERS[kind]))
    found = tabulate(kind, steps=steps, **parameters)
    assert found.dtype == np.float64
    assert found.shape == (steps,)
    np.testing.assert_allclose(found, naive.rates(kind, steps, **parameters), rtol=1e-13, atol=1e-14)


KNOWN = [
    ("constant", 3, {"learning_rate": 0.5}, [0.5, 0.5, 0.5]),
    # torch.optim.lr_scheduler.StepLR, the example of its documentation with shorter steps
    ("step", 7, {"learning_rate": 0.05, "step_size": 3}, [0.05, 0.05, 0.05, 0.005, 0.005, 0.005, 0.0005]),
    ("exponential", 4, {"learning_rate": 1.0, "gamma": 0.5}, [1.0, 0.5, 0.25, 0.125]),
    ("linear", 4, {"learning_rate": 1.0}, [1.0, 0.75, 0.5, 0.25]),
    ("linear", 2, {"learning_rate": 1.0, "end_learning_rate": 3.0}, [1.0, 2.0]),
    ("polynomial", 2, {"learning_rate": 1.0, "power": 2.0}, [1.0, 0.25]),
    ("cosine", 4, {"learning_rate": 1.0}, [1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]),
    ("cosine", 2, {"learning_rate": 1.0, "end_learning_rate": 0.5}, [1.0, 0.75]),
    ("warmup", 4, {"learning_rate": 1.0}, [0.0, 0.25, 0.5, 0.75]),
    ("warmup", 2, {"learning_rate": 1.0, "start_learning_rate": 0.5}, [0.5, 0.75]),
]


@pytest.mark.parametrize(("kind", "steps", "parameters", "expected"), KNOWN)
def test_known_values(kind, steps, parameters, expected):
    np.testing.assert_allclose(tabulate(kind, steps=steps, **parameters), expected, rtol=1e-15)


@given(learning_rate=rates, end=rates, steps=steps_of_a_phase)
def test_polynomial_of_power_1_is_linear(learning_rate, end, steps):
    both = {"learning_rate": learning_rate, "end_learning_rate": end, "steps": steps}
    np.testing.assert_allclose(tabulate("polynomial", power=1.0, **both), tabulate("linear", **both), rtol=1e-13)


@pytest.mark.parametrize("kind", DISCRETE)
def test_a_rate_of_zero_is_allowed(kind):
    others = {"gamma": 0.5, "step_size": 2, "power": 2.0}
    others = {k: v for k, v in others.items() if k in schedules.parameters(kind)}
    assert not tabulate(kind, steps=5, learning_rate=0.0, **others).any()


@pytest.mark.parametrize("kind", schedules.kinds())
def test_every_kind_says_its_formula(kind):
    assert "=" in schedules.describe(kind)


# ---- phases ----


@given(joined=st.lists(phases(), min_size=1, max_size=4), window=st.tuples(st.integers(0, 900), st.integers(0, 900)))
def test_any_window_is_a_slice_of_the_whole(joined, window):
    """The same bits, wherever a chunk of the table begins."""
    made = Schedule("joined", "absolute", tuple(joined), False)
    whole = np.concatenate([p.rates(0, p.steps) for p in joined])
    first, last = sorted(window)
    assert made.length == whole.size
    np.testing.assert_array_equal(made.rates(0, made.length), whole)
    np.testing.assert_array_equal(made.rates(first, last), whole[first:last])


def test_tabulated_phases():
    warmup = {"kind": "warmup", "learning_rate": 1.0, "steps": 2}
    cosine = {"kind": "cosine", "learning_rate": 1.0, "steps": 2}
    np.testing.assert_allclose(tabulate("phases", steps=4, phases=[warmup, cosine]), [0.0, 0.5, 1.0, 0.5], rtol=1e-15)


def test_the_last_phase_takes_the_steps_that_are_left():
    two = [{"kind": "constant", "learning_rate": 2.0, "steps": 2}, {"kind": "constant", "learning_rate": 1.0}]
    assert tabulate("phases", steps=5, phases=two).tolist() == [2.0, 2.0, 1.0, 1.0, 1.0]


# ---- rate tables ----

LENGTHS = [0, 1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 3]


def tables_of(length):
    """The tables of a cosine of a number of steps, and its rates."""
    made = (phase("cosine", length, learning_rate=0.7, end_learning_rate=0.1),) if length else ()
    schedule = Schedule("one", "absolute", made, True)
    return RateTables([schedule]), schedule.rates(0, length)


@pytest.mark.parametrize("length", LENGTHS)
def test_tables_hold_rates_and_their_sums(length):
    tables, whole = tables_of(length)
    for chunk in range(3):
        eta, time = tables.one(0, chunk)
        first = chunk * CHUNK
        np.testing.assert_array_equal(eta, whole[first : first + CHUNK])
        expected = [math.fsum(whole[: first + t]) for t in (0, len(eta) // 2, len(eta))]
        np.testing.assert_allclose(time[[0, len(eta) // 2, len(eta)]], expected, rtol=1e-13)
    assert tables.elapsed(0) == pytest.approx(math.fsum(whole), rel=1e-13)


@pytest.mark.parametrize("length", LENGTHS)
def test_rates_and_times_at_single_steps(length):
    tables, whole = tables_of(length)
    steps = np.unique([*range(min(length, 3) + 1), length // 2, max(length - 1, 0), length])
    rate, time = tables.at(0, np.array([*steps, -1]))
    assert np.isnan([rate[-1], time[-1]]).all()
    np.testing.assert_allclose(time[:-1], [math.fsum(whole[:step]) for step in steps], rtol=1e-13)
    expected = [whole[min(step, length - 1)] if length else 0.0 for step in steps]
    np.testing.assert_array_equal(rate[:-1], expected)


def test_a_shorter_schedule_is_followed_by_zeros():
    lengths = (0, 3, CHUNK + 2)
    made = [Schedule(str(n), "absolute", (phase("constant", n, learning_rate=1.0),), True) for n in lengths]
    for chunk in (0, 1):
        eta, time = RateTables(made).chunk(range(3), chunk)
        assert eta.shape == (3, (CHUNK, 2)[chunk])
        assert eta.sum(axis=1).tolist() == [[0, 3, CHUNK], [0, 0, 2]][chunk]
        assert time.shape == (3, eta.shape[1] + 1)


# ---- what is refused ----

REFUSED = [
    ("cosin", {"steps": 3, "learning_rate": 1.0}, r"unknown kind 'cosin'; did you mean 'cosine'\?"),
    ("cosine", {"steps": 3}, "'cosine'.*learning_rate is missing"),
    ("cosine", {"steps": 0, "learning_rate": 1.0}, "steps must be a whole number >= 1, got 0"),
    ("cosine", {"steps": 3, "learning_rate": -1.0}, "learning_rate must be a finite number >= 0, got -1.0"),
    ("cosine", {"steps": 3, "learning_rate": math.nan}, "learning_rate must be a finite number >= 0, got nan"),
    ("cosine", {"steps": 3, "learning_rate": True}, "learning_rate must be a finite number >= 0, got True"),
    ("cosine", {"steps": 3, "learning_rat": 1.0}, r"unknown key 'learning_rat'; did you mean 'learning_rate'\?"),
    ("step", {"steps": 3, "learning_rate": 1.0, "step_size": 0}, "step_size must be a whole number >= 1, got 0"),
    ("step", {"steps": 3, "learning_rate": 1.0, "step_size": 2, "gamma": 0.0}, "gamma must be a finite number > 0"),
    ("polynomial", {"steps": 3, "learning_rate": 1.0, "power": 0.0}, "power must be a finite number > 0, got 0.0"),
    ("flow", {"steps": 3}, "flow.*steps"),
    ("phases", {"steps": 3, "phases": []}, r"phases must be a list of at least one phase, got \[\]"),
    ("phases", {"steps": 3, "phases": [{"kind": "flow"}]}, "a flow has no steps to tabulate"),
    ("phases", {"steps": 3, "phases": [{"learning_rate": 1.0}]}, "kind is missing"),
    ("phases", {"steps": 3, "phases": [{"kind": 3}]}, "kind must be a string, got 3"),
    ("phases", {"steps": 3, "phases": [{"kind": "flow"}], "gamma": 1.0}, "unknown key 'gamma'"),
    ("phases", {"steps": 3, "phases": [5]}, "must be a table, got 5"),
    ("phases", {"steps": 3, "phases": 5}, "must be a list of at least one phase, got 5"),
]


@pytest.mark.parametrize(("kind", "parameters", "message"), REFUSED)
def test_bad_input_is_refused_in_one_line(kind, parameters, message):
    with pytest.raises(InputError, match=message) as caught:
        tabulate(kind, **parameters)
    assert "\n" not in str(caught.value)


CONSTANT = {"kind": "constant", "learning_rate": 1.0}
FLOW = {"kind": "flow"}
UNBUILDABLE = [
    ([{**CONSTANT, "steps": 6}, {**CONSTANT, "steps": 5}], "phases sum to 11 steps, more than stop.max_steps = 10"),
    ([FLOW, {**CONSTANT, "steps": 5}], "a flow ends by itself and must be the last phase"),
    ([FLOW, FLOW], "a flow ends by itself and must be the last phase"),
    ([CONSTANT, {**CONSTANT, "steps": 5}], "steps is missing in a phase that is not the last"),
]


@pytest.mark.parametrize(("tables", "message"), UNBUILDABLE)
def test_phases_that_do_not_fit_together_are_refused(tables, message):
    with pytest.raises(InputError, match=message):
        schedules.build("schedule 'x'", "x", "absolute", tables, 10)


def test_phases_that_leave_no_step_for_the_last_are_refused():
    tables = [{**CONSTANT, "steps": 10}, CONSTANT]
    with pytest.raises(InputError, match=r"more than stop\.max_steps = 10"):
        schedules.build("schedule 'x'", "x", "absolute", tables, 10)


@pytest.mark.filterwarnings("error")
def test_a_rate_that_grows_beyond_all_numbers_gives_no_warning():
    """Divergence is a result, not a warning on the screen."""
    assert tabulate("exponential", steps=2000, learning_rate=1.0, gamma=2.0)[-1] == np.inf
    assert tabulate("step", steps=2000, learning_rate=1.0, step_size=1, gamma=2.0)[-1] == np.inf
