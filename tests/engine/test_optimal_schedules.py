"""The adjoint of the expected loss and the schedules that are optimal by it: twins, closed forms, published numbers."""

import sys

import numpy as np
import pytest

import naive.expected as naive
import simlr
from simlr.errors import InputError

OPTIMIZERS = ("gd", 0.0), ("momentum", 0.8), ("nesterov", 0.7)
NOISES = "none", "isotropic", "hessian", "fresh"


def noise_table(noise, sigma, batch):
    """The noise as simlr has it."""
    if noise == "none":
        return {"kind": "none"}
    if noise == "fresh":
        return {"kind": "fresh", "sigma": sigma, "batch_size": batch}
    return {"kind": "gradient", "sigma": sigma, "covariance": noise}


def optimizer_table(optimizer, beta):
    return {"kind": optimizer} if optimizer == "gd" else {"kind": optimizer, "momentum": beta}


def random_problem(seed):
    """Curvature, start, rates, batches, offset and weight of a problem of a few axes and steps."""
    generator = np.random.default_rng(seed)
    size, steps = generator.integers(1, 7), generator.integers(1, 20)
    lam = 10.0 ** generator.uniform(-2, 0.3, size)
    rates = generator.uniform(0.0, 1.2, steps) / lam.max()
    offset = generator.standard_normal(size)
    batch = generator.integers(1, 9, steps).astype(float)
    return lam, generator.standard_normal(size), rates, batch, offset, generator.uniform(0.1, 1.0, size)


@pytest.mark.parametrize(("optimizer", "beta"), OPTIMIZERS)
@pytest.mark.parametrize("noise", NOISES)
def test_the_gradient_is_that_of_the_naive_twin(noise, optimizer, beta):
    """On nine random problems for each of the twelve: 108 in all; by complex steps, and by central differences."""
    for seed in range(9):
        lam, start, rates, batch, offset, weight = random_problem([seed, *noise.encode(), *optimizer.encode()])
        table, method = noise_table(noise, 0.3, batch), optimizer_table(optimizer, beta)
        found = simlr.loss_gradient(
            lam[None], start[None], rates, table, method, test_matrix=weight, offset=offset[None]
        )
        rest = optimizer, beta, noise, 0.3, weight, offset
        expected = naive.derivatives(lam, start, rates, batch, *rest)
        np.testing.assert_allclose(found.loss[0], naive.expected_loss(lam, start, rates, batch, *rest), rtol=1e-12)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found.learning_rate[0], expected, rtol=1e-9, atol=1e-12 * scale)
        step = 1e-3 / lam.max()
        t = seed % len(rates)
        beside = np.array([rates, rates, rates, rates])
        beside[:, t] += step * np.array([-2.0, -1.0, 1.0, 2.0])
        if beside.min() >= 0.0:
            losses = simlr.expected_losses(
                lam[None], start[None], beside, table, method, test_matrix=weight, offset=offset[None]
            ).test_loss[:, 0, 0]
            central = (losses[0] - 8.0 * losses[1] + 8.0 * losses[2] - losses[3]) / (12.0 * step)
            rounding = 1e-15 * found.loss[0] / step  # of the losses, in their difference
            assert central == pytest.approx(found.learning_rate[0, t], rel=1e-6, abs=rounding)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(("optimizer", "beta"), [("gd", 0.0), ("nesterov", 0.7)])
def test_pieces_equal_their_steps(noise, optimizer, beta):
    """Rates on both sides of 1/lam, at it and at 2/lam; odd and even lengths; several problems at once."""
    lam = np.array([[1.0, 0.5, 1e-9, 0.0], [2.0, 1.0, 0.3, 0.1]])
    start = np.array([[1.0, -2.0, 3.0, 1.0], [0.5, 0.4, -0.3, 0.2]])
    eta, lengths = np.array([0.3, 1.0, 0.9, 0.05, 0.0, 0.99999999]), np.array([7, 1, 4, 300, 3, 11])
    offset = np.full((2, 4), 0.1)
    options = {"test_matrix": np.array([0.5, 1.0, 2.0, 0.1]), "offset": offset}
    table, method = noise_table(noise, 0.2, 16.0), optimizer_table(optimizer, beta)
    if optimizer == "nesterov":
        eta = eta / 4.0
    pieces = simlr.loss_gradient(lam, start, eta, table, method, lengths=lengths, **options)
    steps = simlr.loss_gradient(lam, start, np.repeat(eta, lengths), table, method, **options)
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    np.testing.assert_allclose(pieces.loss, steps.loss, rtol=1e-12)
    summed = np.add.reduceat(steps.learning_rate, first, axis=1)
    np.testing.assert_allclose(pieces.learning_rate, summed, rtol=1e-9, atol=1e-11 * np.abs(summed).max())


