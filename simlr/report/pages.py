"""Pages: of a run, and of the schedules of a grid."""

from collections.abc import Sequence
from typing import Any

from ..analysis.verdict import paper_of
from ..config.grid import GridConfig
from .figures import analysis as figures_of_analysis
from .figures import answer as figure_of_answer
from .figures import run as figures_of_run
from .figures import schedules, style
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


def as_html(analysis: Any, material: Material, theme: str = THEMES[0]) -> str:
    """The page of a run, with the pictures that it has data for: its paper's own, and those that every grid has.

    Parameters
    ----------
    analysis : Analysis or StudyAnalysis
        Of the run.
    material
        What the report says of it.
    theme
        One of `page.THEMES`.
    """
    run = analysis.run
    view: Any = None if run.is_study else View(run, analysis.rows)
    drawn = {key: inline(picture) for key, picture in run_pictures(analysis, material, view).items()}
    own = [inline(picture) for picture in paper_pictures(run)]
    sentence = f"{view.sentence()}." if view and drawn else ""
    return page(material, story(material, sentence, drawn, own), theme)


def run_pictures(analysis: Any, material: Material, view: Any) -> dict[str, Picture]:
    """The `Picture`s that every grid has, by their keys: of the run, of the sections and of the answer."""
    pictures = {picture.key: picture for picture in figures_of_run.pictures(view)} if view else {}
    of_sections: dict[str, Any] = figures_of_analysis.pictures(view, material.sections) if material.sections else {}
    answer = figure_of_answer.picture(analysis.run, analysis.answer) if analysis.answer else None
    return pictures | of_sections | ({"answer": answer} if answer else {})


def paper_pictures(run: Any) -> list[Picture]:
    """The pictures of the run's paper."""
    draw = getattr(paper_of(run), "pictures", None)
    with style.applied():
        return list(draw(run)) if draw else []
