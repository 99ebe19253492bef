"""Li, Wei, Ma (2019): the study against the twin, its check, and the claim itself on a few seeds."""

from types import SimpleNamespace

import numpy as np
import pytest

import simlr
from naive import network as naive
from simlr.analysis.verdict import verdict_of
from simlr.claims import evidence
from simlr.claims.registry import load_paper
from simlr.claims.verdict import FAILS, HOLDS, UNDECIDED
from simlr.config.reading import read
from simlr.grid import command as commands
from simlr.papers import li2019
from simlr.report.figures import style

COUNTS, SHAPE = (4, 12, 4), (24, 24**-0.5, 0.5, 5.0, (0.5, 1.0))
UNITS, TESTS, ROOT, SEEDS = 12, 60, 3, 3
SMALL = {
    "dimension": 24,
    "only_p": 4,
    "both": 12,
    "only_q": 4,
    "separation": 0.5,
    "scale": 5.0,
    "units": UNITS,
    "spread": 5.0,
    "tests": TESTS,
    "small_rate": 0.5,
    "large_rate": 10.0,
    "large_steps": 15,
    "weight_decay": 1e-3,
    "train_loss": 0.2,
    "max_steps": 400,
}


def small(**changes):
    """A study of a second."""
    overrides = [(f"study.{key}", value) for key, value in {**SMALL, **changes}.items()]
    return read(li2019.GRID, [*overrides, ("seeds.count", SEEDS), ("seeds.root", ROOT)])


class Tampered:
    """A run with other arrays."""

    def __init__(self, run, **arrays):
        self.config, self._run, self._arrays = run.config, run, arrays

    def __getitem__(self, name):
        return self._arrays.get(name, self._run[name])


@pytest.fixture(scope="module")
def claimed():
    """The default study on the fewest seeds that can decide."""
    return simlr.run(read(li2019.GRID, [("seeds.count", 12), ("study.tests", 300)]))


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_study_is_the_twins(noise):
    run = simlr.run(small(noise=noise))
    for s, rates in enumerate(((0.5, 0.5), (10.0, 0.5))):
        for seed in range(SEEDS):
            data = naive.train_points(ROOT, seed, COUNTS, *SHAPE)
            test = naive.points(ROOT, seed, 1, TESTS, *SHAPE)
            begin = naive.start(ROOT, seed, UNITS, SHAPE[0], 5.0)
            rule = SimpleNamespace(
                rates=rates, switch_step=15 * s, switch_loss=-1.0, decay=1e-3, sigma=noise, stop_loss=0.2, max_steps=400
            )
            wanted = naive.train(data, test, COUNTS, begin, rule, ROOT, seed)
            assert run["stop_step"][s, seed] == len(wanted.history) - 1
            found = [run[key][s, seed] for key in ("train_loss", "error_p", "error_q", "error_both")]
            np.testing.assert_allclose(found, wanted.history[-1][[0, 3, 4, 5]], rtol=1e-9)
            taken = run["recorded_step"] < len(wanted.history)
            curve = wanted.history[run["recorded_step"][taken], 1]
            np.testing.assert_allclose(run["trajectory_loss_p"][s, seed, taken], curve, rtol=1e-9)
            assert np.isnan(run["trajectory_loss_p"][s, seed, ~taken]).all()


@pytest.mark.slow
def test_bits_do_not_depend_on_threads_or_on_how_many_seeds():
    one, more = simlr.run(small(), threads=1), simlr.run(small().replace(seeds={"count": 5}), threads=2)
    for name in ("train_loss", "error_p", "stop_step", "sharpness", "trajectory_loss_q", "learnt_step"):
        axis = 0 if name == "sharpness" else 1
        assert np.array_equal(one[name], np.take(more[name], range(SEEDS), axis=axis), equal_nan=True), name


@pytest.mark.slow
def test_the_claim_holds(claimed):
    verdict = verdict_of(claimed)
    assert verdict.outcome == HOLDS, verdict.lines
    same = li2019.same_loss(claimed)
    small_rate, large_rate = claimed["error_p"][:, same].mean(axis=1)
    assert small_rate > 2 * large_rate
    # What makes it so: the large rate is beyond 2/sharpness along Q alone, the small one along neither.
    limit = 2 / claimed["sharpness"]
    assert (limit[:, 0] > 40).all()
    assert ((limit[:, 1] > 0.25) & (limit[:, 1] < 40)).all()


@pytest.mark.slow
def test_the_check_fails_where_the_schedules_are_exchanged(claimed):
    turned = {name: claimed[name][::-1] for name in ("error_p", "error_q", "error_both", "learnt_step")}
    verdict = li2019.check(Tampered(claimed, **turned))
    assert verdict.outcome == FAILS
    outcomes = [finding.outcome for finding in verdict.findings]
    assert outcomes[0] == HOLDS and outcomes.count(FAILS) >= 3 and HOLDS not in outcomes[1:]


