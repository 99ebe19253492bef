"""The mean losses of a block's cells over the noise, to the levels that they meet and at recorded moments.

The steps are those of `expectation`: means and covariances, one axis at a time or all pairs of axes. A level is met at
the first step at which the mean train loss is at or below it, a budget after its steps; what is kept there are losses,
since there is no one iterate. Every cell is taken through its chunk by itself, so that no bit depends on the others.

The irreducible loss of a population, `train_floor`, is there in every new row beside the labels' sigma^2: with fresh
rows the labels' variance is the sum of both.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from ..arrays import DIVERGED_SUM, ENDED, Cells, Landscape, Rates, Rows
from ..intrinsics import fma
from ..jit import cell, inline, sweep, worker
from ..pool import NEVER, is_done, next_moment
from ..status import BUDGET_SPENT, DIVERGED, OUT_OF_STEPS, REACHED
from ..tasks import NONE_LEFT, claim_cells
from .averages import NO_AVERAGE
from .expectation import (
    A_MEAN,
    FRESH,
    HESSIAN,
    ISOTROPIC,
    ROWS,
    X_MEAN,
    A,
    Noise,
    P,
    Steps,
    energy_of_pairs,
    mean_energy,
    set_noise,
    spread_of_pairs,
    step_modes_at,
    step_pairs,
    test_of_modes,
    test_of_pairs,
    weights_of_average,
)

# What is kept at a stop or a recorded moment, and how many of them.
TRAIN, TEST, VARIANCE, AVERAGE_TRAIN, AVERAGE_TEST, LOSSES = 0, 1, 2, 3, 4, 5
# Covariances and means of `expectation`.
COVARIANCES, MEANS = 6, 3


class Methods(NamedTuple):
    """How every schedule's steps are taken, (S,) each but where it says otherwise."""

    kind: np.ndarray  # of noise, as `expectation` numbers them
    sigma: np.ndarray
    batch: np.ndarray  # (S, K) rows a step, one size after another
    batch_until: np.ndarray  # (S, K) after how many steps each ends; the last never does
    b: np.ndarray
    c1: np.ndarray
    c2: np.ndarray
    average: np.ndarray  # a kind of `averages`
    average_start: np.ndarray
    average_decay: np.ndarray


class Moments(NamedTuple):
    """Where the cells of M of the block's seeds stand."""

    seed: np.ndarray  # (M,) which seeds
    covariance: np.ndarray  # (S, M, 6, d), for pairs (S, M, 6, d, d)
    mean: np.ndarray  # (S, M, 3, d)


class Found(NamedTuple):
    """The levels and moments that all cells have passed."""

    decided: np.ndarray  # (S, N) levels, or ENDED
    status: np.ndarray  # (S, N, E)
    stop_step: np.ndarray  # (S, N, E)
    stop_time: np.ndarray  # (S, N, E) in the schedule's unit
    stop: np.ndarray  # (S, N, E, 5) losses, TRAIN first; what is not known stays as it is
    record: np.ndarray  # (S, R, K, 5)


class Setting(NamedTuple):
    """What else the steps of a block's cells see."""

    budgets: np.ndarray  # (E,) steps, ascending; (0,) where levels are losses
    dimension: np.ndarray  # (N,) axes that each seed has
    # (N, d) c_i lam_i where an axis stands for c_i alike, r_i^2 their mean and M_ii a sum; lam for pairs
    weight: np.ndarray
    unit: np.ndarray  # (N,) what rates in units of 1/sharpness are divided by


class Launch(NamedTuple):
    """All that a launch is given."""

    cells: Cells
    rates: Rates
    landscape: Landscape  # test_matrix (N, d) or (1, d), the diagonal; for pairs (.., d, d)
    setting: Setting
    methods: Methods
    rows: Rows
    moments: Moments
    found: Found


@worker
def steps_of(launch, s):
    """The optimiser of schedule s as `expectation` takes it."""
    nothing, methods = np.empty((0, 0)), launch.methods
    return Steps(
        nothing, nothing, methods.b[s], methods.c1[s], methods.c2[s],
        methods.average[s], methods.average_start[s], methods.average_decay[s], launch.setting.budgets,
    )  # fmt: skip


@worker
def noise_of(launch, s, n):
    """The noise of schedule s with seed n as `expectation` takes it, its rows those of a problem number 0."""
    kind, sigma, rows, size = launch.methods.kind[s], launch.methods.sigma[s], launch.rows, launch.setting.dimension[n]
    count, which = rows.count[n] if kind == ROWS else 0, min(n, rows.z.shape[0] - 1)
    floor = launch.landscape.train_floor
    z, rho = rows.z[which : which + 1, :count, :size].copy(), rows.rho[which : which + 1, :count].copy()
    if kind == FRESH and floor[n] > 0.0:
        sigma = math.sqrt(sigma * sigma + floor[n])
    return Noise(kind, sigma, z, rho)


