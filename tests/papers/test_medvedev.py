"""Weak teachers and strong students: harmonics against mpmath, losses against sampling and quadrature, the verdict."""

import math
import warnings

import numpy as np
import pytest
from mpmath import mp

import simlr
from naive import sphere as naive
from simlr.analysis.verdict import verdict_of
from simlr.claims.registry import load_paper
from simlr.claims.verdict import FAILS, HOLDS, UNDECIDED
from simlr.config.reading import read
from simlr.errors import InputError
from simlr.kernels import jit
from simlr.papers import _sphere

PAPER = load_paper("medvedev2025")
SMALL = (
    ("study.dimensions", [16]),
    ("study.widths", [48, 96, 192]),
    ("seeds.count", 4),
)


def ran(*overrides):
    return simlr.run(read(PAPER.GRID, [*SMALL, *overrides]))


@pytest.fixture(scope="module")
def run():
    return ran()


class Tampered(dict):
    """Arrays in place of a run's."""

    def __init__(self, run, **arrays):
        super().__init__({name: np.array(run[name]) for name in run.names} | arrays)
        self.config = run.config


# ---- harmonics ----


@pytest.mark.parametrize("d", [3, 4, 32, 200])
@pytest.mark.parametrize("degree", [0, 1, 2, 3, 4, 10, 24])
def test_eigenvalues_are_the_integrals(d, degree):
    exact = float(naive.funk_hecke(d, degree))
    assert _sphere.relu_eigenvalue(d, degree) == pytest.approx(exact, rel=2e-13, abs=1e-25)


@pytest.mark.parametrize("d", [3, 5, 32])
def test_multiplicities_are_differences_of_polynomials(d):
    for degree in range(2, 12):
        polynomials = math.comb(degree + d - 1, d - 1) - math.comb(degree + d - 3, d - 1)
        assert _sphere.multiplicity(d, degree) == polynomials
    assert [_sphere.multiplicity(d, degree) for degree in (0, 1)] == [1, d]


@pytest.mark.parametrize("s", [-0.9, 0.05, 0.3])
def test_the_harmonics_sum_to_the_arc_cosine_kernel(s):
    d, own = 8, np.array([[1.0, 0.0], [s, math.sqrt(1.0 - s * s)]])
    terms = [
        _sphere.relu_eigenvalue(d, degree) ** 2 * _sphere.multiplicity(d, degree) * naive.legendre(d, degree, s)
        for degree in range(60)
    ]
    assert sum(terms) == pytest.approx(naive.kernel(own[:1], own[1:], d)[0, 0], rel=1e-6)


# ---- teachers ----


@pytest.mark.slow
def test_teachers_are_their_twins():
    d, width = 5, 9
    found = _sphere.teachers(3, 4, d, width, 6)
    for seed in range(4):
        own = naive.units(3, seed, d, width)
        weights, captured = naive.weights(own, d)
        assert found.captured[seed] == pytest.approx(captured, rel=1e-11)
        cosines = own @ own.T
        for degree in range(7):
            form = weights @ np.vectorize(lambda s, degree=degree: naive.legendre(d, degree, s))(cosines) @ weights
            energy = _sphere.relu_eigenvalue(d, degree) ** 2 * _sphere.multiplicity(d, degree) * form
            assert found.energies[seed, degree] == pytest.approx(energy, rel=1e-8, abs=1e-14)


