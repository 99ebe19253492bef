"""Rates that are lowered on plateaus of the loss: the rule against torch and a loop, whole runs against loops."""

import itertools
import math

import numpy as np
import pytest
import runs
from hypothesis import given, settings
from hypothesis import strategies as st

import simlr
from naive import descent as naive
from naive import plateaus as naive_plateaus
from naive import stochastic as naive_stochastic
from simlr.errors import InputError
from simlr.grid.extend import Extension
from simlr.grid.job import Job
from simlr.schedules.plateau import Plateaus
from simlr.store import merging

KIND, STEPS = "reduce_on_plateau", 120
RULE = {
    "learning_rate": 0.4, "factor": 0.5, "patience": 1, "threshold": 0.05, "threshold_mode": "relative", "cooldown": 1,
    "min_learning_rate": 0.02, "epsilon": 1e-8, "every": 3, "monitor": "train_loss",
}  # fmt: skip
RULES = st.fixed_dictionaries(
    {
        "learning_rate": st.sampled_from([1.0, 0.3]),
        "factor": st.sampled_from([0.0, 0.1, 0.5, 0.97]),
        "patience": st.integers(0, 4),
        "threshold": st.sampled_from([0.0, 1e-4, 0.01, 0.25]),
        "threshold_mode": st.sampled_from(["relative", "absolute"]),
        "cooldown": st.integers(0, 3),
        "min_learning_rate": st.sampled_from([0.0, 0.01, 0.3]),
        "epsilon": st.sampled_from([0.0, 1e-8, 0.02]),
        "every": st.just(1),
        "monitor": st.just("train_loss"),
    }
)
LOSSES = st.lists(st.one_of(st.sampled_from([1.0, 0.99, 0.5, 0.0, math.inf, math.nan]), st.floats(0, 2)), max_size=60)


def followed(rule, curves):
    """The rates (N, looks) after each look at some curves of one length, by the engine's rule."""
    plateaus = Plateaus([rule], len(curves))
    found = []
    for k, losses in enumerate(zip(*curves, strict=True)):
        plateaus.look((k + 1) * rule["every"], np.array([losses]))
        found.append(plateaus.rate[0].copy())
    return np.array(found).T, plateaus


# ---- the rule alone ----


@settings(max_examples=300)
@given(rule=RULES, curve=LOSSES)
def test_the_rule_is_that_of_a_loop(rule, curve):
    twin = naive_plateaus.Plateau(rule)
    wanted = [twin.look(loss) or twin.rate for loss in curve]
    found, plateaus = followed(rule, [curve, curve[::-1]])
    if curve:
        assert found[0].tolist() == wanted
    # Rates and times of every step, afterwards.
    steps = np.arange(len(curve) + 1)
    taken = [rule["learning_rate"], *wanted]
    asked = np.broadcast_to(steps, (1, 2, steps.size))
    assert plateaus.rates_at(asked)[0, 0].tolist() == taken
    sums = [math.fsum(taken[:t]) for t in steps]
    np.testing.assert_allclose(plateaus.times_at(asked)[0, 0], sums, rtol=1e-13, atol=0.0)


def noisy_curves():
    """Twenty settings, each with a curve that falls, jitters and rises."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        rule = {
            "learning_rate": float(rng.uniform(0.01, 2)), "factor": float(rng.uniform(0.05, 0.95)),
            "patience": int(rng.integers(0, 8)), "threshold": float(rng.choice([0.0, 1e-4, 1e-2, 0.1])),
            "threshold_mode": str(rng.choice(["relative", "absolute"])), "cooldown": int(rng.integers(0, 6)),
            "min_learning_rate": float(rng.choice([0.0, 1e-3])), "epsilon": float(rng.choice([1e-8, 1e-3])),
            "every": 1, "monitor": "train_loss",
        }  # fmt: skip
        t = np.arange(400)
        yield rule, np.exp(-t / 60) + 0.1 + 1e-3 * t * rng.random() + rng.normal(0, 0.02, t.size)


def test_the_rule_is_torchs():
    """torch's own class, told the same losses, to 1e-12 at every look."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    fallen = 0
    for rule, curve in noisy_curves():
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rule["learning_rate"])
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, "min", factor=rule["factor"], patience=rule["patience"], threshold=rule["threshold"],
            threshold_mode=rule["threshold_mode"][:3], cooldown=rule["cooldown"], min_lr=rule["min_learning_rate"],
            eps=rule["epsilon"],
        )  # fmt: skip
        wanted = []
        for loss in curve:
            scheduler.step(loss)
            wanted.append(optimizer.param_groups[0]["lr"])
        np.testing.assert_allclose(followed(rule, [curve])[0][0], wanted, rtol=1e-12, atol=0.0)
        fallen += len(set(wanted)) > 2
    assert fallen > 10


