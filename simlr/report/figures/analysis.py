"""Pictures of the analysis of a run, one for each `simlr.report.sections.Section` that has something to draw.

Needs matplotlib. Each maker takes the `View` of the run and the section's rows, and returns a `Picture` or None.
"""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...analysis.comparison import APART, FEWEST, MARGIN, TOLERANCE
from ...analysis.families import likely
from ...analysis.levels import place
from ...analysis.on_page import MOST_GROUPS
from ...analysis.summary import is_exact
from ...analysis.wording import LOSSES, at_value, noun, spoken, told_apart
from ...config.stop import lands
from ...text import MOST_NAMES, first_few, shortened, some
from ..sections import RATE, Section, ranks_shown
from ..view import View
from . import style
from .limits import draw_limit
from .optima import optima
from .style import Picture

MOST_DOTS = 16  # schedules in one picture
MOST_BARS = 10  # directions that are drawn as bars; more are drawn as lines
FEW_BARS, FEW_SCHEDULES = 4, 4  # of more directions, only so many schedules are drawn
MOST_PANELS = 3
MOST_TIMES = 1000.0  # of the least loss, in the picture of the best values
LABEL = 30


def pictures(view: View, sections: Sequence[Section]) -> dict[str, Picture]:
    """The pictures of the analysis.

    Parameters
    ----------
    view
        Of the run.
    sections
        What `report.sections.sections` gives of it.

    Returns
    -------
    dict
        {section's key: its `Picture`} of those that have something to draw.
    """
    with style.applied():
        drawn = {section.key: picture(view, section) for section in sections}
    return {key: made for key, made in drawn.items() if made}


def picture(view: View, section: Section) -> Picture | None:
    """The picture of one section, or None where it has nothing to draw."""
    makers = {"against": against, "best": best, "annealing": annealing, "directions": by_direction, "spread": spread}
    makers["optima"] = optima
    return makers[section.key](view, section.rows, section.headline) if section.rows else None


def _problem_text(problem):
    """A problem combination in a legend."""
    parts = [style.plain(at_value(key, value)) for key, value in problem]
    return (", " if sum(map(len, parts)) <= LABEL else ",\n").join(parts)


# ---- intervals in rows ----


def _lines_told(names):
    """Schedules beside the axis, in lines that leave room for the panel."""
    return [textwrap.fill(style.plain(told), LABEL) for told in told_apart(names).values()]


class _Dot:
    """One estimate with its interval, in a line named `name`, of a problem combination."""

    def __init__(self, name, problem, middle, low, high):
        self.name, self.problem, self.middle, self.low, self.high = name, problem, middle, low, high

    @property
    def is_known(self):
        """Whether it can be drawn."""
        return all(map(math.isfinite, (self.middle, self.low, self.high)))


def _dots(dots, logarithmic=False):
    """A figure with a line for every name and a dot with its interval for every problem combination; None without."""
    dots = [dot for dot in dots if dot.is_known and not (logarithmic and dot.low <= 0.0)]
    names = list(dict.fromkeys(dot.name for dot in dots))[:MOST_DOTS]
    problems = list(dict.fromkeys(dot.problem for dot in dots))
    if not names:
        return None
    told = _lines_told(names)
    lines = max(min(2.0, 1.0 + 0.25 * (len(problems) - 1)), *(1.0 + text.count("\n") for text in told))
    figure, (panel,) = style.figure(height=1.9 + 0.32 * len(names) * lines)
    for i, problem in enumerate(problems):
        some_dots = [dot for dot in dots if dot.problem == problem and dot.name in names]
        aside = (i - 0.5 * (len(problems) - 1)) * 0.8 / max(len(problems), 2)
        y = [names.index(dot.name) + aside for dot in some_dots]
        x, low, high = (np.array([getattr(dot, field) for dot in some_dots]) for field in ("middle", "low", "high"))
        line = {"color": style.COLOURS[i], "marker": style.MARKERS[i], "markersize": 7, "capsize": 3}
        text = _problem_text(problem) if problem else None
        panel.errorbar(
            x, y, xerr=[np.maximum(x - low, 0.0), np.maximum(high - x, 0.0)], linestyle="", label=text, **line
        )
    panel.set_yticks(range(len(names)), told)
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.grid(visible=False, axis="y")
    if logarithmic:
        style.positive_axis(panel, "x", [value for dot in dots for value in (dot.low, dot.high)])
    if len(problems) > 1:
        style.legend(figure, panel)
    return figure, panel