def test_a_teachers_loss_is_what_samples_show():
    d, width, points = 6, 20, 200_000
    own = naive.units(0, 1, d, width)
    x = np.random.default_rng(5).standard_normal((points, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    squares = (math.sqrt(d) * x[:, 0] - naive.outputs(own, naive.weights(own, d)[0], x)) ** 2
    loss = 1.0 - _sphere.teachers(0, 2, d, width, 2).captured[1]
    assert abs(squares.mean() - loss) < 5.0 * squares.std() / math.sqrt(points)


def test_bits_do_not_depend_on_threads():
    found = []
    for threads in (1, 2):
        jit.set_threads(threads)
        found.append(_sphere.teachers(1, 3, 10, 30, 8))
    jit.set_threads(None)
    assert all((a == b).all() for a, b in zip(*found, strict=True))


# ---- students ----


@pytest.mark.slow
def test_a_students_loss_is_that_of_quadrature_without_harmonics():
    own = naive.units(2, 0, 3, 7)
    weights, _ = naive.weights(own, 3)
    student = PAPER.relu_student(3, _sphere.teachers(2, 1, 3, 7, PAPER.DEGREES))
    unit = _sphere.relu_eigenvalue(3, 1) ** -2
    for time in (0.1, 1.0, 5.0, 100.0):
        exact = naive.student_loss(own, weights, time * unit)
        assert student.losses(np.array([time]))[0, 0] == pytest.approx(exact, rel=0.01)


def test_a_linear_student_is_that_of_vectors():
    rng = np.random.default_rng(0)
    teacher = naive.linear_teacher(rng, 12, 4, 0.2)
    loss = ((np.eye(12)[0] - teacher) ** 2).sum()
    student = PAPER.linear_student(0.2, np.array([loss]))
    for time in (0.3, 2.0, 50.0):
        exact = naive.linear_student_loss(teacher, 0.2, time)
        assert student.losses(np.array([time]))[0, 0] == pytest.approx(exact, rel=1e-10)


@pytest.mark.parametrize("loss", [1e-2, 1.7e-10, 3e-17, 1e-120])
def test_tiny_losses_of_a_linear_teacher_keep_their_digits(loss):
    scale = 0.5 * loss
    student = PAPER.linear_student(scale, np.array([loss]))
    with mp.workdps(60):
        missing = [mp.exp(-t) + (1 - mp.exp(-t)) * mp.mpf(loss) for t in (0.5, 30.0, 300.0)]
        learned = [1 - mp.exp(-mp.mpf(scale) * t) for t in (0.5, 30.0, 300.0)]
        exact = [float(a**2 + b**2 * (1 - mp.mpf(loss)) * loss) for a, b in zip(missing, learned, strict=True)]
        converged = float(mp.mpf(loss) ** 2 + (1 - mp.mpf(loss)) * loss)
    np.testing.assert_allclose(student.losses(np.array([0.5, 30.0, 300.0]))[0], exact, rtol=1e-13)
    assert student.converged[0] == pytest.approx(converged, rel=1e-14)
    assert student.teacher_loss[0] == loss


def test_linear_teachers_have_the_law_of_units():
    rng = np.random.default_rng(1)
    drawn = np.array([1.0 - naive.linear_teacher(rng, 12, 4, 0.2)[0] for _ in range(4000)])
    law = PAPER.linear_teacher_losses(7, 4000, 12, 4, 0.2)
    for power in (1, 2):
        error = math.hypot((drawn**power).std(), (law**power).std()) / math.sqrt(4000)
        assert abs((drawn**power).mean() - (law**power).mean()) < 4.5 * error


def test_the_best_time_is_the_best_of_many():
    student = PAPER.relu_student(16, _sphere.teachers(0, 3, 16, 96, PAPER.DEGREES))
    times = np.geomspace(1e-3, 1e3, 20001)
    _, loss = student.best()
    np.testing.assert_allclose(loss, student.losses(times).min(axis=1), rtol=1e-6)
    assert (loss <= student.losses(times).min(axis=1) * (1.0 + 1e-12)).all()


# ---- the verdict ----


def test_the_claim_holds_and_its_controls_do_not(run):
    assert verdict_of(run).outcome == HOLDS
    assert verdict_of(ran(("study.stop", "converged"))).outcome == FAILS
    assert verdict_of(ran(("study.spread", 0.0))).outcome == FAILS


@pytest.mark.parametrize("control", PAPER.controls(), ids=lambda control: control.name)
def test_its_controls_come_out_as_they_must(control):
    if ("study.dimensions", [2000]) in control.overrides:
        control = control._replace(overrides=(*control.overrides, ("study.widths", [64])))
    assert verdict_of(simlr.run(read(PAPER.GRID, control.overrides))).outcome == control.expected


@pytest.mark.parametrize("override", [("study.linear_dimensions", [8, 16, 32]), ("study.spread", 300.0)])
def test_what_says_nothing_of_large_dimensions_decides_nothing(override):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert verdict_of(ran(override)).outcome == UNDECIDED


def test_a_steep_spectrum_is_no_matter_of_rounding():
    made = ran(("study.spread", 3.0))
    losses = made["linear_teacher_loss"]
    assert losses.min() < 1e-15
    np.testing.assert_allclose(made["linear_converged_loss"] / losses, 1.0, rtol=1e-5)
    assert verdict_of(made).outcome == HOLDS


def test_what_is_not_a_number_decides_nothing(run):
    lost = Tampered(run, student_loss=np.full_like(run["student_loss"], np.nan))
    assert PAPER.check(lost).outcome == UNDECIDED
    one = np.array(run["teacher_loss"])
    one[0, 0, 0] = np.nan
    assert PAPER.check(Tampered(run, teacher_loss=one)).outcome == UNDECIDED


@pytest.mark.parametrize(
    "change",
    [
        lambda run: {"student_loss": run["teacher_loss"] ** 1.4},
        lambda run: {"student_loss": run["teacher_loss"] ** 2.1},
        lambda run: {"linear_student_loss": run["linear_teacher_loss"] ** 1.8},
        lambda run: {"converged_loss": 0.9 * run["converged_loss"]},
    ],
)
def test_a_tampered_run_does_not_pass(run, change):
    assert PAPER.check(Tampered(run, **change(run))).outcome == FAILS


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (("study.dimensions", [2]), "study.dimensions must be ascending whole numbers >= 3"),
        (("study.widths", [8, 4]), "study.widths must be a list of ascending whole numbers >= 1"),
        (("study.stop", "bests"), "study.stop"),
    ],
)
def test_what_is_refused(override, message):
    with pytest.raises(InputError, match=message):
        read(PAPER.GRID, [override])
