"""Figures as parts of a page: SVG with text as text and without styles of its own, its legend, and the values drawn.

A strict content policy allows no style attributes, so they become attributes of SVG; ids get the picture's key before
them, so that several pictures share a page; the colours become variables, which the theme of the page sets.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...text import powers
from . import style
from .style import COLOURS, GRID, Picture

SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
MOST_POINTS = 240  # of a line, to be read off
INK, PAPER = "#000000", "#ffffff"
# What matplotlib writes and no page needs.
LEFT_OUT = {"font", "white-space"}
MATHEMATICS = re.compile(r"(?<!\\)\$([^$]*)(?<!\\)\$")
PART = re.compile(r"series-(\d+)-\d+$")


class Entry(NamedTuple):
    """One line of a legend."""

    label: str
    colour: str
    dashes: str  # as SVG has them
    marker: str  # as matplotlib has it, "" without
    is_bar: bool


class Inline(NamedTuple):
    """A picture as a page holds it."""

    key: str
    title: str
    caption: str
    svg: str
    legend: tuple[Entry, ...]
    data: dict  # {"panels": [...], "series": [...]}: what can be read off


def inline(picture: Picture) -> Inline:
    """A picture for a page; its figure is left as it was.

    Parameters
    ----------
    picture
        Of matplotlib. What has the colour of a line of the legend belongs to it.

    Returns
    -------
    Inline
        `data` has places in units of the SVG: of every panel its box and the names of its axes, of every series its
        name, its panel, points [x, y] and what they stand for as text; the ends of a horizontal axis that all share.
    """
    figure: Any = picture.figure
    title = " ".join(figure.get_suptitle().replace(r"\$", "$").split())
    entries, legends = legend_entries(figure), list(figure.legends)
    hidden = [text for text in figure.texts if text.get_visible()]
    figure.legends.clear()
    for text in hidden:
        text.set(visible=False, in_layout=False)
    try:
        content = _with_series(figure, entries)
        data = _data(figure, entries)
    finally:
        figure.legends.extend(legends)
        for text in hidden:
            text.set(visible=True, in_layout=True)
    return Inline(picture.key, title, picture.caption, _rewritten(content, picture.key, title), tuple(entries), data)


# ---- the legend ----


def legend_entries(figure: Any) -> list[Entry]:
    """The `Entry`s of a figure's legend; those of panels stay where they are."""
    entries = []
    for legend in figure.legends:
        pairs = zip(legend.legend_handles, legend.get_texts(), strict=True)
        entries += [_entry(handle, text.get_text().replace(r"\$", "$")) for handle, text in pairs]
    return list({entry.label: entry for entry in entries}.values())


def _entry(handle, label):
    """One line of a legend from what matplotlib draws for it."""
    first = handle[0] if isinstance(handle, tuple) else handle
    colour = style.colour_of(first)
    is_line = hasattr(first, "get_marker")
    pattern = first.get_linestyle() if is_line else "-"
    dashes = {"-": "", "--": "7 3", "-.": "7 2 2 2", ":": "2 2", "None": "none"}.get(pattern, "4 2")
    marker = str(first.get_marker()) if is_line else ""
    is_bar = not is_line and hasattr(first, "get_height")
    return Entry(" ".join(label.split()), colour, dashes, "" if marker == "None" else marker, is_bar)


def _with_series(figure, entries):
    """The figure as SVG in which every artist of a series bears its number."""
    places = {entry.colour: i for i, entry in enumerate(entries)}
    marked = []
    for panel in figure.axes:
        for artist in (*panel.lines, *panel.collections, *panel.patches):
            in_data = all(artist.get_transform().contains_branch_seperately(panel.transData))
            number = places.get(style.colour_of(artist))
            if number is not None and not style.is_contour(artist) and (in_data or artist in panel.collections):
                marked.append((artist, artist.get_gid()))
                artist.set_gid(f"series-{number}-{len(marked)}")
    try:
        return style.svg(figure)
    finally:
        for artist, gid in marked:
            artist.set_gid(gid)


# ---- the values ----


