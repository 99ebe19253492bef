"""Progress that is true: compiling is counted by itself, and left out of what a run has left; late bars; notebooks."""

import contextlib
import io
import os
import pty
import sys
import time
import types

import pytest
import runs
from numba.core import event

import simlr
from simlr.cli import progress
from simlr.engine import sweeps
from simlr.grid.startup import compiling_told
from simlr.report import __main__ as report


@pytest.fixture
def clock(monkeypatch):
    """Seconds that the test sets; nothing has been left out before."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress, "_left_out", 0.0)
    return now


@pytest.fixture
def terminal():
    """(a stream to a pseudo-terminal, a function that gives what was written to it)."""
    master, slave = pty.openpty()
    with contextlib.closing(os.fdopen(slave, "w")) as stream:

        def written():
            stream.flush()
            os.set_blocking(master, False)
            found = b""
            with contextlib.suppress(BlockingIOError):
                while True:
                    found += os.read(master, 1 << 16)
            return found.decode()

        yield stream, written
    os.close(master)


class Made:
    """Stands for a kernel: what it calls stands in its code."""

    def __init__(self, source, separate=True, **names):
        space = {"__name__": "simlr.kernels.made", **names}
        exec(source, space)
        self.py_func = next(value for value in space.values() if isinstance(value, types.FunctionType))
        self.inner = types.SimpleNamespace(overloads={})
        self.separate, self.overloads = separate, {}


def test_what_compiling_left_out_does_not_count(clock, capsys):
    lines = progress.Lines(100, 0, "seeds", sys.stderr)
    clock[0] += 60.0
    progress.leave_out(60.0)
    clock[0] += 2.0
    lines.update(10)
    assert capsys.readouterr().err == "10 %: 10 of 100 seeds, 18 s left\n"


def test_nor_does_it_on_a_terminal(terminal, monkeypatch):
    stream, written = terminal
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    bar = progress.show(100, stream=stream)
    monkeypatch.setattr(bar._bar, "_time", lambda: now[0])
    bar._bar.start_t = bar._bar.last_print_t = now[0]
    now[0] += 60.0
    progress.leave_out(60.0)
    now[0] += 2.0
    bar.update(10)
    assert "00:02<00:18" in written()
    bar.close()


def test_functions_are_counted_as_numba_tells(clock):
    inlined = Made("def inlined(x): return x + x * x - x", separate=False)
    leaf = Made("def leaf(x): return inlined(x)", inlined=inlined)
    other = Made("def other(x): return x")
    module = types.ModuleType("simlr.kernels.elsewhere")
    module.other = other
    top = Made("def top(x): return leaf(x) + elsewhere.other(x)", leaf=leaf, elsewhere=module)
    assert sweeps.to_come(top.py_func) == {leaf.py_func, inlined.py_func, other.py_func}
    told = []
    foreign = types.SimpleNamespace(py_func=test_nor_does_it_on_a_terminal)
    with sweeps.Watch(told.append, [top]):
        with event.trigger_event("numba:compile", data={"dispatcher": foreign}):
            assert told == []
        with event.trigger_event("numba:compile", data={"dispatcher": top}):
            assert (told[-1].done, told[-1].total, told[-1].active) == (0, 4, True) and told[-1].left != told[-1].left
            for made in (inlined, leaf):
                with event.trigger_event("numba:compile", data={"dispatcher": made}):
                    clock[0] += 3.0
                    made.inner.overloads[()] = 1
            assert told[-1].total == 4 and told[-1].seconds == 6.0
            assert told[-1].left == 6.0  # 2 done, 2 to come
            other.inner.overloads[()] = 1  # from the cache
            top.overloads[()] = 1
    assert told[-1] == (4, 4, 6.0, 0.0, False)
    totals = [state.total for state in told]
    assert totals == sorted(totals)
    with event.trigger_event("numba:compile", data={"dispatcher": top}):
        assert not told[-1].active  # nobody listens


def test_a_log_is_told_of_compiling_now_and_then(clock, capsys):
    def top(x):
        return x

    top.__module__ = "simlr.kernels.made"
    dispatcher = types.SimpleNamespace(py_func=top)
    with compiling_told(False):
        for _ in range(12):
            with event.trigger_event("numba:compile", data={"dispatcher": dispatcher}):
                clock[0] += 2.0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "compiling kernels, first run only: 0 of 1" and len(lines) == 3
    assert progress._left_out == 24.0
    with compiling_told(True), event.trigger_event("numba:compile", data={"dispatcher": dispatcher}):
        clock[0] += 20.0
    assert capsys.readouterr().err == "" and progress._left_out == 44.0


def test_a_terminal_has_a_line_that_changes_and_goes(terminal):
    stream, written = terminal
    line = progress.Compiling(stream)
    line.update(31, 87, 12.4)
    assert "compiling kernels, first run only: 31 of 87, about 12 s left" in written()
    line.update(87, 87, 0.0)
    assert "87 of 87" in written()
    line.close()
    assert written().replace("\r", "").strip() == ""


def test_what_comes_from_the_cache_is_not_told(capsys):
    config = runs.grid(seeds__count=2)
    simlr.run(config)
    with compiling_told(False):
        simlr.run(config)
    assert capsys.readouterr().err == ""


def test_true_shows_a_bar_of_ones_own(capsys, monkeypatch):
    shown = []
    monkeypatch.setattr(progress.Lines, "update", lambda self, done: shown.append(done))
    simlr.run(runs.grid(seeds__count=9), progress=True)
    assert shown[-1] == 9
    shown.clear()
    simlr.run(runs.grid(seeds__count=9), progress=False)
    assert shown == []


def test_a_late_bar_waits_and_a_log_has_none(terminal, capsys):
    stream, written = terminal
    bar = progress.show(3, unit="parts", stream=stream, late=True)
    bar.update(1)
    assert written() == ""
    bar._bar.start_t -= 10.0
    bar._bar.last_print_t -= 10.0
    bar.grow(5)
    bar.update(2)
    assert "2/5" in written()
    bar.close()
    assert isinstance(progress.show(3, stream=io.StringIO(), late=True), progress.Silent)


def test_a_report_counts_its_parts(finished, tmp_path, monkeypatch):
    told = []

    @contextlib.contextmanager
    def shown(unit, quiet, late=False):
        assert late
        yield lambda done, total: told.append((done, total))

    monkeypatch.setattr(progress, "shown", shown)
    assert report.main([str(finished), "--out", str(tmp_path / "made"), "--format", "csv,md"]) == 0
    assert [done for done, _ in told] == list(range(len(told))) and told[-1][0] >= 3
    assert all(done <= total for done, total in told)


def test_a_notebook_has_its_own_bar(monkeypatch):
    made = []

    def bar(**settings):
        made.append(settings)
        return types.SimpleNamespace(n=0, start_t=0.0, last_print_t=0.0, update=lambda count: None)

    shell = types.SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "tqdm.auto", types.SimpleNamespace(tqdm=bar))
    assert progress.in_notebook()
    shown = progress.show(10, stream=io.StringIO())
    assert isinstance(shown, progress.Bar) and made == [
        {"total": 10, "initial": 0, "unit": " seeds", "unit_scale": False}
    ]
    shown.update(5)
    shell.config = {}
    assert not progress.in_notebook()
