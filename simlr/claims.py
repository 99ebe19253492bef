"""The command `python -m simlr.papers`: run every paper and its controls, judge them, and print one table."""

import json
import sys
import tempfile
import textwrap
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from . import papers, store, summary
from .cli import progress
from .cli.arguments import DONE, FAILED, INTERRUPTED, Parser, one_line, positive, say
from .cli.signals import terminate_as_interrupt
from .config import read
from .errors import InputError, unknown
from .layout import FINDING_HEADER, Table, as_text
from .pipeline import still_working
from .text import printable, shortened

PROGRAM = "python -m simlr.papers"
MARK = "  control: "
NOTE_WIDTH = 140


@dataclass
class Judged:
    """One paper, run and judged."""

    name: str
    verdict: papers.Verdict
    controls: list  # of (papers.Control, papers.Verdict)
    seconds: float
    file: str  # the run file, "" where it was not kept

    @property
    def passed(self):
        """Whether the claim holds, and every control, of which there is at least one, finds that it does not there."""
        failed = [verdict.outcome == papers.FAILS for _, verdict in self.controls]
        return self.verdict.outcome == papers.HOLDS and bool(failed) and all(failed)

    def record(self):
        """All of it as nested dicts, for JSON."""
        paper = papers.load(self.name)
        return {
            "paper": self.name,
            "source": paper.SOURCE,
            "claim": self.verdict.claim,
            "reconstruction": paper.RECONSTRUCTION,
            "verdict": self.verdict.outcome,
            "findings": [_record(finding) for finding in self.verdict.findings],
            "controls": [
                {
                    "name": control.name,
                    "why": control.why,
                    "expected": papers.FAILS,
                    "outcome": verdict.outcome,
                    "findings": [_record(finding) for finding in verdict.findings],
                }
                for control, verdict in self.controls
            ],
            "passed": self.passed,
            "seconds": round(self.seconds, 3),
            "file": self.file,
        }


def _record(finding):
    """A finding for JSON: numbers stay numbers, but those that JSON lacks."""
    return {key: value if isinstance(value, str) else _number(value) for key, value in finding._asdict().items()}


def _number(value):
    number = float(value)
    return number if number - number == 0.0 else papers.told(number)


# ---- running ----


def judge(name, out, threads=None, overwrite=False, tell=None):
    """Run one paper into the run file `out`, and its controls in memory: the `Judged`.

    `tell` is a function of (what runs, done, all).
    """
    from .grid import run

    begin, paper = time.monotonic(), papers.load(name)
    run(read(paper.GRID), out, threads=threads, overwrite=overwrite, progress=_told(tell, name))
    verdict = _verdict(store.load(out))
    controls = []
    for control in paper.controls():
        config = read(control.grid or paper.GRID, control.overrides)
        made = run(config, threads=threads, progress=_told(tell, f"{name}, control {control.name!r}"))
        controls.append((control, _verdict(made)))
    return Judged(name, verdict, controls, time.monotonic() - begin, str(out))


def _told(tell, what):
    return (lambda done, total: tell(what, done, total)) if tell else None


def _verdict(run):
    """The verdict of a run that is a paper's."""
    found = summary.verdict(run)
    if found is None:
        raise InputError(f"{run.config.name}: belongs to no paper with a check")
    return found


# ---- the table ----


def table(judged):
    """One `Table` of all papers: every finding beside the paper's figure, every control, and what comes of it."""
    lines, notes = [], []
    for one in judged:
        claims = [(f"{one.name}: verdict", "", "", f"{one.seconds:.1f} s", one.verdict.outcome)]
        findings = [("  " + cells[0], *cells[1:]) for cells in (finding.cells() for finding in one.verdict.findings)]
        lines += claims + findings + [_control_line(control, verdict) for control, verdict in one.controls]
        notes += [f"{one.name}: {papers.load(one.name).SOURCE}. {one.verdict.claim}"]
        notes += [f"  {finding.what}: {finding.note}" for finding in one.verdict.findings if finding.note]
        notes += [f"  control {control.name!r}: {control.why}" for control, _ in one.controls]
    lines = [tuple(shortened(cell, 72 if i == 0 else 36) for i, cell in enumerate(line)) for line in lines]
    notes = [textwrap.fill(printable(note), NOTE_WIDTH, subsequent_indent="      ") for note in notes]
    return Table("Published claims, measured beside the papers' figures", FINDING_HEADER, tuple(lines), tuple(notes))


