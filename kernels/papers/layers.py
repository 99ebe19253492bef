"""Training fully connected ReLU networks of any depth by SGD, many at a time, and counting their errors.

With z_0 = x and z_(l + 1) = relu(W_l [z_l; 1]) for all layers but the last, f(x) = W_(L - 1) [z_(L - 1); 1]; the last
column of W_l is the bias. The loss is the mean over a batch of log sum_c exp(f_c(x)) - f_y(x), the derivative of relu
at 0 is 0, and a step is

    W_l <- (1 - eta_t lam) W_l - eta_t dL/dW_l.

Epoch e takes the rows in the order `draws.fill_order(root, draw, NETWORK_ORDER, e)`, batch after batch; rows that fill
no batch are left out of that epoch.

Matrices are padded with zeros, which stay zeros, to multiples of `block_products.QUAD`: W_l is (m_l, k_l), m_l of at
least its outputs and k_l of at least its inputs and one more. Rows of a batch are the lanes of SIMD, a chunk of them at
a time, so that what a product reads lies near by. Each sum runs in one order, whatever the threads: the unit of
parallel work is a network.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from ..descent.exponential import LOWEST_EXPONENT, exp_lane
from ..draws import NETWORK_ORDER, NETWORK_POSTERIOR, fill_normal, fill_order
from ..intrinsics import claim
from ..jit import cell, inline, sweep, worker
from ..matrices.block_products import QUAD, scale_add_product, set_product
from ..matrices.tiles import turn4


class Rows(NamedTuple):
    """R rows of data, and which of them each of D data sets is made of, with labels of its own."""

    inputs: np.ndarray  # (R, p)
    row: np.ndarray  # (D, n) int64, the numbers of the rows
    label: np.ndarray  # (D, n) int64, 0 .. classes - 1
    draw: np.ndarray  # (D,) int64, whose orders and noise it is


class Rules(NamedTuple):
    """How S schedules train networks of one shape."""

    sizes: np.ndarray  # (L + 1,) int64: inputs, units of each hidden layer, classes
    rate: np.ndarray  # (S, T) eta_t
    decay: float  # lam
    root: int  # of the orders and the noise


class Scratch(NamedTuple):
    """What each worker computes with, for a batch of B rows in C chunks of at most `CHUNK` rows, lane after lane.

    M and K are the largest m_l and k_l. The stride S of lanes is an odd number of cache lines, so that rows of a matrix
    meet in no set of the cache.
    """

    inputs: np.ndarray  # (workers, L, C, K, S) z_l, below it 1
    turned: np.ndarray  # (workers, L, B, K) the same, a row of the batch after the other
    outputs: np.ndarray  # (workers, L, C, M, S) W_l [z_l; 1], then -eta dL/d of that
    lanes: np.ndarray  # (workers, 2, S)


# Rows of a batch that go through the network together.
CHUNK = 64


@inline
def padded(count):
    """The least multiple of QUAD that is not below `count`."""
    return -(-count // QUAD) * QUAD


def shapes(sizes):
    """[(m_l, k_l)] of the matrices of a network with so many inputs, units of each layer, and classes."""
    return [(padded(sizes[layer + 1]), padded(sizes[layer] + 1)) for layer in range(len(sizes) - 1)]


def make_scratch(sizes, batch, workers):
    """The `Scratch` of so many workers."""
    own = shapes(sizes)
    m, k = (max(sides) for sides in zip(*own, strict=True))
    stride, chunks = 8 * (-(-min(batch, CHUNK) // 8) | 1), -(-batch // CHUNK)
    inputs, turned = np.zeros((workers, len(own), chunks, k, stride)), np.zeros((workers, len(own), batch, k))
    for layer, size in enumerate(sizes[:-1]):
        inputs[:, layer, :, size] = turned[:, layer, :, size] = 1.0
    outputs = np.zeros((workers, len(own), chunks, m, stride))
    return Scratch(inputs, turned, outputs, np.zeros((workers, 2, stride)))


# ---- one batch ----


@inline
def lanes_of(scratch, chunk):
    """How many rows of the batch a chunk has."""
    return min(CHUNK, scratch.turned.shape[2] - chunk * CHUNK)


@cell
def turn(matrix, out):
    """out (n, m) = the transpose of matrix (m, n)."""
    m, n = matrix.shape
    whole = n // 4 * 4
    for i in range(0, m // 4 * 4, 4):
        for j in range(0, whole, 4):
            turn4(matrix, i, j, out)
        for row in range(i, i + 4):
            for j in range(whole, n):
                out[j, row] = matrix[row, j]
    for i in range(m // 4 * 4, m):
        for j in range(n):
            out[j, i] = matrix[i, j]


@cell
def gather(rows, d, order, first, scratch, w):
    """z_0 of the batch: the rows order[first], ..; lanes beyond the last row get its inputs again."""
    inputs, turned = scratch.inputs[w, 0], scratch.turned[w, 0]
    size = rows.inputs.shape[1]
    for lane in range(turned.shape[0]):
        row = rows.row[d, order[min(first + lane, order.size - 1)]]
        for i in range(size):
            turned[lane, i] = rows.inputs[row, i]
    for chunk in range(inputs.shape[0]):
        turn(turned[chunk * CHUNK : chunk * CHUNK + lanes_of(scratch, chunk), :size], inputs[chunk])


@cell
def rectify(values, units, lanes, out):
    """out[:units, :lanes] = max(values[:units, :lanes], 0)."""
    for u in range(units):
        for lane in range(lanes):
            out[u, lane] = values[u, lane] if values[u, lane] > 0.0 else 0.0


@cell
def forward(weights, c, sizes, scratch, w):
    """The outputs of all layers for the batch that inputs[0] has; those of the last are f."""
    for layer in range(len(weights)):
        terms, units, matrix = sizes[layer] + 1, sizes[layer + 1], weights[layer][c]
        for chunk in range(scratch.inputs.shape[2]):
            lanes = lanes_of(scratch, chunk)
            outputs = scratch.outputs[w, layer, chunk]
            inputs = scratch.inputs[w, layer, chunk, :terms]
            set_product(matrix[:, :terms], inputs, outputs[: matrix.shape[0], :lanes])
            if layer + 1 < len(weights):
                above = scratch.inputs[w, layer + 1, chunk]
                rectify(outputs, units, lanes, above)
                turn(above[:units, :lanes], scratch.turned[w, layer + 1, chunk * CHUNK : chunk * CHUNK + lanes])


@cell
def pull_classes(outputs, classes, label, order, lanes, scale, most, total):
    """outputs <- -scale d(sum of losses)/df, softmax of f minus the labels' ones, of the first so many rows of `order`.

    most, total (S,) are scratch: the largest output and the sum of exponentials of every row.
    """
    for lane in range(lanes):
        most[lane], total[lane] = outputs[0, lane], 0.0
    for k in range(1, classes):
        for lane in range(lanes):
            most[lane] = max(most[lane], outputs[k, lane])
    for k in range(classes):
        for lane in range(lanes):
            outputs[k, lane] = exp_lane(max(outputs[k, lane] - most[lane], LOWEST_EXPONENT))
            total[lane] += outputs[k, lane]
    for k in range(classes):
        for lane in range(lanes):
            outputs[k, lane] *= -scale / total[lane]
    for lane in range(lanes):
        outputs[label[order[lane]], lane] += scale


@cell
def pull(outputs, classes, label, order, scale, scratch, w):
    """The same for all chunks of a batch: outputs (C, M, S)."""
    for chunk in range(outputs.shape[0]):
        own = order[chunk * CHUNK :]
        lanes, spare = lanes_of(scratch, chunk), scratch.lanes[w]
        pull_classes(outputs[chunk], classes, label, own, lanes, scale, spare[0], spare[1])


@cell
def mask(pulled, inputs, units, lanes):
    """pulled[:units] stays where the inputs to the next layer are above 0; elsewhere, and in what pads it, it is 0."""
    for u in range(units):
        for lane in range(lanes):
            pulled[u, lane] = pulled[u, lane] if inputs[u, lane] > 0.0 else 0.0
    for u in range(units, padded(units)):
        for lane in range(lanes):
            pulled[u, lane] = 0.0


@cell
def backward(weights, c, sizes, scratch, w, factor):
    """Move all weights by what the last layer's outputs have been made: -eta dL/df; factor is 1 - eta lam."""
    for back in range(len(weights)):
        layer = len(weights) - 1 - back
        units, matrix = sizes[layer + 1], weights[layer][c]
        for chunk in range(scratch.inputs.shape[2]):
            lanes = lanes_of(scratch, chunk)
            if layer > 0:
                rows, pulled = padded(sizes[layer]), scratch.outputs[w, layer - 1, chunk]
                outputs = scratch.outputs[w, layer, chunk, :units]
                set_product(matrix.T[:rows, :units], outputs, pulled[:rows, :lanes])
                mask(pulled, scratch.inputs[w, layer, chunk], sizes[layer], lanes)
        for chunk in range(scratch.inputs.shape[2]):
            lanes = lanes_of(scratch, chunk)
            outputs = scratch.outputs[w, layer, chunk, : matrix.shape[0], :lanes]
            turned = scratch.turned[w, layer, chunk * CHUNK : chunk * CHUNK + lanes, : matrix.shape[1]]
            scale_add_product(outputs, turned, matrix, factor if chunk == 0 else 1.0)