@inline
def batch_at(methods, s, step):
    """The rows of a step after `step` others."""
    if methods.batch.shape[1] == 1:
        return methods.batch[s, 0]
    return methods.batch[s, np.searchsorted(methods.batch_until[s], step, side="right")]


@cell
def set_second(second, mean, covariance):
    """second (d, d) = E x x^T."""
    for i in range(mean.size):
        for j in range(mean.size):
            second[i, j] = fma(mean[i], mean[j], covariance[i, j])


# ---- levels and moments ----


@inline
def is_open(launch, s, n, first):
    """Whether a cell has something to do after `first` steps; at the start it has, but where it takes no part."""
    if first == 0:
        return launch.found.decided[s, n] != ENDED
    return not is_done(launch.cells, launch.rates, launch.found.decided, s, n, first)


@inline
def is_met(launch, n, level, step, energy):
    """Whether a level is met at this step, at a mean excess train loss `energy`."""
    if launch.setting.budgets.size > 0:
        return step == launch.setting.budgets[level]
    return 2.0 * energy <= launch.cells.threshold[n, level]


@inline
def is_looked_at(launch, s, n, step, energy, moment):
    """Whether the losses of a cell are wanted at this step: for a level, a recorded moment or a divergence."""
    if step == moment or not 2.0 * energy <= DIVERGED_SUM:
        return True
    level = launch.found.decided[s, n]
    return level < launch.cells.threshold.shape[1] and is_met(launch, n, level, step, energy)


@cell
def write_stops(launch, s, n, last, outcome, step, time, losses):
    """Write the levels of a cell up to `last`."""
    found = launch.found
    for level in range(found.decided[s, n], last):
        found.status[s, n, level] = outcome
        found.stop_step[s, n, level] = step
        found.stop_time[s, n, level] = time
        for which in range(losses.size):
            found.stop[s, n, level, which] = losses[which]
    found.decided[s, n] = last


@cell
def note(launch, s, n, step, time, energy, moment, slot, losses):
    """Decide the levels that are met at this step, and record it where it is the moment of a slot."""
    found, most = launch.found, launch.cells.threshold.shape[1]
    if not 2.0 * energy <= DIVERGED_SUM:
        write_stops(launch, s, n, most, DIVERGED, step, time, losses)
        found.decided[s, n] = ENDED
        return
    level = found.decided[s, n]
    while level < most and is_met(launch, n, level, step, energy):
        level += 1
    outcome = BUDGET_SPENT if launch.setting.budgets.size > 0 else REACHED
    write_stops(launch, s, n, level, outcome, step, time, losses)
    if step == moment:
        for which in range(losses.size):
            found.record[s, launch.cells.row[n], slot, which] = losses[which]


@cell
def end_cell(launch, s, n, step, time, losses):
    """A cell whose schedule is over: the levels that are left get its last losses."""
    write_stops(launch, s, n, launch.cells.threshold.shape[1], OUT_OF_STEPS, step, time, losses)


# ---- losses ----


@cell
def slope_part(slope, offset, mean):
    """sum_i b_i (mean_i + delta_i)."""
    total = 0.0
    for i in range(mean.size):
        total += slope[i] * (mean[i] + offset[i])
    return total


@cell
def spread_of_modes(weight, lam, mean, variance):
    """The variance of 1/2 sum_i lam_i x_i^2 of independent normal x_i, each there weight_i / lam_i times."""
    total = 0.0
    for i in range(lam.size):
        total += weight[i] * lam[i] * variance[i] * (0.5 * variance[i] + mean[i] * mean[i])
    return total


@cell
def set_losses_of_modes(losses, launch, n, noise_kind, average, covariance, mean):
    """The losses (5,) at a moment, axis by axis."""
    scape, size = launch.landscape, mean.shape[1]
    lam, weight = scape.curvature[n, :size], launch.setting.weight[n, :size]
    offset, slope = scape.offset[n, :size], scape.test_slope[n, :size]
    test = scape.test_matrix[min(n, scape.test_matrix.shape[0] - 1), :size]
    form = test_of_modes(test, offset, mean[X_MEAN], covariance[P])
    losses[TRAIN] = scape.train_floor[n] + mean_energy(weight, mean[X_MEAN], covariance[P])
    losses[TEST] = scape.test_floor[n] + (form + slope_part(slope, offset, mean[X_MEAN]))
    if noise_kind < FRESH:
        losses[VARIANCE] = spread_of_modes(weight, lam, mean[X_MEAN], covariance[P])
    if average != NO_AVERAGE:
        form = test_of_modes(test, offset, mean[A_MEAN], covariance[A])
        losses[AVERAGE_TRAIN] = scape.train_floor[n] + mean_energy(weight, mean[A_MEAN], covariance[A])
        losses[AVERAGE_TEST] = scape.test_floor[n] + (form + slope_part(slope, offset, mean[A_MEAN]))