def test_a_share_of_a_loss_below_zero_is_one_of_its_size():
    rule = RULE | {"every": 1, "patience": 0, "cooldown": 0, "threshold": 0.1}
    rates, _ = followed(rule, [[-1.0, -1.05, -1.2, -1.2]])
    assert rates[0].tolist() == [0.4, 0.2, 0.2, 0.1]


# ---- whole runs ----


def arrays(seeds=5, seed=0):
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(2, seeds, 3, 3))
    held_out = factors @ factors.transpose(0, 1, 3, 2) / 3
    return {
        "curvature": np.array([0.9, 0.4, 0.05]) * rng.uniform(0.5, 1.0, (seeds, 1)),
        "residual": rng.normal(size=(seeds, 3)),
        "train_floor": rng.uniform(0.0, 0.1, seeds),
        "test_matrix": held_out[0],
        "validation_matrix": held_out[1],
        "validation_offset": rng.normal(0, 0.3, (seeds, 3)),
        "validation_floor": rng.random(seeds),
    }


ARRAYS = arrays()
METHODS = {"optimizer": [{"kind": "gd"}, {"kind": "momentum", "momentum": 0.8}, {"kind": "nesterov", "momentum": 0.5}]}
NOISE = {"noise": [{"kind": "none"}, {"kind": "gradient", "sigma": 0.3}]}
RECORD = {"record": {"points": STEPS + 1, "seeds": "all", "iterates": True}}


def looped(rule, n, optimizer, sigma, unit="absolute"):
    """(train losses (T + 1,), test losses, rates (T,), times (T + 1,)) of one seed by a loop."""
    a = {name: values[n] for name, values in ARRAYS.items()}
    problem = naive.quadratic(a["curvature"], a["residual"], a["test_matrix"], None, a["train_floor"])
    held_out = naive.quadratic(
        a["curvature"], a["residual"], a["validation_matrix"], a["validation_offset"], 0.0, a["validation_floor"]
    )
    gradient = naive_stochastic.isotropic(a["curvature"], sigma, 0, n)
    train = rule["monitor"] == "train_loss"
    path, rates = naive_plateaus.descend(
        gradient, (lambda r: naive.train_loss(problem, r)) if train else (lambda r: naive.test_loss(held_out, r)),
        a["residual"], STEPS, rule, optimizer["kind"], optimizer.get("momentum", 0.0),
        max(a["curvature"]) if unit == "sharpness" else 1.0,
    )  # fmt: skip
    times = np.array([math.fsum(rates[:t]) for t in range(STEPS + 1)])
    losses = [[f(problem, r) for r in path] for f in (naive.train_loss, naive.test_loss)]
    return *map(np.array, losses), rates, times / (max(a["curvature"]) if unit == "sharpness" else 1.0)


def cells():
    """(index of the schedule, optimiser, sigma), as a grid has them."""
    pairs = itertools.product(METHODS["optimizer"], [0.0, 0.3])
    return [(s, optimizer, sigma) for s, (optimizer, sigma) in enumerate(pairs)]


@pytest.mark.parametrize("unit", ["absolute", "sharpness"])
@pytest.mark.parametrize("monitor", ["train_loss", "validation_loss"])
def test_rates_losses_and_levels_are_those_of_a_loop(run_arrays, monitor, unit):
    rule, levels = RULE | {"monitor": monitor}, [0.3, 0.12]
    schedule = [{"kind": KIND, "unit": unit, "steps": STEPS, **rule}]
    run = run_arrays(ARRAYS, schedule, levels, **METHODS, **NOISE, **RECORD)
    lowered = set()
    for (s, optimizer, sigma), n in itertools.product(cells(), range(5)):
        train, test, rates, times = looped(rule, n, optimizer, sigma, unit)
        lowered.add(float(rates.sum()))
        np.testing.assert_allclose(run["trajectory_learning_rate"][s, n], [*rates, rates[-1]], rtol=1e-12)
        np.testing.assert_allclose(run["trajectory_train_loss"][s, n], train, rtol=1e-9)
        np.testing.assert_allclose(run["trajectory_test_loss"][s, n], test, rtol=1e-9)
        for e, level in enumerate(levels):
            at = np.flatnonzero(train <= level)
            step = at[0] if at.size else STEPS
            if level > ARRAYS["train_floor"][n]:
                assert run.status[s, n, e] == (1 if at.size else 2)
            assert run.stop_step[s, n, e] == step
            np.testing.assert_allclose(run.stop_time[s, n, e], times[step], rtol=1e-12, atol=1e-300)
    assert len(lowered) > 10  # or nothing was told of rates of their own
    assert np.isnan(run["learning_rate"]).all() and np.isnan(run["recorded_time"][:, 1:]).all()


