"""What the kernels are given and what they fill, as named tuples of arrays.

Letters of the shapes: S schedules, N seeds of one block, E levels, K recorded moments, R recorded seeds of the block,
d dimensions, T steps of one chunk. Every array is C-contiguous; floats are float64, counts int64, statuses uint8.

A cell (one schedule with one seed) is carried as x = sqrt(lam) r, so that 2 (train loss - floor) = sum_i x_i^2.
"""

from typing import NamedTuple

import numpy as np

# In `decided`: the run of the cell has ended, whatever levels are left, and it takes part in nothing more.
ENDED = 1 << 30

# A run has diverged at the first step where not (train loss <= 1e100); beside that, no floor counts.
DIVERGED_SUM = 2e100


class Cells(NamedTuple):
    """The quadratics of one block of seeds, as far as the steps see them."""

    scale: np.ndarray  # (2, N, d) what a rate is multiplied with: lam, and lam / sharpness
    threshold: np.ndarray  # (N, E) 2 (level - train floor), highest level first; below 0 where out of reach
    row: np.ndarray  # (N,) row of the seed's trajectory, -1 where none is kept


class Rates(NamedTuple):
    """One chunk of steps of every schedule, in the schedule's own unit."""

    eta: np.ndarray  # (S, T) learning rates
    time: np.ndarray  # (S, T + 1) sum of the learning rates before each step of the chunk, and after the last
    unit: np.ndarray  # (S,) which scale they meet: 0 absolute, 1 in units of 1/sharpness
    length: np.ndarray  # (S,) discrete steps of the whole schedule
    record_step: np.ndarray  # (S, K) ascending steps to record, -1 where the slot is not a step
    last_record: np.ndarray  # (S,) step to which a recorded cell goes on
    # (S,) the largest learning rate of the whole schedule; only exact descent asks for it.
    peak: np.ndarray = np.empty(0)
    # (S, N) learning rate of every cell through the whole chunk, in the place of eta; (0, 0) where a schedule has one
    # for all seeds. Times are then not those of the steps.
    own: np.ndarray = np.empty((0, 0))


class Pieces(NamedTuple):
    """Some steps of every schedule as pieces that are skipped: of a constant rate, or tabulated as products."""

    eta: np.ndarray  # (S, P) the constant rate, 0 where the piece is tabulated
    steps: np.ndarray  # (S, P) 0 beyond a schedule's last piece
    table: np.ndarray  # (S, P) which of the `Products`, -1 where the rate is constant
    before: np.ndarray  # (S,) steps before the first piece
    elapsed: np.ndarray  # (S,) time before the first piece, in the schedule's unit


class Products(NamedTuple):
    """prod_t (1 - eta_t lam) of G pieces as functions of lam, at rows of steps; see `products`. Pieces end to end."""

    eta: np.ndarray  # (all steps,) learning rates
    time: np.ndarray  # (all rows,) sum of the piece's rates before each row
    coefficient: np.ndarray  # (all rows, NODES) of log(product) / lam, in Chebyshev polynomials over 0 <= lam <= cap
    cap: np.ndarray  # (G,) the largest lam that the table is for
    every: np.ndarray  # (G,) steps from one row to the next
    first_step: np.ndarray  # (G,) where the piece begins in eta
    first_row: np.ndarray  # (G,) and in time and coefficient


class Course(NamedTuple):
    """Where every cell stands, and where it passed its levels and moments."""

    x: np.ndarray  # (S, N, d) now
    depth: np.ndarray  # (S, N, d) above 0 where an axis is too small for x: it is value 2^(-600 depth), see `carried`
    value: np.ndarray  # (S, N, d)
    decided: np.ndarray  # (S, N) levels decided so far, or ENDED
    status: np.ndarray  # (S, N, E) in the order of `threshold`
    stop_step: np.ndarray  # (S, N, E)
    stop_time: np.ndarray  # (S, N, E) in the schedule's unit
    stop_x: np.ndarray  # (S, N, E, d)
    # (S, N, E) share of the last step that was taken to land on the level; (S, N, 0) where steps are whole
    stop_fraction: np.ndarray
    record_x: np.ndarray  # (S, R, K, d)


