"""Pages: of a run, and of the schedules of a grid."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

from ..analysis.verdict import paper_of
from ..config.grid import GridConfig
from .figures import analysis as figures_of_analysis
from .figures import answer as figure_of_answer
from .figures import run as figures_of_run
from .figures import schedules, style, target
from .figures.inline import inline
from .figures.style import Picture
from .material import Material
from .page import THEMES, page, schedules_page
from .schedules import Group, page_parts
from .story import story
from .view import View


def schedules_as_html(config: GridConfig, groups: Sequence[Group]) -> str:
    """The page of a grid's learning rates, of its `schedule_groups`."""
    images = [inline(picture) for picture in schedules.pictures(groups)]
    covers, tables = page_parts(groups)
    return schedules_page(config.name, covers, tables, images, config.to_toml())


class Drawn(NamedTuple):
    """The pictures of a run's page."""

    view: Any  # report.view.View, None of a study
    pictures: dict[str, Picture]  # those that every grid has, by their keys
    own: list[Picture]  # those of its paper

    @property
    def all(self) -> list[Picture]:
        """All of them."""
        return [*self.own, *self.pictures.values()]


def drawn(analysis: Any, material: Material) -> Drawn:
    """The pictures that a run has data for.

    Parameters
    ----------
    analysis : Analysis or StudyAnalysis
        Of the run.
    material
        What the report says of it.
    """
    run = analysis.run
    view: Any = None if run.is_study else View(run, analysis.rows, analysis.lead)
    return Drawn(view, run_pictures(analysis, material, view), paper_pictures(run))


def as_html(
    pictures: Drawn, material: Material, theme: str = THEMES[0], explorer: str = "",
    told: Callable[[], None] = lambda: None,
) -> str:  # fmt: skip
    """The page of a run.

    Parameters
    ----------
    pictures
        What `drawn` gives: the paper's own, and those that every grid has.
    material
        What the report says of it.
    theme
        One of `page.THEMES`.
    explorer
        The name of the explorer's file beside the page; "" where there is none.
    told
        Called after each picture.
    """

    def put(picture):
        text = inline(picture)
        told()
        return text

    by_key = {key: put(picture) for key, picture in pictures.pictures.items()}
    own = [put(picture) for picture in pictures.own]
    sentence = f"{pictures.view.sentence()}." if pictures.view and by_key else ""
    return page(material, story(material, sentence, by_key, own), theme, explorer)


def drawn_alone(
    analysis: Any, material: Material, key: str, own: Sequence[str], axes: Sequence[Any] = ()
) -> Picture | None:
    """One picture, drawn anew.

    Parameters
    ----------
    analysis, material
        As of `drawn`.
    key
        Of the picture.
    own
        The keys of the pictures of the run's paper, in their order.
    axes : sequence of matplotlib.axes.Axes
        Somebody's own axes that it is drawn onto, as many as it has panels, line by line; none for a new figure.

    Returns
    -------
    Picture or None
        None where the run has no such picture.

    Raises
    ------
    InputError
        Where it has another number of panels.
    """
    run, place = analysis.run, own.index(key) if key in own else 0
    sections = {section.key: section for section in material.sections}
    with style.applied(), target.onto(key, axes, place) if len(axes) else nullcontext():
        if key in own:
            return paper_pictures(run)[place]
        if key == "answer":
            return figure_of_answer.picture(run, analysis.answer) if analysis.answer else None
        if run.is_study or key not in (*sections, *figures_of_run.MAKERS):
            return None
        view = View(run, analysis.rows, analysis.lead)
        if key in sections:
            return figures_of_analysis.picture(view, sections[key])
        return figures_of_run.MAKERS[key](view)


def run_pictures(analysis: Any, material: Material, view: Any) -> dict[str, Picture]:
    """The `Picture`s that every grid has, by their keys: of the run, of the sections and of the answer."""
    pictures = {picture.key: picture for picture in figures_of_run.pictures(view)} if view else {}
    of_sections: dict[str, Any] = figures_of_analysis.pictures(view, material.sections) if material.sections else {}
    answer = figure_of_answer.picture(analysis.run, analysis.answer) if analysis.answer else None
    return pictures | of_sections | ({"answer": answer} if answer else {})


def paper_pictures(run: Any) -> list[Picture]:
    """The pictures of the run's paper."""
    draw = getattr(paper_of(run), "pictures", None)
    with style.applied(), np.errstate(all="ignore"):
        return list(draw(run)) if draw else []
