"""The benchmark: that it runs, says what it promises, and notices a kernel that is wrong. No figure is judged here."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simlr.bench import __main__, jax_peers, machine, output, twins

ROOT = Path(__file__).resolve().parents[2]
FIGURE_KEYS = {"section", "key", "name", "value", "unit", "ratios", "bound", "how"}


def run_bench(*arguments, folder):
    """The finished process of a benchmark in its own Python."""
    command = [sys.executable, "-m", "simlr.bench", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """What --quick --json prints, and what is left in its working folder."""
    folder = tmp_path_factory.mktemp("bench")
    done = run_bench("--quick", "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), sorted(folder.iterdir())


@pytest.mark.slow
def test_every_section_has_figures_with_all_their_keys(quick):
    figures = quick[0]["figures"]
    assert list(dict.fromkeys(figure["section"] for figure in figures)) == list(__main__.SECTIONS)
    for figure in figures:
        assert set(figure) == FIGURE_KEYS
        assert all(figure[name] for name in ("key", "name", "unit", "bound", "how"))
    assert len({figure["key"] for figure in figures}) == len(figures)


@pytest.mark.slow
def test_every_figure_is_positive_and_finite(quick):
    for figure in quick[0]["figures"]:
        for value in (figure["value"], *figure["ratios"].values()):
            assert math.isfinite(value) and value > 0, figure


@pytest.mark.slow
def test_the_figures_say_where_they_come_from(quick):
    told = quick[0]
    assert told["benchmark"] == "simlr" and told["quick"] is True and told["seconds"] > 0
    assert told["machine"]["cores"] == machine.cores() and told["machine"]["processor"]
    assert {"simlr_version", "numba_version", "numpy_version", "kernel_digest"} <= set(told["versions"])
    assert any("--quick" in note for note in told["notes"])


@pytest.mark.slow
def test_nothing_is_left_behind(quick):
    assert quick[1] == []


def test_one_section_alone_as_a_table(folder, capsys):
    assert __main__.main(["--quick", "--only", "draws"]) == 0
    out = capsys.readouterr().out
    assert "DRAWS" in out and "normals" in out and "STEPPING" not in out


def test_an_unknown_section_is_refused_in_one_line(folder, capsys):
    assert __main__.main(["--only", "stepings"]) == 2
    assert "did you mean 'stepping'" in capsys.readouterr().err


@pytest.mark.parametrize("twin", ["descent", "crossing", "philox", "regression"])
def test_a_twin_that_disagrees_ends_the_benchmark(twin, folder, capsys, monkeypatch):
    """Each kernel has its own twin: breaking one is noticed."""
    right = getattr(twins, twin)
    broken = {
        "descent": lambda *arrays: (right(*arrays)[0] + 1, *right(*arrays)[1:]),
        "crossing": lambda *arrays: right(*arrays) * (1 + 1e-9),
        "philox": lambda root, seed, purpose, step: right(root, seed + 1, purpose, step),
        "regression": lambda features, *rest: right(features * (1 + 1e-7), *rest),
    }
    monkeypatch.setattr(twins, twin, broken[twin])
    assert __main__.main(["--quick", "--only", "draws"]) == 1
    captured = capsys.readouterr()
    assert "check failed" in captured.err and "the twin has" in captured.err
    assert "DRAWS" not in captured.out and not list(folder.iterdir())


def test_the_loops_that_are_timed_stop_where_the_twin_does():
    curvature, residual, rates = twins.descent_inputs(3, 40, 5, 400)
    wanted = twins.descent(curvature, residual, rates, [1e-1])[0][..., 0]
    assert 0 < wanted.min() and wanted.max() == 400
    np.testing.assert_array_equal(twins.numpy_loop(curvature, residual, rates, 1e-1), wanted)


def test_newton_and_halving_find_the_same_crossings():
    curvature, residual, _ = twins.descent_inputs(4, 30, 1, 1)
    found = twins.numpy_crossing(curvature, residual, [1e-2, 1e-4])
    for column, level in zip(found.T, (1e-2, 1e-4), strict=True):
        np.testing.assert_allclose(column, twins.crossing(curvature, residual, level), rtol=1e-12)


@pytest.mark.parametrize("layout", ["columns", "rows"])
def test_jax_stops_where_numpy_does(layout):
    pytest.importorskip("jax")
    inputs = twins.descent_inputs(3, 40, 5, 400)
    found = jax_peers.jax_scan(layout)(*inputs, 1e-1)
    np.testing.assert_array_equal(found, twins.numpy_loop(*inputs, 1e-1))


def test_written_bytes_are_counted_to_the_last(tmp_path):
    pieces = machine.in_pieces([np.arange(300_000), np.zeros(0), np.arange(7)])
    assert sum(map(len, pieces)) == 8 * 300_007 and max(map(len, pieces)) == machine.PIECE
    taken = machine.write(tmp_path / "file", pieces, 3_000_001, checksum=True)
    assert taken.seconds > 0 and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (3.371e9, "/s", "3.37 G/s"),
        (0.0831, "s", "0.083 s"),
        (117.6e6, "B", "118 MB"),
        (999.9, "cells/s", "1000 cells/s"),
    ],
)
def test_amounts_have_three_digits_and_a_prefix(value, unit, text):
    assert output.amount(value, unit) == text
