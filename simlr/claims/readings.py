"""Findings for programs: the numbers of their texts beside the texts."""

import re
from typing import Any

from .verdict import Finding, measurement_text

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
NUMBER = re.compile(rf"({_NUMBER})(?: \(\d+ sigma\))?")
BOUND = re.compile(rf"(<=|>=|<|>) ({_NUMBER})")
RELATIVE = re.compile(rf"({_NUMBER}) relative")
SHARE = re.compile(r"(\d+) of (\d+)(?: seeds \([\d.]+\))?|(\d+)/(\d+)")
P_VALUE = re.compile(rf"p [=<] ({_NUMBER})(?:, .* against)?")


def reading(finding: Finding) -> dict[str, Any]:
    """A finding as {key: value} for JSON: numbers as numbers, None where the text has none; the texts beside them.

    A number that stands in a text has the digits that it has there; "3 of 4" is 0.75, "all" is 1. Of a p that is below
    1e-15 the value is this bound.
    """
    relation, paper = _bounded(finding.paper)
    tolerance, is_relative = finding.tolerance, False
    if isinstance(tolerance, str):
        match = RELATIVE.fullmatch(tolerance)
        tolerance, is_relative = (match.group(1), True) if match else (tolerance, False)
    return {
        "what": finding.what,
        "measured": _value(finding.measured),
        "measured_text": measurement_text(finding.measured),
        "relation": relation,
        "paper": paper,
        "paper_text": measurement_text(finding.paper),
        "tolerance": 0.0 if tolerance == "exactly" else _value(tolerance),
        "tolerance_is_relative": is_relative,
        "tolerance_text": measurement_text(finding.tolerance),
        "p_value": _p_value(finding),
        "outcome": finding.outcome,
        "note": finding.note,
    }


def _p_value(finding):
    """The p of a finding, which stands in its tolerance or is a part of its note; None where there is none."""
    parts = [measurement_text(finding.tolerance), *finding.note.split("; ")]
    return next((float(match.group(1)) for match in map(P_VALUE.fullmatch, parts) if match), None)


def _bounded(paper):
    """The relation that what is measured must have to a number, and the number; None and None of other texts."""
    match = BOUND.fullmatch(paper) if isinstance(paper, str) else None
    if match:
        return match.group(1), float(match.group(2))
    value = 1.0 if paper == "all" else _value(paper)
    return (None, None) if value is None else ("=", value)


def _value(cell):
    """The number of a cell; None where it has none."""
    if not isinstance(cell, str):
        return float(cell)
    match = NUMBER.fullmatch(cell)
    if match:
        return float(match.group(1))
    match = SHARE.fullmatch(cell)
    if not match:
        return None
    count, total = (int(group) for group in match.groups() if group is not None)
    return count / total if total else None
