"""Completion in a shell: every command, its options and its names; by argcomplete itself where it is installed."""

import os
import subprocess
import sys

import pytest
import runs

from simlr.__main__ import COMMANDS, NAMES
from simlr.claims.registry import paper_names
from simlr.cli import completion

TOLD = {name: (meaning, module) for name, (meaning, module, _) in COMMANDS.items()}


def actions_of(command):
    """The actions of a command in the tree, by their names."""
    parser = completion.tree(TOLD, NAMES, command)
    (below,) = [action for action in parser._actions if action.choices]
    assert list(below.choices) == list(COMMANDS)
    return {action.dest: action for action in below.choices[command]._actions}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_its_options(command):
    found = actions_of(command)
    assert len(found) >= 3 and "help" in found
    assert {name for of, name in NAMES if of == command} <= {n for n, a in found.items() if hasattr(a, "completer")}


def test_names_and_files_are_offered(folder):
    (folder / "nakkiran.toml").touch()
    (folder / "narrow").mkdir()
    offered = actions_of("run")["grid"].completer("na")
    assert offered == ["nakkiran2020", "nakkiran.toml", "narrow/"] or set(offered) == {
        "nakkiran2020", "nakkiran.toml", "narrow/",
    }  # fmt: skip
    assert set(actions_of("papers")["papers"].completer("")) >= set(paper_names())
    assert "cosine" in actions_of("list")["name"].completer("cos")
    assert actions_of("list")["name"].completer("no/where") == []


def test_without_a_shell_that_asks_nothing_happens(monkeypatch):
    monkeypatch.delenv(completion.ASKED, raising=False)
    completion.complete(TOLD, NAMES)
    monkeypatch.setenv(completion.ASKED, "1")
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    with pytest.raises(SystemExit):
        completion.complete(TOLD, NAMES)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("simlr op", {"optimise "}), ("simlr run zha", {"zhang2019 "}), ("simlr fit --expo", {"--export "}),
        ("simlr optimise g.toml --export to", {"torch "}),
    ],
)  # fmt: skip
def test_argcomplete_offers_them(line, offered, folder):
    pytest.importorskip("argcomplete")
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_SHELL": "bash"}
    asked |= {"_ARGCOMPLETE_IFS": "\v", "_ARGCOMPLETE_STDOUT_FILENAME": str(folder / "said")}
    done = subprocess.run(
        [sys.executable, "-m", "simlr"], env={**os.environ, "PYTHONPATH": f"{runs.ROOT}{os.pathsep}" + os.environ.get(
            "PYTHONPATH", ""), **asked}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert set((folder / "said").read_text().split("\v")) == offered