def test_the_gradient_by_the_batch_size_is_that_of_differences():
    lam, start, rates, batch, _, _ = random_problem(3)
    found = simlr.loss_gradient(lam[None], start[None], rates, noise_table("fresh", 0.3, batch))
    for t in range(len(rates)):
        losses = []
        for step in (-1e-4, 1e-4):
            moved = batch + 10.0
            moved[t] += step
            losses.append(simlr.loss_gradient(lam[None], start[None], rates, noise_table("fresh", 0.3, moved)).loss[0])
        at = simlr.loss_gradient(lam[None], start[None], rates, noise_table("fresh", 0.3, batch + 10.0))
        assert at.batch_size[0, t] == pytest.approx((losses[1] - losses[0]) / 2e-4, rel=1e-6, abs=1e-10)
    assert (found.batch_size <= 0.0).all()


# ---- the optimum ----

HESSIAN = {"kind": "gradient", "sigma": 1.0, "covariance": "hessian"}


def power_law(beta, source, modes=20_000):
    """Bins of lam = j^-beta and r^2 = j^-(1 + source beta - beta), j <= modes: curvature, residual, weights."""
    first = np.unique(np.round(np.geomspace(1, modes, 400)).astype(int))
    last = first[1:] - 1
    last[-1] = modes
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, modes + 1)))])
    count = last - first[:-1] + 1
    middle = np.exp((logs[last] - logs[first[:-1] - 1]) / count)
    lam = middle**-beta
    return lam[None], np.sqrt(middle ** (beta - 1.0 - source * beta))[None], 0.5 * lam * count


@pytest.mark.parametrize(("steps", "loss", "rate"), [(1_000, 3.82203e-3, 0.044647), (10_000, 7.73744e-4, 0.01455)])
def test_the_optimum_of_a_power_law_is_the_reference_one(steps, loss, rate):
    lam, start, weight = power_law(2.0, 1.5)
    found = simlr.optimise(lam, start, steps, HESSIAN, test_matrix=weight, pieces=200, limits={"cap": 1.0}, starts=1)
    assert found.loss[0] == pytest.approx(loss, rel=1e-5)
    assert found.learning_rate[0] == pytest.approx(rate, rel=1e-4)
    assert not found.cap_binds and found.gradient_norm < 1e-6
    if steps == 1_000:
        ratios = {"constant": 1.600, "linear": 1.071, "cosine": 1.115, "warmup_stable_decay": 1.305}
        assert found.over_optimum() == pytest.approx(ratios, rel=3e-3)


def test_ten_million_steps_grow_their_pieces():
    """Finer pieces than the 200 of the reference: their loss is the lower one, by less than half a per cent."""
    lam, start, weight = power_law(2.0, 1.5)
    found = simlr.optimise(lam, start, 10**7, HESSIAN, test_matrix=weight, limits={"cap": 1.0}, starts=4)
    assert 0.995 * 5.37506e-6 < found.loss[0] <= 5.37506e-6
    assert found.lengths.sum() == 10**7 and found.lengths.size <= 400
    assert found.start_gap < 1e-6 and min(found.over_optimum().values()) > 1.05


