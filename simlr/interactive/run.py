"""A run as `simlr.run` and `simlr.load` give it: its data, and what a report says of them."""

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis import pairs
from ..analysis.comparison import outcome
from ..analysis.outcomes import Answer
from ..analysis.run_analysis import Analysis, analysis_of
from ..analysis.verdict import paper_of
from ..claims.verdict import Verdict
from ..errors import InputError, unknown
from ..report import contents
from ..report.figures import importing, style
from ..report.figures.files import FORMATS as FIGURES
from ..report.figures.style import Picture
from ..report.material import material
from ..report.output import remove_stale, write
from ..report.pages import drawn, drawn_alone, paper_pictures
from ..report.story import LEADING, OWN, head
from ..report.tables import agreement
from ..report.view import View
from ..store import run as store_run
from ..store.read import FileSource, held

# Of a larger run no verdict is looked up where it is only named.
MOST_CELLS_NAMED = 1_000_000
FITTING = '<svg style="max-width:100%;height:auto"'
WIDTH = 640  # of the picture in a notebook, in pixels at most


class Run(store_run.Run):
    """One run, from a file or from memory: its datasets are attributes, as of `simlr.store.run.Run`.

    `plot` draws the report's pictures, `report` writes it; a notebook shows the run with its sentence and its picture.
    """

    def __init__(self, source):
        super().__init__(source)
        self._kept = {}

    def __repr__(self):
        """What ran, and how far it is; below it the verdict or the answer, where that is there at once."""
        text, cells = super().__repr__(), self["status"].size if "status" in self.names else 0
        try:
            told = self._in_short() if self.complete and cells <= MOST_CELLS_NAMED else ""
        except Exception:  # of a damaged block, say: what is looked at says so
            told = ""
        return f"{text}\n{told}" if told else text

    def _repr_html_(self):
        """The run in a notebook: what ran, one sentence, and the picture that its page begins with."""
        paper = paper_of(self)
        lines = [f"<b>{escape(self.config.name)}</b>" + (f": {escape(paper.SOURCE)}" if paper else "")]
        lines.append(escape(store_run.Run.__repr__(self)[1:-1]))
        analysis, said = self._said()
        first = self._leading(self._own_pictures()) if importing.available() else None
        is_compared = first is not None and not self.is_study
        sentence = f"{View(analysis.run, analysis.rows, analysis.lead).sentence()}." if is_compared else ""
        question, result, _, told = head(said, sentence)
        lines += [f"<i>{escape(question)}</i>", escape(f"{result}. {told}" if result else told)]
        picture = _inline(first) if first else ""
        return f'<div class="simlr-run"><p>{"<br>".join(line for line in lines if line)}</p>{picture}</div>'

    @property
    def verdict(self) -> Verdict | None:
        """The verdict of the run's paper, by its findings; None where there is none."""
        return self._analysis().verdict

    @property
    def answer(self) -> Answer | None:
        """The answer to the question of the grid; None where it asks nothing."""
        return self._analysis().answer

    def plot(self, name: str | None = None, ax: Any = None) -> Any:
        """One picture of the report.

        Parameters
        ----------
        name : str, optional
            Which one: "test-against-train", "ratio", "distribution", "course", "paths", "against", "best", ...; by
            default the one that the page begins with.
        ax : matplotlib.axes.Axes or list of these, optional
            Axes of your own that it is drawn onto, as many as it has panels.

        Returns
        -------
        matplotlib.figure.Figure
            As the report has it; where `ax` is given, that.

        Raises
        ------
        InputError
            Where matplotlib is missing, the run has no such picture, or it has another number of panels.
        """
        if not importing.available():
            raise InputError(f"plot: needs matplotlib; {contents.INSTALL}")
        own = self._own_pictures()
        first = self._leading(own) if name is None else None
        if name is None and first is None:
            raise InputError("plot: the run has no data for a picture")
        if first is not None and ax is None:
            return first.figure
        # Anew at every call: what is given away may be changed.
        analysis, said = self._said()
        wanted, axes = first.key if first else str(name), [] if ax is None else list(np.ravel(ax))
        picture: Any = drawn_alone(analysis, said, wanted, [one.key for one in own], axes)
        if picture is None:
            raise unknown("plot", name, [one.key for one in drawn(analysis, said).all], "picture")
        return picture.figure if ax is None else ax

    def report(self, out: str | Path | None = None, **options: Any) -> Path:
        """Write the report of this run; see `simlr.report`."""
        return report(self, out, **options)

    def _analysis(self):
        """The analysis; of a finished run it is made once."""
        if not self._kept.get("complete"):
            self._kept = {"complete": self.complete, "analysis": analysis_of(held(self))}
        return self._kept["analysis"]

    def _said(self):
        """(analysis, what a report says of it)."""
        analysis = self._analysis()
        if "material" not in self._kept:
            self._kept["material"] = material(analysis, self.config.name)
        return analysis, self._kept["material"]

    def _own_pictures(self):
        """The pictures of the run's paper."""
        return paper_pictures(self._analysis().run)

    def _leading(self, own):
        """The picture that the page begins with, of its kinds the first that there is; None where there is none."""
        analysis, said = self._said()
        for key in LEADING:
            picture = next(iter(own), None) if key == OWN else drawn_alone(analysis, said, key, ())
            if picture:
                return picture
        return None

    def _in_short(self):
        """The answer in a sentence, or the outcome of the paper's check; "" without."""
        if self.answer:
            return self.answer.short
        if self.verdict is None:
            return ""
        return f"verdict: {self.verdict.outcome} ({agreement(self.verdict)})"


