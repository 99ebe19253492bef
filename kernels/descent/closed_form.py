"""Deterministic gradient descent in closed form: every cell through pieces of its schedule without taking the steps.

A piece of a constant rate is skipped by powers (`constant_rate`), one of varying rates by tabulated products
(`tabulated`).
"""

import numpy as np
from numba import prange

from ..jit import sweep, worker
from ..tasks import NONE_LEFT, claim_cells
from .constant_rate import ConstantRate, take_constant_rate
from .products import NODES
from .recurrence import start_cells
from .tabulated import Tabulated, take_tabulated

SEEDS_A_TASK = 64


@worker
def take_constant_piece(cells, rates, course, eta, steps, before, elapsed, s, first, last):
    """Take some seeds through a piece of a constant rate; return the time after it."""
    dimension = course.x.shape[2]
    piece = ConstantRate(
        eta, steps, before, elapsed, np.full(dimension, -1.0), np.empty(dimension), np.empty(dimension),
        np.empty(dimension), np.empty(dimension), np.empty(dimension), np.empty(dimension),
    )  # fmt: skip
    take_constant_rate(piece, cells, rates, course, s, first, last)
    return elapsed + eta * steps


@worker
def table_of(products, g, steps):
    """eta, time, coefficient, every and cap of piece g of the products, which has so many steps."""
    begin, every, first_row = products.first_step[g], products.every[g], products.first_row[g]
    last_row = first_row + (steps + every - 1) // every
    time, coefficient = products.time[first_row : last_row + 1], products.coefficient[first_row : last_row + 1]
    return products.eta[begin : begin + steps], time, coefficient, every, products.cap[g]


@worker
def take_tabulated_piece(cells, rates, course, table, before, elapsed, s, first, last):
    """Take some seeds through a piece that is tabulated in table; return the time after it."""
    eta, time, coefficient, every, cap = table
    dimension = course.x.shape[2]
    piece = Tabulated(
        eta, time, coefficient, every, cap, before, elapsed, rates.peak[s],
        np.full(dimension, -1.0), np.zeros((dimension, NODES)), np.empty(dimension), np.empty(dimension),
        np.zeros(dimension, np.int64), np.empty(dimension), np.empty(dimension), np.empty(dimension),
        np.empty(dimension),
    )  # fmt: skip
    take_tabulated(piece, cells, rates, course, s, first, last)
    return elapsed + time[-1]


@worker
def take_pieces(cells, rates, pieces, products, course, s, first, last):
    """Take some seeds through the pieces of schedule s."""
    before, elapsed = pieces.before[s], pieces.elapsed[s]
    if before == 0:
        start_cells(cells, course, s, first, last, np.empty(course.x.shape[2]))
    for p in range(pieces.steps.shape[1]):
        steps, eta, table = pieces.steps[s, p], pieces.eta[s, p], pieces.table[s, p]
        if steps == 0:
            return
        if table < 0:
            elapsed = take_constant_piece(cells, rates, course, eta, steps, before, elapsed, s, first, last)
        else:
            own = table_of(products, table, steps)
            elapsed = take_tabulated_piece(cells, rates, course, own, before, elapsed, s, first, last)
        before += steps


@worker
def closed_form_worker(cells, rates, pieces, products, course, tasks):
    """Claim tasks of a few seeds with one schedule each."""
    while tasks[1] == 0:
        s, first, last = claim_cells(tasks, rates.length.size, cells.row.size, SEEDS_A_TASK)
        if s == NONE_LEFT:
            return
        take_pieces(cells, rates, pieces, products, course, s, first, last)


@sweep
def closed_form_sweep(cells, rates, pieces, products, course, tasks, workers):
    """Take every cell through some pieces of its schedule; step 0 is looked at where none came before.

    Parameters: `Cells`, `Rates` (no rate tables are looked at), `Pieces`, `Products`, `Course` of `arrays`; tasks and
    workers as in `descent.descend_sweep`. Updates `Course`. The steps are those of the recurrence but for rounding:
    about 1e-13 relative in x, so a level may be passed one step apart where train loss and level agree to 1e-11.
    """
    for _ in prange(workers):
        closed_form_worker(cells, rates, pieces, products, course, tasks)
