"""What a fit says: as text, as values for JSON, and as a page with pictures."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..report.figures import style
from ..report.figures.inline import inline
from ..report.page import plain_page
from ..report.tables import Table
from ..text import number, powers, shortened
from .best import Best
from .files import Read
from .fitting import Fit
from .law import LAWS
from .of_run import Exact

LAWS_BEST, OPTIMUM = "best to the law", "exact optimum"
DRAWN = 400  # points of a curve
MOST_LINES = len(style.COLOURS)


def _six(value):
    """A number in six digits."""
    return powers(f"{value:.6g}")


def tables(found: Fit, best: Best | None, exact: Exact | None = None) -> list[Table]:
    """Parameters, errors, and what the law and, where the problem is known, the problem say of schedules."""
    lines = []
    for name, value in found.parameters.items():
        low, high = found.intervals.get(name, (math.nan, math.nan))
        held = "not determined" if math.isinf(high) else "-" if math.isnan(low) else f"{_six(low)} to {_six(high)}"
        lines.append((name, _six(value), held))
    law = LAWS[found.law]
    agree = f"starts agree to {powers(f'{found.start_gap:.1e}')} of the objective"
    notes = [f"loss = {law.formula}", law.source, agree if math.isfinite(found.start_gap) else "one start was followed"]
    if found.at_bounds:
        notes.append(f"at the bound of the search: {', '.join(found.at_bounds)}")
    if found.intervals:
        notes.append(
            f"intervals: the noise of neighbouring losses has a correlation of {found.correlation:.2g}, likeliest"
        )
    made: list[Table] = [
        Table("Parameters", ("parameter", "value", f"{found.level:.0%} interval"), tuple(lines), tuple(notes))
    ]
    errors = tuple(
        (one.name, "held out" if one.held_out else "fitted", f"{one.losses:,}", number(one.mae), number(one.rmse),
         "-" if math.isnan(one.r2) else f"{one.r2:.4f}", powers(f"{one.last:+.4g}"))
        for one in found.errors
    )  # fmt: skip
    totals = [f"root mean square error in sample: {number(found.error(False))}"]
    if any(one.held_out for one in found.errors):
        totals.append(f"out of sample: {number(found.error(True))}")
    no_better = [one.name for one in found.errors if one.r2 <= 0.0]
    if no_better:
        totals.append(f"R2 of 0 or less: the law tells no more than the mean of the losses of {', '.join(no_better)}")
    header = ("curve", "", "losses", "mean abs. error", "rms error", "R2", "at the last step")
    made.append(Table("Errors, predicted less observed", header, errors, tuple(totals)))
    if best is not None:
        own = ((LAWS_BEST, _six(best.loss), "0"),)
        rest = tuple((name, _six(loss), powers(f"{loss - best.loss:+.4g}")) for name, loss in best.shapes.items())
        said = f"{best.rates.size:,} steps, highest rate {best.rates.max():g}: what the law says, no measurement"
        made.append(Table("Predicted last losses", ("schedule", "loss", "above the best"), own + rest, (said,)))
    if exact is not None:
        losses = {OPTIMUM: exact.optimum, **exact.losses}
        of_losses = tuple(
            (name, _six(loss), f"{loss / exact.optimum - 1.0:+.2%}")
            for name, loss in sorted(losses.items(), key=lambda one: one[1])
        )
        said = "expected losses on the run's own problem, floors included; the optimum never rises after the warm-up"
        made.append(Table("Exact last losses", ("schedule", "loss", "over the optimum"), of_losses, (said,)))
    return made


def as_text(found: Fit, best: Best | None, read: Sequence[Read], exact: Exact | None = None) -> str:
    """All of it for a terminal."""
    parts = [f"law {found.law}", *map(table_as_text, tables(found, best, exact))]
    notes = [f"{one.curve.name}: {note}" for one in read for note in one.notes]
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])


def table_as_text(table: Table) -> str:
    """One table for a terminal."""
    rows = [table.header, *table.lines]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([table.title, *lines, *table.notes])


def as_values(found: Fit, best: Best | None, read: Sequence[Read], exact: Exact | None = None) -> dict[str, Any]:
    """All of it for JSON."""
    made = {
        "law": found.law,
        "parameters": found.parameters,
        "intervals": {name: list(ends) for name, ends in found.intervals.items()},
        "level": found.level,
        "errors": [one._asdict() for one in found.errors],
        "rmse_in_sample": found.error(False),
        "rmse_out_of_sample": found.error(True),
        "start_gap": found.start_gap,
        "grouping_error": found.grouping_error,
        "correlation": found.correlation if found.intervals else None,
        "at_bounds": list(found.at_bounds),
        "notes": {one.curve.name: list(one.notes) for one in read if one.notes},
    }
    if best is not None:
        made["best"] = {"loss": best.loss, "learning_rate": best.rates.tolist(), "shapes": best.shapes}
    if exact is not None:
        made["exact"] = {"optimum": exact.optimum, "learning_rate": exact.rates.tolist(), "losses": exact.losses}
    return made


def as_page(found: Fit, best: Best | None, read: Sequence[Read], exact: Exact | None = None) -> str:
    """The page: curves and residuals, tables, schedules."""
    images = [inline(_curves(found, read))]
    if best is not None:
        images.append(inline(_schedules(best, exact)))
    covers = f"{len(read)} curves, {sum(one.losses for one in found.errors):,} losses"
    return plain_page(f"Fit of the {found.law} law", covers, tables(found, best, exact), images)


def _curves(found, read):
    """Observed and predicted losses, and what is between them, of as many curves as there are looks."""
    shown = list(zip(read, found.errors, strict=True))[:MOST_LINES]
    with style.applied():
        figure, (upper, lower) = style.panels(1, 2, width=12.0, height=5.6)
        for i, (one, error) in enumerate(shown):
            steps, losses, predicted = _sampled(found, one.curve)
            label = style.plain(shortened(error.name, 28) + (" (held out)" if error.held_out else ""))
            upper.plot(steps, predicted, color=style.COLOURS[i], linestyle=style.DASHES[i], label=label)
            upper.plot(steps, losses, ".", color=style.COLOURS[i], markersize=2, alpha=0.5)
            lower.plot(steps, predicted - losses, color=style.COLOURS[i], linestyle=style.DASHES[i])
        upper.set(xlabel="step", ylabel="loss (points), law (line)")
        lower.set(xlabel="step", ylabel="predicted less observed")
        lower.axhline(0.0, color="#808080", linewidth=0.8)
        style.title(figure, f"{found.law}: error {number(found.error(False))} in sample")
        style.legend(figure, upper)
    left = len(read) - len(shown)
    more = f" {left} more curves are in the table alone." if left else ""
    return style.Picture(
        "curves", f"Losses along the curves and what the law says of them; their difference.{more}", figure
    )


def _sampled(found, curve):
    """At most DRAWN steps of a curve, with its losses and the law's."""
    from .history import History

    steps, losses = np.asarray(curve.steps), np.asarray(curve.losses)
    chosen = np.unique(np.round(np.linspace(0, steps.size - 1, DRAWN)).astype(int))
    predicted = LAWS[found.law].losses(History.of(curve.rates, steps[chosen], curve.batch), found.parameters)
    return steps[chosen], losses[chosen], predicted


def _schedules(best, exact):
    """The rates of the best schedule, of the exact optimum where it is known, and of the usual shapes."""
    drawn = {LAWS_BEST: best.rates, **({OPTIMUM: exact.rates} if exact else {}), **best.shape_rates}
    losses = {LAWS_BEST: best.loss, **best.shapes} if exact is None else {OPTIMUM: exact.optimum, **exact.losses}
    with style.applied():
        figure, (panel,) = style.figure()
        chosen = np.unique(np.round(np.linspace(0, best.rates.size - 1, DRAWN)).astype(int))
        for i, (name, rates) in enumerate(drawn.items()):
            label = powers(f"{name}: {losses[name]:.5g}")
            panel.plot(chosen + 1, rates[chosen], color=style.COLOURS[i], linestyle=style.DASHES[i], label=label)
        panel.set(xlabel="step", ylabel="learning rate")
        style.title(figure, "What the law calls best, beside the usual shapes")
        style.legend(figure, panel)
    return style.Picture(
        "schedules",
        f"Learning rates, with the last loss {'of each, exact' if exact else 'that the law says of each'}.",
        figure,
    )
