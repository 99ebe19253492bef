"""Schedules that are taken away: the same rates at every step, as another program reads them."""

import csv
import io
import json
import sys
import types

import numpy as np
import pytest

import simlr
from simlr.errors import InputError

RATES = simlr.schedules.tabulate("cosine", 300, learning_rate=0.3, end_learning_rate=1e-7)
STAIRS = simlr.schedules.tabulate("step", 300, learning_rate=1.0 / 3.0, step_size=70)
each = pytest.mark.parametrize("rates", [RATES, STAIRS, np.array([0.1])], ids=["cosine", "stairs", "one"])


def executed(text):
    """The names that a Python file defines."""
    names = {}
    exec(compile(text, "exported", "exec"), names)
    return names


@each
def test_the_file_for_torch_needs_the_standard_library_alone(rates, tmp_path):
    text = simlr.schedules.export(rates, "torch", tmp_path / "rates.py")
    assert (tmp_path / "rates.py").read_text() == text and text.isascii()
    names = executed(text)
    assert [names["learning_rate"](step) for step in range(rates.size)] == rates.tolist()
    assert names["learning_rate"](10**9) == rates[-1] and names["STEPS"] == rates.size


@each
def test_torch_steps_with_these_rates(rates):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    function = executed(simlr.schedules.export(rates, "torch"))["learning_rate"]
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, function)
    for rate in rates:
        assert optimizer.param_groups[0]["lr"] == rate
        optimizer.step()
        scheduler.step()


@each
def test_the_file_for_optax_has_these_rates(rates, monkeypatch):
    """With NumPy in the place of jax.numpy, whose functions it has."""
    jax = types.ModuleType("jax")
    jax.numpy = np
    monkeypatch.setitem(sys.modules, "jax", jax)
    monkeypatch.setitem(sys.modules, "jax.numpy", np)
    function = executed(simlr.schedules.export(rates, "optax"))["learning_rate"]
    assert [float(function(step)) for step in range(rates.size)] == rates.tolist()


@each
def test_optax_takes_it_as_a_schedule(rates):
    optax = pytest.importorskip("optax", reason="optax is not installed")
    function = executed(simlr.schedules.export(rates, "optax"))["learning_rate"]
    np.testing.assert_allclose([float(function(step)) for step in range(rates.size)], rates, rtol=1e-6)
    optax.sgd(function)


@each
def test_tables_are_read_back_to_the_bit(rates, tmp_path):
    lines = list(csv.DictReader(io.StringIO(simlr.schedules.export(rates, "csv", tmp_path / "rates.csv"))))
    assert [float(line["learning_rate"]) for line in lines] == rates.tolist()
    assert [int(line["step"]) for line in lines] == list(range(rates.size))
    table = simlr.schedules.tabulate("table", rates.size, file=str(tmp_path / "rates.csv"))
    np.testing.assert_array_equal(table, rates)
    told = json.loads(simlr.schedules.export(rates, "json"))
    first = np.append(told["first_step"], told["steps"])
    np.testing.assert_array_equal(np.repeat(told["learning_rate"], np.diff(first)), rates)


def test_schedules_of_a_run_tables_and_optima_are_taken_as_they_are():
    table = {"kind": "step", "steps": 300, "learning_rate": 1.0 / 3.0, "step_size": 70}
    expected = simlr.schedules.export(STAIRS, "json")
    assert simlr.schedules.export(table, "json") == expected
    config = simlr.GridConfig.from_tables(
        {
            "problem": {"kind": "nakkiran2020"},
            "seeds": {"count": 1},
            "stop": {"train_loss": 1e-3, "max_steps": 300},
            "schedule": [table, {"kind": "flow"}],
        }
    )
    (stairs, _), (flow, _) = config.schedules()
    assert simlr.schedules.export(stairs, "json") == expected
    with pytest.raises(InputError, match="ends in a flow, which has no steps"):
        simlr.schedules.export(flow, "json")
    noise = {"kind": "gradient", "sigma": 0.1}
    found = simlr.optimise(np.array([[1.0, 0.1]]), np.ones((1, 2)), 10**9, noise, pieces=9, starts=1)
    told = json.loads(simlr.schedules.export(found, "json"))
    assert told["steps"] == 10**9 and told["learning_rate"] == found.learning_rate.tolist()
    with pytest.raises(InputError, match=r"export 'csv': at most 1,000,000 lines, and the schedule has 1,000,000,000"):
        simlr.schedules.export(found, "csv")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((RATES, "torchh"), "export: unknown format 'torchh'; did you mean 'torch'?"),
        (([0.1, -0.1], "csv"), "export: schedule must be >= 0, got -0.1"),
        ((["a"], "csv"), "export: schedule must be an array of numbers"),
        (({"kind": "cosine"}, "csv"), "export: a schedule given as a table has a kind and steps"),
        ((RATES, "csv", "/no/such/folder/rates.csv"), "/no/such/folder/rates.csv: cannot be written: No such file"),
    ],
)
def test_bad_input_is_one_line(arguments, words):
    with pytest.raises(InputError) as caught:
        simlr.schedules.export(*arguments)
    assert words in str(caught.value) and "\n" not in str(caught.value)
