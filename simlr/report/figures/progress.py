"""Pictures of what is recorded along a run beside its losses: accuracy, sharpness and sparsity against the steps."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...analysis.statistics import most_medians
from ...text import powers
from ..view import View
from . import style
from .style import Picture

ACCURACY, SHARPNESS, SPARSITY = "accuracy", "sharpness", "sparsity"


def over(seeds: int) -> str:
    """Of how many recorded seeds a median is."""
    return f"median over the {seeds} recorded seeds" if seeds > 1 else "of the one recorded seed"


HEADROOM = 3.0  # above the sharpness, and 2 / eta at the start of every schedule


def accuracy(view: View) -> Picture | None:
    """The share of test rows classified correctly against the steps, over the recorded seeds."""
    drawn = _drawn(view, "trajectory_test_accuracy", lambda name, values: 100.0 * values)
    if drawn is None:
        return None
    figure, panel, seeds = drawn
    panel.set_ylabel("test rows classified correctly, percent")
    style.legend(figure, panel)
    style.title(figure, _told(view))
    caption = (
        f"Accuracy: the share of the held-out rows classified correctly, against steps, {over(seeds)}. "
        f"{view.left_out.strip()}{view.problem}"
    )
    return Picture(ACCURACY, caption, figure)


def _told(view):
    """The accuracy of the baseline and of its rival at the last level, in a title."""
    names = [name for name in (view.base, view.rival) if name and view.rows[name, view.last].reached]
    shares = [(name, view.rows[name, view.last].test_accuracy) for name in names]
    parts = [f"{100.0 * share:.1f} % ({view.spoken(name)})" for name, share in shares if share == share is not None]
    if not parts:
        return "The share of test rows classified correctly"
    return f"Accuracy at {view.level}: {' and '.join(parts)}"


def sharpness(view: View) -> Picture | None:
    """The largest eigenvalue of the train loss's Hessian, beside 2 / eta of every schedule, over the recorded seeds."""
    drawn = _drawn(view, "trajectory_sharpness", lambda name, values: values)
    if drawn is None:
        return None
    figure, panel, seeds = drawn
    highest = max(float(np.nanmax(line.get_ydata())) for line in panel.get_lines())
    for name in view.shown:
        rates, line = view.rates(name), style.schedule_line(view, name)
        with np.errstate(divide="ignore"):
            edge = np.where(rates > 0.0, 2.0 / rates, np.nan)
        highest = max([highest, *edge[np.isfinite(edge)][:1].tolist()])
        panel.plot(view.moments(name), edge, **{**line, "marker": "", "label": None}, linewidth=1.0, alpha=style.THICK)
    style.log_where_wide(panel, [line.get_ydata() for line in panel.get_lines()])
    # Where a rate goes to 0, 2 / eta goes beyond all that is of interest.
    panel.set_ylim(top=min(panel.get_ylim()[1], HEADROOM * highest))
    panel.set_ylabel("sharpness")
    style.legend(figure, panel)
    style.title(figure, _edge_told(view))
    scaled = any(view.run["schedule_unit"][view.index(name)] == "sharpness" for name in view.shown)
    caption = (
        f"Sharpness: the largest eigenvalue of the Hessian of the train loss, against steps, {over(seeds)}. "
        "Pale: 2 / eta of each schedule, above which a step of plain gradient descent overshoots along "
        f"the steepest axis{', with the median bound of the sharpness for rates in units of it' * scaled}. "
        f"{view.left_out.strip()}{view.problem}"
    )
    return Picture(SHARPNESS, caption, figure)


def sparsity(view: View) -> Picture | None:
    """How many weights a diagonal network has in effect against the steps, over the recorded seeds."""
    drawn = _drawn(view, "trajectory_effective_entries", lambda name, values: values)
    if drawn is None:
        return None
    figure, panel, seeds = drawn
    style.log_where_wide(panel, [line.get_ydata() for line in panel.get_lines()])
    panel.set_ylabel("effective entries")
    style.legend(figure, panel)
    names = [name for name in dict.fromkeys((view.base, view.rival)) if name in view.shown]
    last = {name: _medians(view, name, "trajectory_effective_entries") for name in names}
    ends = {name: found[np.isfinite(found)][-1] for name, found in last.items() if np.isfinite(found).any()}
    told = " and ".join(f"{count:.3g} ({view.spoken(name)})" for name, count in ends.items())
    style.title(figure, f"Effective entries at the end: {told}")
    caption = (
        "Effective entries of the weights u * v = beta, (sum of |beta|)^2 / sum of beta^2: k of k of one size. Against "
        f"steps, {over(seeds)}. {view.left_out.strip()}{view.problem}"
    )
    return Picture(SPARSITY, caption, figure)


def _edge_told(view):
    """The sharpness of the baseline and of its rival where their record ends, beside 2 / eta, in a title."""
    parts = []
    for name in dict.fromkeys(name for name in (view.base, view.rival) if name):
        values, rates = _medians(view, name, "trajectory_sharpness"), view.rates(name)
        known = np.flatnonzero(np.isfinite(values))
        if known.size:
            rate = rates[known[-1]]
            edge = f", 2 / eta {2.0 / rate:.3g}" if rate > 0.0 else ""
            parts.append(f"{values[known[-1]]:.3g} ({view.spoken(name)}{edge})")
    return powers(f"Sharpness at the end: {' and '.join(parts)}")


def _medians(view, name, dataset):
    """Medians (K,) over the recorded seeds of one schedule."""
    kept, _ = view.recorded()
    return most_medians(np.asarray(view.run[dataset][view.index(name)][kept], np.float64))


def _drawn(view: View, dataset: str, shown: Callable[[str, NDArray], NDArray]):
    """(figure, panel, recorded seeds) with the medians of a dataset of the schedules shown; None where there are none.

    `shown` gives what is drawn of (name, values).
    """
    if dataset not in view.run.names or not view.recorded()[0].size:
        return None
    values = {name: shown(name, _medians(view, name, dataset)) for name in view.shown}
    values = {name: found for name, found in values.items() if np.isfinite(found).any()}
    if not values:
        return None
    figure, (panel,) = style.figure()
    for name, found in values.items():
        moments = view.moments(name)
        later = moments > 0.0
        thin = {"linewidth": 1.8, "markevery": (view.shown.index(name) * 3, 24), "markersize": 6}
        panel.plot(moments[later], found[later], **style.schedule_line(view, name), **thin)
    style.logarithmic(panel, "x")
    panel.set_xlabel("step")
    return figure, panel, view.recorded()[0].size