@cell
def set_losses_of_pairs(losses, launch, n, noise_kind, average, covariance, mean):
    """The same from all pairs of axes."""
    scape, size = launch.landscape, mean.shape[1]
    lam, offset, slope = scape.curvature[n, :size], scape.offset[n, :size], scape.test_slope[n, :size]
    test = scape.test_matrix[min(n, scape.test_matrix.shape[0] - 1)]
    form = test_of_pairs(test, offset, mean[X_MEAN], covariance[P])
    losses[TRAIN] = scape.train_floor[n] + energy_of_pairs(lam, mean[X_MEAN], covariance[P])
    losses[TEST] = scape.test_floor[n] + (form + slope_part(slope, offset, mean[X_MEAN]))
    if noise_kind < FRESH:
        losses[VARIANCE] = spread_of_pairs(lam, mean[X_MEAN], covariance[P])
    if average != NO_AVERAGE:
        form = test_of_pairs(test, offset, mean[A_MEAN], covariance[A])
        losses[AVERAGE_TRAIN] = scape.train_floor[n] + energy_of_pairs(lam, mean[A_MEAN], covariance[A])
        losses[AVERAGE_TEST] = scape.test_floor[n] + (form + slope_part(slope, offset, mean[A_MEAN]))


# ---- cells ----


@cell
def step_plain_modes(variance, mean, lam, energy, eta, batch, noise):
    """`step_modes_at` to the bit for gradient descent without an average, whose velocity nobody asks for."""
    kind, sigma_2 = noise.kind, noise.sigma * noise.sigma
    label, kick = 2.0 * (energy + sigma_2), eta * eta
    if kind == FRESH:
        for i in range(lam.size):
            s, m, p = fma(-eta, lam[i], 1.0), mean[i], variance[i]
            own = lam[i] * (label + lam[i] * fma(m, m, p)) / batch
            variance[i], mean[i] = s * s * p + kick * own, s * m
        return
    for i in range(lam.size):
        s = fma(-eta, lam[i], 1.0)
        own = sigma_2 if kind == ISOTROPIC else (sigma_2 * lam[i] if kind == HESSIAN else 0.0)
        variance[i], mean[i] = s * s * variance[i] + kick * own, s * mean[i]


@worker
def follow_modes(launch, s, m, first, tasks):
    """Take one cell through a chunk of steps that begins after `first` steps, axis by axis."""
    rates, n, losses = launch.rates, launch.moments.seed[m], np.full(LOSSES, np.nan)
    size, unit = launch.setting.dimension[n], launch.setting.unit[n] if rates.unit[s] else 1.0
    lam, covariance = launch.landscape.curvature[n, :size], launch.moments.covariance[s, m, :, :size].copy()
    mean, steps, noise = launch.moments.mean[s, m, :, :size].copy(), steps_of(launch, s), noise_of(launch, s, n)
    last, average = min(first + rates.eta.shape[1], rates.length[s]), steps.average
    plain = steps.b == 0.0 and steps.c2 == 0.0 and average == NO_AVERAGE
    weight, slot, moment, energy = launch.setting.weight[n, :size], 0, NEVER, 0.0
    if first > 0:
        energy = mean_energy(weight, mean[X_MEAN], covariance[P])
    if launch.cells.row[n] >= 0:
        slot, moment = next_moment(rates, s, 0, first - (first == 0))
    for t in range(first - (first == 0), last):
        if t >= first:  # before the first step the start is looked at
            if is_done(launch.cells, rates, launch.found.decided, s, n, t) or tasks[1] != 0:
                break
            past, present = weights_of_average(steps, t + 1)
            eta = rates.eta[s, t - first] / unit
            batch = batch_at(launch.methods, s, t)
            if plain:
                step_plain_modes(covariance[P], mean[X_MEAN], lam, energy, eta, batch, noise)
            else:
                step_modes_at(covariance, mean, lam, energy, eta, batch, steps, noise, past, present)
        energy = mean_energy(weight, mean[X_MEAN], covariance[P])
        if is_looked_at(launch, s, n, t + 1, energy, moment):
            set_losses_of_modes(losses, launch, n, noise.kind, average, covariance, mean)
            note(launch, s, n, t + 1, rates.time[s, t + 1 - first], energy, moment, slot, losses)
            if t + 1 == moment:
                slot, moment = next_moment(rates, s, slot, t + 1)
    if last == rates.length[s] and launch.found.decided[s, n] < launch.cells.threshold.shape[1]:
        set_losses_of_modes(losses, launch, n, noise.kind, average, covariance, mean)
        end_cell(launch, s, n, last, rates.time[s, last - first], losses)
    launch.moments.covariance[s, m, :, :size] = covariance
    launch.moments.mean[s, m, :, :size] = mean


