"""Beugnot, Mairal, Rudi (2022): stops at 1e-126 in 80 digits, the descent of a kernel step by step, and the check."""

import importlib.util

import mpmath
import numpy as np
import pytest

import simlr
from simlr.analysis.verdict import verdict_of
from simlr.claims.verdict import FAILS, HOLDS, NOT_RUN, UNDECIDED
from simlr.config.reading import read
from simlr.config.study import Task
from simlr.errors import InputError
from simlr.papers import _beugnot, _digits, beugnot2022
from simlr.report.figures import style
from simlr.store.run import Run

needs_digits = pytest.mark.skipif(_digits.load_digits() is None, reason="scikit-learn is missing")
SMALL = (
    ("seeds.count", 6),
    ("study.kappas", [10.0, 1e4]),
    ("study.practical_kappas", [100.0]),
    ("study.scales", [0.5, 1.0]),
    ("study.train_rows", 60),
    ("study.splits", 3),
)


def small(*changes, threads=None):
    return simlr.run(read(beugnot2022.GRID, [*SMALL, *changes]), threads=threads)


@pytest.fixture(scope="module")
def run():
    """A small run; not to be changed."""
    return small()


def tampered(run, **changes):
    """A copy of a run in which datasets are what functions make of them."""

    class Source:
        attributes, dims = run.attributes, {name: run.dims(name) for name in run.names}

        def read(self, name, where=()):
            values = run[name].copy()
            return (changes[name](values) if name in changes else values)[where]

    return Run(Source())


# ---- the stops, against arithmetic of 80 digits ----


def losses(start, factors, spectrum, steps):
    """(F, [r_i]) after a number of steps, in high precision."""
    residual = [mpmath.mpf(float(r)) * f**steps for r, f in zip(start, factors, strict=True)]
    terms = (mpmath.mpf(float(s)) * r**2 for s, r in zip(spectrum, residual, strict=True))
    return mpmath.fsum(terms) / 2, residual


@pytest.mark.parametrize("kappa", [10.0, 1e4])
def test_stops_at_tiny_levels_are_those_of_high_precision(kappa):
    """The step is the first at or below the level, the residuals are right to 1e-11: at 1e-126, and down to 1e-290."""
    spectrum = np.geomspace(1.0, 1.0 / kappa, 6)
    start = np.random.default_rng(3).standard_normal((2, 6))
    levels, rates = [1e-10, 1e-126, 1e-290], [1.0, beugnot2022.large_rate(kappa, 0.1)]
    stop = {"train_loss": levels, "landing": "step"}
    found = _beugnot.stops(np.tile(spectrum, (2, 1)), start, rates, stop, None)
    assert (found.status == 1).all()
    assert found.stop_step.max() > (1e7 if kappa == 1e4 else 1e4)
    with mpmath.workdps(80):
        for (s, n, e), steps in np.ndenumerate(found.stop_step):
            exact = [1 - mpmath.mpf(float(rates[s])) * mpmath.mpf(float(lam)) for lam in spectrum]
            factors = [mpmath.mpf(float(f)) for f in exact]  # rounded once, as the recurrence's are
            before, _ = losses(start[n], factors, spectrum, int(steps) - 1)
            here, residual = losses(start[n], factors, spectrum, int(steps))
            assert here <= levels[e] < before
            assert abs(found.train_loss[s, n, e] / here - 1) < 1e-11
            for axis, value in enumerate(residual):
                if abs(value) > 1e-150:
                    assert abs(found.stop_residual[s, n, e, axis] / value - 1) < 1e-11


def test_closed_form_and_steps_agree_at_tiny_levels():
    """73,000 steps taken one by one end where the closed form says."""
    spectrum = np.geomspace(1.0, 0.01, 10)
    start = np.random.default_rng(4).standard_normal((3, 10))
    rate = beugnot2022.large_rate(100.0, 0.1)
    stop = {"train_loss": [1e-126], "landing": "step"}
    found = _beugnot.stops(np.tile(spectrum, (3, 1)), start, [rate], stop, None)
    stepped = simlr.descend(np.tile(spectrum, (3, 1)), start, np.full((1, 80_000), rate), [1e-126])
    assert found.stop_step.min() > 60_000
    assert np.array_equal(found.stop_step, stepped.stop_step)
    np.testing.assert_allclose(found.train_loss, stepped.train_loss, rtol=1e-9)
    np.testing.assert_allclose(found.stop_residual[..., 0], stepped.residual[..., 0], rtol=1e-9)


