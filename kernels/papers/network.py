"""Training two-layer ReLU networks, many at a time: a network is one schedule with one seed.

A point x = (x1, x2) has two parts, each seen by m units of its own, whose output weights a_j = +-1 stay as they are:

    f(x) = m^(-1/2) sum_j a_j relu(<w_j, x1>) + m^(-1/2) sum_j a_j relu(<v_j, x2>)
    L = (1/N) sum_i log(1 + exp(-y_i f(x_i))),           gradient descent on L + (lam/2) (|w|^2 + |v|^2) with noise:
    w_(t+1) = (1 - eta_t lam) w_t - eta_t (dL/dw + sigma xi_t),    xi_t standard normal

The derivative of relu at 0 is 0. The rate is large until a number of steps or a train loss is reached, then small for
good; training stops at the first step with the small rate whose train loss is at or below a level. Step t draws its
noise by address, in NumPy's words: Generator(Philox(key=[root, draw], counter=[0, t, NETWORK_NOISE, 0]))
.standard_normal(m (r1 + r2)), the units of x1 first, unit after unit; so all schedules of a seed meet the same noise.

The points may be given in any coordinates that an orthonormal basis of some space gives them. Gradients lie in the span
of the train points, so without noise the coordinates along that span are enough: what the start's weights are beyond it
only decays, and what they put out there at the test points is given beforehand (`Part.far`).

Each sum runs in one order, whatever the threads: the unit of parallel work is a network.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from ..draws import NETWORK_NOISE, fill_normal
from ..intrinsics import claim, fma
from ..jit import cell, inline, sweep, worker
from ..matrices.block_products import add_product, scale_add_product, set_product
from ..status import DIVERGED, NOT_RUN, OUT_OF_STEPS, REACHED

# Outputs nearer to 0 than this are of rounding: at the start, where f = 0, half of the test points count as wrong.
TIE = 1e-9
# Training has diverged where not (train loss <= this).
LIMIT = 1e100
# What is measured at a moment: losses on train points, and shares of test points on the wrong side.
TRAIN_LOSS, FIRST_LOSS, SECOND_LOSS, FIRST_ERROR, SECOND_ERROR, BOTH_ERROR = 0, 1, 2, 3, 4, 5
MEASURES = 6


class Part(NamedTuple):
    """One part of the points, x1 or x2, of D data sets. r coordinates, n train points that have it, t test points.

    r and n are multiples of `block_products.QUAD`; coordinates and points beyond the true ones are 0.
    """

    rows: np.ndarray  # (D, n, r) train points
    columns: np.ndarray  # (D, r, n) the same, transposed
    test: np.ndarray  # (D, r, t) test points, transposed
    far: np.ndarray  # (D, m, t) <w_j, x> of the start beyond the r coordinates; m = 0 where there is nothing
    first: int  # the number of the train point that row 0 belongs to; the others follow it
    dimension: int  # the true number of coordinates


class Points(NamedTuple):
    """D data sets of N train points in this order: those with x1 only, those with both, those with x2 only."""

    label: np.ndarray  # (D, N) +1.0 or -1.0
    test_label: np.ndarray  # (D, t)
    bounds: np.ndarray  # (3,) int64, one beyond the last point of each of the three groups
    sign: np.ndarray  # (m,) a_j
    draw: np.ndarray  # (D,) int64, whose noise it is


class Rules(NamedTuple):
    """How S schedules train, and what is measured of them."""

    rate: np.ndarray  # (S, 2) large, small
    switch_step: np.ndarray  # (S,) int64, the rate is small from this step on,
    switch_loss: np.ndarray  # (S,) or from the first step with a train loss at or below this
    decay: np.ndarray  # (S,) lam
    sigma: np.ndarray  # (S,) of the noise
    stop_loss: float
    learnt_loss: float  # a group of points is learnt at the first step with a mean loss at or below this
    max_steps: int
    moments: np.ndarray  # (K,) int64, ascending steps to measure at


class Scratch(NamedTuple):
    """What a thread works with while it trains one network after the other."""

    first_inputs: np.ndarray  # (m, n1) <w_j, x1> at the train points, then by how much the weights move along these
    second_inputs: np.ndarray  # (m, n2) the same of v and x2
    outputs: np.ndarray  # (N,) f, with zeros beyond the last point
    pull: np.ndarray  # (N,) -N dL/df, with zeros beyond
    normal: np.ndarray  # (m (r1 + r2),) xi, of the true coordinates
    test_inputs: np.ndarray  # (m, t)
    test_outputs: np.ndarray  # (2, t) of x1 alone, of x2 alone
    measures: np.ndarray  # (MEASURES,)


class Networks(NamedTuple):
    """Where every network stands; see `begin`."""

    first: np.ndarray  # (S, D, m, r1) w
    second: np.ndarray  # (S, D, m, r2) v
    shrunk: np.ndarray  # (S, D) product of the factors 1 - eta lam so far
    step: np.ndarray  # (S, D) int64
    status: np.ndarray  # (S, D) uint8
    switched: np.ndarray  # (S, D) int64, the step from which the rate is small, -1 before
    learnt: np.ndarray  # (S, D, 2) int64, steps at which the points with x1 only, x2 only were learnt, -1 before
    measured: np.ndarray  # (S, D, K, MEASURES) at the moments, NaN at those not reached
    final: np.ndarray  # (S, D, MEASURES) at the end


def begin(rules, first, second):
    """The `Networks` before the first step: every schedule starts from first (D, m, r1) and second (D, m, r2)."""
    cells = (rules.rate.shape[0], first.shape[0])
    return Networks(
        first=np.broadcast_to(first, (cells[0], *first.shape)).copy(),
        second=np.broadcast_to(second, (cells[0], *second.shape)).copy(),
        shrunk=np.ones(cells),
        step=np.zeros(cells, np.int64),
        status=np.zeros(cells, np.uint8),
        switched=np.full(cells, -1),
        learnt=np.full((*cells, 2), -1),
        measured=np.full((*cells, rules.moments.size, MEASURES), np.nan),
        final=np.full((*cells, MEASURES), np.nan),
    )


# ---- one step ----


@cell
def clear(out):
    """out = 0, of one dimension."""
    for i in range(out.size):
        out[i] = 0.0


@cell
def add_outputs(z, sign, out, first):
    """out[first + i] += m^(-1/2) sum_j a_j relu(z_ji), for z (m, n)."""
    weight = 1.0 / math.sqrt(z.shape[0])
    for j in range(z.shape[0]):
        a = weight * sign[j]
        for i in range(z.shape[1]):
            out[first + i] = fma(a, z[j, i] if z[j, i] > 0.0 else 0.0, out[first + i])


@inline
def logistic(margin):
    """log(1 + exp(-margin)) and 1 / (1 + exp(margin)), without overflow."""
    small = math.exp(-abs(margin))
    if margin > 0.0:
        return math.log1p(small), small / (1.0 + small)
    return math.log1p(small) - margin, 1.0 / (1.0 + small)


@cell
def weigh_points(label, out, start, stop, pull):
    """The sum of the losses of some points; pull = -N dL/df = y / (1 + exp(y f)) of each."""
    total = 0.0
    for i in range(start, stop):
        loss, share = logistic(label[i] * out[i])
        total += loss
        pull[i] = label[i] * share
    return total


@cell
def weigh(label, bounds, out, pull, measures):
    """Fill the pulls, and the losses in `measures`: NaN for a group without points."""
    only_first = weigh_points(label, out, 0, bounds[0], pull)
    both = weigh_points(label, out, bounds[0], bounds[1], pull)
    only_second = weigh_points(label, out, bounds[1], bounds[2], pull)
    measures[TRAIN_LOSS] = (only_first + both + only_second) / bounds[2]
    measures[FIRST_LOSS] = only_first / bounds[0]
    measures[SECOND_LOSS] = only_second / (bounds[2] - bounds[1])


@cell
def pull_units(z, sign, pull, first, weight):
    """z_ji <- weight a_j pull_i where unit j is active at point i, else 0: by how much its weights move along x_i."""
    for j in range(z.shape[0]):
        a = weight * sign[j]
        for i in range(z.shape[1]):
            z[j, i] = a * pull[first + i] if z[j, i] > 0.0 else 0.0


@cell
def scale(weights, factor):
    """weights *= factor."""
    for j in range(weights.shape[0]):
        for k in range(weights.shape[1]):
            weights[j, k] *= factor


@cell
def subtract_noise(weights, dimension, normal, start, amount):
    """weights_jk -= amount xi for the true coordinates, xi from normal[start] on."""
    for j in range(weights.shape[0]):
        for k in range(dimension):
            weights[j, k] = fma(-amount, normal[start + j * dimension + k], weights[j, k])


# ---- what is measured ----


@cell
def set_test_outputs(weights, part, d, shrunk, sign, z, out):
    """out (t,) = the outputs of one part's units at the test points; z (m, t) is scratch."""
    for j in range(z.shape[0]):
        for i in range(z.shape[1]):
            z[j, i] = shrunk * part.far[d, j, i] if part.far.shape[1] > 0 else 0.0
    add_product(weights, part.test[d], z)
    clear(out)
    add_outputs(z, sign, out, 0)


