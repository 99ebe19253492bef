"""Nakkiran (2020): its samples by enumeration, its losses on the rows themselves, and the claim by closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simlr
from naive import descent as naive
from simlr.analysis.verdict import verdict_of
from simlr.config.reading import read
from simlr.errors import InputError
from simlr.papers import nakkiran2020

FLOW = {"name": "flow", "kind": "flow"}
ANNEALED = {
    "name": "annealed",
    "phases": [{"kind": "constant", "learning_rate": 1.5, "steps": 1}, {"kind": "flow"}],
}
IN_SHARPNESS = {**ANNEALED, "name": "annealed-sharpness", "unit": "sharpness"}
IN_SHARPNESS["phases"] = [{"kind": "constant", "learning_rate": 2.0, "steps": 1}, {"kind": "flow"}]
COSINE = {"name": "cosine", "kind": "cosine", "learning_rate": 1.4, "steps": 60}
LEVELS = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
ALL = {"kind": "nakkiran2020", "samples": "all"}
TARGET = np.array([1.0, 1.0])


def mixed(seed):
    """Whether a sample of the enumeration holds both axes: all but 000 and 111."""
    return seed not in (0, 7)


@pytest.fixture(scope="module")
def enumerated(run_grid):
    """The eight samples with four schedules."""
    record = {"points": 30, "seeds": "all", "iterates": True}
    return run_grid(ALL, [FLOW, ANNEALED, IN_SHARPNESS, COSINE], LEVELS, seeds={"count": 100}, record=record)


def test_the_eight_samples_are_all_there(enumerated):
    assert enumerated.draw.tolist() == list(range(8))
    for n in range(8):
        x = naive.axis_sample(n)
        np.testing.assert_allclose(enumerated.curvature[n], np.linalg.eigvalsh(naive.hessian(x))[::-1], atol=1e-15)
        axes = enumerated.curvature_axes[n]
        hessian = axes @ np.diag(enumerated.curvature[n]) @ axes.T
        np.testing.assert_allclose(hessian, naive.hessian(x), atol=1e-15)
        np.testing.assert_array_equal(axes.T @ axes, np.eye(2))
        best = naive.minimiser(x, x @ TARGET, np.zeros(2))
        np.testing.assert_allclose(enumerated.train_minimiser[n], best, atol=1e-15)
        np.testing.assert_allclose(enumerated.initial_residual[n], axes.T @ -best, atol=1e-15)
    np.testing.assert_array_equal(enumerated.train_floor, 0.0)
    np.testing.assert_array_equal(enumerated.test_floor, 0.0)
    np.testing.assert_array_equal(enumerated.target, np.ones((8, 2)))


@pytest.mark.parametrize("root", [0, 7, 2**62])
def test_random_samples_are_numpy_s(run_grid, root):
    run = run_grid({"kind": "nakkiran2020"}, [FLOW], [0.01], seeds={"count": 60, "root": root})
    for n in range(60):
        steep = naive.axis_sample_at(root, n).sum(axis=0).max()
        assert run.sharpness[n] == pytest.approx(2 / 3 * steep, rel=1e-15)
        single = np.argmin(naive.axis_sample_at(root, n).sum(axis=0))
        np.testing.assert_array_equal(run.curvature_axes[n, :, 1], np.eye(2)[single])


def descended(n, rates):
    """theta after every step on the rows of sample n."""
    x = naive.axis_sample(n)
    return naive.descend_rows(x, x @ TARGET, np.zeros(2), rates)


def losses_of(n, theta):
    """Train loss on the rows; test loss E <theta - theta_star, x>^2 = |theta - theta_star|^2 / 2."""
    x = naive.axis_sample(n)
    return naive.mean_squared_error(x, x @ TARGET, theta), float(np.sum((theta - TARGET) ** 2)) / 2


def test_steps_are_those_of_descent_on_the_rows(enumerated):
    s = list(enumerated.schedule).index("cosine")
    own = {k: v for k, v in COSINE.items() if k != "name"}
    for n in range(8):
        path = descended(n, naive.rates(**own))
        losses = np.array([losses_of(n, theta) for theta in path])
        for k, level in enumerate(LEVELS):
            below = np.flatnonzero(losses[:, 0] <= level)
            step = below[0] if below.size else len(path) - 1
            assert enumerated.status[s, n, k] == (1 if below.size else 2)
            assert enumerated.stop_step[s, n, k] == step
            np.testing.assert_allclose(enumerated.train_loss[s, n, k], losses[step, 0], rtol=1e-9)
            np.testing.assert_allclose(enumerated.test_loss[s, n, k], losses[step, 1], rtol=1e-9)
        for slot in np.flatnonzero(enumerated.recorded_step[s] >= 0):
            theta = path[enumerated.recorded_step[s, slot]]
            np.testing.assert_allclose(enumerated.trajectory_iterate[s, n, slot], theta, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "rate"), [("flow", None), ("annealed", 1.5)])
def test_flows_are_those_of_the_rows(enumerated, name, rate):
    """One step of 3/2, where there is one, then gradient flow, in theta's own coordinates."""
    s = list(enumerated.schedule).index(name)
    for n in range(8):
        x = naive.axis_sample(n)
        theta = descended(n, [rate])[-1] if rate else np.zeros(2)
        for k, level in enumerate(LEVELS):
            at_stop = naive.flow_rows(x, x @ TARGET, theta, enumerated.stop_time[s, n, k] - (rate or 0.0))
            train, test = losses_of(n, at_stop)
            np.testing.assert_allclose(train, level, rtol=1e-10)
            np.testing.assert_allclose(enumerated.train_loss[s, n, k], level, rtol=1e-12)
            np.testing.assert_allclose(enumerated.test_loss[s, n, k], test, rtol=1e-10)