def against(view: View, rows: Sequence[Any], headline: str) -> Picture | None:
    """The ratio to the baseline's test loss of every schedule that can be compared with it, with its interval."""
    compared = [row for row in rows if row.pairs and row.outcome != APART]
    drawn = _dots([_Dot(r.a, r.problem, r.ratio, r.ratio_low, r.ratio_high) for r in compared], logarithmic=True)
    if drawn is None:
        return None
    figure, panel = drawn
    base = view.spoken(view.base)
    low, high = panel.get_xlim()
    panel.set_xlim(min(low, 1.0 - MARGIN), max(high, 1.0 + MARGIN))  # no less than what counts as a difference
    panel.axvline(1.0, color="#000000", linewidth=1.0, zorder=0)
    of = f" / that of {style.plain(base)}, same seed" if len(base) <= LABEL else ", ratio in the same seed"
    panel.set_xlabel(f"test loss{of}; left of 1: less" if len(of) <= LABEL else f"test loss{of}\nleft of 1: less")
    style.title(figure, headline)
    levels = " or ".join(dict.fromkeys(place(view.kind, row.level) for row in compared))
    caption = (
        f"Test loss of each schedule over that of {base}, in the same seed at {levels}: median over seeds and its "
        "exact 95 % interval. Surely: at least 20 pairs, the interval beyond the margin, and a sign test that holds "
        f"after Holm's correction. {_equal(view)}{_not_drawn(compared)}"
    )
    return style.Picture("against", caption, figure)


def _equal(view):
    """Which train losses count as equal, where stops may lie below their level, and what is not drawn."""
    if view.kind not in LOSSES or lands(view.run.config.stop):
        return "Not drawn: what mostly does not get there."
    return (
        f"Train losses that differ by at most {100 * TOLERANCE:g} % of the level's excess over the floor count as "
        "equal. Not drawn: what is further apart, or mostly does not get there."
    )


def annealing(view: View, rows: Sequence[Any], headline: str) -> Picture | None:
    """The share of seeds in which each annealed schedule beats the best steady one."""
    rows = [row for row in rows if row.pairs and row.outcome != APART]
    drawn = _dots(
        [_Dot(r.a, r.problem, 100 * r.win_share, 100 * r.win_share_low, 100 * r.win_share_high) for r in rows]
    )
    if drawn is None:
        return None
    figure, panel = drawn
    panel.axvline(50.0, color="#000000", linewidth=1.0, zorder=0)
    panel.set_xlim(-2.0, 102.0)
    panel.set_xlabel("seeds in which annealing has less test loss, in percent")
    style.title(figure, headline)
    against_ = "; ".join(told_apart(list(dict.fromkeys(row.b for row in rows[:MOST_DOTS]))).values())
    caption = (
        "Share of the pairs in which the annealed schedule ends with less test loss than the steady schedule of the "
        f"least median test loss ({shortened(against_, 90)}), with its 95 % Wilson interval.{_not_drawn(rows)}"
    )
    return style.Picture("annealing", caption, figure)


def _not_drawn(rows):
    """The sentence on how many schedules have no room."""
    rest = len({row.a for row in rows}) - MOST_DOTS
    return f" Not drawn: {rest} more." if rest > 0 else ""


# ---- the best value ----