@cell
def share_wrong(label, out):
    """The share of points with y f < 0; those with f = 0, up to rounding, count half."""
    wrong = 0.0
    for i in range(label.size):
        margin = label[i] * out[i]
        wrong += 0.5 if abs(margin) <= TIE else (1.0 if margin < 0.0 else 0.0)
    return wrong / label.size


@cell
def test_errors(x1, x2, points, d, first, second, shrunk, scratch):
    """Fill the test errors in the scratch's measures: of each test point's x1 alone, its x2 alone, both."""
    label, outputs, measures = points.test_label[d], scratch.test_outputs, scratch.measures
    set_test_outputs(first, x1, d, shrunk, points.sign, scratch.test_inputs, outputs[0])
    set_test_outputs(second, x2, d, shrunk, points.sign, scratch.test_inputs, outputs[1])
    measures[FIRST_ERROR] = share_wrong(label, outputs[0])
    measures[SECOND_ERROR] = share_wrong(label, outputs[1])
    for i in range(label.size):
        outputs[0, i] += outputs[1, i]
    measures[BOTH_ERROR] = share_wrong(label, outputs[0])


@cell
def copy_measures(measures, out):
    """out = measures, (MEASURES,) both."""
    for k in range(MEASURES):
        out[k] = measures[k]


