"""The rows of a split as inputs of a feature map, random features of them, and a kernel between them.

relu     phi_j(x) = sqrt(2/p) max(0, <w_j, x>/ell),        w_j ~ N(0, I)
fourier  phi_j(x) = sqrt(2/p) cos(<w_j, x>/ell + beta_j),  w_j ~ N(0, I), beta_j uniform in [0, 2 pi)
rbf      k(x, y)  = exp(-|x - y|^2 / (2 ell^2)), the limit of <phi(x), phi(y)> for many Fourier features

Rahimi and Recht, Random Features for Large-Scale Kernel Machines, NIPS 2007; of relu the limit is the arc-cosine kernel
of order 1, Cho and Saul, Kernel Methods for Deep Learning, NIPS 2009.
"""

import math

import numpy as np

from ..draws import FEATURES, fill_normal, fill_uniform
from ..intrinsics import fma
from ..jit import cell, worker
from .regression import deal, take_stretch

# Steps of the stream of a draw's features.
WEIGHTS, PHASES = 0, 1
RELU, FOURIER = 0, 1


@worker
def fill_stretch(split, root, draw, first, out):
    """out (rows, D + 1) = the rows from place `first` on of a `regression.Split` of one draw; see `take_stretch`."""
    order = np.empty(split.columns.shape[1], np.int64)
    deal(split, root, draw, order)
    take_stretch(split, root, draw, order, first, out)


@cell
def dot_rows(rows, i, weights, out):
    """out[j] = <w_j, x_i>; rows (n, D) or wider, weights (D, p)."""
    for j in range(out.size):
        out[j] = 0.0
    for k in range(weights.shape[0]):
        value = rows[i, k]
        for j in range(out.size):
            out[j] = fma(value, weights[k, j], out[j])


@worker
def fill_features(rows, root, draw, kind, length_scale, out):
    """out (n, p) = random features of one draw, RELU or FOURIER, of the rows (n, D + 1), the target last.

    The first features of a draw are the same whatever their number, but for the factor sqrt(2/p).
    """
    count, inputs = out.shape[1], rows.shape[1] - 1
    drawn = np.empty(count * inputs)
    fill_normal(drawn, root, draw, FEATURES, WEIGHTS)
    weights, phase = drawn.reshape((count, inputs)).T.copy(), np.zeros(count)
    if kind == FOURIER:
        fill_uniform(phase, root, draw, FEATURES, PHASES)
    scale = math.sqrt(2.0 / count)
    for i in range(out.shape[0]):
        dot_rows(rows, i, weights, out[i])
        for j in range(count):
            value = out[i, j] / length_scale
            if kind == FOURIER:
                out[i, j] = scale * math.cos(value + 2.0 * math.pi * phase[j])
            else:
                out[i, j] = scale * max(0.0, value)


@worker
def fill_kernel(rows, others, length_scale, out):
    """out (n, m) = k(x_i, y_j) of rows (n, D + 1) and others (m, D + 1), the target last."""
    inputs = rows.shape[1] - 1
    columns = others.T.copy()
    for i in range(out.shape[0]):
        square = out[i]
        for j in range(square.size):
            square[j] = 0.0
        for k in range(inputs):
            value = rows[i, k]
            for j in range(square.size):
                away = value - columns[k, j]
                square[j] = fma(away, away, square[j])
        for j in range(square.size):
            square[j] = math.exp(-0.5 * square[j] / (length_scale * length_scale))
