"""Tables of prod_t (1 - eta_t lam) for the stages of a grid's schedules: made once and kept while used."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..kernels import arrays
from ..kernels.descent.products import ALLOWED as ALLOWED_MISFIT
from ..kernels.descent.products import FRACTIONS, LARGEST_CAP, NODES, POINTS, REACH, fit_rows, row_sweep
from ..plan.kept import Kept
from ..plan.stages import row_spacing
from ..schedules.schedule import Schedule

KEPT_BYTES = 128 << 20


class ProductTables:
    """The pieces and tables of the stages of the closed form.

    Parameters
    ----------
    schedules : sequence of Schedule
        Those of the plan.
    launch : callable
        `launch(sweep, *arguments)` runs a sweep over all its tasks.
    """

    def __init__(self, schedules: Sequence[Schedule], launch: Callable):
        self._schedules, self._launch = schedules, launch
        # of a stage ((eta, steps, table), Products): the bytes of its arrays
        self._kept = Kept(KEPT_BYTES, lambda stage: sum(array.nbytes for part in stage for array in part))

    def stage(
        self, indices: NDArray[np.int64], stages: list[list], number: int
    ) -> tuple[tuple[NDArray, NDArray, NDArray], arrays.Products]:
        """One stage of some schedules.

        Parameters
        ----------
        indices : (S,) int64
            Which of the schedules.
        stages : list
            The stages of each of them, as of `plan.stages.stages`.
        number : int
            Which stage; a schedule that has fewer does nothing in it.

        Returns
        -------
        (eta, steps, table) : each (S, P)
            The P pieces of every schedule: rate, number of steps, and where the rate varies the number of its table,
            else -1.
        Products
            The tables.
        """
        key = (*indices[[0, -1]].tolist(), number)
        pieces = [stage[number] if number < len(stage) else [] for stage in stages]

        def compiled():
            shape = len(indices), max(len(of_one) for of_one in pieces)
            eta, steps, table = np.zeros(shape), np.zeros(shape, np.int64), np.full(shape, -1)
            tables = []
            for i, of_one in enumerate(pieces):
                for p, (first, count, rate) in enumerate(of_one):
                    steps[i, p] = count
                    if rate is None:
                        table[i, p] = len(tables)
                        tables.append(self._tabulate(indices[i], first, count))
                    else:
                        eta[i, p] = rate
            return (eta, steps, table), _join(tables)

        return self._kept.get(key, compiled)

    @staticmethod
    def duration(pieces: tuple[NDArray, NDArray, NDArray], products: arrays.Products) -> NDArray[np.float64]:
        """The time that the pieces of a stage take, added up in order as the kernels do.

        Parameters
        ----------
        pieces, products
            What `stage` has given.

        Returns
        -------
        (S,) float64
            In the schedules' units.
        """
        last_row = np.append(products.first_row[1:], products.time.size) - 1
        total = np.zeros(pieces[0].shape[0])
        for eta, steps, table in zip(*(column.T for column in pieces), strict=True):
            with np.errstate(over="ignore", invalid="ignore"):
                varying = products.time[last_row[table]]
                total += np.where(steps == 0, 0.0, np.where(table < 0, eta * steps, varying))
        return total

    def _tabulate(self, s, first, steps):
        """(eta, time, coefficient, cap, every) of one piece."""
        eta, every = self._schedules[s].rates(first, first + steps), row_spacing(steps)
        rows = -(-steps // every)
        time, coefficient = np.zeros(rows + 1), np.zeros((rows + 1, NODES))
        with np.errstate(divide="ignore"):
            cap = min(REACH / np.max(eta), LARGEST_CAP)
        lam, logs = cap * FRACTIONS, np.zeros((rows + 1, POINTS))
        self._launch(row_sweep, eta, every, lam, logs, time)
        # Rates without bound leave no interval to interpolate over.
        misfit = fit_rows(logs, time, lam, coefficient) if cap > 0.0 else np.inf
        return eta, time, coefficient, cap if misfit <= ALLOWED_MISFIT else 0.0, every


def no_products() -> arrays.Products:
    """Tables where no piece needs one."""
    return _join([])


def _join(tables):
    """Tables end to end."""
    if not tables:
        tables = [(np.zeros(1), np.zeros(1), np.zeros((1, NODES)), 0.0, 1)]
    eta, time, coefficient, cap, every = zip(*tables, strict=True)
    first_step = np.cumsum([0, *(rates.size for rates in eta[:-1])])
    first_row = np.cumsum([0, *(times.size for times in time[:-1])])
    flat = (np.concatenate(column) if len(column) > 1 else column[0] for column in (eta, time, coefficient))
    return arrays.Products(*flat, np.array(cap), np.array(every), first_step, first_row)
