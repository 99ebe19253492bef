"""What is claimed, what is measured, and what follows: findings and verdicts."""

from typing import NamedTuple

HOLDS, FAILS, UNDECIDED, NOT_RUN = "holds", "does not hold", "undecided", "not run"


class Finding(NamedTuple):
    """One measurement beside what the paper says. Numbers, or texts where a number does not say it."""

    what: str  # what was measured, and where
    measured: object
    paper: object  # the paper's figure, or the theory's; "" where there is none
    tolerance: object = ""  # how far off it may be, or what it must satisfy
    outcome: str = HOLDS  # HOLDS, FAILS, UNDECIDED, or NOT_RUN where something that is optional is missing
    note: str = ""

    def cells(self):
        """What a table has of it: texts of what, measured, paper, tolerance and outcome."""
        return (self.what, *(told(value) for value in self[1:4]), self.outcome)

    def record(self):
        """{column: value}, as the CSV has it."""
        return self._asdict()

    def __str__(self):
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
    findings: tuple  # of Finding

    @property
    def lines(self):
        """The findings as texts."""
        return tuple(map(str, self.findings))


class Control(NamedTuple):
    """A setting in which the claim must not hold, and why; the check must find that it does not."""

    name: str
    why: str
    overrides: tuple = ()  # ((dotted key, value), ...) put into GRID, as --set does
    grid: str = ""  # a whole TOML in place of GRID


def verdict(claim, findings, finished=True):
    """The `Verdict` of some findings: one failure is enough, else one that is undecided; what is not run counts for
    nothing. Of a run that is not finished nothing is decided."""
    outcomes = {finding.outcome for finding in findings} - {NOT_RUN}
    if not finished or not outcomes:
        return Verdict(UNDECIDED, claim, tuple(findings))
    outcome = next((outcome for outcome in (FAILS, UNDECIDED) if outcome in outcomes), HOLDS)
    return Verdict(outcome, claim, tuple(findings))


def near(what, measured, paper, tolerance, relative=False, note=""):
    """The finding that a number is the paper's: |measured - paper| <= tolerance, times |paper| where relative."""
    room = tolerance * abs(paper) if relative else tolerance
    text = f"{told(tolerance)} relative" if relative else tolerance
    return Finding(what, measured, paper, text, outcome_of(abs(measured - paper) <= room), note)


def at_most(what, measured, bound, note=""):
    """The finding that a number is at or below the paper's bound."""
    return Finding(what, measured, f"<= {told(bound)}", "", outcome_of(measured <= bound), note)


def at_least(what, measured, bound, note=""):
    """The finding that a number is at or above the paper's bound."""
    return Finding(what, measured, f">= {told(bound)}", "", outcome_of(measured >= bound), note)


def outcome_of(holds):
    """HOLDS or FAILS; a NaN compares as false, so it fails."""
    return HOLDS if holds else FAILS


def told(value):
    """A measurement as text: numbers in six digits."""
    if isinstance(value, str):
        return value
    number = float(value)
    return f"{int(number)}" if number.is_integer() and abs(number) < 1e6 else f"{number:.6g}"