def best(view: View, families: Sequence[Any], headline: str) -> Picture | None:
    """Median test loss against the values tried, learning rates where there are any; the likely best are marked."""
    numeric = [rows for rows in families if len(rows) > 1 and all(isinstance(row.value, float) for row in rows)]
    rates = [rows for rows in numeric if rows[0].parameter.endswith(RATE)]
    chosen = [rows for rows in rates or numeric if any(row.best for row in rows)]
    problems = some(list(dict.fromkeys(rows[0].problem for rows in chosen)), MOST_PANELS)
    if not problems:
        return None
    names = list(dict.fromkeys(rows[0].family for rows in chosen))[: len(style.COLOURS)]
    at = list(dict.fromkeys(place(view.kind, rows[0].level) for rows in chosen))
    told = told_apart(names)
    figure, panels = style.figure(len(problems), width=10.0 if len(problems) == 1 else 4.3 * len(problems) + 2.0)
    clipped = limited = False
    for panel, problem in zip(panels, problems, strict=True):
        here = [rows for rows in chosen if rows[0].problem == problem and rows[0].family in names]
        for rows in here:
            where = place(view.kind, rows[0].level)
            text = told[rows[0].family] + (f", {where}" if len(at) > 1 and where not in told[rows[0].family] else "")
            _draw_family(panel, style.line(names.index(rows[0].family)), text, rows)
        style.log_where_wide(panel, [line.get_ydata() for line in panel.get_lines()])
        clipped |= _leave_room(panel)
        style.positive_axis(panel, "x", [value for line in panel.get_lines() for value in line.get_xdata()])
        for rows in here if rates else ():
            limited |= draw_limit(view, panel, rows[0].schedule, problem, style.line(names.index(rows[0].family)))
        panel.set_xlabel(style.plain(noun(chosen[0][0].parameter).name))
        panel.set_title(_problem_text(problem))
    panels[0].set_ylabel("expected test loss" if is_exact(view.run) else "test loss, median over seeds")
    style.legend(figure, max(panels, key=lambda panel: len(panel.get_legend_handles_labels()[0])))
    style.title(figure, headline)
    rest = len({rows[0].family for rows in chosen}) - len(names)
    below = " Values that end at less train loss than the level are drawn, and never best."
    below = below if any(row.below_level for rows in chosen for row in rows) else ""
    told_of = [row for rows in chosen for row in rows]
    sure = "; thick: those that are best in 95 % of the resamples of the seeds"
    sure = sure if any(row.seeds >= FEWEST for row in told_of) else ""
    caption = (
        f"{'Expected' if is_exact(view.run) else 'Median'} test loss against the value, at "
        f"{at[0] if len(at) == 1 else 'the last level that is reached'}; "
        "values with which most seeds do not "
        f"reach it are left out. Star: the best value{sure}."
        + below
        + (f" What lies beyond the upper edge has over {MOST_TIMES:g} times the least." if clipped else "")
        + (" Dotted: the largest constant rate at which the mean loss stays bounded." if limited else "")
        + (f" Not drawn: {rest} more." if rest > 0 else "")
    )
    return style.Picture("best", caption, figure)


def _leave_room(panel):
    """Limits wide enough that a difference that counts for none looks like none, and that keep what diverges from
    pressing all else onto the axis; whether something lies beyond them."""
    low, high = panel.dataLim.intervaly
    if 0.0 < low and high <= (1.0 + 2.0 * MARGIN) * low:
        middle = (low + high) / 2.0
        panel.set_ylim((1.0 - 2.0 * MARGIN) * middle, (1.0 + 2.0 * MARGIN) * middle)
    beyond = 0.0 < low and high > MOST_TIMES * low
    if beyond:
        panel.set_ylim(0.7 * low, MOST_TIMES * low)
    return beyond


def _draw_family(panel, line, text, rows):
    """The curve of one family, in the look of a line."""
    known = [row for row in rows if math.isfinite(row.test_loss) and row.value > 0.0]
    line = {**line, "markersize": 5}
    panel.plot([r.value for r in known], [r.test_loss for r in known], label=style.plain(text), linewidth=1.6, **line)
    sure = [row for row in likely(rows) if row in known and row.seeds >= FEWEST]
    panel.plot(
        [r.value for r in sure], [r.test_loss for r in sure], color=line["color"], linewidth=7, alpha=style.THICK
    )
    winner = [row for row in known if row.best]
    panel.plot([r.value for r in winner], [r.test_loss for r in winner], "*", color=line["color"], markersize=16)


# ---- where the error is ----


def by_direction(view: View, rows: Sequence[Any], _: str) -> Picture | None:
    """The share of train and test loss that the schedules left in each direction of curvature."""
    problems = list(dict.fromkeys(row.problem for row in rows))[:MOST_GROUPS]
    problems = [problems[0], problems[-1]] if len(problems) > 1 else problems
    contents = [(problem, loss) for problem in problems for loss in ("train", "test")]
    figure, panels = style.panels(len(problems), 2, 13.0, 1.2 + 3.9 * len(problems))
    few = len(ranks_shown(rows, MOST_BARS + 1)) <= FEW_BARS
    names = [name for name in view.shown if any(row.schedule == name for row in rows)][: None if few else FEW_SCHEDULES]
    for panel, (problem, loss) in zip(panels, contents, strict=True):
        of_problem = [row for row in rows if row.problem == problem]
        draw = _bars if len(ranks_shown(of_problem, MOST_BARS + 1)) <= MOST_BARS else _lines
        draw(view, panel, names, of_problem, loss)
        panel.axhline(0.0, color="#000000", linewidth=0.8)
        panel.set_ylabel(f"share of {loss} loss")
        panel.set_xlabel("direction of curvature, 1 = steepest")
        panel.set_title(f"{loss} loss" + (f", {_problem_text(problem)}" if problem else ""))
    style.legend(figure, panels[0])
    style.title(figure, _steepest_difference(view, rows, problems[0]))
    rest = [name for name in view.names if name not in names]
    caption = (
        f"Where the error is at {view.level}: the share of the train loss above its floor (left) and of the test loss "
        "above its floor (right) that lies in each direction of train curvature, mean over seeds; bars: its standard "
        "error. Shares of the test loss can be negative where the test distribution has other axes."
        + (f" Not drawn: {first_few(list(told_apart(rest).values()), MOST_NAMES, between='; ')}." if rest else "")
    )
    return style.Picture("directions", caption, figure)


