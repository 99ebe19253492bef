"""Laws for loss curves against their formulas written out, closed forms, and what has to hold of any schedule."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naive import loss_laws as naive
from simlr.errors import InputError
from simlr.laws import LAWS, PUBLISHED, names, predict
from simlr.laws.history import History, past_sum
from simlr.laws.law import law_of

ANNEALING = {"L0": 2.6, "A": 0.5, "C": 400.0, "alpha": 0.5, "lambda": 0.999}
SCALING = {"L0": 0.1, "A": 1.0, "noise": 0.7, "time": 20.0, "source": 0.6, "capacity": 2.0, "gain": 0.3}
SURROGATE = {"L_inf": 0.2, "A_F": 1.5, "A0": 0.4, "A1": 0.9, "q_F": 0.7, "c_K": 3.0, "q_K": 1.4}
RATES = np.array(naive.cosine(3e-4, 3e-5, 60, 400))
AT = np.array([61, 100, 250, 399, 400])
close = {"rtol": 1e-9, "atol": 0.0}


@pytest.mark.parametrize("size", ["25M", "100M", "400M"])
def test_published_parameters_on_a_hand_made_curve(size):
    p = PUBLISHED["multi-power"][size]
    two_stage = np.concatenate([RATES[:60], np.full(200, 3e-4), np.full(140, 9e-5)])
    for rates in (RATES, two_stage):
        wanted = [naive.multi_power(p, rates.tolist(), t) for t in AT]
        np.testing.assert_allclose(predict("multi-power", size, rates, AT), wanted, **close)


def test_the_multi_power_law_where_the_rate_ends_at_zero():
    rates = np.concatenate([[0.0], np.linspace(3e-4, 0.0, 50), np.zeros(5), np.full(5, 1e-4)])
    at = np.array([2, 50, 51, 55, 56, 61])
    wanted = [naive.multi_power(PUBLISHED["multi-power"]["25M"], rates.tolist(), t) for t in at]
    np.testing.assert_allclose(predict("multi-power", "25M", rates, at), wanted, **close)


def test_the_annealing_law():
    wanted = [naive.annealing(ANNEALING, RATES.tolist(), t) for t in AT]
    np.testing.assert_allclose(predict("annealing", ANNEALING, RATES, AT), wanted, **close)


@pytest.mark.parametrize("batch", [4.0, 1.0 + np.arange(400.0) % 7])
@pytest.mark.parametrize(
    "law, p, twin",
    [
        ("functional-scaling", SCALING, naive.functional_scaling),
        ("forcing-memory", SURROGATE, naive.forcing_memory),
    ],
)
def test_laws_with_a_memory_of_noise(law, p, twin, batch):
    rates = 300.0 * RATES
    wanted = [twin(p, rates.tolist(), t, np.broadcast_to(batch, 400).tolist()) for t in AT]
    np.testing.assert_allclose(predict(law, p, rates, AT, batch=batch), wanted, **close)


def test_a_constant_rate_leaves_the_power_law_alone():
    rates, at = np.full(1000, 2e-4), np.arange(1, 1001)
    p = PUBLISHED["multi-power"]["100M"]
    np.testing.assert_allclose(
        predict("multi-power", p, rates, at), p["L0"] + p["A"] * (2e-4 * at) ** -p["alpha"], **close
    )
    wanted = ANNEALING["L0"] + ANNEALING["A"] * (2e-4 * at) ** -ANNEALING["alpha"]
    np.testing.assert_allclose(predict("annealing", ANNEALING, rates, at), wanted, **close)


def test_one_drop_in_closed_form():
    """1,000 steps at 1e-3, then 1e-4: the annealing law feels the drop in each of the steps since, less each."""
    rates = np.concatenate([np.full(1000, 1e-3), np.full(500, 1e-4)])
    n = 500
    felt = 9e-4 * (1.0 - 0.999**n) / (1.0 - 0.999)
    wanted = 2.6 + 0.5 * rates.sum() ** -0.5 - 400.0 * felt
    np.testing.assert_allclose(predict("annealing", ANNEALING, rates), [wanted], rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(1e-5, 1e-2), min_size=2, max_size=40), st.integers(1, 40), st.data())
def test_the_past_decides_alone(rates, count, data):
    """What a schedule does later changes no loss; nor does how many losses are asked for."""
    count = min(count, len(rates))
    law = data.draw(st.sampled_from(names()))
    p = {"multi-power": PUBLISHED["multi-power"]["25M"], "annealing": ANNEALING}.get(
        law, SCALING if law == "functional-scaling" else SURROGATE
    )
    alone = predict(law, p, rates[:count])
    among = predict(law, p, rates, np.arange(1, len(rates) + 1))
    np.testing.assert_allclose(among[count - 1], alone[0], rtol=1e-12)


def test_long_pasts_are_taken_in_parts():
    """More terms than are held at a time: against the sums of all at once."""
    rates = 1e-3 * (1.0 + np.sin(np.arange(200_000)) / 2.0)
    at = np.array([1, 7, 1000, 50_000, 199_999, 200_000])
    history = History.of(rates, at)
    found = past_sum(history, history.updates, lambda _steps, area, terms: area - terms.after)
    total = np.cumsum(rates)
    wanted = [float((rates[:t] ** 2 * (total[t - 1] - total[:t])).sum()) for t in at]
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-18)


def test_groups_of_steps_come_near_single_steps_with_the_square_of_their_length():
    rates, at = np.array(naive.cosine(3e-4, 3e-5, 200, 6000)), np.arange(300, 6001, 300)
    history, law, p = History.of(rates, at), LAWS["multi-power"], PUBLISHED["multi-power"]["25M"]
    exact = law.losses(history, p)
    errors = [np.abs(law.losses(history.grouped(parts), p) - exact).max() for parts in (1, 2, 4, 8)]
    assert errors[1] < 1e-4 and errors[0] > errors[1] > errors[2] > errors[3]
    assert history.grouped(8).changes.weight.sum() == pytest.approx(history.changes.weight.sum(), rel=1e-12)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("multi-powr", "25M", [1.0]), "law: unknown law 'multi-powr'; did you mean 'multi-power'"),
        (("multi-power", "26M", [1.0]), "unknown published set '26M'; did you mean '25M'"),
        (("annealing", "25M", [1.0]), "unknown published set"),
        (("annealing", {**ANNEALING, "lambda": 1.0}, [1.0]), "lambda must be above 0 and below 1, got 1.0"),
        (("annealing", {**ANNEALING, "alfa": 1.0}, [1.0]), "unknown key 'alfa'; did you mean 'alpha'"),
        (("annealing", {key: value for key, value in ANNEALING.items() if key != "A"}, [1.0]), "A is missing"),
        (("annealing", ANNEALING, [-1.0]), "rates must be >= 0, got -1"),
        (("annealing", ANNEALING, [0.0, 0.0]), "all are 0 up to step 2"),
        (("annealing", ANNEALING, [1.0], [2]), "steps must ascend from 1 to at most the 1 of the rates"),
        (("annealing", ANNEALING, [1.0], [0.5]), "steps must be whole numbers"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(arguments, message):
    with pytest.raises(InputError, match=message) as refusal:
        predict(*arguments)
    assert "\n" not in str(refusal.value)


def test_batches_are_checked():
    with pytest.raises(InputError, match="batch must be one number above 0"):
        predict("annealing", ANNEALING, [1.0, 2.0], batch=0.0)
    with pytest.raises(InputError, match="one of each of the 3 steps"):
        predict("annealing", ANNEALING, [1.0, 2.0, 3.0], batch=[1.0, 2.0])


def test_rates_whose_powers_are_no_numbers_are_refused():
    with pytest.raises(InputError, match="they add up to 2e-300 at step 2; at least 1e-30 is needed"):
        History.of([1e-300, 1e-300])
    assert np.isfinite(predict("annealing", ANNEALING, [1e-29, 1e-29])).all()


@pytest.mark.parametrize("law", ["multi-power", "annealing", "functional-scaling", "forcing-memory"])
@pytest.mark.parametrize("every", [1, 7])
def test_steps_long_past_in_groups_change_no_loss(law, every):
    """Of 3,000 steps in blocks of 64 losses, beside all single steps; with rates of 0 and a jump."""
    t = np.arange(1, 3001)
    rates = 0.05 * (1.0 + np.cos(np.pi * t / 3000)) * np.where(t < 2000, 1.0, 0.5)
    rates[1000:1010] = 0.0
    history = History.of(rates, t[49::every])
    one = law_of(law)
    values = dict.fromkeys(one.linear, 1.0) | {part.name: math.sqrt(part.low * part.high) for part in one.shape}
    found = np.concatenate([one.losses(block, values) for block in history.blocks(64, 64)])
    np.testing.assert_allclose(found, one.losses(history, values), atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("law", ["multi-power", "annealing", "functional-scaling", "forcing-memory"])
@pytest.mark.parametrize("shape", ["steps", "root", "exponential"])
def test_groups_tell_sums_of_rates_apart_where_rates_fall_soon(law, shape):
    """Each sum over the past of the last losses, within 2e-5 of itself, beside all single steps."""
    t = np.arange(1, 6001)
    z = t / t.size
    falls = {"steps": np.where(z < 0.5, 1.0, np.where(z < 0.75, 0.1, 0.01)), "root": (1.0 + 1e3 * z) ** -0.5,
             "exponential": np.exp(-9.0 * z)}  # fmt: skip
    history = History.of(0.01 * falls[shape] * np.minimum(t / 200, 1.0), t[5000::10])
    one = law_of(law)
    values = {part.name: math.sqrt(part.low * part.high) for part in one.shape}
    steep = {"functional-scaling": {"time": 100.0, "source": 2.0}, "forcing-memory": {"c_K": 100.0, "q_F": 2.0}}
    values |= steep.get(law, {})
    parts = [one.features(block, values) for block in history.blocks(64, 100)]
    for found, expected in zip(
        map(np.concatenate, zip(*parts, strict=True)), one.features(history, values), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=2e-5)
