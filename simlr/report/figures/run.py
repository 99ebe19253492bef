"""Pictures of a run: what is drawn, and what is said of it.

    from simlr.report.figures.run import pictures
    for picture in pictures(View(run, summary.rows(run))):
        picture.figure.savefig(f"{picture.key}.png", dpi=150)

Needs matplotlib. Each function takes a `view.View` and returns a `Picture`, or None where the run lacks its data.
"""

from collections.abc import Callable

import numpy as np

from ...analysis.levels import WORDS
from ...analysis.statistics import EQUAL, most_medians
from ...analysis.summary import baseline, is_exact
from ...analysis.verdict import paper_of
from ...text import number
from ..view import GRID_POINTS, View
from . import style
from .limits import draw_floor
from .paths import trajectories
from .progress import ACCURACY, SHARPNESS, SPARSITY, accuracy, over, sharpness, sparsity
from .style import Picture

MAIN = "test-against-train"
MOST_STAIRS = 500
LEAST_RATE = 1e-4  # of the largest: a decay to almost nothing would press all others to the edge


def pictures(view: View) -> list[style.Picture]:
    """All `Picture`s that the run has data for."""
    with style.applied():
        drawn = [maker(view) for maker in MAKERS.values()]
    return [picture for picture in drawn if picture]


# ---- test loss at equal train loss ----


def losses_at_equal_train_loss(view: View) -> Picture | None:
    """Test loss against train loss: medians at the levels and, where recorded, along the way there.

    None where the test loss is the train loss, as it is on a population.
    """
    rows = {name: [view.rows[name, level] for level in view.levels_of(name)] for name in view.shown}
    drawn = [name for name in view.shown if any(row.reached for row in rows[name])]
    stops = [row for name in drawn for row in rows[name] if row.reached]
    if all(abs(row.test_loss - row.train_loss) <= EQUAL * row.train_loss for row in stops):
        return None
    figure, (panel,) = style.figure()
    grid, curves = view.curves()
    # Where the test loss can vanish with the train loss, their quotient shows what the decades would hide.
    unit = "" if view.noisy else " / train loss"
    shaded = [_draw_losses(view, panel, name, (grid, curves.get(name))) for name in drawn]
    style.train_loss_axis(view, panel)
    style.log_where_wide(panel, [line.get_ydata() for line in panel.get_lines() if len(line.get_ydata())])
    panel.set_ylabel("test loss" + unit)
    style.legend(figure, panel)
    style.title(figure, view.sentence())
    along = "; lines: along the way, over the recorded seeds" if curves else ""
    middle = "expected" if is_exact(view.run) else "median over seeds"
    caption = (
        f"Test loss{unit} against train loss, {middle}. Markers: where the schedules stop at each level{along}"
        f"{_shading(shaded)}. What lies lower at the same place generalises better."
        f"{_over_fewer(view, drawn)}{view.left_out}{view.problem}"
    )
    return style.Picture(MAIN, caption, figure)


def _over_fewer(view, names):
    """The sentence on markers that are medians over fewer seeds, since others do not get there; "" without."""
    told = []
    for name in names:
        rows = [view.rows[name, level] for level in view.levels_of(name)]
        known = [row.reached for row in rows if 0 < row.reached < row.seeds - row.at_floor - row.not_run]
        told += [f"{view.spoken(name)} ({min(known):,})"] if known else []
    return (
        f" Over those of the {view.seeds.size:,} seeds that get there: {', '.join(told)} at the least." if told else ""
    )


