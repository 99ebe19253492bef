"""Completion of `simlr COMMAND ...` in a shell, by argcomplete (the extra `completion`), which is loaded for it alone.

The shell starts the command with _ARGCOMPLETE set and the line in COMP_LINE, and reads what may follow. Only the parser
of the command that the line names is loaded.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

ASKED = "_ARGCOMPLETE"


def complete(commands: Mapping[str, tuple[str, str]], names: Mapping[tuple[str, str], str]) -> None:
    """Where a shell asks for completions, answer it, and end the process; else nothing.

    Parameters
    ----------
    commands
        {command: (its meaning, the module whose `parser` it has)}.
    names
        {(command, argument): "module:function" of the names that it may have}.
    """
    if ASKED not in os.environ:
        return
    try:
        import argcomplete
    except ImportError:
        sys.exit(1)
    words = os.environ.get("COMP_LINE", "").split()
    argcomplete.autocomplete(tree(commands, names, words[1] if len(words) > 1 else ""), always_complete_options=False)


def tree(
    commands: Mapping[str, tuple[str, str]], names: Mapping[tuple[str, str], str], named: str
) -> argparse.ArgumentParser:
    """The parser of all commands, of which the named one has its arguments; others as in `complete`."""
    parser = argparse.ArgumentParser(prog="simlr")
    parser.add_argument("--version", action="store_true")
    below = parser.add_subparsers()
    for command, (meaning, module) in commands.items():
        parents = [importlib.import_module(module).parser()] if command == named else []
        one = below.add_parser(command, help=meaning, parents=parents, add_help=not parents)
        for action in one._actions:
            source = names.get((command, action.dest))
            if source is not None:
                action.completer = _completer(source)  # type: ignore[attr-defined]
    return parser


def _completer(source: str) -> Callable[..., Iterable[str]]:
    """What argcomplete asks for the names that begin with a prefix; files beside them."""

    def found(prefix: str, **_: Any) -> list[str]:
        module, _colon, function = source.partition(":")
        names = [str(name) for name in getattr(importlib.import_module(module), function)()]
        return [name for name in [*names, *_files(prefix)] if name.startswith(prefix)]

    return found


def _files(prefix: str) -> list[str]:
    """The files and folders whose paths begin with a prefix."""
    folder = os.path.dirname(prefix)
    try:
        with os.scandir(folder or ".") as entries:
            return [os.path.join(folder, entry.name) + ("/" if entry.is_dir() else "") for entry in entries]
    except OSError:
        return []
