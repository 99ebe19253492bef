"""What `bansal2021` measures: the three gaps of a classifier, and how much its predictions know of the noise.

Of K trials with labels corrupted with probability eta, uniformly among the other k - 1 classes, and one without noise:
with Train and Test the accuracies without noise, Train(eta) that on the true labels of all train rows after training on
the noisy ones, and NTrain(eta) the same over the corrupted rows alone, both means over the trials,

    robustness = (Train - Train(eta))+, memorisation = (Train(eta) - NTrain(eta))+, rationality = (NTrain(eta) - Test)+,

and Train - Test is at most their sum, which it equals where nothing is clipped. With N_i = noisy - true label and
D_i = prediction - true label of row i, modulo k, and I_i their mutual information over the trials in nats, theorem II
bounds the memorisation gap by mean_i sqrt(I_i / 2) / eta.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Number = float | Floats


class Gaps(NamedTuple):
    """Of one classifier, or arrays of the same shape for many."""

    robustness: Number
    memorisation: Number
    rationality: Number

    @property
    def total(self) -> Number:
        """The sum, which bounds Train - Test."""
        return self.robustness + self.memorisation + self.rationality


def gaps(train: Number, test: Number, noisy_train: Number, corrupted: Number) -> Gaps:
    """The three gaps from Train, Test, Train(eta) and NTrain(eta)."""
    parts = (train - noisy_train, noisy_train - corrupted, corrupted - test)
    return Gaps(*(np.maximum(part, 0.0) for part in parts))


def corrupt(labels: NDArray[np.int64], classes: int, share: float, root: int, trial: int) -> NDArray[np.int64]:
    """Labels (n,), each made one of the other classes with probability `share`: stream (root, trial, LABEL_NOISE)."""
    from ..kernels.draws import LABEL_NOISE, uniforms

    draws = uniforms(root, np.array([trial]), LABEL_NOISE, 2 * labels.size)[0].reshape(-1, 2)
    shift = 1 + np.minimum((draws[:, 1] * (classes - 1)).astype(np.int64), classes - 2)
    return np.where(draws[:, 0] < share, (labels + shift) % classes, labels)


def mutual_information(first: NDArray[np.int64], second: NDArray[np.int64], classes: int) -> Floats:
    """I of two variables with values 0 .. classes - 1, in nats, from K draws of n pairs, (K, n) each: (n,).

    By the shares among the draws, which for few of them lies above the true one.
    """
    draws = len(first)
    joint = np.zeros((first.shape[1], classes, classes))
    columns = np.arange(first.shape[1])
    for one, two in zip(first, second, strict=True):
        joint[columns, one, two] += 1.0 / draws
    both = joint.sum(axis=2)[:, :, None] * joint.sum(axis=1)[:, None, :]
    known = joint > 0.0
    return np.where(known, joint * np.log(np.where(known, joint, 1.0) / np.where(known, both, 1.0)), 0.0).sum(
        axis=(1, 2)
    )


def deviation_bound(noise: NDArray[np.int64], off: NDArray[np.int64], classes: int, share: float) -> float:
    """mean_i sqrt(I_i / 2) / share, of N and D (K, n) each: theorem II's bound on the memorisation gap."""
    information = mutual_information(noise, off, classes)
    return float(np.sqrt(np.maximum(information, 0.0) / 2.0).mean() / share)