def test_the_ratio_is_that_of_the_ends(run):
    """Both ends are pure at 1e-126: with U = I the ratio is (F_l/F_s)/kappa_T."""
    kappa = np.array([10.0, 1e4])[:, None]
    pure = run.large_train_loss[..., -1] / run.small_train_loss[..., -1] / kappa
    np.testing.assert_allclose(run.plain_ratio[..., -1], pure, rtol=1e-9)
    assert (run.test_ratio[..., -1] <= 10.0 * 2.0 * 1.001 / kappa).all()  # kappa_U times F_l/F_s, at most 2


# ---- kernel regression, against gradient descent on the outputs ----


def descended(kernel, labels, train, held, rate, level):
    """Held-out outputs where (1/n) |Y - f|^2 = level, step by step in the coefficients; the last step is shortened."""
    n = len(train)
    own, across = kernel[np.ix_(train, train)], kernel[np.ix_(held, train)]
    coefficients = np.zeros((n, labels.shape[1]))
    eta = rate / (2.0 / n * np.linalg.eigvalsh(own)[-1])
    for _ in range(200_000):
        residual = labels[train] - own @ coefficients
        step = eta * 2.0 / n * residual
        moved = own @ step
        if ((residual - moved) ** 2).sum() / n <= level:
            half, square = (residual * moved).sum(), (moved**2).sum()
            fraction = (half - np.sqrt(half**2 - square * ((residual**2).sum() - n * level))) / square
            return across @ (coefficients + fraction * step)
        coefficients += step
    raise AssertionError("the level was not reached")


def test_kernel_regression_is_gradient_descent():
    """On made-up points of three classes: accuracy and square loss at the stops, for stable and large rates."""
    draws = np.random.default_rng(5)
    points, kinds = draws.standard_normal((60, 4)), np.arange(60) % 3
    points += 0.8 * np.eye(4)[kinds]
    kernel = np.exp(-((points[:, None] - points) ** 2).sum(axis=-1) / 8.0)
    labels, orders = np.eye(3)[kinds], np.array([draws.permutation(60) for _ in range(2)])
    own = {"train_rows": 25, "digits_levels": (0.3, 0.1), "digits_rates": (0.5, 1.9, 1.999)}
    *scores, row_error, shared = _beugnot._regression(Task(own, 1, 0, None, None), kernel, labels, orders)
    found = np.array(scores)
    gains = np.full((2, 2, 60), np.nan)
    for split, order in enumerate(orders):
        for place, rate in enumerate(own["digits_rates"]):
            for at, level in enumerate(own["digits_levels"]):
                outputs = descended(kernel, labels, order[:25], order[25:], rate, level)
                right = (outputs.argmax(axis=1) == kinds[order[25:]]).mean()
                loss = ((outputs - labels[order[25:]]) ** 2).sum(axis=1).mean()
                np.testing.assert_allclose(found[:2, place, at, split], [right, loss], rtol=1e-8)
                if rate != 1.9:
                    own_right = outputs.argmax(axis=1) == kinds[order[25:]]
                    gains[split, at, order[25:]] = own_right - np.nan_to_num(gains[split, at, order[25:]])
        top = np.linalg.eigh(kernel[np.ix_(order[:25], order[:25])])[1][:, -1]
        assert shared[split] == pytest.approx(top.sum() ** 2 / 25, rel=1e-9)
    held_out = ~np.isnan(gains).all(axis=(0, 1))
    rows = np.nanmean(gains[..., held_out], axis=0)
    np.testing.assert_allclose(row_error, rows.std(axis=1, ddof=1) / np.sqrt(held_out.sum()), rtol=1e-9)


@needs_digits
def test_the_digits_are_scikit_learns():
    datasets = pytest.importorskip("sklearn.datasets")
    theirs = datasets.load_digits()
    pixels, digits = _digits.load_digits()
    assert np.array_equal(pixels, theirs.data)
    assert np.array_equal(digits, theirs.target)


# ---- the check ----


def test_the_theorem_holds_on_a_small_run(run):
    findings = beugnot2022.check(run).findings
    assert [finding.outcome for finding in findings[:5]] == [HOLDS] * 5
    assert findings[0].measured < 10.0


def test_the_bits_do_not_depend_on_threads(run):
    other = small(threads=1)
    for name in set(run.names) - {"finished_at", "wall_seconds"}:
        assert np.array_equal(run[name], other[name], equal_nan=run[name].dtype.kind == "f"), name


