"""The command `simlr COMMAND ...`, also `python -m simlr COMMAND ...`: hands over to the command that is named."""

from .cli import signals  # noqa: I001 - first: it minds signals from then on

import importlib
import sys
from collections.abc import Sequence

from . import __version__
from .cli import completion
from .cli.arguments import BAD_INPUT, DONE, one_line, say
from .errors import unknown

# command -> (what it does, the module whose `main` it is, arguments put before the given ones)
COMMANDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "new": ("write a commented grid for a table: simlr new mine.csv", "simlr.grid.new", ()),
    "list": ("list what a grid may name; simlr list cosine describes one", "simlr.grid.catalogue", ()),
    "run": ("run a grid of schedules x seeds, or a paper's claim", "simlr.grid.__main__", ()),
    "report": ("make the report of a run file", "simlr.report.__main__", ()),
    "optimise": ("compute the best learning rates of a grid's problem", "simlr.grid.optimise", ()),
    "fit": ("fit a law to loss curves, and say how well it predicts", "simlr.laws.__main__", ()),
    "explore": ("write the page in which a class trains a run again", "simlr.report.__main__", ("--explore",)),
    "papers": ("run published claims and judge them", "simlr.papers.__main__", ()),
    "status": ("say what is done, missing and damaged of run files", "simlr.status", ()),
    "verify": ("check a run file's layout and every block's CRC", "simlr.grid.__main__", ("--verify",)),
    "merge": ("join the shards of a grid into one run file", "simlr.merge", ()),
    "bench": ("measure how fast simlr is on this machine", "simlr.bench.__main__", ()),
}


# (command, argument) -> what gives the names that it may have, "module:function"; elsewhere files are completed.
NAMES = {
    ("list", "name"): "simlr.grid.catalogue:names",
    ("run", "grid"): "simlr.claims.registry:paper_names",
    ("optimise", "grid"): "simlr.claims.registry:paper_names",
    ("papers", "papers"): "simlr.claims.registry:paper_names",
    ("fit", "law"): "simlr.laws.law:names",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Hand over to the command that the first argument names; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    name, rest = (given[0], given[1:]) if given else ("", [])
    if name in ("", "-h", "--help"):
        return one_line("simlr", lambda: _print(_help()))
    if name == "--version":
        return one_line("simlr", lambda: _print(f"simlr {__version__}"))
    if name not in COMMANDS:
        say(f"simlr: {unknown('command', name, [*COMMANDS], 'command')}")
        return BAD_INPUT
    _, module, before = COMMANDS[name]
    if name == "verify":  # the file is the option's value
        files = [argument for argument in rest if not argument.startswith("-")]
        if not files and not {"-h", "--help"} & set(rest):
            say("simlr verify: the run file is missing: simlr verify RUN.h5")
            return BAD_INPUT
        before = () if {"-h", "--help"} & set(rest) else before
        rest = [*files, *(argument for argument in rest if argument.startswith("-"))]
    return importlib.import_module(module).main([*before, *rest])


def _help():
    """What commands there are."""
    lines = [f"  {name:<8} {meaning}" for name, (meaning, _, _) in COMMANDS.items()]
    return "\n".join(["usage: simlr COMMAND ...", "", *lines, "", "simlr COMMAND --help lists a command's options."])


def _print(text):
    print(text)
    return DONE


def command() -> int:
    """The command as a process of its own; returns the exit status."""
    completion.complete({name: (meaning, module) for name, (meaning, module, _) in COMMANDS.items()}, NAMES)
    return signals.finished(main)


if __name__ == "__main__":
    sys.exit(command())