# ---- one network ----


@worker
def train_network(rows, rules, weights, c, first, last, scratch, w):
    """Steps first .. last - 1 of network c."""
    s, d = c % rules.rate.shape[0], c // rules.rate.shape[0]
    order, batch, outputs = np.empty(rows.row.shape[1], np.int64), scratch.turned.shape[2], scratch.outputs[w, -1]
    batches = order.size // batch
    for step in range(first, last):
        start = step % batches * batch
        if start == 0 or step == first:
            fill_order(order, rules.root, rows.draw[d], NETWORK_ORDER, step // batches)
        gather(rows, d, order, start, scratch, w)
        forward(weights, c, rules.sizes, scratch, w)
        rate = rules.rate[s, step]
        pull(outputs, rules.sizes[-1], rows.label[d], order[start:], rate / batch, scratch, w)
        backward(weights, c, rules.sizes, scratch, w, 1.0 - rate * rules.decay)


@worker
def train_worker(rows, rules, weights, first, last, scratch, w, tasks):
    """Claim one network after the other, until none is left or a stop is asked for."""
    while tasks[1] == 0:
        c = claim(tasks)
        if c >= weights[0].shape[0]:
            return
        train_network(rows, rules, weights, c, first, last, scratch, w)


@sweep
def train_sweep(rows, rules, weights, first, last, scratch, tasks, workers):
    """Steps first .. last - 1 of all networks; number c has schedule c mod S and data set c // S.

    Parameters: `Rows`; `Rules`; L matrices of weights (C, m_l, k_l), which are moved; `Scratch` of at least so
    many workers; tasks and workers as in `descent.descend_sweep`. Training may be cut into launches in any way
    without a change of bits.
    """
    for w in prange(workers):
        train_worker(rows, rules, weights, first, last, scratch, w, tasks)


# ---- what is predicted ----


@cell
def add_noise(matrix, deviation, normal, start, out):
    """out = matrix + deviation xi, of one shape, xi from normal[start] on; returns where the next ones start."""
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            out[i, j] = matrix[i, j] + deviation[i, j] * normal[start + i * matrix.shape[1] + j]
    return start + matrix.size


@cell
def name_classes(outputs, classes, out):
    """out[lane] = the class with the largest output, of equal ones the first; -1 where an output is NaN."""
    for lane in range(out.size):
        best = 0
        for k in range(1, classes):
            if outputs[k, lane] > outputs[best, lane] or math.isnan(outputs[k, lane]):
                best = k
        out[lane] = -1 if math.isnan(outputs[best, lane]) else best


@worker
def predict(rows, d, weights, c, sizes, scratch, w, out):
    """out (n,) = the classes that network c gives the rows of data set d, as of `name_classes`."""
    order = np.arange(rows.row.shape[1])
    for first in range(0, order.size, CHUNK):
        gather(rows, d, order, first, scratch, w)
        forward(weights, c, sizes, scratch, w)
        name_classes(scratch.outputs[w, -1, 0], sizes[-1], out[first : first + CHUNK])


@worker
def predict_worker(rows, rules, weights, scratch, w, found, tasks):
    """Claim one network after the other, and name the classes of its rows."""
    while tasks[1] == 0:
        c = claim(tasks)
        if c >= found.shape[0]:
            return
        predict(rows, c // rules.rate.shape[0], weights, c, rules.sizes, scratch, w, found[c])


@sweep
def predict_sweep(rows, rules, weights, scratch, found, tasks, workers):
    """Fill found (C, n), int64: the classes that each network gives the rows of its data set, -1 where it has diverged.

    Parameters as of `train_sweep`.
    """
    for w in prange(workers):
        predict_worker(rows, rules, weights, scratch, w, found, tasks)


@worker
def noisy_worker(rows, rules, weights, deviations, noisy, scratch, w, wrong, tasks):
    """Claim a network, draw it as often as asked, and count its errors."""
    numbers = 0
    for layer in range(len(weights)):
        numbers += weights[layer][0].size
    normal, named = np.empty(numbers), np.empty(rows.row.shape[1], np.int64)
    while tasks[1] == 0:
        c = claim(tasks)
        if c >= wrong.shape[0]:
            return
        d = c // rules.rate.shape[0]
        for k in range(wrong.shape[1]):
            fill_normal(normal, rules.root, rows.draw[d], NETWORK_POSTERIOR, k)
            start = 0
            for layer in range(len(weights)):
                start = add_noise(weights[layer][c], deviations[layer][c], normal, start, noisy[layer][w])
            predict(rows, d, noisy, w, rules.sizes, scratch, w, named)
            wrong[c, k] = np.sum(named != rows.label[d])


@sweep
def noisy_sweep(rows, rules, weights, deviations, noisy, scratch, wrong, tasks, workers):
    """Fill wrong (C, K): errors of every network with weights drawn K times from N(weights, deviations^2).

    Parameters as of `train_sweep`. deviations: L matrices (C, m_l, k_l), 0 where the weights are padded; noisy: L
    matrices (workers, m_l, k_l), scratch. Draw k of a data set is standard_normal of the stream (root, draw,
    NETWORK_POSTERIOR, k), layer after layer, row after row.
    """
    for w in prange(workers):
        noisy_worker(rows, rules, weights, deviations, noisy, scratch, w, wrong, tasks)