@cell
def next_moment(moments, step):
    """The place of the first moment at or after this step."""
    place = 0
    while place < moments.size and moments[place] < step:
        place += 1
    return place


@cell
def note_learnt(measures, limit, step, learnt):
    """Write down the step at which a group was learnt first."""
    for group in range(2):
        if learnt[group] < 0 and measures[FIRST_LOSS + group] <= limit:
            learnt[group] = step


# ---- one network ----


@cell
def outcome(rules, step, loss, switched):
    """The status of a network at this step, NOT_RUN where it goes on."""
    if not loss <= LIMIT:
        return DIVERGED
    if switched >= 0 and loss <= rules.stop_loss:
        return REACHED
    return OUT_OF_STEPS if step >= rules.max_steps else NOT_RUN


@cell
def forward(x1, x2, points, d, first, second, scratch):
    """Inputs of all units at the train points, and f of these, into the scratch."""
    clear(scratch.outputs)
    set_product(first, x1.columns[d], scratch.first_inputs)
    set_product(second, x2.columns[d], scratch.second_inputs)
    add_outputs(scratch.first_inputs, points.sign, scratch.outputs, x1.first)
    add_outputs(scratch.second_inputs, points.sign, scratch.outputs, x2.first)


@cell
def backward(x1, x2, points, d, first, second, scratch, eta, decay):
    """Take one step without noise, from the inputs and pulls that the scratch has."""
    weight = eta / (math.sqrt(points.sign.size) * points.label.shape[1])
    pull_units(scratch.first_inputs, points.sign, scratch.pull, x1.first, weight)
    pull_units(scratch.second_inputs, points.sign, scratch.pull, x2.first, weight)
    scale_add_product(scratch.first_inputs, x1.rows[d], first, 1.0 - eta * decay)
    scale_add_product(scratch.second_inputs, x2.rows[d], second, 1.0 - eta * decay)