def test_budgets_shares_and_landings(run_arrays):
    schedule = [{"kind": KIND, "steps": STEPS, **RULE}]
    spent = run_arrays(ARRAYS, schedule, None, stop={"steps": [50, 7, 120, 400], "max_steps": 400}, **METHODS, **NOISE)
    landed = run_arrays(
        ARRAYS,
        schedule,
        None,
        stop={"train_loss_fraction": [0.5, 0.3], "landing": "exact", "max_steps": 400},
        **METHODS,
    )
    for (s, optimizer, sigma), n in itertools.product(cells(), range(5)):
        train, test, _, times = looped(RULE, n, optimizer, sigma)
        for e, budget in enumerate([50, 7, 120, 400]):
            assert (spent.status[s, n, e], spent.stop_step[s, n, e]) == ((5, budget) if budget <= 120 else (2, 120))
            step = min(budget, 120)
            found = spent.train_loss[s, n, e], spent.test_loss[s, n, e], spent.stop_time[s, n, e]
            np.testing.assert_allclose(found, (train[step], test[step], times[step]), rtol=1e-9)
    for s, optimizer in enumerate(METHODS["optimizer"]):
        for n, (e, share) in itertools.product(range(5), enumerate([0.5, 0.3])):
            train, _, rates, times = looped(RULE, n, optimizer, 0.0)
            level = share * train[0]
            at = np.flatnonzero(train <= level)
            if not at.size:
                continue
            assert landed.stop_step[s, n, e] == at[0]
            np.testing.assert_allclose(landed.train_loss[s, n, e], level, rtol=1e-9)
            wanted = times[at[0] - 1] + landed.stop_fraction[s, n, e] * rates[at[0] - 1]
            np.testing.assert_allclose(landed.stop_time[s, n, e], wanted, rtol=1e-12)


@pytest.mark.parametrize("every", [2, 7])
def test_validation_with_patience_stops_them_where_a_loop_does(run_arrays, every):
    """Looks of the stop rule and of the schedule at other steps."""
    from naive import stopping

    schedule = [{"kind": KIND, "steps": STEPS, **RULE}]
    stop = {"validation": {"patience": [4, 2], "every": every, "min_delta": 0.001, "min_delta_mode": "relative"}}
    run = run_arrays(ARRAYS, schedule, None, stop=stop, **METHODS, **NOISE)
    for (s, optimizer, sigma), n in itertools.product(cells(), range(5)):
        a = {name: values[n] for name, values in ARRAYS.items()}
        held_out = naive.quadratic(
            a["curvature"], a["residual"], a["validation_matrix"], a["validation_offset"], 0.0, a["validation_floor"]
        )
        problem = naive.quadratic(a["curvature"], a["residual"], None, None, a["train_floor"])
        path, rates = naive_plateaus.descend(
            naive_stochastic.isotropic(a["curvature"], sigma, 0, n), lambda r: naive.train_loss(problem, r),  # noqa: B023
            a["residual"], STEPS, RULE, optimizer["kind"], optimizer.get("momentum", 0.0),
        )  # fmt: skip
        for e, patience in enumerate([4, 2]):
            _, step, end = stopping.validated(
                lambda t: naive.test_loss(held_out, path[t]), STEPS, False, every, patience, 0.001, True, True  # noqa: B023
            )  # fmt: skip
            assert (run.stop_step[s, n, e], run.stop_look_step[s, n, e]) == (step, end)
            np.testing.assert_allclose(run.stop_time[s, n, e], math.fsum(rates[:step]), rtol=1e-12, atol=1e-300)


