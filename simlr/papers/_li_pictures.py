"""The picture of `li2019`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..report.figures import style
from ..store.run import Run

PATTERNS = ["P", "Q"]


def order_of_learning(run: Run, same: NDArray[np.bool_]) -> style.Picture:
    """Errors of the pairs `same`, bool (N,), and in what order each schedule learns the two patterns."""
    figure, axes = style.figure(columns=3, width=13.0, height=5.2)
    draw_pairs(axes[0], run["error_p"][:, same])
    axes[2].sharey(axes[1])
    for schedule, panel in enumerate(axes[1:]):
        draw_learning(panel, run, schedule, same)
    axes[1].set_ylabel("loss on train points with one pattern")
    axes[1].legend(frameon=False, loc="lower left")
    small, large = 100 * run["error_p"][:, same].mean(axis=1)
    head = f"At equal train loss {small:.1f} % of P-only points are wrong after a small rate throughout"
    style.title(figure, f"{head}, {large:.1f} % after a large one first")
    caption = (
        "Left: the share of test points with P only that are wrong, a line for each seed whose two networks end at the "
        "same train loss, and the means. Right: the mean loss on train points that hold P only, and Q only, step by "
        "step: median of those seeds, shaded between the quartiles; a network that has stopped keeps its last loss. "
        "Below the grey line a pattern counts as learnt; at the dotted one the rate becomes small."
    )
    return style.Picture("order-of-learning", caption, figure)


def draw_pairs(axes: Any, error: NDArray[np.float64]) -> None:
    """A line a seed from S to L-S, and the means."""
    axes.plot([0, 1], 100 * error, color="#9a9a9a", linewidth=0.9, marker="o", markersize=4)
    for place, own in enumerate(error):
        if own.size:
            axes.plot([place - 0.12, place + 0.12], [100 * own.mean()] * 2, color=style.COLOURS[2], linewidth=4)
    axes.set_xticks([0, 1], ["S\nsmall throughout", "L-S\nlarge, then small"])
    axes.set_xlim(-0.4, 1.4)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("wrong test points with P only, %")


def draw_learning(axes: Any, run: Run, schedule: int, same: NDArray[np.bool_]) -> None:
    """Losses of both patterns while one schedule trains."""
    step, last = run["recorded_step"], run["stop_step"][schedule, same].max()
    for pattern, key in enumerate(("loss_p", "loss_q")):
        curves, ends = run[f"trajectory_{key}"][schedule, same], run[key][schedule, same]
        curves = np.where(np.isnan(curves), ends[:, None], curves)[:, step <= last]
        low, middle, high = (np.quantile(curves, q, axis=0) for q in (0.25, 0.5, 0.75))
        look = {"color": style.COLOURS[1 + pattern], "linestyle": style.DASHES[pattern]}
        axes.plot(step[step <= last], middle, label=f"{PATTERNS[pattern]} only", **look)
        axes.fill_between(step[step <= last], low, high, color=look["color"], alpha=0.15, linewidth=0)
    style.logarithmic(axes, "x")
    style.logarithmic(axes, "y")
    if schedule == 1:
        axes.axvline(np.median(run["anneal_step"][1, same]), color="#555555", linewidth=1, linestyle=":")
    axes.axhline(run.config.study["learnt_loss"], color="#555555", linewidth=1)
    axes.set_xlabel("steps")
    axes.set_title(["S: Q first", "L-S: P first"][schedule])
