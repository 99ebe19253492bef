"""Run papers and their controls, judge them, and lay out one table of all: what the command and the proofs share."""

import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..analysis.verdict import verdict_of
from ..claims.readings import reading
from ..claims.registry import folder_of, load_paper
from ..claims.verdict import HOLDS, UNDECIDED, Control, Verdict
from ..config.reading import read, read_paper
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
    controls: list[tuple[Control, Verdict]]
    seconds: float
    file: str  # the run file, "" where it was not kept

    @property
    def passed(self) -> bool:
        """Whether the claim holds and every control, of which there is at least one, comes out as it must."""
        as_due = [verdict.outcome == control.expected for control, verdict in self.controls]
        return self.verdict.outcome == HOLDS and bool(as_due) and all(as_due)

    def record(self) -> dict[str, Any]:
        """All of it as nested dicts, for JSON."""
        paper = load_paper(self.name)
        return {
            "paper": self.name,
            "source": paper.SOURCE,
            "claim": self.verdict.claim,
            "reconstruction": paper.RECONSTRUCTION,
            "verdict": self.verdict.outcome,
            "findings": [reading(finding) for finding in self.verdict.findings],
            "controls": [
                {
                    "name": control.name,
                    "why": control.why,
                    "expected": control.expected,
                    "outcome": verdict.outcome,
                    "findings": [reading(finding) for finding in verdict.findings],
                }
                for control, verdict in self.controls
            ],
            "passed": self.passed,
            "seconds": round(self.seconds, 3),
            "file": self.file,
        }


# ---- running ----


def judge(
    name: str,
    out: str | Path,
    threads: int | None = None,
    overwrite: bool = False,
    tell: Callable[[str, int, int], None] | None = None,
    every: bool = False,
) -> Judged:
    """Run one paper into the run file `out`, and its controls in memory, and judge them.

    Parameters
    ----------
    name
        Of a module of `simlr.papers`.
    out
        The run file, which `overwrite` replaces.
    threads
        To compute with; None = all.
    tell
        What is called with (what runs, parts done, parts in all).
    every
        Run all controls, not only those that are `always` run.

    Raises
    ------
    InputError
        Where there is no check of the paper's grid, or the file exists.
    """
    from ..grid.job import run

    begin, paper = time.monotonic(), load_paper(name)
    run(read_paper(name), out, threads=threads, overwrite=overwrite, progress=_progress(tell, name))
    verdict = _verdict(load(out))
    chosen = [control for control in paper.controls() if every or control.always]
    controls = [(control, judge_control(name, control, threads, tell)) for control in chosen]
    return Judged(name, verdict, controls, time.monotonic() - begin, str(out))


def judge_control(
    name: str,
    control: Control,
    threads: int | None = None,
    tell: Callable[[str, int, int], None] | None = None,
    changes: tuple[tuple[str, Any], ...] = (),
) -> Verdict:
    """Run one control of a paper in memory, with more `changes` as --set makes them, and judge it."""
    from ..grid.job import run

    text = control.grid or load_paper(name).GRID
    config = read(text, [*control.overrides, *changes], folder_of(name))
    return _verdict(run(config, threads=threads, progress=_progress(tell, f"{name}, control {control.name!r}")))


def _progress(tell, what):
    """`tell` as the function of (done, all) that a run calls."""
    return (lambda done, total: tell(what, done, total)) if tell else None


def _verdict(run):
    """The verdict of a run that is a paper's."""
    verdict = verdict_of(run)
    if verdict is None:
        raise InputError(f"{run.config.name}: belongs to no paper with a check")
    return verdict


# ---- the table ----


def table(judged: list[Judged]) -> Table:
    """One `Table` of all papers: every finding beside the paper's figure, every control, and what comes of it."""
    lines, notes = [], []
    for one in judged:
        claims = [(f"{one.name}: verdict, {one.seconds:.1f} s", "", "", "", one.verdict.outcome)]
        findings = [("  " + cells[0], *cells[1:]) for cells in (finding.cells() for finding in one.verdict.findings)]
        lines += claims + findings
        for control, found in one.controls:
            must = {HOLDS: "must hold", UNDECIDED: "must be undecided"}.get(control.expected, "must not hold")
            as_due = "as it must" if found.outcome == control.expected else f"WRONG: {must}"
            lines.append((MARK + control.name, "", must, as_due, found.outcome))
        notes += [f"{one.name}: {load_paper(one.name).SOURCE}. {one.verdict.claim}"]
        notes += [f"  {finding.what}: {finding.note}" for finding in one.verdict.findings if finding.note]
        notes += [f"  control {control.name!r}: {control.why}" for control, _ in one.controls]
    lines = [tuple(shortened(cell, 72 if i == 0 else 36) for i, cell in enumerate(line)) for line in lines]
    notes = [textwrap.fill(printable(note), NOTE_WIDTH, subsequent_indent="      ") for note in notes]
    return Table("Published claims, measured beside the papers' figures", FINDING_HEADER, tuple(lines), tuple(notes))


def ending(judged: list[Judged]) -> str:
    """The last line: how many hold, with all their controls as they must be."""
    passed = sum(one.passed for one in judged)
    seconds = sum(one.seconds for one in judged)
    failed = [one.name for one in judged if not one.passed]
    text = f"{passed} of {len(judged)} claims hold and come out in every control as they must; {seconds:.0f} s"
    return text + (f"; not so: {', '.join(failed)}" if failed else "")
