"""Published claims, one file a paper: what it claims, what is run for it, and how that is judged.

A file simlr/papers/NAME.py is all that a paper takes; nothing elsewhere names it. docs/adding-a-paper.md walks through
one. It has

    SOURCE          the citation, with the arXiv number and where in the paper the claim stands
    CLAIM           the claim, one sentence
    RECONSTRUCTION  what is ours rather than the paper's: choices it leaves open, sizes that were made smaller
    GRID            what is run, TOML: a grid of schedules x seeds, or a study (below)
    check(run)      the `Verdict` on a run of it, by `Finding`s: each measurement beside the paper's figure
    controls()      settings in which the claim must not hold, as `Control`s: the same check has to say so there

and may have

    PROBLEM         a `simlr.sources.Problem` of its own, a problem kind NAME for any grid
    STUDY           a `simlr.studies.Study` of its own, for what is no grid of quadratics (a network, a bound, ...)
    pictures(run)   its pictures, [`simlr.style.Picture`, ...], the one that a talk would show first
    theory(run), annealers(run)    a line for the picture of ratios of a grid (see `nakkiran2020`)

A grid belongs to a paper where its problem kind is the paper's name; a study, where its [study] kind is.

A paper may import sources, studies, schedules, rules and layout as it is loaded, and whatever else it needs (kernels,
grid, stepping, style, matplotlib through style) inside the function that needs it: loading all papers loads no Numba.
"""

import importlib
import pkgutil
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


# ---- judging ----


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


# ---- the papers there are ----


def names():
    """The names of all papers."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def load(name):
    """The module of one paper."""
    return importlib.import_module(f"{__name__}.{name}")


def having(attribute):
    """The names of the papers that have PROBLEM, or STUDY."""
    return [name for name in names() if hasattr(load(name), attribute)]