@worker
def follow_pairs(launch, s, m, first, tasks):
    """`follow_modes` with all pairs of axes."""
    rates, n, losses = launch.rates, launch.moments.seed[m], np.full(LOSSES, np.nan)
    size, unit = launch.setting.dimension[n], launch.setting.unit[n] if rates.unit[s] else 1.0
    lam, covariance = launch.landscape.curvature[n, :size], launch.moments.covariance[s, m, :, :size, :size].copy()
    mean, steps, noise = launch.moments.mean[s, m, :, :size].copy(), steps_of(launch, s), noise_of(launch, s, n)
    last, average = min(first + rates.eta.shape[1], rates.length[s]), steps.average
    spread, second, misfits = np.empty((size, size)), np.empty((size, size)), np.empty(noise.rho.shape[1])
    slot, moment = 0, NEVER
    if launch.cells.row[n] >= 0:
        slot, moment = next_moment(rates, s, 0, first - (first == 0))
    for t in range(first - (first == 0), last):
        if t >= first:
            if is_done(launch.cells, rates, launch.found.decided, s, n, t) or tasks[1] != 0:
                break
            set_second(second, mean[X_MEAN], covariance[P])
            set_noise(spread, second, mean[X_MEAN], lam, batch_at(launch.methods, s, t), noise, 0, misfits)
            past, present = weights_of_average(steps, t + 1)
            step_pairs(covariance, mean, lam, rates.eta[s, t - first] / unit, steps, spread, past, present)
        energy = energy_of_pairs(lam, mean[X_MEAN], covariance[P])
        if is_looked_at(launch, s, n, t + 1, energy, moment):
            set_losses_of_pairs(losses, launch, n, noise.kind, average, covariance, mean)
            note(launch, s, n, t + 1, rates.time[s, t + 1 - first], energy, moment, slot, losses)
            if t + 1 == moment:
                slot, moment = next_moment(rates, s, slot, t + 1)
    if last == rates.length[s] and launch.found.decided[s, n] < launch.cells.threshold.shape[1]:
        set_losses_of_pairs(losses, launch, n, noise.kind, average, covariance, mean)
        end_cell(launch, s, n, last, rates.time[s, last - first], losses)
    launch.moments.covariance[s, m, :, :size, :size] = covariance
    launch.moments.mean[s, m, :, :size] = mean


@worker
def mean_modes_worker(launch, first, tasks):
    """Claim cells until none is left."""
    while tasks[1] == 0:
        s, m, _ = claim_cells(tasks, launch.rates.length.size, launch.moments.seed.size, 1)
        if s == NONE_LEFT:
            return
        if is_open(launch, s, launch.moments.seed[m], first):
            follow_modes(launch, s, m, first, tasks)


@worker
def mean_pairs_worker(launch, first, tasks):
    """Claim cells until none is left."""
    while tasks[1] == 0:
        s, m, _ = claim_cells(tasks, launch.rates.length.size, launch.moments.seed.size, 1)
        if s == NONE_LEFT:
            return
        if is_open(launch, s, launch.moments.seed[m], first):
            follow_pairs(launch, s, m, first, tasks)


@sweep
def mean_modes_sweep(cells, rates, landscape, setting, methods, rows, moments, found, first, tasks, workers):
    """Take one chunk of steps with every cell of some seeds, where M is diagonal and the noise none of given rows.

    Parameters: those of `Launch`, the rates those of the chunk; `first`, the steps before it; tasks and workers as in
    `descent.recurrence.descend_sweep`. Updates `Moments` and `Found`. A level that is still to be decided keeps status
    0; with the last step of its schedule a cell ends, so that after all chunks none is left.
    """
    for _ in prange(workers):
        launch = Launch(cells, rates, landscape, setting, methods, rows, moments, found)
        mean_modes_worker(launch, first, tasks)


@sweep
def mean_pairs_sweep(cells, rates, landscape, setting, methods, rows, moments, found, first, tasks, workers):
    """`mean_modes_sweep` with all pairs of axes, for any M and any noise."""
    for _ in prange(workers):
        launch = Launch(cells, rates, landscape, setting, methods, rows, moments, found)
        mean_pairs_worker(launch, first, tasks)
