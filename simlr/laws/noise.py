"""What residuals along curves say of the noise: how slow it is, how large, and draws of it.

A fit leaves residuals u = noise - slopes b, b what it has taken of the noise for parameters. The noise is normal and
independent between curves; between places s and s' of one curve its correlation is (1 - fresh) exp(-|s - s'| / reach):
a process of Ornstein and Uhlenbeck, AR(1) where places are evenly spaced, and a share of fresh noise at every one. The
likelihood of both is that of what is left once the b are taken out (restricted likelihood; Patterson and Thompson 1971,
Biometrika 58, 545-554): plain autocorrelations of residuals are too small, since a fit follows what is slow.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..problems.lapack import one_thread

Array = NDArray[np.float64]
LARGEST, TRIED = 0.999, 16  # correlations of neighbours that are looked at: from 0, evenly in the inverse tanh
FRESH = (0.0, 0.1, 0.3, 0.6, 0.9)  # shares of it that are looked at
UNDETERMINED = 1e-9  # of the largest singular value


class _Tried(NamedTuple):
    """Noise of one reach and share of fresh noise."""

    axes: list[Array]  # of each curve (K, K), eigenvectors of its correlations
    deviations: Array  # (N,) along them, with the curves' own scales
    variance: float  # in units of these
    likelihood: float  # the logarithm of it
    neighbours: float  # the correlation of neighbours, where they are apart as most are


class Noise(NamedTuple):
    """What is known of the noise of some curves."""

    tried: list[_Tried]
    shares: Array  # the likelihoods of these, which add up to 1
    degrees: int  # values less what is fitted

    def drawn(self, random: np.random.Generator) -> Array:
        """Noise (N,) as it may be: one of those tried by its likelihood, its variance by chi-squared, normal values."""
        one = self.tried[random.choice(self.shares.size, p=self.shares)]
        variance = one.variance * self.degrees / random.chisquare(self.degrees)
        along = np.sqrt(variance) * one.deviations * random.standard_normal(one.deviations.size)
        ends = np.cumsum([len(axes) for axes in one.axes])
        return np.concatenate([axes @ part for axes, part in zip(one.axes, np.split(along, ends), strict=False)])

    @property
    def correlation(self) -> float:
        """The likeliest correlation between neighbours."""
        return self.tried[int(np.argmax(self.shares))].neighbours


@one_thread()  # the matrices are small, and threads wait for each other longer than they work
def noise_of(slopes: Array, residuals: Sequence[Array], places: Sequence[Array]) -> Noise:
    """The `Noise` behind residuals.

    Parameters
    ----------
    slopes : (N, p)
        By each parameter, the curves end to end; N > p.
    residuals : of each curve (K,)
        What the fit leaves.
    places : of each curve (K,)
        Ascending, in one unit: steps, or a logarithm of them.

    Notes
    -----
    Work K^3 for each of `TRIED` reaches, and for each curve whose places are its own.
    """
    basis, singular, _ = np.linalg.svd(slopes, full_matrices=False)
    both = np.column_stack([basis[:, singular > UNDETERMINED * singular[0]], np.concatenate(residuals)])
    parts = np.split(both, np.cumsum([one.size for one in residuals])[:-1])
    gap = float(np.median(np.concatenate([np.diff(one) for one in places])))
    tried = []
    for r in np.tanh(np.linspace(0.0, np.arctanh(LARGEST), TRIED)).tolist():
        found = {one.tobytes(): np.linalg.eigh(r ** (np.abs(one[:, None] - one) / gap)) for one in places}  # 0^0 is 1
        values, axes = zip(*(found[one.tobytes()] for one in places), strict=True)
        turned = [own.T @ part for own, part in zip(axes, parts, strict=True)]
        for fresh in FRESH if r else FRESH[:1]:
            spread = [np.sqrt((1.0 - fresh) * np.maximum(one, 0.0) + fresh + 1e-12) for one in values]
            deviations, variance, likelihood = _restricted(turned, spread)
            tried.append(_Tried([*axes], deviations, variance, likelihood, (1.0 - fresh) * r))
    logs = np.array([one.likelihood for one in tried])
    shares = np.exp(logs - logs.max())
    return Noise(tried, shares / shares.sum(), len(both) - both.shape[1] + 1)


def _restricted(turned, spread):
    """(deviations (N,), variance, log restricted likelihood) of curves (K, p + 1) along axes with deviations (K,)."""
    white = [part / own[:, None] for part, own in zip(turned, spread, strict=True)]
    whole = np.concatenate(white)
    triangle = np.linalg.qr(whole, mode="r")
    taken = np.linalg.solve(triangle[:-1, :-1], triangle[:-1, -1])
    sizes = [float(np.sqrt(((part[:, -1] - part[:, :-1] @ taken) ** 2).mean())) for part in white]
    scales = np.maximum(sizes, max(0.01 * max(sizes), 1e-300))
    deviations = np.concatenate([scale * own for scale, own in zip(scales, spread, strict=True)])
    triangle = np.linalg.qr(np.concatenate(turned) / deviations[:, None], mode="r")
    squares, degrees = max(float(triangle[-1, -1]) ** 2, 1e-300), len(whole) - whole.shape[1] + 1
    determinant = float(np.log(np.abs(np.diag(triangle)[:-1])).sum() + np.log(deviations).sum())
    return deviations, squares / degrees, -0.5 * degrees * np.log(squares) - determinant
