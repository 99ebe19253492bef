"""Claims about drawn problems: the mean of a number, or of the logarithm of a ratio, beside a bound."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..claims import evidence
from ..claims.verdict import Finding

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