def empty_course(x, levels, recorded, points, landing=False):
    """The course of every cell before its first step: x (S, N, d), E levels, R recorded seeds, K moments (NaN).

    With `landing`, the step at which a level is met is shortened to it.
    """
    cells, dimension = x.shape[:2], x.shape[2]
    shape = (*cells, levels)
    return Course(
        x=x,
        # Memory that nobody writes to is never taken.
        depth=np.zeros(x.shape, np.int64),
        value=np.zeros(x.shape),
        decided=np.zeros(cells, np.int64),
        status=np.zeros(shape, np.uint8),
        stop_step=np.zeros(shape, np.int64),
        stop_time=np.zeros(shape),
        stop_x=np.zeros((*shape, dimension)),
        stop_fraction=np.full((*cells, levels if landing else 0), np.nan),
        record_x=np.full((cells[0], recorded, points, dimension), np.nan),
    )


class Flows(NamedTuple):
    """The phase after the steps, for every schedule."""

    flows: np.ndarray  # (S,) 1 where a gradient flow follows, 0 where the run is over
    record_time: np.ndarray  # (S, K) flow time of the slots that lie in the flow, in the schedule's unit; else NaN


class Landscape(NamedTuple):
    """What turns x into residuals and losses."""

    curvature: np.ndarray  # (N, d) eigenvalues lam of the train Hessian
    residual: np.ndarray  # (N, d) r at the start
    offset: np.ndarray  # (N, d) delta = Q^T (theta_hat - theta_star)
    test_matrix: np.ndarray  # (N, d, d) M, or (1, d, d) where it is common to all
    train_floor: np.ndarray  # (N,)
    test_floor: np.ndarray  # (N,) the test loss where r + delta = 0
    test_slope: np.ndarray  # (N, d) its gradient there


# What follows is for the steps of `stochastic`, which carry r itself: noise moves null directions too.


class Method(NamedTuple):
    """How every schedule turns gradients into steps, and what it averages."""

    optimizer: int  # of `optimizers`, common to a launch
    average: int  # of `averages`, common to a launch
    beta: np.ndarray  # (S,) decay of the velocity; not read by plain gradient descent
    tail_start: np.ndarray  # (S,) first step whose iterate the tail's mean takes in
    decay: np.ndarray  # (S,) weight of the past in the exponential average


class Noise(NamedTuple):
    """Where the gradients' noise comes from. Kind and batch are common to a launch."""

    kind: int  # of `gradients`
    root: int  # the root of all streams
    batch: int  # rows of a mini-batch, >= 1
    sigma: np.ndarray  # (S,) of additive noise
    draw: np.ndarray  # (N,) the seed that names the streams
    dimension: np.ndarray  # (N,) axes that the seed has; noise leaves those beyond alone


class Rows(NamedTuple):
    """The train rows in the Hessian's axes, for mini-batches; first axis 1 where they are common to all seeds."""

    z: np.ndarray  # (N, n, d) Q^T x
    rho: np.ndarray  # (N, n) label residual y - <x, theta_hat>
    count: np.ndarray  # (N,) rows that the seed has, the first ones


class State(NamedTuple):
    """Where every cell stands; an array that a launch does not need may have a last axis of 0."""

    r: np.ndarray  # (S, N, d) residual
    velocity: np.ndarray  # (S, N, d)
    average: np.ndarray  # (S, N, d) averaged residual


class Passages(NamedTuple):
    """Where every cell passed its levels and moments: residuals, and beside them the averages, if any."""

    decided: np.ndarray  # (S, N) levels decided so far, or ENDED
    status: np.ndarray  # (S, N, E) in the order of `threshold`
    stop_step: np.ndarray  # (S, N, E)
    stop_time: np.ndarray  # (S, N, E) in the schedule's unit
    stop_r: np.ndarray  # (S, N, E, d)
    stop_average: np.ndarray  # (S, N, E, d)
    # (S, N, E) share of the last step that was taken to land on the level; (S, N, 0) where steps are whole
    stop_fraction: np.ndarray
    record_r: np.ndarray  # (S, R, K, d)
    record_average: np.ndarray  # (S, R, K, d)