# ---- the claim ----


def test_the_ratio_is_two_for_six_samples_of_eight(enumerated):
    """|A/B - 2| <= 6.5 eps at every eps <= 1e-3, and 1 for the two samples of one axis."""
    ratio = enumerated.test_loss[0] / enumerated.test_loss[1]
    for n in range(8):
        for k, level in enumerate(LEVELS):
            if not mixed(n):
                assert ratio[n, k] == pytest.approx(1.0, abs=1e-12)
            elif level <= 1e-3:
                assert abs(ratio[n, k] - 2.0) <= 6.5 * level
    assert sum(mixed(n) for n in range(8)) / 8 == 0.75


def test_the_annealed_run_ends_on_the_steep_axis(enumerated):
    """The step leaves b = 0: eps = (2/3) a^2, so the test loss a^2 / 2 is 3/4 eps. Both units of the rate."""
    for s in (1, 2):
        for n in filter(mixed, range(8)):
            np.testing.assert_allclose(enumerated.test_loss[s, n], 0.75 * np.array(LEVELS), rtol=1e-9)
            assert (enumerated.stop_step[s, n] == 1).all()


def flat_square(eps, q):
    """w >= 0 with (2/3) q w^2 + (1/3) w = eps, without cancellation."""
    return 2 * eps / (1 / 3 + np.sqrt(1 / 9 + 8 / 3 * q * eps))


def test_the_flow_ends_on_the_flat_axis(enumerated):
    """Exactly: from (1, 1), b^2 = w and a^2 = w^2 after a time -(3/4) log w; test loss (w^2 + w) / 2 -> 3/2 eps."""
    for n in filter(mixed, range(8)):
        for k, level in enumerate(LEVELS):
            square = flat_square(level, 1.0)
            np.testing.assert_allclose(enumerated.test_loss[0, n, k], (square**2 + square) / 2, rtol=1e-9)
            np.testing.assert_allclose(enumerated.stop_time[0, n, k], -0.75 * np.log(square), rtol=1e-9)
        np.testing.assert_allclose(enumerated.test_loss[0, n, -1] / LEVELS[-1], 1.5, rtol=1e-4)


def test_the_unseen_axis_never_moves(enumerated):
    """One axis three times: eps is the square of the seen axis, the unseen one keeps 1; test loss (eps + 1) / 2."""
    for n in (0, 7):
        np.testing.assert_allclose(enumerated.test_loss[:3, n], np.tile((np.array(LEVELS) + 1) / 2, (3, 1)), rtol=1e-12)
        unseen = 1 if n == 0 else 0
        moved = enumerated.trajectory_iterate[:, n, :, unseen]
        assert np.unique(moved[~np.isnan(moved)]).tolist() == [0.0]


