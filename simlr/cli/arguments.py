"""What the commands share: arguments and errors that end in one line, and output that may fail."""

import argparse
import contextlib
import os
import sys
import tomllib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..errors import InputError, RunError, nearest, show
from ..text import printable
from .signals import is_command, terminate_as_interrupt

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
MOST_DIGITS = 18
OTHERWISE = {"grid": "run", "laws": "fit"}  # module -> what `simlr` calls its command
HANDED_OVER = {"verify": "simlr run", "explore": "simlr report"}  # commands that others have the parser of
NO_THREAD = "can't start new thread"  # as Python says it, where the system gives this user no more
# Of an error, which may name what somebody else has written: as much of its beginning and its end.
LONGEST_LINE, LAST_SHOWN = 1500, 300


def called(module: str) -> str:
    """What a module's command is called: `simlr run` where `simlr` has handed over, else `python -m simlr.grid`."""
    script = Path(sys.argv[0] if sys.argv else "")
    if script.stem == "simlr" or script.parts[-2:] == ("simlr", "__main__.py"):
        return f"simlr {OTHERWISE.get(module, module)}"
    return f"python -m simlr.{module}"


class Parser(argparse.ArgumentParser):
    """The parser of the command of a module; its errors are one line, with exit status 2.

    `statuses` says what the exit statuses mean; `program` is what the command is called, where it has no module.
    """

    def __init__(self, module: str, description: str, statuses: str, program: str = ""):
        program, epilog = program or called(module), f"exit status: {statuses}"
        super().__init__(prog=program, description=description, epilog=epilog, allow_abbrev=False)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """What was given; of arguments that are unknown, the first is told with the option that is nearest."""
        given, rest = self.parse_known_args(args, namespace)
        if rest:
            near = nearest(rest[0].partition("=")[0], [*self._option_string_actions])
            hint = f"; did you mean {near}?" if near and rest[0].startswith("-") else ""
            self.error(f"unrecognized arguments: {' '.join(rest)}{hint}")
        return given

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, and where help is."""
        given = sys.argv[1] if len(sys.argv) > 1 else ""
        program = f"simlr {given}" if HANDED_OVER.get(given) == self.prog else self.prog
        self.exit(BAD_INPUT, f"{program}: {message} (--help lists the options)")

    def exit(self, status: int = DONE, message: str | None = None) -> NoReturn:
        """End the process, after one line where there is something to say."""
        if message:
            say(_on_one_line(message))
        _flush()
        sys.exit(status)


def positive(text: str) -> int:
    """An argument that is a whole number of 1 or more."""
    if not text.isdecimal() or len(text) > MOST_DIGITS or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 10^{MOST_DIGITS}, got {show(text, 40)}")
    return int(text)


def setting(text: str) -> tuple[str, Any]:
    """KEY.PATH=VALUE as (key, value); the value as TOML reads it, else as a string."""
    key, sign, value = text.partition("=")
    key = key.strip()
    if not sign or not key or not all(key.split(".")):
        raise argparse.ArgumentTypeError(f"must be KEY.PATH=VALUE, got {text!r}")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):  # no TOML, or a whole number of too many digits
        return key, value.strip()


def say(text: str) -> None:
    """Print to standard error, if anybody still listens there: what a run says must never end it."""
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr is not None:
            print(harmless(text), file=sys.stderr, flush=True)


def harmless(text: str) -> str:
    """Text for a terminal, line by line: what is no letter there, in the name of a file too, is escaped."""
    return "\n".join(map(printable, text.split("\n")))


def answered(
    work: Callable[[], int],
    interrupted: str | Callable[[KeyboardInterrupt], str],
    name: str = "simlr",
    still_working: Callable[[], bool] = lambda: False,
) -> int:
    """The exit status of a command's `work()`, whose expected errors become one line, and so does a signal.

    Parameters
    ----------
    work : callable
        Does it all; returns an exit status.
    interrupted : str or callable
        The line where a signal ended it; or a function that makes it from the KeyboardInterrupt.
    name : str
        What the line of an error begins with.
    still_working : callable
        Whether, after a signal, a thread still computes, which cannot be told to stop: the process just ends then.
    """
    try:
        with terminate_as_interrupt():
            status = one_line(name, work)
            if status and is_command() and still_working():
                os._exit(status)  # the interpreter's end would crash the compiler, which works on in a thread
            return status
    except KeyboardInterrupt as stopped:
        say(interrupted(stopped) if callable(interrupted) else interrupted)
        if still_working():
            os._exit(INTERRUPTED)
        return INTERRUPTED


def one_line(name: str, work: Callable[[], int]) -> int:
    """Run `work()`, which returns an exit status; expected errors become one line on standard error."""
    output: Any = sys.stdout  # not every stream that may stand there has a `reconfigure`
    with contextlib.suppress(AttributeError, ValueError, OSError):
        # A name that the terminal's encoding lacks is shown by its code.
        output.reconfigure(errors="backslashreplace")
    if is_command() and not sys.warnoptions:  # a warning of some package is nothing that a reader can act on
        warnings.simplefilter("ignore")
    try:
        status = work()
        _flush()
        return status
    except InputError as error:
        for fault in error.faults:
            say(_on_one_line(f"{name}: {fault}"))
        return BAD_INPUT
    except BrokenPipeError:
        # The reader of our output has gone (`| head`).
        _flush()
        return DONE
    except (RunError, MemoryError, OSError, RuntimeError) as error:
        if not isinstance(error, RunError | MemoryError | OSError) and NO_THREAD not in str(error):
            raise
        say(_on_one_line(f"{name}: {str(error) or 'out of memory'}"))
        return FAILED


def _on_one_line(text):
    """Text on one line that has an end, without control sequences of a terminal, which a file's name may bring."""
    line = printable(" ".join(text.splitlines()) if len(text) <= LONGEST_LINE else text[:LONGEST_LINE])
    if len(text) > LONGEST_LINE or len(line) > LONGEST_LINE:
        line = f"{line[: LONGEST_LINE - LAST_SHOWN]} ... {printable(text[-LAST_SHOWN:])}"
    return line


def _flush():
    """Bring standard output to where it goes; where that is gone or full, be silent about it now and at exit."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
