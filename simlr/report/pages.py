"""Pages: of a run, and of the schedules of a grid."""

from ..analysis.verdict import paper_of
from .figures import analysis as analysisplots
from .figures import answer as answerplots
from .figures import run as figures
from .figures import schedules, style
from .page import page, schedules_page
from .schedules import page_parts
from .view import View


def schedules_as_html(config, found):
    """The page of a grid's learning rates."""
    images = _images(schedules.pictures(found))
    covers, tables = page_parts(found)
    return schedules_page(config.name, covers, tables, images, config.to_toml())


def as_html(analysis, found):
    """The page, with the pictures that the run has data for."""
    run, rows = analysis.run, analysis.rows
    of_sections = analysisplots.pictures(View(run, rows), found.sections) if found.sections else {}
    if analysis.answer:
        of_sections["answer"] = answerplots.picture(run, analysis.answer)
    svgs = {key: _images([picture])[0] for key, picture in of_sections.items() if picture}
    return page(found, _images(_pictures(run, rows)), svgs)


def _pictures(run, rows):
    """The paper's own pictures, then those that every grid has."""
    draw = getattr(paper_of(run), "pictures", None)
    with style.applied():
        own = list(draw(run)) if draw else []
    return own + ([] if run.is_study else figures.pictures(run, rows))


def _images(pictures):
    """Pictures as [(caption, SVG bytes), ...]."""
    return [(picture.caption, style.svg(picture.figure)) for picture in pictures]