def _steepest_difference(view, rows, problem):
    """The title: the direction in which the rival keeps most of the train loss beside the baseline."""
    shares = {(row.schedule, row.rank): row.train_share for row in rows if row.problem == problem}
    ranks = [rank for name, rank in shares if name == view.rival and (view.base, rank) in shares]
    if not ranks:
        return f"Where the error is at {view.where}"
    most = max(ranks, key=lambda rank: shares[view.rival, rank] - shares[view.base, rank])
    rival, base = (f"{100 * shares[name, most]:.0f} %" for name in (view.rival, view.base))
    where = "the steepest direction" if most == 1 else f"direction {most}"
    names = view.spoken(view.rival), view.spoken(view.base)
    return f"At {view.where}, {names[0]} keeps {rival} of its train loss in {where}, {names[1]} {base}"


def _bars(view, panel, names, rows, loss):
    """Bars beside each other, one a schedule, for each of a few directions."""
    ranks = sorted({row.rank for row in rows})
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        of_schedule = [row for row in rows if row.schedule == name and row.rank in ranks]
        places = [row.rank + (i - 0.5 * (len(names) - 1)) * width for row in of_schedule]
        share, error = ([getattr(row, f"{loss}_share{end}") for row in of_schedule] for end in ("", "_error"))
        line = style.schedule_line(view, name)
        panel.set_axisbelow(True)
        panel.bar(places, share, width, yerr=np.nan_to_num(error), color=line["color"], label=line["label"], capsize=2)
    panel.set_xticks(ranks)
    panel.grid(visible=False, axis="x")


def _lines(view, panel, names, rows, loss):
    """Lines over the ranks, where there are many directions."""
    for name in names:
        of_schedule = sorted((row for row in rows if row.schedule == name), key=lambda row: row.rank)
        share = [getattr(row, f"{loss}_share") for row in of_schedule]
        line = {**style.schedule_line(view, name), "markersize": 5}
        panel.plot([row.rank for row in of_schedule], share, markevery=max(1, len(of_schedule) // 12), **line)
    if rows and max(row.rank for row in rows) > 30:
        style.logarithmic(panel, "x")


def spread(view: View, rows: Sequence[Any], _: str) -> Picture | None:
    """Bias and variance of the schedules, stacked: together the mean test loss above its floor."""
    known = [row for row in rows if math.isfinite(row.variance) and math.isfinite(row.bias_squared)]
    problems = list(dict.fromkeys(row.problem for row in known))[:MOST_PANELS]
    if not problems:
        return None
    names = list(dict.fromkeys(row.schedule for row in known))
    figure, panels = style.figure(
        len(problems), width=max(10.0, 4.6 * len(problems) + 2.0), height=2.2 + 0.42 * len(names)
    )
    for panel, problem in zip(panels, problems, strict=True):
        of_problem = [row for row in known if row.problem == problem]
        y = [names.index(row.schedule) for row in of_problem]
        bias = np.array([max(row.bias_squared, 0.0) for row in of_problem])
        parts: tuple = (("bias\N{SUPERSCRIPT TWO}", np.zeros(bias.size), bias, "bias_squared_error"),)
        parts += (("variance", bias, np.array([row.variance for row in of_problem]), "variance_error"),)
        for (text, left, values, error), colour in zip(parts, style.COLOURS[1:3], strict=True):
            errors = np.nan_to_num([getattr(row, error) for row in of_problem])
            panel.set_axisbelow(True)
            panel.barh(y, values, 0.6, left=left, xerr=errors, label=text, color=colour, capsize=2)
        panel.set_yticks(range(len(names)), _lines_told(names) if panel is panels[0] else [])
        panel.set_ylim(len(names) - 0.4, -0.6)
        panel.set_xlabel("mean test loss above its floor")
        panel.set_title(_problem_text(problem))
    style.legend(figure, panels[0])
    most = max((row for row in known if row.problem == problems[0]), key=lambda row: row.variance + row.bias_squared)
    share = most.variance / (most.variance + most.bias_squared)
    style.title(figure, f"Of the error of {spoken(most.schedule)}, the largest here, {100 * share:.0f} % is variance")
    caption = (
        f"Squared bias and variance over seeds at {view.level}; together the mean test loss above its floor, with "
        "jackknife standard errors."
    )
    return style.Picture("spread", caption, figure)
