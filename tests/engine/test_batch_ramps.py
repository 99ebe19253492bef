"""Batch sizes that grow: their formula, the exact means with them, and what is refused."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simlr
from simlr.errors import InputError
from simlr.laws import of_run, sizes
from simlr.schedules import batch_sizes

GROWING = {"kind": "minibatch", "batch_size": 2, "batch_growth": 1.5, "batch_every": 4, "batch_most": 9}
GRID = {
    "name": "ramp",
    "expectation": {},
    "problem": {"kind": "gaussian", "dimension": 4, "train_rows": 7, "label_noise": 0.5},
    "seeds": {"count": 5},
    "stop": {"steps": [3, 30]},
    "record": {"points": 6},
    "schedule": [{"kind": "cosine", "learning_rate": [0.05, 0.2], "steps": 30}],
    "optimizer": [{"kind": "gd"}, {"kind": "nesterov", "momentum": 0.6, "average": "tail", "average_start": 3}],
    "noise": [GROWING, {"kind": "minibatch", "batch_size": 2}],
}
FRESH = {
    **GRID,
    "problem": {"kind": "population", "capacity": 1.5, "source": 1.0, "dimension": 6},
    "seeds": {"count": 1},
    "noise": [{**GROWING, "kind": "fresh", "sigma": 0.3}],
}


@given(
    first=st.integers(1, 1000),
    growth=st.floats(1.001, 8.0) | st.sampled_from([1.1, 1.5, 2.0, 10.0]),
    every=st.integers(1, 50),
    most=st.integers(0, 10**6),
    steps=st.integers(1, 400),
)
def test_the_batch_size_of_every_step_is_that_of_the_formula(first, growth, every, most, steps):
    """In fractions, which round nothing; what lies within 1e-9 of a whole number is that number."""
    got = batch_sizes.batch_sizes(
        {"batch_size": first, "batch_growth": growth, "batch_every": every, "batch_most": first + most}, steps
    )
    for t, size in enumerate(got):
        grown = min(first + most, first * Fraction(growth) ** (t // every))
        near = round(grown)
        assert size == (near if abs(grown - near) < Fraction(1, 10**9) * grown else math.floor(grown)), (t, grown)


def test_rows_are_those_of_all_steps_and_a_size_has_no_end_but_the_largest_number():
    doubled = {"batch_size": 3, "batch_growth": 2.0, "batch_every": 5}
    assert batch_sizes.batch_sizes(doubled, 100).tolist() == [3 * 2 ** (t // 5) for t in range(100)]
    assert batch_sizes.rows_used(doubled, 97) == sum(3 * 2 ** (t // 5) for t in range(97))
    assert batch_sizes.pieces(doubled, 10**9)[0][-1] == batch_sizes.LARGEST
    with pytest.raises(InputError, match="grows 2,302,587 times in 10,000,000 steps, over 1,000,000"):
        batch_sizes.pieces({"batch_size": 1, "batch_growth": 1 + 1e-6, "batch_every": 1, "batch_most": 10}, 10**7)


@pytest.mark.parametrize("grid", [GRID, FRESH], ids=["rows", "fresh"])
def test_the_means_are_those_of_a_batch_size_a_step(grid):
    """Of the twin, which takes one step after another; and the size that does not grow has the bits it had."""
    run, job = simlr.run(grid), simlr.grid.job.Job(simlr.config.reading.config_of(grid))
    for s, (optimizer, noise) in enumerate(job.plan.methods):
        eta = job.plan.schedules[s].rates(0, 30)[None]
        for n in range(run["curvature"].shape[0]):
            lam, start = run["curvature"][n : n + 1], run["initial_residual"][n : n + 1]
            known = {**noise, "batch_size": batch_sizes.batch_sizes(noise, 30)}
            known = {key: value for key, value in known.items() if key not in (*batch_sizes.KEYS, "sampling")}
            if noise["kind"] == "minibatch":
                batch = job.sources[0].draw(job.config.seeds["root"], np.array([n]), 1)
                z, rho = job.sources[0].rows(job.config.seeds["root"], np.array([n]), batch, 1)
                known |= {"rows": z, "misfits": rho}
            else:
                known["sigma"] = float(np.sqrt(known["sigma"] ** 2 + run["train_floor"][n]))
            got = simlr.expected_losses(lam, start, eta, known, optimizer, steps=np.array([3, 30]))
            found = run["train_loss"][s, n] - run["train_floor"][n]
            np.testing.assert_allclose(found, got.train_loss[0, 0], rtol=1e-11)


def test_a_naive_recursion_has_the_same_means():
    """One axis, fresh rows: E x'^2 = (1 - 2 eta lam + eta^2 lam^2 (1 + 2/B)) E x^2 + 2 eta^2 lam sigma^2 / B."""
    lam, second, losses = 0.7, 1.3**2, []
    for t in range(30):
        rows = min(9, int(2 * 1.5 ** (t // 4) + 1e-9))
        second = (1 - 0.1 * lam) ** 2 * second + 0.1**2 * (
            2 * lam * (0.5 * lam * second + 0.09) + lam**2 * second
        ) / rows
        losses.append(0.5 * lam * second)
    noise = {**GROWING, "kind": "fresh", "sigma": 0.3}
    rates = np.full((1, 30), 0.1)
    known = {"kind": "fresh", "sigma": 0.3, "batch_size": batch_sizes.batch_sizes(noise, 30)}
    got = simlr.expected_losses([[lam]], [[1.3]], rates, known, steps=np.arange(1, 31))
    np.testing.assert_allclose(got.train_loss[0, 0], losses, rtol=1e-12)


def test_bits_do_not_depend_on_threads_or_blocks():
    whole = simlr.run({**GRID, "run": {"block_seeds": 5}}, threads=1)
    cut = simlr.run({**GRID, "run": {"block_seeds": 2}}, threads=2)
    for name in ("train_loss", "test_loss", "average_train_loss", "trajectory_train_loss"):
        assert whole[name].tobytes() == cut[name].tobytes(), name


def test_a_grid_without_growth_is_the_grid_that_it_was():
    config = simlr.config.reading.config_of(GRID)
    assert config.noise[1] == {"kind": "minibatch", "batch_size": 2, "sampling": "replacement"}
    assert simlr.GridConfig.from_toml(config.to_toml()) == config


def test_rows_are_counted_by_what_the_steps_took_and_a_law_refuses_them():
    run = simlr.run({**FRESH, "stop": {"steps": [10, 20, 30]}, "schedule": [
        {"kind": "constant", "learning_rate": 0.05, "steps": n, "name": f"s{n}"} for n in (10, 20, 30)]})  # fmt: skip
    found = list(sizes._families(run, "train_loss", ""))
    rows = {point.steps: point.rows for _, _, points in found for point in points}
    assert rows == {n: batch_sizes.batch_sizes(FRESH["noise"][0], n).sum() for n in rows} and rows
    with pytest.raises(InputError, match="a law of a run is of one batch size"):
        of_run.curves_of_run(simlr.run({**FRESH, "optimizer": [{"kind": "gd"}]}), loss="train_loss")


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        ({"batch_growth": 2.0}, r"batch_growth goes with batch_every"),
        ({"batch_growth": 0.5, "batch_every": 3}, r"batch_growth must be a number from 1 to 1000000, got 0.5"),
        ({"batch_every": 3}, r"batch_every goes with batch_growth"),
        ({"batch_most": 30}, r"batch_most goes with batch_growth"),
        ({"batch_growth": 2.0, "batch_every": [0, 3]}, r"batch_growth goes with batch_every.*at least 1"),
        ({"batch_growth": 2.0, "batch_every": 3, "batch_most": 3}, r"batch_most must be at least the batch size 4"),
        ({"batch_grow": 2.0}, r"unknown key 'batch_grow'; did you mean 'batch_growth'\?"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(noise, words):
    with pytest.raises(InputError, match=words) as caught:
        simlr.run({**GRID, "noise": [{"kind": "minibatch", "batch_size": 4, **noise}]})
    assert "\n" not in str(caught.value)


def test_single_runs_and_optima_have_one_batch_size():
    with pytest.raises(InputError, match=r"batch_growth has exact means alone; add a table \[expectation\]"):
        simlr.run({key: value for key, value in GRID.items() if key != "expectation"})
    optimal = {"kind": "optimal", "steps": 20}
    with pytest.raises(InputError, match="is of one batch size, and the noise has batch_growth"):
        simlr.run({**FRESH, "optimizer": [{"kind": "gd"}], "schedule": [optimal]})