def empty_passages(r, levels, recorded, points, moving=True, averaging=True, landing=False):
    """State and Passages before the first step: r (S, N, d), E levels, R recorded seeds, K moments (NaN).

    The velocity starts at 0 and the average at r; each is left out where the launch has no use for it. With `landing`,
    the step at which a level is met is shortened to it.
    """
    cells, dimension = r.shape[:2], r.shape[2]
    shape, kept = (*cells, levels), dimension if averaging else 0
    state = State(r, np.zeros((*cells, dimension if moving else 0)), r[..., :kept].copy())
    passages = Passages(
        decided=np.zeros(cells, np.int64),
        status=np.zeros(shape, np.uint8),
        stop_step=np.zeros(shape, np.int64),
        stop_time=np.zeros(shape),
        stop_r=np.zeros((*shape, dimension)),
        stop_average=np.zeros((*shape, kept)),
        stop_fraction=np.full((*cells, levels if landing else 0), np.nan),
        record_r=np.full((cells[0], recorded, points, dimension), np.nan),
        record_average=np.full((cells[0], recorded, points, kept), np.nan),
    )
    return state, passages


# And this for checks of a validation loss, from x or from r: see `validation`.


class Checks(NamedTuple):
    """What the cells were at the validation checks of one window of steps. W checks."""

    step: np.ndarray  # (S, W) ascending, -1 where there is no check
    time: np.ndarray  # (S, W) in the schedule's unit
    where: np.ndarray  # (S, N, W, d) x or r
    average: np.ndarray  # (S, N, W, d) averaged r; last axis 0 where nothing is averaged
    # (S, N, W) the validation losses, where they are known and no quadratics; else (0, 0, 0)
    loss: np.ndarray = np.empty((0, 0, 0))


class Validation(NamedTuple):
    """The validation losses as quadratics of what the cells are carried as: y = unit where + shift = r + delta."""

    unit: np.ndarray  # (N, d)
    shift: np.ndarray  # (N, d)
    matrix: np.ndarray  # (N, d, d) on and below the diagonal, what stands above it added to what stands below
    floor: np.ndarray  # (N,) the loss where y = 0
    slope: np.ndarray  # (N, d) its gradient there


class Patience(NamedTuple):
    """The rule that all cells of a launch are stopped by."""

    patience: np.ndarray  # (E,) checks in a row without an improvement, ascending
    min_delta: float  # an improvement is larger than this, 0 where min_share is what counts
    min_share: float  # and larger than this share of the best loss, in [0, 1)
    restore: int  # 1: a stopped cell is what it was at its best check; 0: at the check that stopped it


class Runs(NamedTuple):
    """What early stopping sees of a Course or Passages."""

    decided: np.ndarray  # (S, N) ENDED where the run is over
    status: np.ndarray  # (S, N, 1)
    stop_step: np.ndarray  # (S, N, 1)


class Watch(NamedTuple):
    """What is known of every cell from the checks so far, and where each patience ended."""

    best_loss: np.ndarray  # (S, N)
    wait: np.ndarray  # (S, N) checks since the best one
    decided: np.ndarray  # (S, N) patiences that have ended
    best_step: np.ndarray  # (S, N)
    best_time: np.ndarray  # (S, N) in the schedule's unit
    best: np.ndarray  # (S, N, 1, d) x or r
    best_average: np.ndarray  # (S, N, 1, d) last axis 0 where nothing is averaged
    status: np.ndarray  # (S, N, E) in the order of `Patience.patience`
    check_step: np.ndarray  # (S, N, E) step of the check that stopped the cell
    stop_step: np.ndarray  # (S, N, E) step of the iterate that is given
    stop_time: np.ndarray  # (S, N, E) in the schedule's unit
    stop: np.ndarray  # (S, N, E, d) x or r
    stop_average: np.ndarray  # (S, N, E, d)


def empty_watch(where, average, levels):
    """A Watch before the first check: where and average (S, N, d) at the start, E levels."""
    cells = where.shape[:2]
    return Watch(
        best_loss=np.full(cells, np.inf),
        wait=np.full(cells, -1),
        decided=np.zeros(cells, np.int64),
        best_step=np.zeros(cells, np.int64),
        best_time=np.zeros(cells),
        best=where[:, :, None].copy(),
        best_average=average[:, :, None].copy(),
        status=np.zeros((*cells, levels), np.uint8),
        check_step=np.zeros((*cells, levels), np.int64),
        stop_step=np.zeros((*cells, levels), np.int64),
        stop_time=np.zeros((*cells, levels)),
        stop=np.zeros((*cells, levels, where.shape[2])),
        stop_average=np.zeros((*cells, levels, average.shape[2])),
    )