def test_three_quarters_of_random_samples(run_grid):
    """The share of seeds with ratio 2 among 4096 is 3/4 within four standard deviations."""
    run = run_grid({"kind": "nakkiran2020"}, [FLOW, ANNEALED], [1e-6], seeds={"count": 4096})
    ratio = run.test_loss[0, :, 0] / run.test_loss[1, :, 0]
    doubled = np.abs(ratio - 2.0) <= 6.5e-6
    assert (doubled | (np.abs(ratio - 1.0) <= 1e-9)).all()
    assert abs(doubled.mean() - 0.75) <= 4 * np.sqrt(0.75 * 0.25 / 4096)
    assert abs(run.sharpness.mean() - 1.5) <= 4 * np.sqrt(1 / 12) / np.sqrt(4096)


residuals = st.tuples(st.floats(0.3, 3.0), st.sampled_from([-1.0, 1.0])).map(lambda pair: pair[0] * pair[1])


@given(start=st.tuples(residuals, residuals), target=st.tuples(*[st.floats(-2.0, 2.0)] * 2), sample=st.integers(1, 6))
def test_the_general_law(run_grid, start, target, sample):
    """A/B = 2 - 6 eps a^2 / b^4 + O(eps^2) for any start and theta_star, a on the doubled axis, b on the single one.

    By the exact solution of the flow: with q = a^2 / b^4 and w the squared residual left on the flat axis,
    eps = (2/3) q w^2 + (1/3) w, A = (q w^2 + w) / 2 and B = 3/4 eps, so A/B = 1 + w / (3 eps) = 2 - 6 q eps +
    72 (q eps)^2 - ..., whose terms alternate.
    """
    theta = [s + t for s, t in zip(start, target, strict=True)]
    actual = np.array(theta) - np.array(target)
    counts = naive.axis_sample(sample).sum(axis=0)
    a, b = actual[np.argmax(counts)], actual[np.argmin(counts)]
    q = a**2 / b**4
    levels = np.array([1e-2, 1e-4, 1e-6]) * min(1.0, a**2, b**2, 1 / q)
    problem = {**ALL, "start": theta, "theta_star": list(target)}
    run = run_grid(problem, [FLOW, ANNEALED], levels.tolist(), seeds={"count": 8})
    ratio = run.test_loss[0, sample] / run.test_loss[1, sample]
    np.testing.assert_allclose(ratio, 1 + flat_square(levels, q) / (3 * levels), rtol=1e-9)
    assert (np.abs(ratio - (2 - 6 * q * levels)) <= 72 * (q * levels) ** 2 + 1e-9).all()


def test_the_built_in_grid_has_the_schedules_of_the_claim():
    names = [line.split('"')[1] for line in nakkiran2020.GRID.splitlines() if line.startswith("name")]
    assert {nakkiran2020.BASELINE, nakkiran2020.ANNEALED} <= set(names)


BAD = [
    ({"samples": "some"}, r"problem.samples: unknown value 'some'"),
    ({"start": [1.0]}, r"problem.start must be a list of 2 finite numbers"),
    ({"theta_star": [1.0, float("nan")]}, r"problem.theta_star must be a list of 2 finite numbers"),
    ({"theta": 1.0}, r"problem \(kind 'nakkiran2020'\): unknown key 'theta'"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_parameters_are_refused(run_grid, change, message):
    with pytest.raises(InputError, match=message):
        run_grid({**ALL, **change}, [FLOW], [0.1])


@pytest.mark.parametrize("start", [[1.0, 1.0], [1e200, 0.0]])
def test_a_start_that_the_claim_is_not_about_decides_nothing(start):
    config = simlr.GridConfig.from_toml(nakkiran2020.GRID, [("problem.start", start), ("seeds.count", 128)])
    assert verdict_of(simlr.run(config)).outcome == "undecided"


@pytest.mark.parametrize("control", nakkiran2020.controls(), ids=lambda control: control.name)
def test_its_controls_come_out_as_they_must(control):
    verdict = verdict_of(simlr.run(read(nakkiran2020.GRID, [*control.overrides, ("record.points", 0)])))
    assert verdict.outcome == control.expected


def test_a_level_below_what_rounding_leaves_is_said_to_be_too_low():
    config = simlr.GridConfig.from_toml(nakkiran2020.GRID, [("stop.train_loss", [1e-25]), ("seeds.count", 128)])
    verdict = verdict_of(simlr.run(config))
    assert verdict.outcome == "undecided" and "no level is high enough" in verdict.lines[0]
