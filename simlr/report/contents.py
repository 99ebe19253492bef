"""The files of a report, made in memory: what the command writes, and `simlr.report`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ..analysis import run_analysis
from ..analysis.pairs import index_of
from ..errors import InputError, RunError
from ..store.run import Run
from ..store.target import check_folder
from .csv_files import csv_files, csv_text
from .explorer.page import NAME as EXPLORER
from .explorer.page import explorer_page
from .figures import importing
from .figures.files import HEADER, NUMBERS, figure_files, numbers
from .material import Material, material
from .page import THEMES
from .pages import as_html, drawn
from .plain.markdown import as_markdown

FORMATS = ("html", "csv", "md")
INSTALL = 'pip install "simlr[report]"'


class Options(NamedTuple):
    """What is written of a report, and how."""

    formats: Sequence[str] = FORMATS
    baseline: str | None = None  # the schedule that others are compared with
    theme: str = THEMES[0]
    figures: Sequence[str] = ()  # formats of files of their own


def wanted_formats(
    asked: Sequence[str] | None, known: Sequence[str], say: Callable[[str], None], option: str = "--format html"
) -> list[str]:
    """The formats to write: those asked for, else all that can be made; InputError where one of those asked cannot."""
    wanted = list(asked or known)
    if "html" in wanted and not importing.available():
        if asked:
            raise InputError(f"{option}: needs matplotlib; {INSTALL}")
        wanted = [name for name in wanted if name != "html"]
        say(f"simlr: no page with pictures, for matplotlib is missing; {INSTALL}")
    return wanted


def folder_of(path: Path, out: str | Path | None, noun: str) -> Path:
    """The folder to write to, by default beside the file at `path`; InputError where it cannot be one."""
    folder = Path(out) if out else path.with_name(f"{path.stem}-{noun}")
    check_folder(folder)
    return folder


def analysis_of(run: Run, baseline: str | None) -> Any:
    """The analysis of a run, against a baseline where one is named."""
    if run.is_study and baseline is not None:
        raise InputError("--baseline: a study has no schedules to compare")
    base = None if baseline is None else index_of(run, baseline, "--baseline")
    return run_analysis.analysis_of(run, base)


class Steps:
    """Counts the parts of a report that are made: its numbers, its pictures, and each of its formats."""

    def __init__(self, tell: Callable[[int, int], None]):
        self._tell, self._done, self._total = tell, 0, len(FORMATS) + 2
        tell(0, self._total)

    def more(self, count: int) -> None:
        """So many more are known to come."""
        self._total += count

    def done(self) -> None:
        """One more is made."""
        self._done += 1
        self._tell(self._done, max(self._done, self._total))


def contents(
    path: Path | None, run: Run, options: Options, say: Callable[[str], None],
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Material, dict[str, bytes]]:  # fmt: skip
    """What a report says, and the contents of its files.

    Parameters
    ----------
    path
        The run file, which every refusal names; None of a run in memory.
    run
        Of a grid or a study, finished or not.
    options
        What is wanted.
    say
        Gets a line on what cannot be made.
    tell
        Called with (parts made, all of them) now and then.

    Returns
    -------
    material : Material
    files : dict
        {name: bytes}.

    Raises
    ------
    InputError
        Where the file is damaged, or something that is wanted is not there.
    """
    wanted, figures = options.formats, options.figures
    if figures and not importing.available():
        raise InputError(f"--figures {','.join(figures)}: needs matplotlib; {INSTALL}")
    name, steps = path.name if path else run.config.name, Steps(tell)
    with of_file(path) if path else nullcontext():
        analysis: Any = analysis_of(run, options.baseline)
        report = material(analysis, name)
        steps.done()
        pictures = cache(lambda: _counted(drawn(analysis, report), steps))
        makers = {
            "html": lambda: _pages(run, name, (pictures(), report, options.theme), steps),
            "csv": lambda: csv_files(analysis),
            "md": lambda: {"report.md": as_markdown(report)},
        }
        # The page last: where all else can be made, the file is sound, and what fails is the drawing.
        made = {}
        for wish in ("csv", "md"):
            if wish in wanted or wanted == ["html"]:
                made[wish] = makers[wish]()
            steps.done()
        if "html" in wanted:
            made["html"] = _page(makers["html"], wanted == ["html"], say)
        texts = {name: text for wish in wanted for name, text in made[wish].items()}
        for note in analysis.notes:
            say(f"simlr: {note}")
        files = {name: text.encode("utf-8") for name, text in texts.items()}
        # After the page, whose bytes do not depend on whether they are asked for.
        return report, files | (_page(lambda: _figures(pictures().all, figures), True, say) if figures else {})


def _counted(pictures, steps):
    """The pictures, each of which is still to be put into the page."""
    steps.more(len(pictures.all))
    steps.done()
    return pictures


def _pages(run, name, parts, steps):
    """The page and, of a run of two parameters that can be explored, the explorer, to which the page leads."""
    try:
        explorer = {EXPLORER: explorer_page(run, name)}
    except InputError:
        explorer = {}
    return {"report.html": as_html(*parts, *explorer, told=steps.done)} | explorer


def _figures(pictures, formats):
    """The files of the figures, and of their numbers."""
    table = csv_text(HEADER, numbers(pictures))
    return figure_files(pictures, formats) | {NUMBERS: table.encode("utf-8")}


@contextmanager
def of_file(path: Path) -> Iterator[None]:
    """Whose faults are: those of the run file at `path`, which every refusal names."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    except (MemoryError, RunError):
        raise
    except Exception as error:  # whatever a damaged file makes its readers raise
        raise InputError(f"{path}: is damaged: {type(error).__name__}: {error}") from error


def _page(make, alone, say):
    """The page with pictures; where matplotlib cannot draw, none and a word, or RunError where it is all there is."""
    try:
        return make()
    except (InputError, MemoryError):
        raise
    except Exception as error:
        text = f"no page with pictures, for matplotlib cannot draw them: {type(error).__name__}: {error}"
        if alone:
            raise RunError(text) from None
        say(f"simlr: {' '.join(text.split())}")
        return {}
