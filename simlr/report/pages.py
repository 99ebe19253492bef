"""Pages: of a run, and of the schedules of a grid."""

from typing import Any

from ..analysis.verdict import paper_of
from ..config.grid import GridConfig
from .figures import analysis as figures_of_analysis
from .figures import answer as figure_of_answer
from .figures import run as figures_of_run
from .figures import schedules, style
from .page import page, schedules_page
from .schedules import page_parts
from .view import View


def schedules_as_html(config: GridConfig, found: Any) -> str:
    """The page of a grid's learning rates."""
    images = _images(schedules.pictures(found))
    covers, tables = page_parts(found)
    return schedules_page(config.name, covers, tables, images, config.to_toml())


def as_html(analysis: Any, found: Any) -> str:
    """The page, with the pictures that the run has data for."""
    run = analysis.run
    view: Any = None if run.is_study else View(run, analysis.rows)
    of_sections: dict[str, Any] = figures_of_analysis.pictures(view, found.sections) if found.sections else {}
    if analysis.answer:
        of_sections["answer"] = figure_of_answer.picture(run, analysis.answer)
    svgs = {key: _images([picture])[0] for key, picture in of_sections.items() if picture}
    return page(found, _images(_pictures(run, view)), svgs)


def _pictures(run, view):
    """The paper's own pictures, then those that every grid has."""
    draw = getattr(paper_of(run), "pictures", None)
    with style.applied():
        own = list(draw(run)) if draw else []
    return own + (figures_of_run.pictures(view) if view else [])


def _images(pictures):
    """Pictures as [(caption, SVG bytes), ...]."""
    return [(picture.caption, style.svg(picture.figure)) for picture in pictures]
