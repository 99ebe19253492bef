"""Training fully connected ReLU networks of any depth by SGD, many at a time, and counting their errors.

With z_0 = x and z_(l + 1) = relu(W_l [z_l; 1]) for all layers but the last, f(x) = W_(L - 1) [z_(L - 1); 1]; the last
column of W_l is the bias. The loss is the mean over a batch of log sum_c exp(f_c(x)) - f_y(x), the derivative of relu
at 0 is 0, and a step is

    W_l <- (1 - eta_t lam) W_l - eta_t dL/dW_l.

Epoch e takes the rows in the order `draws.fill_order(root, draw, NETWORK_ORDER, e)`, batch after batch; rows that fill
no batch are left out of that epoch.

Matrices are padded with zeros, which stay zeros, to multiples of `block_products.QUAD`: W_l is (m_l, k_l), m_l of at
least its outputs and k_l of at least its inputs and one more. Rows of a batch are the lanes of SIMD. Each sum runs in
one order, whatever the threads: the unit of parallel work is a network.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from ..block_products import add_product, set_product
from ..descent.exponential import LOWEST_EXPONENT, exp_lane, log_lane
from ..draws import NETWORK_ORDER, NETWORK_POSTERIOR, fill_normal, fill_order
from ..intrinsics import claim
from ..jit import cell, sweep, worker


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
    """What each worker computes with, for a batch of B rows; M and K are the largest m_l and k_l."""

    inputs: np.ndarray  # (workers, L, K, B) z_l, below it 1
    outputs: np.ndarray  # (workers, L, M, B) W_l [z_l; 1], then -eta dL/d of that
    pulled: np.ndarray  # (workers, K, B) -eta dL/dz_l
    lanes: np.ndarray  # (workers, 2, B)


class Turned(NamedTuple):
    """Transposed matrices of each worker: L arrays each."""

    weights: tuple  # (workers, k_l, m_l)
    inputs: tuple  # (workers, B, k_l)


def padded(count):
    """The least multiple of QUAD that is not below `count`."""
    return -(-count // 4) * 4


def shapes(sizes):
    """[(m_l, k_l)] of the matrices of a network with so many inputs, units of each layer, and classes."""
    return [(padded(sizes[layer + 1]), padded(sizes[layer] + 1)) for layer in range(len(sizes) - 1)]


def make_scratch(sizes, batch, workers):
    """(`Scratch`, `Turned`) of so many workers."""
    own = shapes(sizes)
    most = [max(sides) for sides in zip(*own, strict=True)]
    inputs = np.zeros((workers, len(own), most[1], batch))
    for layer, size in enumerate(sizes[:-1]):
        inputs[:, layer, size] = 1.0
    outputs, pulled = np.zeros((workers, len(own), most[0], batch)), np.zeros((workers, most[1], batch))
    return Scratch(inputs, outputs, pulled, np.zeros((workers, 2, batch))), Turned(
        tuple(np.zeros((workers, k, m)) for m, k in own), tuple(np.zeros((workers, batch, k)) for _, k in own)
    )


# ---- one batch ----


@cell
def turn(matrix, out):
    """out (n, m) = the transpose of matrix (m, n)."""
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            out[j, i] = matrix[i, j]


@cell
def gather(rows, d, order, first, inputs):
    """inputs[:p] = the rows order[first], .., one a lane; lanes beyond the last row get its inputs again."""
    for lane in range(inputs.shape[1]):
        row = rows.row[d, order[min(first + lane, order.size - 1)]]
        for i in range(rows.inputs.shape[1]):
            inputs[i, lane] = rows.inputs[row, i]


@cell
def rectify(values, units, out):
    """out[:units] = max(values[:units], 0)."""
    for u in range(units):
        for lane in range(values.shape[1]):
            out[u, lane] = values[u, lane] if values[u, lane] > 0.0 else 0.0


@cell
def forward(weights, c, sizes, scratch, w):
    """The outputs of all layers for the batch that inputs[0] has; those of the last are f."""
    for layer in range(len(weights)):
        matrix = weights[layer][c]
        outputs = scratch.outputs[w, layer, : matrix.shape[0]]
        set_product(matrix, scratch.inputs[w, layer, : matrix.shape[1]], outputs)
        if layer + 1 < len(weights):
            rectify(outputs, sizes[layer + 1], scratch.inputs[w, layer + 1])


@cell
def pull_classes(outputs, classes, label, order, first, scale, lanes):
    """outputs <- -scale d(sum of losses)/df, softmax of f minus the labels' ones; the sum of the losses is returned.

    lanes (2, B) is scratch: the largest output, then the sum of exponentials, of every row.
    """
    most, total = lanes[0], lanes[1]
    for lane in range(most.size):
        most[lane], total[lane] = outputs[0, lane], 0.0
    for k in range(1, classes):
        for lane in range(most.size):
            most[lane] = max(most[lane], outputs[k, lane])
    loss = 0.0
    for lane in range(most.size):
        loss += most[lane] - outputs[label[order[first + lane]], lane]
    for k in range(classes):
        for lane in range(most.size):
            outputs[k, lane] = exp_lane(max(outputs[k, lane] - most[lane], LOWEST_EXPONENT))
            total[lane] += outputs[k, lane]
    for k in range(classes):
        for lane in range(most.size):
            outputs[k, lane] *= -scale / total[lane]
    for lane in range(most.size):
        loss += log_lane(total[lane])
        outputs[label[order[first + lane]], lane] += scale
    return loss


@cell
def mask(pulled, inputs, units, outputs):
    """outputs[:units] = pulled[:units] where the inputs to the next layer are above 0, else 0."""
    for u in range(units):
        for lane in range(pulled.shape[1]):
            outputs[u, lane] = pulled[u, lane] if inputs[u, lane] > 0.0 else 0.0


@cell
def shrink(matrix, factor):
    """matrix *= factor."""
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            matrix[i, j] *= factor


@cell
def backward(weights, c, sizes, scratch, turned_weights, turned_inputs, w, factor):
    """Move all weights by what the last layer's outputs have been made: -eta dL/df; factor is 1 - eta lam."""
    for back in range(len(weights)):
        layer = len(weights) - 1 - back
        matrix = weights[layer][c]
        outputs, inputs = scratch.outputs[w, layer, : matrix.shape[0]], scratch.inputs[w, layer, : matrix.shape[1]]
        if layer > 0:
            pulled = scratch.pulled[w, : matrix.shape[1]]
            turn(matrix, turned_weights[layer][w])
            set_product(turned_weights[layer][w], outputs, pulled)
            mask(pulled, inputs, sizes[layer], scratch.outputs[w, layer - 1])
        turn(inputs, turned_inputs[layer][w])
        if factor != 1.0:
            shrink(matrix, factor)
        add_product(outputs, turned_inputs[layer][w], matrix)