def _draw_losses(view, panel, name, curve):
    """One schedule's losses; whether its quartiles are shaded, None where they are not wanted."""
    line = style.schedule_line(view, name)
    rows = [view.rows[name, level] for level in view.levels_of(name) if view.rows[name, level].reached]
    train = np.array([row.train_loss_over_level * row.level if view.excess else row.train_loss for row in rows])
    with np.errstate(all="ignore"):
        unit = np.ones(train.size) if view.noisy else train
        test, low, high = (
            np.array([getattr(row, field) for row in rows]) / unit
            for field in ("test_loss", "test_loss_q25", "test_loss_q75")
        )
        along = (train, test) if curve[1] is None else (curve[0], curve[1] / (1.0 if view.noisy else curve[0]))
    thin = {"linewidth": 1.5, "alpha": 0.8} if curve[1] is not None else {}
    panel.plot(*along, **{**line, "marker": "", "label": None}, **thin)
    panel.plot(train, test, **{**line, "linestyle": "", "label": None})
    panel.plot([], [], **line)
    return style.band(panel, line["color"], train, test, (low, high)) if name in (view.base, view.rival) else None


def _shading(shaded):
    """The clause of a caption about the shading that was, or was not, drawn."""
    wanted = [one for one in shaded if one is not None]
    if not wanted:
        return ""
    if any(wanted):
        return "; shaded: the middle half of the seeds"
    return "; not shaded, for a quarter of the seeds lies far away (see the distribution)"


# ---- ratio against level ----


def ratios(view: View) -> Picture | None:
    """The ratio to the baseline's test loss against the level, beside the theory where there is one."""
    rows, beside = _comparable(view)
    if not any(len(several) > 1 for several in rows.values()):
        return None
    figure, (panel,) = style.figure()
    shaded = None
    panel.axhline(1.0, color="#000000", linewidth=1.0)
    for name, rows_of_schedule in rows.items():
        line = style.schedule_line(view, name)
        levels, middle = [row.level for row in rows_of_schedule], [row.ratio for row in rows_of_schedule]
        panel.plot(levels, middle, **line)
        # Without noise the ratio takes few values, and shading between them would show what is not there.
        if name == view.rival and view.noisy:
            quartiles = [[getattr(row, field) for row in rows_of_schedule] for field in ("ratio_q25", "ratio_q75")]
            shaded = style.band(panel, line["color"], levels, middle, quartiles)
    theory = _draw_theory(view, panel)
    style.level_axis(view, panel)
    style.log_where_wide(panel, [[row.ratio for several in rows.values() for row in several]])
    panel.set_ylabel("ratio of test losses")
    style.legend(figure, panel)
    style.title(figure, theory or view.sentence_of_ratios(rows))
    base, same = view.told(view.base), "train loss" if view.by_loss else WORDS[view.kind].same
    of = (
        f"of expected losses at the same {same}"
        if is_exact(view.run)
        else f"in the same seed at the same {same}: median over seeds"
    )
    caption = (
        f"Test loss of {base} over that of each schedule, {of}"
        f"{_shading([shaded])}. Above 1 the schedule generalises better than {base}."
        f"{beside}{view.left_out}{view.problem}"
    )
    return style.Picture("ratio", caption, figure)


def _comparable(view):
    """Rows to compare, {schedule: rows}, and a sentence on those that are not at equal train loss and are left out."""
    pairs = {
        name: [row for level in view.levels if (row := view.rows[name, level]).both_reached and level > 0.0]
        for name in view.shown
        if name != view.base
    }
    exact = {name: [row for row in rows if row.compares] for name, rows in pairs.items()}
    chosen = {name: rows for name, rows in exact.items() if rows}
    if exact == pairs:
        return chosen, ""
    return chosen, " Left out: what is over 1 % apart in train loss in most seeds, or not reached in most."


def _draw_theory(view, panel):
    """The paper's line for its own pair of schedules; a clause that says how near the measurement is, or None."""
    paper = paper_of(view.run)
    levels = [level for level in view.levels if level > 0.0]
    if not hasattr(paper, "theory") or not levels or view.problem or not view.by_loss:
        return None
    if view.index(view.base) != baseline(view.run):  # the theory is about the paper's own
        return None
    theory = paper.theory(view.run)
    if theory is None or view.rival is None or view.index(view.rival) not in paper.annealers(view.run):
        return None
    grid = np.geomspace(max(levels), min(levels), GRID_POINTS)
    panel.plot(grid, theory.ratio(grid), color="#7f7f7f", linewidth=6, alpha=0.45, zorder=0, label=theory.label)
    measured, expected = view.ratio(view.rival), float(theory.ratio(view.last))
    return (
        f"At {view.where}, {view.spoken(view.base)} has {measured:.2f} times the test loss of "
        f"{view.spoken(view.rival)}; in theory {expected:.2f}"
    )