@worker
def make_scratch(x1, x2, points):
    """The `Scratch` of a thread."""
    units, tests = points.sign.size, points.test_label.shape[1]
    longest = max(x1.first + x1.rows.shape[1], x2.first + x2.rows.shape[1])
    return Scratch(
        np.zeros((units, x1.rows.shape[1])),
        np.zeros((units, x2.rows.shape[1])),
        np.zeros(longest),
        np.zeros(longest),
        np.zeros(units * (x1.dimension + x2.dimension)),
        np.zeros((units, tests)),
        np.zeros((2, tests)),
        np.zeros(MEASURES),
    )


@cell
def train_network(x1, x2, points, rules, networks, root, s, d, steps, scratch):
    """Take up to `steps` steps with one network, from where it stands."""
    first, second = networks.first[s, d], networks.second[s, d]
    normal, measures = scratch.normal, scratch.measures
    step, switched, shrunk = networks.step[s, d], networks.switched[s, d], networks.shrunk[s, d]
    last, moment = step + steps, next_moment(rules.moments, step)
    while True:
        forward(x1, x2, points, d, first, second, scratch)
        weigh(points.label[d], points.bounds, scratch.outputs, scratch.pull, measures)
        note_learnt(measures, rules.learnt_loss, step, networks.learnt[s, d])
        if switched < 0 and (step >= rules.switch_step[s] or measures[TRAIN_LOSS] <= rules.switch_loss[s]):
            switched = step
        status = outcome(rules, step, measures[TRAIN_LOSS], switched)
        due = moment < rules.moments.size and rules.moments[moment] == step
        if due or status != NOT_RUN:
            test_errors(x1, x2, points, d, first, second, shrunk, scratch)
        if due:
            copy_measures(measures, networks.measured[s, d, moment])
            moment += 1
        if status != NOT_RUN:
            copy_measures(measures, networks.final[s, d])
        if status != NOT_RUN or step == last:
            break
        eta = rules.rate[s, 1 if switched >= 0 else 0]
        backward(x1, x2, points, d, first, second, scratch, eta, rules.decay[s])
        if rules.sigma[s] > 0.0:
            fill_normal(normal, root, points.draw[d], NETWORK_NOISE, step)
            subtract_noise(first, x1.dimension, normal, 0, eta * rules.sigma[s])
            subtract_noise(second, x2.dimension, normal, first.shape[0] * x1.dimension, eta * rules.sigma[s])
        shrunk *= 1.0 - eta * rules.decay[s]
        step += 1
    networks.step[s, d], networks.switched[s, d], networks.shrunk[s, d] = step, switched, shrunk
    networks.status[s, d] = status


@worker
def train_worker(x1, x2, points, rules, networks, root, steps, tasks):
    """Claim one network after the other, until none is left or a stop is asked for."""
    schedules, seeds = networks.step.shape
    scratch = make_scratch(x1, x2, points)
    while tasks[1] == 0:
        task = claim(tasks)
        if task >= schedules * seeds:
            return
        s, d = task % schedules, task // schedules
        if networks.status[s, d] == NOT_RUN:
            train_network(x1, x2, points, rules, networks, root, s, d, steps, scratch)


@sweep
def train_sweep(x1, x2, points, rules, networks, root, steps, tasks, workers):
    """Take up to `steps` steps with every network that is not done.

    Parameters: x1 and x2, a `Part` each, `Points`, `Rules`, and `Networks`, which are updated; root of the noise; tasks
    and workers as in `descent.descend_sweep`. Training may be cut into launches in any way without a change of bits: a
    network's state is whole between steps, and its loss is looked at again when it goes on.
    """
    for _ in prange(workers):
        train_worker(x1, x2, points, rules, networks, root, steps, tasks)
