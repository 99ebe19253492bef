"""Pages: of a run, and of the schedules of a grid."""

from collections.abc import Sequence
from typing import Any

from ..analysis.verdict import paper_of
from ..config.grid import GridConfig
from .figures import analysis as figures_of_analysis
from .figures import answer as figure_of_answer
from .figures import run as figures_of_run
from .figures import schedules, style
from .material import Material
from .page import page, schedules_page
from .schedules import Group, page_parts
from .view import View


def schedules_as_html(config: GridConfig, groups: Sequence[Group]) -> str:
    """The page of a grid's learning rates, of its `schedule_groups`."""
    images = _images(schedules.pictures(groups))
    covers, tables = page_parts(groups)
    return schedules_page(config.name, covers, tables, images, config.to_toml())


def as_html(analysis: Any, material: Material) -> str:
    """The page of a run, with the pictures that it has data for: its paper's own, then those that every grid has.

    Parameters
    ----------
    analysis : Analysis or StudyAnalysis
        Of the run.
    material
        What the report says of it.
    """
    run = analysis.run
    view: Any = None if run.is_study else View(run, analysis.rows)
    of_sections: dict[str, Any] = figures_of_analysis.pictures(view, material.sections) if material.sections else {}
    if analysis.answer:
        of_sections["answer"] = figure_of_answer.picture(run, analysis.answer)
    svgs = {key: _images([picture])[0] for key, picture in of_sections.items() if picture}
    draw = getattr(paper_of(run), "pictures", None)
    with style.applied():
        pictures = list(draw(run)) if draw else []
    pictures += figures_of_run.pictures(view) if view else []
    return page(material, _images(pictures), svgs)


def _images(pictures):
    """Pictures as [(caption, SVG bytes), ...]."""
    return [(picture.caption, style.svg(picture.figure)) for picture in pictures]