def load(path: str | Path) -> Run:
    """The run in a file, finished or not.

    Parameters
    ----------
    path : str or Path
        The run file. While it is loaded, it must not be replaced by another one.

    Returns
    -------
    Run
        Its datasets as attributes. The bytes of a block have to have their CRC-32 when they are first looked at.

    Raises
    ------
    InputError
        A ValueError: where the file is no simlr run. At any access: where it was replaced or removed meanwhile.
    DamageError
        An InputError: where what it says of itself, its end or, at the access, a block is not what was written.
    """
    return Run(FileSource(path))


def report(
    run: store_run.Run | str | Path,
    out: str | Path | None = None,
    *,
    formats: Sequence[str] | None = None,
    baseline: str | None = None,
    figures: Sequence[str] = (),
) -> Path:
    """Write the report of a run, as the command `simlr report` does: a page, Markdown and CSV files.

    Parameters
    ----------
    run : Run, str or Path
        A run, or the path of a run file.
    out : str or Path, optional
        The folder, which is made; by default `<run>-report` beside the run file. A run in memory needs one.
    formats : sequence of str, optional
        Of "html", "csv" and "md"; by default all that can be made.
    baseline : str, optional
        The schedule that others are compared with.
    figures : sequence of str
        Of "svg", "pdf" and "png": every figure as a file of its own, too.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        Where something is unknown or missing, or the folder holds files of others.
    """
    run = _run_of("report", run)
    path = run._source.path if isinstance(run._source, FileSource) else None
    if path is None and out is None:
        raise InputError("report: a run in memory needs a folder to write to: report(run, out)")
    for key, given, known in (("formats", formats or (), contents.FORMATS), ("figures", figures, FIGURES)):
        for name in given:
            if name not in known:
                raise unknown(f"report: {key}", name, known, "format")
    folder = contents.folder_of(path or Path(run.config.name), out, "report")
    wanted = contents.wanted_formats(formats, contents.FORMATS, _ignored, "report: formats html")
    _, files = contents.contents(path, held(run), contents.Options(wanted, baseline, figures=figures), _ignored)
    write(folder, files)
    remove_stale(folder, files, [*wanted, *figures])
    return folder


def _ignored(text):
    """What a command would say of what cannot be made; here the files show it."""


def _run_of(what: str, run: Any) -> store_run.Run:
    """A run that is given, or that of a path."""
    run = load(run) if isinstance(run, str | Path) else run
    if not isinstance(run, store_run.Run):
        raise InputError(f"{what}: run must be a run or the path of a run file, got a {type(run).__name__}")
    return run


def compare(run: store_run.Run | str | Path, a: str | int, b: str | int) -> list[pairs.Pair]:
    """Two schedules of a run seed by seed: the rows of the report's pairs.csv, of this pair.

    Parameters
    ----------
    run : Run, str or Path
        Of a grid, finished or not, or the path of its run file.
    a, b : str or int
        Names or places of schedules.

    Returns
    -------
    list of Pair
        By problem combination, then level; at a budget of steps, of schedules that are made for it. Where pairs.csv has
        b against a, the same numbers the other way round. `p_holm` and `outcome` are corrected for all pairs of the
        run, as the report has them; where those are too many for a table and neither is its baseline, for these rows
        alone.

    Raises
    ------
    InputError
        For a schedule that is not there, and of a study.
    """
    run = _run_of("compare", run)
    if run.is_study:
        raise InputError("compare: a study has no schedules")
    names = [str(name) for name in run["schedule"]]
    first, second = (names[pairs.index_of(run, name)] for name in (a, b))
    analysis = run._analysis() if isinstance(run, Run) else Analysis(held(run))
    rows = [row for row in analysis.pairs if {row.a, row.b} == {first, second}]
    if rows and rows[0].a == first:
        return rows
    found = pairs.compare(analysis.run, first, second)
    if not rows:
        return found
    corrected = {(row.problem, row.level): row.p_holm for row in rows}
    told = [(row, corrected[row.problem, row.level]) for row in found if (row.problem, row.level) in corrected]
    return [replace(row, p_holm=p, outcome=outcome(row, p, analysis.margin)) for row, p in told]


def _inline(picture: Picture) -> str:
    """A picture as SVG within a page of HTML."""
    figure: Any = picture.figure
    content = style.svg(figure).decode("utf-8")
    svg = content[content.index("<svg") :]
    return f'<div style="max-width:{WIDTH}px">{svg.replace("<svg", FITTING, 1)}</div>'