# ---- distribution over seeds ----


def distribution(view: View) -> Picture | None:
    """The share of seeds whose test loss is at or below a value, at the lowest level."""
    if view.seeds.size == 1:
        return None
    level = view.levels.index(view.last)
    status, test = view.run["status"], view.run["test_loss"]
    values = {}
    for name in view.shown:
        index = view.index(name)
        reached = view.reached(status[index, view.seeds, level])
        values[name] = np.sort(test[index, view.seeds[reached], level])
    values = {name: losses for name, losses in values.items() if losses.size}
    if not values:
        return None
    unit = view.last if view.by_loss and view.last > 0.0 and not view.run["test_floor"].any() else 1.0
    figure, (panel,) = style.figure()
    for name, losses in values.items():
        total = (status[view.index(name), view.seeds, level] != 0).sum()
        line = {**style.schedule_line(view, name), "marker": ""}
        kept = np.unique(np.linspace(0, losses.size - 1, min(losses.size, MOST_STAIRS)).astype(np.int64))
        panel.step([losses[0] / unit, *losses[kept] / unit], [0.0, *(kept + 1) / total], where="post", **line)
    beyond = _clip(panel, [losses / unit for losses in values.values()])
    panel.set_ylim(0.0, 1.02)
    panel.set_xlabel("test loss" if unit == 1.0 else "test loss / train loss")
    panel.set_ylabel("share of seeds at or below")
    style.legend(figure, panel)
    style.title(figure, view.sentence_of_wins())
    caption = (
        f"Share of all seeds whose test loss is at or below the value, at {view.where_of_all}; seeds that do not "
        f"reach it count as above. Further left is better.{beyond}{view.left_out}{view.problem}"
    )
    return style.Picture("distribution", caption, figure)


def _clip(panel, values):
    """Leave out the far tail, and use a logarithmic axis where it is needed; a sentence that says what lies beyond."""
    known = np.concatenate(values)
    known = known[np.isfinite(known) & (known > 0.0)]
    if not known.size:
        return ""
    right = max(2.0 * max(np.median(losses) for losses in values), 1.02 * known.min())
    clipped = known.max() > 3.0 * right
    if clipped:
        panel.set_xlim(known.min() / 1.3, right)
    if min(known.max(), right if clipped else np.inf) > 30.0 * known.min():
        style.logarithmic(panel, "x")
    share = np.mean(np.concatenate(values) > right)
    return f" Beyond the right edge: {100 * share:.0f} % of the values, up to {number(known.max())}." if clipped else ""


# ---- losses against steps or time ----


