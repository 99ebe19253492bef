"""Drawn quadratics, and claims about them: the mean of a number, or of the logarithm of a ratio, beside a bound."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..claims import evidence
from ..claims.verdict import Finding
from ..errors import InputError
from ..inputs import rules

Judged = tuple[str, NDArray[np.float64], float, str, bool]


def tested(judged: Sequence[Judged]) -> list[Finding]:
    """The findings of one claim, by t-tests over the draws (`simlr.claims.evidence`).

    Parameters
    ----------
    judged
        Of each: what it is, its values (n,), the bound, the side of it, ">" or "<", and whether the values are
        logarithms of ratios; the bound is then that of the ratio, and what is shown the geometric mean.
    """
    bounds = [math.log(bound) if ratio else bound for _, _, bound, _, ratio in judged]
    shown = [
        evidence.of_mean(values - bound if side == ">" else bound - values)
        for (_, values, _, side, _), bound in zip(judged, bounds, strict=True)
    ]
    findings = []
    for one, shown_of, outcome in zip(judged, shown, evidence.outcomes(shown), strict=True):
        what, values, bound, side, ratio = one
        mean = float(np.mean(values))
        measured = math.exp(mean) if ratio else mean
        findings.append(Finding(what, measured, f"{side} {bound:g}", "", outcome, str(shown_of)))
    return findings


@rules.VectorRule
def curvatures(key: str, value: Any) -> tuple[float, ...]:
    """Curvatures above 0, or none."""
    found = rules.vector()(key, value) if value else ()
    if any(one <= 0.0 for one in found):
        rules.refuse(key, "a list of numbers > 0", value)
    return found


def spectrum(
    own: dict[str, Any], root: int = 0, seed: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Curvatures and the start along their axes, (d,) each: those of a study's settings, or drawn around them.

    Without a seed the curvatures are i^-capacity, i <= dimension, or those that are given, and the start is 1. With
    one they are multiplied by exp(jitter z), z normal of the stream (root, seed, SAMPLE), and the start is normal, of
    (root, seed, TARGET).
    """
    with np.errstate(all="ignore"):
        found = np.array(own["curvature"] or np.arange(1.0, own["dimension"] + 1.0) ** -own["capacity"])
    if seed is None:
        return _checked(found), np.ones_like(found)
    from ..kernels.draws import SAMPLE, TARGET, fill_normal

    normal = np.empty((2, found.size))
    fill_normal(normal[0], root, seed, SAMPLE, 0)
    fill_normal(normal[1], root, seed, TARGET, 0)
    with np.errstate(all="ignore"):
        return _checked(found * np.exp(own["jitter"] * normal[0])), normal[1]


def _checked(found):
    """Curvatures as they are; refused where some are 0 or infinite as numbers."""
    if not (np.isfinite(found) & (found > 0.0)).all():
        raise InputError("study.capacity or study.jitter: too large, some curvatures are 0 or infinite as numbers")
    return found