@pytest.mark.slow
def test_the_check_fails_where_the_errors_do_not_differ(claimed):
    error = np.broadcast_to(claimed["error_p"][1], claimed["error_p"].shape)
    assert li2019.check(Tampered(claimed, error_p=error)).outcome == FAILS


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["train_loss", "status"])
def test_only_pairs_of_equal_loss_count(claimed, broken):
    other = claimed[broken].copy()
    other[1, :4] = 0.97 * other[0, :4] if broken == "train_loss" else 2
    verdict = li2019.check(Tampered(claimed, **{broken: other}))
    assert verdict.outcome == UNDECIDED
    assert verdict.findings[0].measured.endswith("of 12")


def test_the_sign_test_is_the_binomial_tail():
    assert li2019.chance(10, 0) == 2**-10
    assert li2019.chance(8, 2) == (45 + 10 + 1) / 2**10
    assert li2019.chance(0, 0) == li2019.chance(0, 5) == 1


def test_a_pattern_never_learnt_comes_last():
    run = {"learnt_step": np.array([[[3, -1]], [[-1, -1]]])}
    assert li2019.learnt(run)[0, 0].tolist() == [3.0, np.inf]
    assert np.isinf(li2019.learnt(run)[1]).all()


@pytest.mark.slow
def test_the_picture_is_drawn_where_there_are_pairs(claimed):
    with style.applied():
        (picture,) = li2019.pictures(claimed)
    assert len(style.svg(picture.figure)) > 10_000
    assert li2019.pictures(Tampered(claimed, status=np.full_like(claimed["status"], 2))) == []


def test_the_command_runs_it(tmp_path, capsys):
    settings = [word for key, value in SMALL.items() for word in ("--set", f"study.{key}={value}")]
    out = tmp_path / "small.h5"
    assert commands.grid_command(["li2019", "--seeds", "2", "--out", str(out), *settings]) == 0
    assert "verdict: undecided" in capsys.readouterr().out
    run = simlr.load(out)
    assert run["schedule"].tolist() == ["S", "L-S"]
    assert run["error_p"].shape == (2, 2)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("units=6", "study.units must be a multiple of 4, got 6"),
        ("only_p=0", "study.only_p"),
        ("large_rates=3", "did you mean 'large_rate'?"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, setting, words):
    command = ["li2019", "--out", str(tmp_path / "x.h5"), "--set", f"study.{setting}"]
    assert commands.grid_command(command) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


QUICK = ("one seed", "three seeds", "too few steps", "the two rates the other way round")


@pytest.mark.parametrize("name", QUICK)
def test_quick_controls_come_out_as_they_must(name):
    control = next(control for control in load_paper("li2019").controls() if control.name == name)
    run = simlr.run(read(li2019.GRID, [*control.overrides, ("study.tests", 100), ("study.points", 5)]))
    assert verdict_of(run).outcome == control.expected


def made_up(pairs, errors=(0.11, 0.04), first=1.0, tests=1000):
    """Pairs of networks with such errors; in a part of them L-S learns P first."""
    order = np.zeros((2, pairs, 2), np.int64)
    order[0] = [1500, 30]
    order[1] = [7, 160]
    order[1, round(first * pairs) :] = [160, 7]
    error = np.tile(np.array(errors)[:, None], (1, pairs))

    study = {"only_p": 20, "only_q": 20, "both": 60, "tests": tests, "small_rate": 0.25, "large_rate": 40.0}

    class Made(dict):
        config = SimpleNamespace(study=study)

    return Made(
        train_loss=np.full((2, pairs), 0.05),
        status=np.full((2, pairs), 1, np.uint8),
        learnt_step=order,
        sharpness=np.ones((pairs, 2)),
        error_p=error,
        error_q=error,
        error_both=error,
    )


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (made_up(60), HOLDS),
        (made_up(60, first=0.82), HOLDS),
        (made_up(60, first=0.6), UNDECIDED),
        (made_up(60, first=0.2), FAILS),
        (made_up(60, errors=(0.04, 0.11)), FAILS),
        (made_up(60, errors=(0.04, 0.04)), FAILS),
        (made_up(60, errors=(0.04, 0.04), tests=1), UNDECIDED),
        (made_up(60, errors=(np.nan, np.nan)), UNDECIDED),
        (made_up(9), UNDECIDED),
        (made_up(1), UNDECIDED),
    ],
)
def test_what_is_not_shown_is_undecided(made, expected):
    assert li2019.check(made).outcome == expected


def test_patterns_that_are_learnt_at_once_tell_no_order():
    made = made_up(60)
    made["learnt_step"] = np.zeros_like(made["learnt_step"])
    assert li2019.check(made).outcome == UNDECIDED


def test_the_default_size_has_the_power():
    """Nine seeds in ten make a pair, and L-S learns P first in 82 % of them."""
    assert 0.85 * read(li2019.GRID).seeds["count"] >= evidence.draws_needed(0.82)