def test_a_rate_that_is_never_lowered_is_a_constant(run_arrays):
    """Beside constants in one grid, whose recorded rates are their own; and a divergence has no rate beyond it."""
    never = {"kind": KIND, "learning_rate": 0.3, "patience": 10_000, "steps": STEPS}
    wild = {"name": "wild", "kind": KIND, "learning_rate": 40.0, "factor": 0.9, "patience": 10_000, "steps": STEPS}
    constant = {"kind": "constant", "learning_rate": 0.3, "steps": STEPS}
    run = run_arrays(ARRAYS, [never, constant, wild], [0.2], engine="recurrence", **RECORD)
    np.testing.assert_allclose(run["trajectory_learning_rate"][:2], 0.3, rtol=0)
    np.testing.assert_array_equal(run.stop_step[0], run.stop_step[1])
    for name in ("train_loss", "test_loss", "stop_time"):
        np.testing.assert_allclose(run[name][0], run[name][1], rtol=1e-12)
    assert (run.status[2] == 3).all()
    lost = np.isnan(run["trajectory_train_loss"][2])
    assert lost.any() and (np.isnan(run["trajectory_learning_rate"][2]) == lost).all()


# ---- losses of rows ----

ROWS = """
name = "rows"
[problem]
kind = "gaussian"
dimension = 4
train_rows = 12
validation_rows = 10
label_noise = 0.5
loss = "huber"
[seeds]
count = 11
[stop]
{stop}
[record]
points = 81
seeds = "all"
iterates = true
[[schedule]]
kind = "reduce_on_plateau"
learning_rate = 1.5
unit = "sharpness"
factor = 0.5
patience = 1
threshold = 0.02
every = [2, 5]
monitor = ["train_loss", "validation_loss"]
steps = 80
[[schedule]]
kind = "constant"
unit = "sharpness"
learning_rate = 1.0
steps = 80
[[optimizer]]
kind = "adam"
[[optimizer]]
kind = "sgd"
batch_size = 3
[run]
block_seeds = {block}
"""
QUADRATIC = ROWS.replace('loss = "huber"\n', "").replace('kind = "adam"', 'kind = "momentum"')
STOPS = [
    "steps = [9, 60]\nmax_steps = 80",
    'train_loss_fraction = [0.8, 0.5]\nlanding = "exact"\nmax_steps = 80',
    "validation = { patience = [2, 6], every = 3 }\nmax_steps = 80",
]


def own(text, stop, block=0):
    return simlr.GridConfig.from_toml(text.format(stop=stop, block=block))


@pytest.mark.parametrize("stop", STOPS, ids=["steps", "share", "validation"])
@pytest.mark.parametrize("text", [ROWS, QUADRATIC], ids=["huber", "squared"])
def test_bits_depend_on_neither_threads_nor_blocks_nor_interruptions(tmp_path, text, stop):
    whole = simlr.run(own(text, stop))
    rates = whole["trajectory_learning_rate"]
    assert len(np.unique(rates[:8, :, -1])) > 3
    runs.assert_same_bits(simlr.run(own(text, stop, 3), threads=1), whole)
    runs.assert_same_bits(simlr.run(own(text, stop, 1), threads=2), whole)
    runs.run_blocks(own(text, stop, 4), tmp_path / "run.h5", [1])
    runs.assert_same_bits(simlr.run(own(text, stop, 4), tmp_path / "run.h5", resume=True), whole)


@pytest.mark.parametrize(("text", "stop"), [(ROWS, STOPS[2]), (QUADRATIC, STOPS[0])], ids=["huber", "squared"])
def test_shards_and_growing_files_have_the_bits_of_one_run(folder, text, stop):
    """Grown by seeds, by a second schedule that goes by plateaus, and by a level, of which nothing is taken over."""
    config = own(text, stop, 3)
    whole = simlr.run(config)
    for index in range(2):
        job = Job(config, (index, 2))
        job.run(*job.open(f"{index}.h5"))
    merging.merge(["0.h5", "1.h5"], "run.h5")
    runs.assert_same_bits(simlr.load("run.h5"), whole)
    rule = next(name for name in config.stop if name not in ("landing", "max_steps"))
    first = {**config.stop[rule], "patience": [6]} if rule == "validation" else config.stop[rule][-1:]
    smaller = {
        "seeds": config.replace(seeds={"count": 4}),
        "schedules": config.replace(schedule=config.tables()["schedule"][:1]),
        "levels": config.replace(stop={rule: first}),
    }
    for what, small in smaller.items():
        simlr.run(small, f"{what}.h5")
        reused = Extension(Job(config), f"{what}.h5").reused
        assert reused == {"seeds": 4 * 10, "schedules": 8 * 11, "levels": 0}[what]
        runs.assert_same_bits(simlr.run(config, f"{what}.h5", extend=True), whole)