CHANGES = [
    {"test_ratio": lambda values: values * 1e3},
    {"plain_ratio": lambda values: values * (1.0 + 1e-8)},
    {"top_share": lambda values: values - 1e-5},
    {"bottom_share": lambda values: values - 1e-5},
    {"practical_gain": lambda values: 1.0 / values},
    {"small_train_loss": lambda values: 0.4 * values},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_the_check_can_fail(run, change):
    assert beugnot2022.check(tampered(run, **change)).outcome == FAILS


OUTSIDE = {
    "a train loss that is none": ({"fraction": [0.9]}, "no train loss of study.fractions is near 0.001"),
    "a small rate": ({"window": [100.0]}, "no rate of study.windows is near w = 0.1"),
    "all axes alike": ({"practical_condition": [1.0]}, "the ends of the spectrum are hardly apart"),
}


@pytest.mark.parametrize(("values", "why"), OUTSIDE.values(), ids=OUTSIDE)
def test_settings_of_no_claim_refute_nothing(run, values, why):
    """With gains that would refute it elsewhere."""
    changes = {name: lambda old, new=new: np.resize(new, old.shape) for name, new in values.items()}
    found = beugnot2022.check(tampered(run, practical_gain=lambda gains: 1.0 / gains, **changes))
    assert found.outcome == UNDECIDED and any(why in line for line in found.lines)


def test_a_rate_at_the_border_is_neither_large_nor_small():
    found = beugnot2022.check(small(("study.window", 1.0), ("study.kappas", [100.0]), ("study.splits", 0)))
    assert found.outcome == UNDECIDED and any("is neither large nor small" in line for line in found.lines)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("study.kappa_u", 0.5), "study.kappa_u must be a finite number >= 1, got 0.5"),
        (("study.scales", [0.0]), "study.scales must be a list of numbers > 0"),
    ],
)
def test_what_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        read(beugnot2022.GRID, [change])


@needs_digits
@pytest.mark.parametrize(
    ("scale", "rates", "why"), [(50.0, [0.1, 1.9999], "even a large rate has learnt"), (0.5, [0.1, 5.0], "not reached")]
)
def test_kernels_and_rates_of_no_claim_refute_nothing(scale, rates, why):
    settings = {
        "study.scales": [scale],
        "study.digits_rates": rates,
        "study.digits_levels": [0.1],
        "study.kappas": [10.0],
    }
    found = beugnot2022.check(small(*settings.items(), ("study.practical_axes", 3), ("study.train_rows", 40)))
    assert found.outcome == UNDECIDED and any(why in line for line in found.lines)


@needs_digits
def test_digits_that_leave_none_to_judge_by_are_refused():
    with pytest.raises(InputError, match=r"study\.train_rows must leave some of the 1,797 digits, got 1,797"):
        small(("study.train_rows", 1797), ("study.kappas", [10.0]), ("seeds.count", 2))


@needs_digits
def test_no_gain_in_accuracy_fails():
    made = small(("study.splits", 20), ("study.scales", [0.5]), ("study.train_rows", 120))
    assert beugnot2022.check(made).outcome == HOLDS
    assert beugnot2022.check(tampered(made, accuracy=lambda values: values[:, ::-1])).outcome == FAILS
    no_gain = {"accuracy": lambda values: np.broadcast_to(values[:, :1], values.shape)}
    assert beugnot2022.check(tampered(made, **no_gain)).outcome != HOLDS
    unknown = {"accuracy": lambda values: np.full_like(values, np.nan)}
    assert beugnot2022.check(tampered(made, **unknown)).outcome == UNDECIDED


@pytest.mark.parametrize("control", beugnot2022.controls(), ids=lambda control: control.name)
def test_every_control_comes_out_as_it_must(control):
    if ("study.splits", 0) not in control.overrides and _digits.load_digits() is None:
        pytest.skip("scikit-learn is missing")
    assert verdict_of(simlr.run(read(beugnot2022.GRID, control.overrides))).outcome == control.expected


def test_ratios_that_are_not_known_do_not_pass(run):
    lost = {name: lambda values: np.full_like(values, np.nan) for name in ("test_ratio", "small_train_loss")}
    assert beugnot2022.check(tampered(run, **lost)).outcome == UNDECIDED


def test_without_scikit_learn_the_rest_is_judged(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    made = small()
    verdict = beugnot2022.check(made)
    assert (int(made.digits_rows), np.isnan(made.accuracy).all()) == (0, True)
    assert verdict.outcome == HOLDS
    assert verdict.findings[-1].outcome == NOT_RUN
    assert 'pip install "simlr[papers]"' in str(verdict.findings[-1])
    assert len(beugnot2022.pictures(made)) == 1


def test_the_pictures_are_drawn(run):
    pictures = beugnot2022.pictures(run)
    assert [picture.key for picture in pictures] == ["rates", "digits"][: len(pictures)]
    assert all(style.saved(picture.figure, "png", dpi=40).startswith(b"\x89PNG") for picture in pictures)