def _data(figure, entries):
    """What can be read off a figure that has just been drawn as SVG."""
    figure.set_dpi(72.0)
    height = 72.0 * figure.get_figheight()
    panels, series = [], []
    for p, panel in enumerate(figure.axes):
        box = panel.get_window_extent()
        corners = [box.x0, height - box.y1, box.x1, height - box.y0]
        names = [axis_name(text) for text in (label_below(panel), panel.get_ylabel() or panel.get_title())]
        panels.append({"box": [round(float(value), 1) for value in corners], "names": names})
        for number, x, y in _drawn(panel, entries):
            with np.errstate(all="ignore"):
                places = panel.transData.transform(np.column_stack([x, y]))
            inside = np.isfinite(places).all(axis=1)
            inside &= (places >= [box.x0 - 1, box.y0 - 1]).all(axis=1) & (places <= [box.x1 + 1, box.y1 + 1]).all(
                axis=1
            )
            kept = np.flatnonzero(inside)
            kept = kept[np.unique(np.linspace(0, kept.size - 1, min(kept.size, MOST_POINTS)).astype(int))]
            if kept.size:
                points = [[round(float(a), 1), round(float(height - b), 1)] for a, b in places[kept]]
                told = [[_told(panel.xaxis, x[k]), _told(panel.yaxis, y[k])] for k in kept]
                series.append({"series": number, "panel": p, "points": points, "values": told})
    found = {"panels": panels, "series": series, "names": [entry.label for entry in entries]}
    return found | _shared_axis(figure)


def _shared_axis(figure):
    """The horizontal axis that all panels of a figure share, which a page can enlarge: its ends, and its scale."""
    first, *others = figure.axes
    if not others or not all(first.get_shared_x_axes().joined(first, other) for other in others):
        return {}
    return {"axis": [*map(float, first.get_xlim()), first.get_xscale() == "log"]}


def _drawn(panel, entries):
    """(number of the series or -1, x, y) of every line and every group of bars of a panel."""
    places = {entry.colour: i for i, entry in enumerate(entries)}
    for line in panel.lines:
        number = places.get(style.colour_of(line), -1)
        if (number >= 0 or not entries) and all(line.get_transform().contains_branch_seperately(panel.transData)):
            x, y = (np.asarray(values, float) for values in line.get_data())
            if x.size and line.get_visible() and line.get_alpha() != style.THICK:
                yield number, x, y
    bars: dict = {}
    for patch in panel.patches:
        if hasattr(patch, "get_height") and style.colour_of(patch) in places:
            bars.setdefault(places[style.colour_of(patch)], []).append(patch)
    for number, patches in bars.items():
        across = any(patch.get_width() > 1.0 or patch.get_height() == 0.6 for patch in patches)
        ends = [(b.get_x() + b.get_width(), b.get_y() + b.get_height() / 2) for b in patches]
        tops = [(b.get_x() + b.get_width() / 2, b.get_y() + b.get_height()) for b in patches]
        yield number, *np.array(ends if across else tops).T


def axis_name(text: str) -> str:
    """The name of an axis: what stands before its explanation, mathematics in letters."""
    text = MATHEMATICS.sub(lambda found: found[1].replace("\\", ""), text)
    return re.split(r"[,:;\n]", text.replace(r"\$", "$"))[0].strip()


def label_below(panel: Any) -> str:
    """The label of a panel's horizontal axis; of panels that share it, of the one that has it."""
    siblings = panel.get_shared_x_axes().get_siblings(panel)
    return panel.get_xlabel() or next(filter(None, (other.get_xlabel() for other in siblings)), "")


def axis_value(axis: Any, value: float) -> str | float:
    """A value of an axis: the label of its tick where ticks are names, else itself."""
    places = np.asarray(getattr(axis.get_major_locator(), "locs", ()), float)
    if places.size and axis.get_scale() == "linear":
        label = axis.get_major_formatter()
        if (first := label(places[0], 0)) and not _is_number(first):
            nearest = int(abs(places - value).argmin())
            return " ".join(label(places[nearest], nearest).replace(r"\$", "$").split())
    return float(value)


