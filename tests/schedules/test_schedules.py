"""Schedules: each formula by its twin and by known values, joined phases, rate tables, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kinds import PARAMETERS, rates, steps_of

from naive import schedules as naive_schedules
from simlr.errors import InputError
from simlr.plan.rate_tables import CHUNK, RateTables
from simlr.schedules import checking
from simlr.schedules.rules import RULES
from simlr.schedules.schedule import Phase, Schedule
from simlr.schedules.tabulation import tabulate

DISCRETE = sorted(PARAMETERS)
steps_of_a_phase = st.integers(1, 200)


def phase(kind, steps, **parameters):
    return Phase(kind, steps, tuple(parameters.items()))


@st.composite
def phases(draw):
    kind = draw(st.sampled_from(DISCRETE))
    return phase(kind, draw(steps_of(kind)), **draw(st.fixed_dictionaries(PARAMETERS[kind])))


# ---- the formulas ----


def test_every_kind_has_a_twin():
    # Rates that are those of a run have their twin beside runs: tests/engine/test_plateaus.py.
    assert sorted([*DISCRETE, "flow", "reduce_on_plateau"]) == sorted(checking.kinds())
    assert sorted(naive_schedules.TWINS) == DISCRETE
    old = ["constant", "step", "exponential", "linear", "polynomial", "cosine", "warmup", "flow"]
    assert [kind for kind in checking.kinds() if kind in old] == old


@pytest.mark.parametrize("kind", DISCRETE)
@given(data=st.data())
def test_rates_equal_the_twin(kind, data):
    steps = data.draw(steps_of(kind))
    parameters = data.draw(st.fixed_dictionaries(PARAMETERS[kind]))
    found = tabulate(kind, steps=steps, **parameters)
    assert found.dtype == np.float64
    assert found.shape == (steps,)
    # The twin of chebyshev loses digits where the spectrum is wide.
    tolerance = 1e-11 if kind == "chebyshev" else 1e-13
    np.testing.assert_allclose(found, naive_schedules.rates(kind, steps, **parameters), rtol=tolerance, atol=1e-14)


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
    ("warmup_exponential", 3, {"learning_rate": 8.0, "start_learning_rate": 1.0}, [1.0, 2.0, 4.0]),
    ("exponential", 3, {"learning_rate": 1.0, "gamma": 0.25, "transition_steps": 2}, [1.0, 0.5, 0.25]),
    ("exponential", 3, {"learning_rate": 1.0, "gamma": 0.5, "end_learning_rate": 0.4}, [1.0, 0.5, 0.4]),
    ("exponential", 3, {"learning_rate": 1.0, "gamma": 2.0, "end_learning_rate": 3.0}, [1.0, 2.0, 3.0]),
    # torch.optim.lr_scheduler.MultiStepLR: a milestone is the first step with the smaller rate
    ("multistep", 5, {"learning_rate": 1.0, "milestones": [2, 3], "gamma": 0.5}, [1.0, 1.0, 0.5, 0.25, 0.25]),
    ("piecewise_constant", 4, {"boundaries": [1, 3], "learning_rates": [1, 2, 0]}, [1.0, 2.0, 2.0, 0.0]),
    ("piecewise_interpolated", 5, {"boundaries": [2, 3], "learning_rates": [1, 2, 4]}, [1.0, 1.5, 2.0, 4.0, 4.0]),
    ("inverse_sqrt", 4, {"learning_rate": 1.0}, [1.0, 0.5**0.5, 3**-0.5, 0.5]),
    ("cosine_restarts", 4, {"learning_rate": 1.0, "cycle_steps": 2}, [1.0, 0.5, 1.0, 0.5]),
    ("cosine_restarts", 5, {"learning_rate": 1.0, "cycle_steps": 1, "cycle_factor": 2},
     [1.0, 1.0, 0.5, 1.0, (1 + math.sqrt(0.5)) / 2]),
    ("triangular", 5, {"learning_rate": 1.0, "up_steps": 2}, [0.0, 0.5, 1.0, 0.5, 0.0]),
    ("triangular", 5, {"learning_rate": 1.0, "up_steps": 1, "down_steps": 2}, [0.0, 1.0, 0.5, 0.0, 1.0]),
    ("triangular2", 6, {"learning_rate": 1.0, "up_steps": 1}, [0.0, 1.0, 0.0, 0.5, 0.0, 0.25]),
    ("exp_range", 4, {"learning_rate": 1.0, "up_steps": 1, "gamma": 0.5}, [0.0, 0.5, 0.0, 0.125]),
    ("one_cycle", 10, {"learning_rate": 1.0, "division_factor": 4, "anneal": "linear"},
     [0.25, 0.625, 1.0, *(1 - k / 7 * (1 - 0.25e-4) for k in range(1, 8))]),
    ("warmup_stable_decay", 6, {"learning_rate": 1.0, "warmup_steps": 2, "decay_steps": 2}, [0, 0.5, 1, 1, 1, 0.5]),
    ("warmup_stable_decay", 4, {"learning_rate": 1.0, "decay_steps": 4, "decay": "1-sqrt"},
     [1.0, 0.5, 1 - 0.5**0.5, 1 - 0.75**0.5]),
    ("table", 2, {"learning_rates": [3, 1, 2]}, [3.0, 1.0]),
    ("silver", 4, {"learning_rate": 1.0}, [2**0.5, 2.0, 2**0.5, 2 + 2**0.5]),
    # one step of the best constant rate, 2 / (L + m)
    ("chebyshev", 1, {"smallest_curvature": 1.0, "largest_curvature": 3.0}, [0.5]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "steps", "parameters", "expected"), KNOWN)
def test_known_values(kind, steps, parameters, expected):
    np.testing.assert_allclose(tabulate(kind, steps=steps, **parameters), expected, rtol=3e-15, atol=1e-16)


@given(learning_rate=rates, end=rates, steps=steps_of_a_phase)
def test_polynomial_of_power_1_is_linear(learning_rate, end, steps):
    both = {"learning_rate": learning_rate, "end_learning_rate": end, "steps": steps}
    np.testing.assert_allclose(tabulate("polynomial", power=1.0, **both), tabulate("linear", **both), rtol=1e-13)


OTHERS = {"gamma": 0.5, "step_size": 2, "power": 2.0, "milestones": [2], "cycle_steps": 2, "up_steps": 2}
OTHERS |= {"decay_steps": 2, "curvature": [1.0, 3.0]}


@pytest.mark.parametrize(
    "kind", [k for k in DISCRETE if "learning_rate" in PARAMETERS[k] and k != "warmup_exponential"]
)
def test_a_rate_of_zero_is_allowed(kind):
    others = {k: v for k, v in OTHERS.items() if k in checking.parameters(kind)}
    assert not tabulate(kind, steps=5, learning_rate=0.0, **others).any()


# What is a rate in each kind, besides learning_rate.
RATES = ("learning_rate", "start_learning_rate", "end_learning_rate", "learning_rates")


@pytest.mark.parametrize("kind", sorted(set(DISCRETE) - {"chebyshev"}))
@given(data=st.data())
def test_twice_the_rates_in_are_twice_the_rates_out(kind, data):
    """To the bit: a factor of 2 is no rounding."""
    steps, own = data.draw(steps_of(kind)), data.draw(st.fixed_dictionaries(PARAMETERS[kind]))
    twice = {k: tuple(2.0 * r for r in v) if k == "learning_rates" else 2.0 * v for k, v in own.items() if k in RATES}
    found = tabulate(kind, steps=steps, **{**own, **twice})
    np.testing.assert_array_equal(found, 2.0 * tabulate(kind, steps=steps, **own))


@given(data=st.data(), factor=st.floats(0.1, 10.0))
def test_chebyshev_rates_scale_with_the_inverse_curvature(data, factor):
    own = data.draw(st.fixed_dictionaries(PARAMETERS["chebyshev"]))
    found = tabulate("chebyshev", steps=37, **{k: v / factor for k, v in own.items()})
    np.testing.assert_allclose(found, factor * tabulate("chebyshev", steps=37, **own), rtol=1e-14)


@pytest.mark.parametrize("kind", DISCRETE)
@given(data=st.data())
def test_every_parameter_has_a_rule_and_a_strategy(kind, data):
    known = checking.parameters(kind)
    assert set(known) <= set(RULES)
    assert set(known) == set(PARAMETERS[kind]) | ({"source"} & set(known))


# ---- constant pieces ----


@pytest.mark.parametrize("kind", DISCRETE)
@given(data=st.data())
def test_pieces_are_the_whole_phase(kind, data):
    made = phase(kind, data.draw(steps_of(kind)), **data.draw(st.fixed_dictionaries(PARAMETERS[kind])))
    pieces = made.pieces()
    assert [first for first, _, _ in pieces] == [0, *np.cumsum([steps for _, steps, _ in pieces])[:-1]]
    assert sum(steps for _, steps, _ in pieces) == made.steps and all(steps > 0 for _, steps, _ in pieces)
    if kind in ("constant", "step", "multistep", "piecewise_constant", "table"):
        assert all(rate is not None for _, _, rate in pieces)
    for first, steps, rate in pieces:
        if rate is not None:
            np.testing.assert_array_equal(made.rates(first, first + steps), rate)


def test_a_phase_of_too_many_constant_pieces_varies():
    assert phase("step", 10**9, learning_rate=1.0, step_size=1, gamma=0.5).pieces() == [(0, 10**9, None)]
    assert len(phase("step", 20, learning_rate=1.0, step_size=2, gamma=0.5).pieces()) == 10


def test_stable_stretches_are_constant_pieces():
    stable = phase("warmup_stable_decay", 100, learning_rate=0.5, decay_steps=30, warmup_steps=10)
    assert stable.pieces() == [(0, 10, None), (10, 60, 0.5), (70, 30, None)]
    bounded = phase("exponential", 100, learning_rate=1.0, gamma=0.5, end_learning_rate=0.1)
    assert bounded.pieces()[1][1:] == (95, 0.1)
    assert phase("exponential", 100, learning_rate=1.0, gamma=0.5).pieces() == [(0, 100, None)]


@pytest.mark.parametrize("kind", checking.kinds())
def test_every_kind_says_its_formula(kind):
    assert "=" in checking.describe(kind)


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
        eta, time = RateTables(made).span((0, 1, 2), chunk, chunk + 1)
        assert eta.shape == (3, (CHUNK, 2)[chunk])
        assert eta.sum(axis=1).tolist() == [[0, 3, CHUNK], [0, 0, 2]][chunk]
        assert time.shape == (3, eta.shape[1] + 1)


@pytest.mark.parametrize("ahead", [False, True])
def test_spans_join_the_chunks_whoever_makes_them(ahead):
    made = [Schedule(str(n), "absolute", (phase("cosine", n, learning_rate=1.0),), True) for n in (5 * CHUNK + 7, 40)]
    tables = RateTables(made)
    for _ in range(2):  # made, and kept
        first, eta, time = zip(*tables.spans((0, 1), 6, ahead), strict=True)
        assert first == (0, CHUNK, 3 * CHUNK)
        np.testing.assert_array_equal(np.concatenate(eta, axis=1)[0], made[0].rates(0, 5 * CHUNK + 7))
        np.testing.assert_array_equal(eta[0][1, :40], made[1].rates(0, 40))
    for chunk in range(6):
        own = tables.one(0, chunk)[1]
        whole = np.concatenate([part[0, 1:] for part in time])
        np.testing.assert_array_equal(whole[chunk * CHUNK : chunk * CHUNK + own.size - 1], own[1:])


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
    ("cosin_restarts", {"steps": 3}, r"unknown kind 'cosin_restarts'; did you mean 'cosine_restarts'\?"),
    ("multistep", {"steps": 3, "learning_rate": 1.0, "milestones": 3}, "milestones must be a list of ascending whole"),
    ("multistep", {"steps": 3, "learning_rate": 1.0, "milestones": []}, r"ascending whole numbers >= 1, got \[\]"),
    ("multistep", {"steps": 3, "learning_rate": 1.0, "milestones": [3, 3]}, r"ascending whole .*got \[3, 3\]"),
    ("multistep", {"steps": 3, "learning_rate": 1.0, "milestones": [0]}, r"milestones\[0\] must be a whole number"),
    ("multistep", {"steps": 3, "learning_rate": 1.0, "milestones": [1.5]}, r"milestones\[0\] must be a whole number"),
    ("piecewise_constant", {"steps": 3, "boundaries": [2], "learning_rates": [1.0]},
     r"learning_rates must be a list of 2 rates, one more than boundaries, got \[1.0\]"),
    ("piecewise_constant", {"steps": 3, "boundaries": [2], "learning_rates": [1.0, -1.0]},
     r"learning_rates\[1\] must be a finite number >= 0, got -1.0"),
    ("piecewise_interpolated", {"steps": 3, "boundaries": [2], "learning_rates": [1, 2], "interpolation": "cosin"},
     r"unknown value 'cosin'; did you mean 'cosine'\?"),
    ("one_cycle", {"steps": 3, "learning_rate": 1.0, "warmup_fraction": 1.5}, "warmup_fraction.*from 0 to 1, got 1.5"),
    ("one_cycle", {"steps": 3, "learning_rate": 1.0, "warmup_fraction": 0.6, "three_phase": True},
     "warmup_fraction must be a number > 0, at most 0.5, got 0.6"),
    ("one_cycle", {"steps": 3, "learning_rate": 1.0, "three_phase": 1}, "three_phase must be true or false, got 1"),
    ("warmup_stable_decay", {"steps": 9, "learning_rate": 1.0, "warmup_steps": 5, "decay_steps": 5},
     "decay_steps must be at most steps - warmup_steps = 4, got 5"),
    ("warmup_exponential", {"steps": 9, "learning_rate": 1.0, "start_learning_rate": 0}, "start_learning_rate.*> 0"),
    ("chebyshev", {"steps": 9, "smallest_curvature": 2.0, "largest_curvature": 1.0},
     "smallest_curvature must be at most largest_curvature = 1.0, got 2.0"),
    ("table", {"steps": 3, "learning_rates": [1.0, 2.0]}, "steps must be at most 2, the rates in the table, got 3"),
    ("table", {"steps": 3, "learning_rates": 5}, "learning_rates must be a list of numbers >= 0, not empty, got 5"),
    ("table", {"steps": 3}, "learning_rates, or a file in their place, is missing"),
    ("table", {"steps": 3, "file": "x.csv", "learning_rates": [1]}, "has both file and learning_rates"),
    ("table", {"steps": 3, "column": 1}, "file is missing"),
    ("table", {"steps": 3, "file": "none.csv"}, "none.csv: cannot be read: No such file"),
    ("table", {"steps": 3, "file": "none.npy"}, "none.npy: cannot be read: No such file"),
    ("table", {"steps": 3, "file": "none.npy", "column": 0}, "column: an NPY file has no columns"),
    ("table", {"steps": 3, "file": 5}, "file must be a string of one line, not empty, got 5"),
    ("table", {"steps": 3, "file": "x.csv", "column": 1.5}, "column must be a column's name or number, got 1.5"),
    ("table", {"steps": 3, "fil": "x.csv"}, r"unknown key 'fil'; did you mean 'file'\?"),
    ("phases", {"steps": 3, "phases": []}, r"phases must be a list of at least one phase, got \[\]"),
    ("phases", {"steps": 3, "phases": [{"kind": "flow"}]}, "a flow has no steps to tabulate"),
    ("phases", {"steps": 3, "phases": [{"learning_rate": 1.0}]}, "kind is missing"),
    ("phases", {"steps": 3, "phases": [{"kind": 3}]}, "kind must be a string, got 3"),
    ("phases", {"steps": 3, "phases": [{"kind": abs}]}, r"kind is a function; simlr.schedules.from_callable\(function"),
    ("phases", {"steps": 3, "phases": [{"kind": "flow"}], "gamma": 1.0}, "unknown key 'gamma'"),
    ("phases", {"steps": 3, "phases": [5]}, "must be a table, got 5"),
    ("phases", {"steps": 3, "phases": 5}, "must be a list of at least one phase, got 5"),
]  # fmt: skip


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
        checking.build("schedule 'x'", "x", "absolute", tables, 10)


def test_phases_that_leave_no_step_for_the_last_are_refused():
    tables = [{**CONSTANT, "steps": 10}, CONSTANT]
    with pytest.raises(InputError, match=r"no steps are left for its last phase.* stop\.max_steps = 10"):
        checking.build("schedule 'x'", "x", "absolute", tables, 10)


@pytest.mark.filterwarnings("error")
def test_a_rate_that_grows_beyond_all_numbers_gives_no_warning():
    """Divergence is a result, not a warning on the screen."""
    assert tabulate("exponential", steps=2000, learning_rate=1.0, gamma=2.0)[-1] == np.inf
    assert tabulate("step", steps=2000, learning_rate=1.0, step_size=1, gamma=2.0)[-1] == np.inf
