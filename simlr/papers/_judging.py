"""The command `python -m simlr.papers`: run every paper and its controls, judge them, and print one table."""

import textwrap
import time
from dataclasses import dataclass

from ..analysis.verdict import verdict_of
from ..claims.registry import load_paper
from ..claims.verdict import FAILS, HOLDS, Verdict, told
from ..config.reading import read
from ..errors import InputError
from ..report.tables import FINDING_HEADER, Table
from ..store.read import load
from ..text import printable, shortened

MARK = "  control: "
NOTE_WIDTH = 140


@dataclass
class Judged:
    """One paper, run and judged."""

    name: str
    verdict: Verdict
    controls: list  # of (papers.Control, papers.Verdict)
    seconds: float
    file: str  # the run file, "" where it was not kept

    @property
    def passed(self):
        """Whether the claim holds, and every control, of which there is at least one, finds that it does not there."""
        failed = [verdict.outcome == FAILS for _, verdict in self.controls]
        return self.verdict.outcome == HOLDS and bool(failed) and all(failed)

    def record(self):
        """All of it as nested dicts, for JSON."""
        paper = load_paper(self.name)
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
                    "expected": FAILS,
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
    return number if number - number == 0.0 else told(number)


# ---- running ----


def judge(name, out, threads=None, overwrite=False, tell=None):
    """Run one paper into the run file `out`, and its controls in memory: the `Judged`.

    `tell` is a function of (what runs, done, all).
    """
    from ..grid.job import run

    begin, paper = time.monotonic(), load_paper(name)
    run(read(paper.GRID), out, threads=threads, overwrite=overwrite, progress=_told(tell, name))
    verdict = _verdict(load(out))
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
    found = verdict_of(run)
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
        notes += [f"{one.name}: {load_paper(one.name).SOURCE}. {one.verdict.claim}"]
        notes += [f"  {finding.what}: {finding.note}" for finding in one.verdict.findings if finding.note]
        notes += [f"  control {control.name!r}: {control.why}" for control, _ in one.controls]
    lines = [tuple(shortened(cell, 72 if i == 0 else 36) for i, cell in enumerate(line)) for line in lines]
    notes = [textwrap.fill(printable(note), NOTE_WIDTH, subsequent_indent="      ") for note in notes]
    return Table("Published claims, measured beside the papers' figures", FINDING_HEADER, tuple(lines), tuple(notes))


def _control_line(control, verdict):
    """A control: what its check found, and whether that is as it must be."""
    as_due = "as it must" if verdict.outcome == FAILS else "WRONG: must not hold"
    return (MARK + control.name, "", "must not hold", as_due, verdict.outcome)


def ending(judged):
    """The last line: how many hold."""
    passed = sum(one.passed for one in judged)
    seconds = sum(one.seconds for one in judged)
    failed = [one.name for one in judged if not one.passed]
    text = f"{passed} of {len(judged)} claims hold and fail in every control, as they must; {seconds:.0f} s"
    return text + (f"; not so: {', '.join(failed)}" if failed else "")