def _told(axis, value):
    """A value of an axis as text, in four digits."""
    found = axis_value(axis, value)
    return found if isinstance(found, str) else powers(f"{found:.4g}")


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


# ---- the SVG ----


def _rewritten(content, key, title):
    """SVG for a page: one theme, ids of its own, no styles."""
    root = ET.fromstring(content)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{SVG}metadata", f"{SVG}style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        _attributes(element, key)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib.update({"class": "plot", "role": "img", "aria-label": title or key, "id": f"{key}-plot"})
    return ET.tostring(root, encoding="unicode")


def _attributes(element, key):
    """The attributes of an element, rewritten in place."""
    styles = dict(part.split(":", 1) for part in element.attrib.pop("style", "").split(";") if ":" in part)
    for name, value in styles.items():
        name, value = name.strip(), value.strip()
        if name == "font":
            size = re.search(r"([\d.]+)px", value)
            element.attrib["font-size"] = size.group(1) if size else "12"
            if re.search(r"\bbold\b|\b700\b", value):
                element.attrib["font-weight"] = "bold"
        elif name == "font-size":
            element.attrib[name] = value.removesuffix("px")
        elif name not in (*LEFT_OUT, "font-family"):
            element.attrib[name] = value
    if LINK in element.attrib:
        element.attrib["href"] = element.attrib.pop(LINK)
    for name, value in list(element.attrib.items()):
        element.attrib[name] = _attribute(name, value, key)
    if element.tag == "g" and (part := PART.search(element.attrib.get("id", ""))):
        element.attrib["data-series"] = part.group(1)
    if element.tag == "text" and "fill" not in element.attrib:
        element.attrib["fill"] = "currentColor"


def _attribute(name, value, key):
    """The value of an attribute: ids with the picture's key, colours as variables of the theme."""
    if name == "id":
        return f"{key}-{value}"
    if name == "href" and value.startswith("#"):
        return f"#{key}-{value[1:]}"
    if name in ("fill", "stroke"):
        if value.lower() == GRID:
            return "var(--line)"
        if value.lower() in (INK, PAPER):
            return "currentColor" if value.lower() == INK else "var(--paper)"
        known = {colour.lower(): i for i, colour in enumerate(COLOURS)}
        return f"var(--c{known[value.lower()]})" if value.lower() in known else value
    return value.replace("url(#", f"url(#{key}-")


def legend_svg(entry: Entry) -> str:
    """The piece of line before a name of the legend."""
    place = {colour.lower(): i for i, colour in enumerate(COLOURS)}.get(entry.colour)
    colour = entry.colour if place is None else f"var(--c{place})" if place else "currentColor"
    parts = []
    if entry.is_bar:
        parts.append(f'<path d="M8 1h18v10h-18z" fill="{colour}"/>')
    elif entry.dashes != "none":
        dashes = f' stroke-dasharray="{entry.dashes}"' if entry.dashes else ""
        parts.append(f'<path d="M1 6h32" stroke="{colour}" stroke-width="2.4" fill="none"{dashes}/>')
    if entry.marker in SHAPES:
        parts.append(f'<path d="{SHAPES[entry.marker]}" fill="{colour}"/>')
    return f'<svg class="key" viewBox="0 0 34 12" aria-hidden="true">{"".join(parts)}</svg>'


SHAPES = {
    "o": "M12.5 6a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
    "s": "M13 2h8v8h-8z",
    "D": "M17 1l5 5l-5 5l-5 -5z",
    "^": "M17 1l5 9h-10z",
    "v": "M17 11l5 -9h-10z",
    "P": "M15 1h4v3h3v4h-3v3h-4v-3h-3v-4h3z",
    "X": "M14 1l3 3l3 -3l2 2l-3 3l3 3l-2 2l-3 -3l-3 3l-2 -2l3 -3l-3 -3z",
}


def scripts_data(pictures: Sequence[Inline]) -> dict[str, dict]:
    """{picture's key: its `data`} of those that have values to read off."""
    return {picture.key: picture.data for picture in pictures if picture.data["series"]}