def test_recorded_rates_on_rows_follow_from_the_recorded_losses(tmp_path):
    """The loss of rows is taken as recorded, the rates by the loop; both monitors' rates differ."""
    run = simlr.run(own(ROWS, STOPS[0]))
    assert run.names and (run["trajectory_learning_rate"][8:10] == 1.0).all()
    for s in range(len(run["schedule"])):
        if run["schedule_kind"][s] != KIND or run["schedule_monitor"][s] != "train_loss":
            continue
        every = int(run["schedule_every"][s])
        rule = RULE | {"learning_rate": 1.5, "threshold": 0.02, "cooldown": 0, "min_learning_rate": 0.0, "every": every}
        for n in range(11):
            twin, wanted = naive_plateaus.Plateau(rule), []
            for t, loss in enumerate(run["trajectory_train_loss"][s, n]):
                if t and t % every == 0:
                    twin.look(loss)
                wanted.append(twin.rate)
            wanted[-1] = wanted[-2]
            np.testing.assert_allclose(run["trajectory_learning_rate"][s, n], wanted, rtol=1e-12)


def test_the_report_draws_the_rates_of_the_seeds(tmp_path):
    from simlr.analysis.families import OTHER, shape_of
    from simlr.report import __main__

    run = simlr.run(own(QUADRATIC, STOPS[1]), tmp_path / "run.h5")
    assert shape_of(run.config.schedules()[0][0]) == OTHER
    assert __main__.main([str(tmp_path / "run.h5"), "--out", str(tmp_path / "report")]) == 0
    text = (tmp_path / "report" / "report.md").read_text()
    assert "reduce\\_on\\_plateau" in text
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Bands: quartiles of rates that follow the loss of each seed." in page
    again = simlr.load(tmp_path / "run.h5")
    np.testing.assert_array_equal(again["trajectory_learning_rate"], run["trajectory_learning_rate"])


# ---- bad input ----

GAUSSIAN = {"kind": "gaussian", "dimension": 3, "train_rows": 9}
GIVEN = {"kind": KIND, "learning_rate": 0.1, "steps": 50}
REFUSED = [
    ({"factor": 1.0}, {}, "factor must be a number >= 0, below 1"),
    ({"threshold": 1.5}, {}, "threshold must be a share of the best loss where threshold_mode is 'relative'"),
    ({"threshold_mode": "rel"}, {}, "unknown mode 'rel'; valid are"),
    ({"monitor": "test_loss"}, {}, "unknown loss 'test_loss'"),
    ({"min_learning_rate": 0.2}, {}, "min_learning_rate must be at most learning_rate = 0.1"),
    ({"every": 0}, {}, "every must be a whole number >= 1"),
    ({"every": 60}, {}, "every must be at most its 50 steps"),
    ({"min_lr": 0.2}, {}, "unknown key 'min_lr'"),
    ({}, {"expectation": {}}, "its rates follow the loss of a single run"),
]


@pytest.mark.parametrize(("changes", "tables", "sentence"), REFUSED, ids=lambda v: str(v)[:30])
def test_what_cannot_be_is_refused_in_one_line(changes, tables, sentence):
    given = {"problem": GAUSSIAN, "stop": {"train_loss": 0.1}, "schedule": [GIVEN | changes], **tables}
    with pytest.raises(InputError) as refusal:
        simlr.GridConfig.from_tables(given)
    assert sentence in str(refusal.value) and "\n" not in str(refusal.value)


def test_what_needs_rates_before_a_run_refuses_them(run_grid, tmp_path):
    phases = {"phases": [{"kind": "warmup", "learning_rate": 0.1, "steps": 5}, GIVEN]}
    tables = {"problem": GAUSSIAN, "stop": {"train_loss": 0.1}}
    with pytest.raises(InputError, match="a whole schedule, and no phase beside others"):
        simlr.GridConfig.from_tables({**tables, "schedule": [phases]})
    with pytest.raises(InputError, match="its rates are those of a run, by the loss of each seed"):
        simlr.schedules.tabulate(KIND, steps=9, learning_rate=0.1)
    ((schedule, _),) = simlr.GridConfig.from_tables({**tables, "schedule": [GIVEN]}).schedules()
    with pytest.raises(InputError, match="its rates are those of a run"):
        simlr.schedules.export(schedule, "csv")
    with pytest.raises(InputError, match="monitor = 'validation_loss' needs a validation set of problem 'gaussian'"):
        run_grid(GAUSSIAN, [GIVEN | {"monitor": "validation_loss"}], [0.1])
    with pytest.raises(InputError, match="engine 'closed-form': the rates of schedule"):
        run_grid(GAUSSIAN, [GIVEN], [0.1], engine="closed-form")
