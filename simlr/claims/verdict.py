"""What is claimed, what is measured, and what follows: findings and verdicts.

There are three outcomes. A finding holds, or does not hold, where that is shown; where neither is, or the number cannot
be measured (NaN, infinite, out of steps, too few draws), it is undecided.
"""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..text import powers

HOLDS, FAILS, UNDECIDED, NOT_RUN = "holds", "does not hold", "undecided", "not run"


class Finding(NamedTuple):
    """One measurement beside what the paper says. Numbers, or texts where a number does not say it."""

    what: str  # what was measured, and where
    measured: float | str
    paper: float | str  # the paper's figure, or the theory's; "" where there is none
    tolerance: float | str = ""  # how far off it may be, or what it must satisfy
    outcome: str = HOLDS  # HOLDS, FAILS, UNDECIDED, or NOT_RUN where something that is optional is missing
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        """What a table has of it: texts of what, measured, paper, tolerance and outcome."""
        return (self.what, *(measurement_text(value) for value in self[1:4]), self.outcome)

    def record(self) -> dict[str, Any]:
        """{column: value}, as the CSV has it."""
        return self._asdict()

    def __str__(self) -> str:
        what, measured, paper, tolerance, _ = self.cells()
        parts = [f"{what}: {measured}" if measured else what]
        parts += [f"theory {paper}"] if paper else []
        parts += [f"tolerance {tolerance}"] if tolerance else []
        parts += [self.note] if self.note else []
        return "; ".join(parts) + ("" if self.outcome == HOLDS else f": {self.outcome}")


class Verdict(NamedTuple):
    """What a check found."""

    outcome: str  # HOLDS, FAILS or UNDECIDED
    claim: str
    findings: tuple[Finding, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The findings as texts."""
        return tuple(map(str, self.findings))


class Control(NamedTuple):
    """A setting whose outcome is known beforehand, and why; the check must find it. In most the claim is false."""

    name: str
    why: str
    overrides: tuple[tuple[str, Any], ...] = ()  # ((dotted key, value), ...) put into GRID, as --set does
    grid: str = ""  # a whole TOML in place of GRID
    expected: str = FAILS  # HOLDS, FAILS or UNDECIDED
    always: bool = True  # run with every judgement of the paper; else by --controls alone


def verdict(claim: str, findings: Iterable[Finding], finished: bool = True) -> Verdict:
    """The verdict that follows from some findings.

    One that fails is enough to fail, else one that is undecided to be undecided; what is not run counts for nothing.

    Parameters
    ----------
    claim
        What is claimed, in a sentence.
    findings
        What was measured.
    finished
        Whether the run is.

    Returns
    -------
    Verdict
        UNDECIDED of a run that is not finished, or without a finding that counts.
    """
    findings = tuple(map(_written, findings))
    outcomes = {finding.outcome for finding in findings} - {NOT_RUN}
    if not finished or not outcomes:
        return Verdict(UNDECIDED, claim, findings)
    outcome = next((outcome for outcome in (FAILS, UNDECIDED) if outcome in outcomes), HOLDS)
    return Verdict(outcome, claim, findings)


def _written(finding):
    """A finding whose texts have powers of ten as people write them."""
    return Finding(*(powers(value) if isinstance(value, str) else value for value in finding))


def near(what: str, measured: float, paper: float, tolerance: float, relative: bool = False, note: str = "") -> Finding:
    """The finding that a number is the paper's: |measured - paper| <= tolerance, times |paper| where relative.

    Parameters
    ----------
    what
        What was measured, and where.
    measured, paper
        The two numbers, in one unit.
    tolerance
        In their unit; where relative, a share of the paper's.
    relative
        Whether it is.
    note
        What a reader should know of it.

    Returns
    -------
    Finding
        HOLDS or FAILS; UNDECIDED where the number is not finite.
    """
    room = tolerance * abs(paper) if relative else tolerance
    text = f"{measurement_text(tolerance)} relative" if relative else tolerance
    return Finding(what, measured, paper, text, outcome_of(abs(measured - paper) <= room, measured), note)


def at_most(what: str, measured: float, bound: float, note: str = "") -> Finding:
    """The finding that a number is at or below the paper's bound; parameters as of `near`."""
    return Finding(what, measured, f"<= {measurement_text(bound)}", "", outcome_of(measured <= bound, measured), note)


def at_least(what: str, measured: float, bound: float, note: str = "") -> Finding:
    """The finding that a number is at or above the paper's bound; parameters as of `near`."""
    return Finding(what, measured, f">= {measurement_text(bound)}", "", outcome_of(measured >= bound, measured), note)


def outcome_of(holds: bool, measured: float = 0.0) -> str:
    """HOLDS or FAILS; UNDECIDED where what was measured is not a finite number."""
    if not math.isfinite(measured):
        return UNDECIDED
    return HOLDS if holds else FAILS


def outside(finding: Finding, why: str) -> Finding:
    """A finding of settings that the claim is not about, which do not refute it: undecided where it does not hold.

    Parameters
    ----------
    finding
        What was found at these settings.
    why
        Where they lie; "" where they are the claim's own.
    """
    if finding.outcome == HOLDS or not why:
        return finding
    return finding._replace(outcome=UNDECIDED, note="; ".join(filter(None, (finding.note, why))))


def undecided(why: str, note: str = "") -> Finding:
    """The finding that something cannot be judged."""
    return Finding(why, "", "", outcome=UNDECIDED, note=note)


def measurement_text(value: float | str) -> str:
    """A measurement as text: numbers in six digits, whole ones below a million without a point."""
    if isinstance(value, str):
        return value
    number = float(value)
    return f"{int(number)}" if number.is_integer() and abs(number) < 1e6 else powers(f"{number:.6g}")