# ---- one network ----


@worker
def train_network(rows, rules, weights, c, turned_weights, turned_inputs, first, last, scratch, w):
    """Steps first .. last - 1 of network c."""
    s, d = c % rules.rate.shape[0], c // rules.rate.shape[0]
    order, lanes = np.empty(rows.row.shape[1], np.int64), scratch.lanes[w]
    batch, classes = lanes.shape[1], rules.sizes[-1]
    batches = order.size // batch
    for step in range(first, last):
        start = step % batches * batch
        if start == 0 or step == first:
            fill_order(order, rules.root, rows.draw[d], NETWORK_ORDER, step // batches)
        gather(rows, d, order, start, scratch.inputs[w, 0])
        forward(weights, c, rules.sizes, scratch, w)
        rate = rules.rate[s, step]
        pull_classes(scratch.outputs[w, len(weights) - 1], classes, rows.label[d], order, start, rate / batch, lanes)
        backward(weights, c, rules.sizes, scratch, turned_weights, turned_inputs, w, 1.0 - rate * rules.decay)


@worker
def train_worker(rows, rules, weights, turned_weights, turned_inputs, first, last, scratch, w, tasks):
    """Claim one network after the other, until none is left or a stop is asked for."""
    while tasks[1] == 0:
        c = claim(tasks)
        if c >= weights[0].shape[0]:
            return
        train_network(rows, rules, weights, c, turned_weights, turned_inputs, first, last, scratch, w)


@sweep
def train_sweep(rows, rules, weights, turned_weights, turned_inputs, first, last, scratch, tasks, workers):
    """Steps first .. last - 1 of all networks; number c has schedule c mod S and data set c // S.

    Parameters: `Rows`; `Rules`; L matrices of weights (C, m_l, k_l), which are moved; `Turned` and `Scratch` of at
    least so many workers; tasks and workers as in `descent.descend_sweep`. Training may be cut into launches in any way
    without a change of bits.
    """
    for w in prange(workers):
        train_worker(rows, rules, weights, turned_weights, turned_inputs, first, last, scratch, w, tasks)


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
    order, batch = np.arange(rows.row.shape[1]), scratch.lanes.shape[2]
    for first in range(0, order.size, batch):
        gather(rows, d, order, first, scratch.inputs[w, 0])
        forward(weights, c, sizes, scratch, w)
        name_classes(scratch.outputs[w, len(weights) - 1], sizes[-1], out[first : first + batch])


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