def course(view: View) -> Picture | None:
    """Train and test loss over the recorded seeds, and the learning rate under them on the same axis.

    The axis is of steps; where a schedule that is shown ends in a gradient flow, which has none, of time.
    """
    if not view.recorded()[0].size:
        return None
    figure, panels = style.panels(3, 1, 10.0, 11.0)
    drawn = [name for name in view.shown if _draw_course(view, name, panels)]
    if not drawn:
        return None
    for panel in panels[1:]:
        if not panels[0].get_shared_x_axes().joined(panels[0], panel):
            panel.sharex(panels[0])
    style.logarithmic(panels[0], "x")  # once shared: a panel that joins later keeps the scale that it had
    for panel in panels:
        style.log_where_wide(panel, [line.get_ydata() for line in panel.get_lines()])
    labels = ("train loss" + " above its floor" * view.excess, "test loss", "learning rate")
    for panel, label in zip(panels, labels, strict=True):
        panel.set_ylabel(label)
        panel.tick_params(labelbottom=panel is panels[-1])
    axis = "time: sum of learning rates, plus flow time" if view.has_flow else "step"
    panels[-1].set_xlabel(axis)
    _limit(view, panels[:2], drawn)
    floors = [name for name in drawn if draw_floor(view, panels[0], name, style.schedule_line(view, name))]
    if panels[-1].get_yscale() == "log":
        bottom, top = panels[-1].get_ylim()
        panels[-1].set_ylim(max(bottom, LEAST_RATE * top), top)
    for level in view.levels if view.by_loss else ():
        panels[0].axhline(level, color="#7f7f7f", linewidth=0.8, linestyle=(0, (2, 3)), zorder=0)
    style.legend(figure, panels[0])
    style.title(figure, view.sentence_of_times())
    scaled = any(view.run["schedule_unit"][view.index(name)] == "sharpness" for name in view.shown)
    lowered = any(view.own_rates(name) is not None for name in drawn)
    caption = (
        f"Losses and learning rate against {'time' if view.has_flow else 'steps'}, {over(view.recorded()[0].size)}"
        f"{'; dotted: the levels' * view.by_loss}. "
        f"{'A gradient flow takes no steps and has no learning rate. ' * view.has_flow}"
        f"{'Rates in units of 1/sharpness are drawn with the median sharpness. ' * scaled}"
        f"{'Bands: quartiles of rates that follow the loss of each seed. ' * lowered}"
        f"{'Horizontal, dotted: where a constant rate settles. ' * bool(floors)}"
        f"{view.left_out.strip()}{view.problem}"
    )
    return style.Picture("course", caption, figure)


def _draw_course(view, name, panels):
    """Draw one schedule's losses and rates in their panels; False where it has none."""
    moments, line = view.moments(name), style.schedule_line(view, name)
    later = np.flatnonzero(moments > 0.0)
    losses = list(view.trajectories(name))
    if not later.size or not any(np.isfinite(values[:, later]).any() for values in losses):
        return False
    thin = {"linewidth": 1.8, "markevery": (view.shown.index(name) * 3, 24), "markersize": 6}
    for panel, values in zip(panels, losses, strict=False):
        panel.plot(moments[later], most_medians(values)[later], **line, **thin)
    rates = view.rates(name)
    # From the moment before, for the rate is that of the step just taken; the start lies far left.
    places = np.maximum(moments, 1e-3 * moments[later].min())
    panels[-1].plot(places, np.where(rates > 0.0, rates, np.nan), drawstyle="steps-pre", **line, **thin)
    own = view.own_rates(name)
    if own is not None:
        known = np.isfinite(own).any(axis=0)
        low, high = np.nanquantile(np.where(known, own, 0.0), [0.25, 0.75], axis=0)
        panels[-1].fill_between(places, low, high, step="pre", color=line["color"], alpha=0.2, linewidth=0.0)
    return True


def _limit(view, panels, drawn):
    """Leave out what lies far below the levels, far above the start, and long before the first schedule moves."""
    rows = [row for row in view.rows.values() if row.schedule in drawn]
    stops = [stop for row in rows if (stop := row.stop_time if view.has_flow else row.stop_step) > 0.0]
    lowest = min(view.depths, default=0.0)
    for panel, start in zip(panels, view.start_losses(), strict=True):
        first = min(line.get_xdata()[0] for line in panel.get_lines())
        if stops:
            panel.set_xlim(max(min(stops) / 30.0, 0.8 * first), 3.0 * max(stops))
        bottom, top = panel.get_ylim()
        if stops and panel.get_yscale() == "log" and start > 0.0:
            panel.set_ylim(max(bottom, lowest / 5.0, start * 1e-12), min(top, 20.0 * start))


# Of every grid, by the keys of the pictures.
MAKERS: dict[str, Callable[[View], Picture | None]] = {
    "paths": trajectories,
    MAIN: losses_at_equal_train_loss,
    "ratio": ratios,
    "distribution": distribution,
    "course": course,
    ACCURACY: accuracy,
    SHARPNESS: sharpness,
    SPARSITY: sparsity,
}
