"""Deterministic gradient descent in closed form: every cell through pieces of its schedule without taking the steps.

A piece of a constant rate is skipped by powers (`powers`), one of varying rates by tabulated products (`glides`).
"""

import numpy as np
from numba import prange

from ..jit import sweep, worker
from ..tasks import NONE_LEFT, claim_cells
from .constant_rate import leap_phase, set_decay
from .products import NODES
from .recurrence import is_done, start_cells
from .tabulated import glide_phase

SEEDS_A_TASK = 64


@worker
def leap_constant(
    scale, threshold, row, eta, steps, before, elapsed, record_step, last_record,
    x_now, decided, status, stop_step, stop_time, stop_x, record_x, first, last,
):  # fmt: skip
    """Take some seeds through a piece of a constant rate."""
    axes = scale.shape[1]
    x, y, decay, odd_sign = np.empty(axes), np.empty(axes), np.empty(axes), np.empty(axes)
    known = np.full(axes, -1.0)
    for n in range(first, last):
        if is_done(n, before, threshold, decided, row, last_record):
            continue
        set_decay(scale, n, eta, known, decay, odd_sign)
        for i in range(axes):
            x[i] = x_now[n, i]
        leap_phase(
            x, y, decay, odd_sign, eta, steps, before, elapsed, n, row[n], record_step,
            threshold, decided, status, stop_step, stop_time, stop_x, record_x,
        )  # fmt: skip
        for i in range(axes):
            x_now[n, i] = x[i]


@worker
def leap_varying(
    scale, threshold, row, eta, time, coefficient, every, cap, before, elapsed, record_step, last_record,
    x_now, decided, status, stop_step, stop_time, stop_x, record_x, first, last,
):  # fmt: skip
    """Take some seeds through a tabulated piece."""
    axes = scale.shape[1]
    x, y, ahead, base = np.empty(axes), np.empty(axes), np.empty(axes), np.empty(axes)
    weight = np.zeros((axes, NODES))
    known = np.full(axes, -1.0)
    for n in range(first, last):
        if is_done(n, before, threshold, decided, row, last_record):
            continue
        for i in range(axes):
            x[i] = x_now[n, i]
        glide_phase(
            x, y, ahead, known, weight, base, scale, n, eta, time, coefficient, every, cap, before, elapsed, row[n],
            record_step, threshold, decided, status, stop_step, stop_time, stop_x, record_x,
        )  # fmt: skip
        for i in range(axes):
            x_now[n, i] = x[i]


@worker
def leap_seeds(cells, rates, pieces, products, course, s, first, last):
    """Take some seeds through the pieces of schedule s."""
    threshold, row, scale = cells.threshold, cells.row, cells.scale[rates.unit[s]]
    x_now, decided, status = course.x[s], course.decided[s], course.status[s]
    stop_step, stop_time, stop_x, record_x = (
        course.stop_step[s],
        course.stop_time[s],
        course.stop_x[s],
        course.record_x[s],
    )
    record_step, last_record = rates.record_step[s], rates.last_record[s]
    before, elapsed = pieces.before[s], pieces.elapsed[s]
    if before == 0:
        x = np.empty(scale.shape[1])
        start_cells(x, threshold, row, x_now, decided, status, stop_step, stop_time, stop_x, record_x, first, last)
    for p in range(pieces.steps.shape[1]):
        steps, eta, table = pieces.steps[s, p], pieces.eta[s, p], pieces.table[s, p]
        if steps == 0:
            return
        if table < 0:
            leap_constant(
                scale, threshold, row, eta, steps, before, elapsed, record_step, last_record,
                x_now, decided, status, stop_step, stop_time, stop_x, record_x, first, last,
            )  # fmt: skip
            elapsed += eta * steps
        else:
            begin, every, first_row = products.first_step[table], products.every[table], products.first_row[table]
            last_row = first_row + (steps + every - 1) // every
            leap_varying(
                scale, threshold, row, products.eta[begin : begin + steps],
                products.time[first_row : last_row + 1], products.coefficient[first_row : last_row + 1],
                every, products.cap[table], before, elapsed, record_step, last_record,
                x_now, decided, status, stop_step, stop_time, stop_x, record_x, first, last,
            )  # fmt: skip
            elapsed += products.time[last_row]
        before += steps


@worker
def leap_worker(cells, rates, pieces, products, course, tasks):
    """Claim tasks of a few seeds with one schedule each."""
    while tasks[1] == 0:
        s, first, last = claim_cells(tasks, rates.length.size, cells.row.size, SEEDS_A_TASK)
        if s == NONE_LEFT:
            return
        leap_seeds(cells, rates, pieces, products, course, s, first, last)


@sweep
def leap_sweep(cells, rates, pieces, products, course, tasks, workers):
    """Take every cell through some pieces of its schedule; step 0 is looked at where none came before.

    Parameters: `Cells`, `Rates` (no rate tables are looked at), `Pieces`, `Products`, `Course` of `arrays`; tasks and
    workers as in `descent.descend_sweep`. Updates `Course`. The steps are those of the recurrence but for rounding:
    about 1e-13 relative in x, so a level may be passed one step apart where train loss and level agree to 1e-11.
    """
    for _ in prange(workers):
        leap_worker(cells, rates, pieces, products, course, tasks)