def test_ten_pieces_on_the_noisy_quadratic_model_take_the_reference_number_of_steps():
    """Zhang et al. 2019, batch size 16, loss 0.01."""
    values = np.geomspace(1.0, 1e-4, 100)
    h = 1.0 / np.arange(1, 10_001)
    count = np.bincount([int(np.argmax(values <= one * (1.0 + 1e-12))) for one in h], minlength=100)
    noise = {**HESSIAN, "sigma": 0.25}
    kept = count > 0
    lam, weight = values[None, kept], 0.5 * (values * count)[kept]

    def optimum(steps):
        cap = {"cap": 2.0 / (1.0 + 2e-4)}
        return simlr.optimise(
            lam, np.ones_like(lam), steps, noise, test_matrix=weight, pieces=[steps // 10] * 10, limits=cap
        )

    enough, short = optimum(53_310), optimum(53_290)
    assert enough.loss[0] <= 0.01 < short.loss[0]
    assert enough.learning_rate[[0, -1]] == pytest.approx([1.9996, 0.0078], rel=5e-3)
    assert enough.cap_binds
    # The best fixed rate of the reference's mesh. Its count of 379,858 steps is met to 1e-4: here it is 379,888.
    rate = [10.0 ** (-5 + 5.5 * 67 / 99)]
    fixed = [
        simlr.loss_gradient(lam, np.ones_like(lam), rate, noise, test_matrix=weight, lengths=[count]).loss[0]
        for count in (round(379_858 * 0.9999), round(379_858 * 1.0001))
    ]
    assert fixed[1] <= 0.01 < fixed[0]


def test_without_noise_it_is_no_worse_than_chebyshev_and_reaches_0_in_as_many_steps_as_curvatures():
    lam, start = np.array([[1.0, 0.6, 0.35, 0.2, 0.11]]), np.array([[1.0, -2.0, 0.5, 1.0, 3.0]])
    for steps in (2, 3, 4):
        chebyshev = simlr.schedules.tabulate("chebyshev", steps, smallest_curvature=0.11, largest_curvature=1.0)
        found = simlr.optimise(lam, start, steps, {"kind": "none"}, starts=4)
        reference = simlr.loss_gradient(lam, start, chebyshev, {"kind": "none"}).loss[0]
        assert found.loss[0] <= reference * (1.0 + 1e-9)
    few = simlr.optimise(lam[:, :3], start[:, :3], 3, {"kind": "none"}, starts=4)
    assert few.loss[0] < 1e-15
    np.testing.assert_allclose(np.sort(1.0 / few.learning_rate), np.sort(lam[0, :3]), rtol=1e-5)


@pytest.mark.parametrize("noise", ["isotropic", "fresh"])
def test_no_pair_of_rates_on_a_fine_mesh_is_better(noise):
    lam, start = np.array([[1.0, 0.3, 0.05]]), np.array([[1.0, 2.0, 4.0]])
    table = noise_table(noise, 0.5, 2.0)
    found = simlr.optimise(lam, start, 2, table, starts=4)
    mesh = np.linspace(0.0, 4.0, 401)
    pairs = np.stack([axis.ravel() for axis in np.meshgrid(mesh, mesh)], axis=1)
    losses = simlr.expected_losses(lam, start, pairs, table).train_loss[:, 0, 0]
    assert found.loss[0] <= losses.min() <= found.loss[0] * 1.001


def test_limits_hold():
    lam, start, weight = power_law(2.0, 1.5)
    lam, start, weight = lam[:, :100], start[:, :100], weight[:100]
    problem = {"test_matrix": weight, "pieces": 12, "starts": 1}
    free = simlr.optimise(lam, start, 300, HESSIAN, **problem)
    capped = simlr.optimise(lam, start, 300, HESSIAN, limits={"cap": 0.02}, **problem)
    assert capped.learning_rate.max() <= 0.02 and capped.cap_binds and capped.loss[0] > free.loss[0]
    limits = {"shape": "monotone", "peak": 0.05, "warmup_steps": 20}
    shaped = simlr.optimise(lam, start, 300, HESSIAN, limits=limits, **problem)
    np.testing.assert_allclose(shaped.rates()[:21], 0.05 * np.arange(21) / 20, rtol=1e-12)
    assert (np.diff(shaped.rates()[20:]) <= 1e-15).all() and shaped.lengths.sum() == 300
    hill = simlr.optimise(lam, start, 300, HESSIAN, limits={"shape": "unimodal"}, **problem)
    rising = np.diff(hill.learning_rate) > 1e-12
    assert not (np.diff(rising.astype(int)) > 0).any()
    assert free.loss[0] <= hill.loss[0] * (1.0 + 1e-8)
    bound = simlr.stability(lam, {"kind": "fresh", "batch_size": 1}).limit[0]
    stable = simlr.optimise(
        lam, start, 30, {"kind": "fresh", "batch_size": 1}, limits={"cap": "stability"}, starts=1, pieces=5
    )
    assert stable.largest == bound and stable.learning_rate.max() <= bound


def test_where_the_test_loss_rises_at_last_the_last_rate_is_0():
    """The start is the target: every step away from it costs."""
    lam, start = np.array([[1.0, 0.5]]), np.array([[1.0, 1.0]])
    found = simlr.optimise(lam, start, 3, {"kind": "none"}, offset=-start)
    assert found.loss[0] < 1e-20


def test_the_optimum_is_a_schedule_of_a_grid():
    lam, start = np.array([[1.0, 0.1]]), np.array([[1.0, 3.0]])
    for pieces in (1, 5):
        found = simlr.optimise(lam, start, 40, HESSIAN, pieces=pieces, starts=1)
        table = found.table()
        kind = table.pop("kind")
        np.testing.assert_array_equal(simlr.schedules.tabulate(kind, **table), found.rates())


def test_greedy_rates_are_each_the_best_of_their_step_and_too_small_for_the_horizon():
    lam, start, weight = power_law(2.0, 1.5)
    lam, start, weight = lam[:, :60], start[:, :60], weight[:60]
    for table in (HESSIAN, noise_table("fresh", 1.0, 4.0)):
        rates = simlr.greedy_rates(lam, start, 50, table, test_matrix=weight)
        for t in (0, 10, 49):
            slope = simlr.loss_gradient(lam, start, rates[: t + 1], table, test_matrix=weight).learning_rate[0]
            assert abs(slope[t]) < 1e-12
        best = simlr.optimise(lam, start, 50, table, test_matrix=weight, starts=1)
        greedy = simlr.loss_gradient(lam, start, rates, table, test_matrix=weight).loss[0]
        assert greedy > best.loss[0] and rates[25] < best.rates()[25]


@pytest.mark.slow
def test_no_usual_shape_beats_the_optimum_on_fifty_problems():
    for seed in range(50):
        generator = np.random.default_rng(seed)
        lam = 10.0 ** generator.uniform(-3, 0, (int(generator.integers(1, 3)), 12))
        start, steps = generator.standard_normal(lam.shape), int(generator.integers(2, 30))
        noise = noise_table(NOISES[seed % 4], 0.3, 4.0)
        optimizer = optimizer_table(*OPTIMIZERS[seed % 3])
        found = simlr.optimise(lam, start, steps, noise, optimizer, limits={"cap": "stability"}, starts=1)
        assert min(found.over_optimum().values()) >= 1.0 - 1e-9, seed


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"limits": {"cup": 1.0}}, "limits: unknown key 'cup'; did you mean 'cap'?"),
        ({"limits": {"cap": -1.0}}, "limits.cap must be a finite number > 0, got -1.0"),
        ({"limits": {"peak": 0.1}}, "limits.peak goes with a shape"),
        ({"limits": {"peak": 0.5, "cap": 0.1, "shape": "monotone"}}, "limits.peak must be at most the cap, 0.1"),
        ({"limits": {"warmup_steps": 9}}, "limits.warmup_steps must be below the 9 steps, got 9"),
        ({"limits": 3}, "limits must be a table, got 3"),
        ({"pieces": [3, 4]}, "pieces must sum to the 9 steps after the warm-up, got 7"),
        ({"pieces": [0, 9]}, "lengths of pieces must be whole numbers >= 1"),
        ({"steps": 0}, "steps must be a whole number >= 1, got 0"),
        ({"noise": {"kind": "minibatch"}}, "noise 'minibatch': unknown kind 'minibatch'"),
        ({"test_matrix": np.eye(3)}, "test_matrix must be a diagonal of shape (2,) or (1, 2), got (3, 3)"),
        ({"curvature": np.zeros((1, 2))}, "curvature must be above 0 somewhere"),
        ({"optimizer": {"kind": "gd", "average": "tail"}}, "optimizer.average 'tail': the loss is that of the last"),
    ],
)
def test_bad_input_to_the_search_is_one_line(changes, words):
    given = {"curvature": np.ones((1, 2)), "residual": np.ones((1, 2)), "steps": 9, "noise": {"kind": "none"}}
    with pytest.raises(InputError) as caught:
        simlr.optimise(**{**given, **changes})
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_without_scipy_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(InputError, match=r"optimal schedules need SciPy: pip install 'simlr\[optimal\]'"):
        simlr.optimise(np.ones((1, 2)), np.ones((1, 2)), 3, {"kind": "none"})
