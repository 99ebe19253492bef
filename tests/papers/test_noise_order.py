"""The part `noise` of the proofs: its noise keeps the spread, its judge judges, and a small member runs."""

import noise_order
import numpy as np
import pytest

from simlr.claims.verdict import FAILS, HOLDS, UNDECIDED
from simlr.papers import li2019

SMALL = noise_order.Setting(16, 0.12, True, 40, 8)


def test_the_noise_keeps_the_spread_of_weights_that_nothing_else_moves():
    shrink, rate = 1.0 - noise_order.RATE * noise_order.DECAY, noise_order.RATE
    variance = SMALL.tau**2
    for _ in range(1000):
        variance = shrink**2 * variance + (rate * noise_order.sigma(SMALL)) ** 2
    assert variance == pytest.approx(SMALL.tau**2, rel=1e-12)
    assert noise_order.sigma(SMALL._replace(noise=False)) == 0.0


def test_a_small_member_gives_every_cell():
    cells, outcome, lines = noise_order.measured([SMALL._replace(units=8)], SMALL)
    assert [len(row) for row in cells] == [len(noise_order.HEADER)] * 3
    assert [row[1] for row in cells] == ["on", "on", "off"]
    assert outcome in (HOLDS, FAILS, UNDECIDED) and len(lines) == 4


def test_the_large_rate_lies_below_twice_the_inverse_sharpness():
    sharpness = noise_order.trained(SMALL._replace(units=1024, steps=2))["sharpness"]
    assert (noise_order.RATE * sharpness < 2.0).all()


def made(order_s, order_l, errors):
    """What `judged` looks at, of 8 seeds that all learn in these orders and end with these errors."""
    learnt = np.array([[order_s] * 8, [order_l] * 8])
    status = np.full((2, 8), li2019.REACHED)
    return {"learnt_step": learnt, "error_p": np.array([[e] * 8 for e in errors]), "status": status,
            "train_loss": np.ones((2, 8))}  # fmt: skip


@pytest.mark.parametrize(
    ("noisy", "silent", "outcome"),
    [
        (made((9, 5), (3, 7), (0.2, 0.1)), made((9, 5), (7, 3), (0.1, 0.1)), HOLDS),
        (made((9, 5), (7, 3), (0.2, 0.1)), made((9, 5), (7, 3), (0.1, 0.1)), FAILS),
        (made((9, 5), (3, 7), (0.1, 0.2)), made((9, 5), (7, 3), (0.1, 0.1)), FAILS),
        (made((9, 5), (3, 7), (0.1, 0.1)), made((9, 5), (7, 3), (0.1, 0.1)), UNDECIDED),
        (made((-1, -1), (3, 7), (0.2, 0.1)), made((9, 5), (7, 3), (0.1, 0.1)), UNDECIDED),
    ],
)
def test_the_judge_tells_the_three_outcomes_apart(noisy, silent, outcome):
    assert noise_order.judged(noisy, silent)[0] == outcome