def _control_line(control, verdict):
    """A control: what its check found, and whether that is as it must be."""
    as_due = "as it must" if verdict.outcome == papers.FAILS else "WRONG: must not hold"
    return (MARK + control.name, "", "must not hold", as_due, verdict.outcome)


def ending(judged):
    """The last line: how many hold."""
    passed = sum(one.passed for one in judged)
    seconds = sum(one.seconds for one in judged)
    failed = [one.name for one in judged if not one.passed]
    text = f"{passed} of {len(judged)} claims hold and fail in every control, as they must; {seconds:.0f} s"
    return text + (f"; not so: {', '.join(failed)}" if failed else "")


# ---- the command ----


def _parser():
    made = Parser(
        prog=PROGRAM,
        description="Run published claims and their negative controls, and judge them: one table.",
        epilog="exit status: 0 every claim holds and no control does, 1 otherwise, 2 bad usage, 130 interrupted",
        allow_abbrev=False,
    )
    made.add_argument("papers", nargs="*", metavar="NAME", help="the papers to run (default: all)")
    made.add_argument("--json", action="store_true", help="print JSON in place of the table")
    made.add_argument("--out", metavar="DIR", help="keep the run files, DIR/<name>.h5 (default: they are removed)")
    made.add_argument("--overwrite", action="store_true", help="replace run files in DIR")
    made.add_argument("--threads", metavar="N", type=positive, help="threads to compute with (default: all)")
    made.add_argument("--list", action="store_true", help="print the papers and their claims; run nothing")
    made.add_argument("--quiet", action="store_true", help="no progress")
    return made


def main(arguments=None):
    """The command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        with terminate_as_interrupt():
            return one_line("simlr", lambda: _command(options))
    except KeyboardInterrupt:
        say("interrupted; " + ("finished runs are kept in " + options.out if options.out else "nothing is kept"))
        if still_working():
            _leave()
        return INTERRUPTED


def _leave():
    """End while a thread still computes, which cannot be told to stop."""
    import os

    os._exit(INTERRUPTED)


def _command(options):
    wanted = _names(options.papers)
    if options.list:
        print("\n".join(f"{name}\n    {papers.load(name).SOURCE}\n    {papers.load(name).CLAIM}" for name in wanted))
        return DONE
    with ExitStack() as held:
        folder = _folder(options.out) if options.out else Path(held.enter_context(tempfile.TemporaryDirectory()))
        judged = [_judged(name, folder, options) for name in wanted]
    if options.json:
        print(json.dumps({"papers": [one.record() for one in judged]}, indent=2))
    else:
        print(f"{as_text(table(judged))}\n\n{ending(judged)}")
    return DONE if all(one.passed for one in judged) else FAILED


def _names(wanted):
    """The papers asked for, each once; InputError where there is no such paper."""
    for name in wanted:
        if name not in papers.names():
            raise unknown("papers", name, papers.names(), "paper")
    return list(dict.fromkeys(wanted)) or papers.names()


def _folder(out):
    """The folder of --out, made where only it is missing."""
    folder = Path(out)
    if not folder.parent.is_dir():
        raise InputError(f"--out {folder}: the folder {folder.parent} does not exist")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be a folder: {error.strerror}") from None
    return folder


def _judged(name, folder, options):
    """One paper, with progress."""
    with ExitStack() as held:
        shown = {}

        def tell(what, done, total):
            if what not in shown:
                if not options.quiet:
                    say(f"{what} ...")
                shown[what] = held.enter_context(progress.shown("parts", options.quiet))
            shown[what](done, total)

        found = judge(name, folder / f"{name}.h5", options.threads, options.overwrite, tell)
    if not options.out:
        found.file = ""
    return found


if __name__ == "__main__":
    sys.exit(main())
