"""The report of a run, from its file alone: the command `python -m simlr.report`. It runs nothing and loads no Numba.

On the terminal the tables and the verdict; in a folder report.html (with matplotlib), report.md, summary.csv and the
CSV files of the analysis; with --figures every figure as a file of its own, too. With --schedules the learning rates of
a grid, before it is run, and what convex theory promises of them: schedules.html, schedules.csv and bounds.csv. With
--explore a page for a class, explorer.html. Of several run files there is one report: what sets them apart is an axis.
"""

from ..cli import signals  # noqa: I001 - first: it minds signals from then on

from collections.abc import Sequence
import sys
from pathlib import Path

from ..claims.registry import is_paper
from ..cli import progress
from ..cli.arguments import DONE, Parser, answered, say
from ..cli.structured import as_json
from ..config.reading import read, read_paper
from ..config.study import StudyConfig
from ..errors import InputError
from ..inputs import formats
from ..plugins.loading import run_file
from ..store.read import held, load
from ..text import printable
from .schedules import as_csv, bounds_csv, page_parts, schedule_groups
from .contents import FORMATS, Options, analysis_of, contents, folder_of, of_file, wanted_formats
from .csv_files import json_tables
from .explorer.page import NAME as EXPLORER
from .explorer.page import explorer_page
from .figures.files import FORMATS as FIGURES
from .figures.files import NUMBERS
from .joined import joined
from .output import remove_stale, write
from .page import THEMES
from .pages import schedules_as_html
from .plain.terminal import as_terminal, as_text
from .values import headline_values

SCHEDULE_FORMATS = ("html", "csv")
JSON_FORMAT = "simlr report 1"
LONGEST_STEM = 120  # of a folder named after several files


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    command_line = parser()
    options = command_line.parse_args(arguments)
    if bool(options.run) == (options.schedules is not None):
        command_line.error("one of RUN.h5 and --schedules GRID.toml is required")
    if options.schedules is not None and options.baseline is not None:
        command_line.error("--baseline goes with a run file, not with --schedules")
    for name in ("explore", "figures", "json", "plugin"):
        if options.schedules is not None and getattr(options, name):
            command_line.error(f"--{name} goes with a run file, not with --schedules")
    if options.schedules is not None:
        return answered(lambda: _schedules(options.schedules, options.out, options.format), "interrupted")
    if options.explore:
        for name in ("baseline", "format", "figures", "json"):
            if getattr(options, name):
                command_line.error(f"--{name} goes with a report, not with --explore")
        if len(options.run) > 1:
            command_line.error("--explore goes with one run file")
        return answered(lambda: _explore(Path(options.run[0]), options), "interrupted")
    if options.json:
        for name in ("format", "figures", "out"):
            if getattr(options, name):
                command_line.error(f"--{name} goes with a report, not with --json")
        return answered(lambda: _json(options.run, options), "interrupted")
    return answered(lambda: _report(options.run, options), "interrupted")


def parser() -> Parser:
    """The command's arguments."""
    options = Parser(
        "report",
        "Report on a run file, finished or not: tables, verdict, CSV, Markdown and a page with pictures.",
        "0 done, 1 failed, 2 bad usage or bad input, 130 interrupted",
    )
    options.add_argument("run", nargs="*", metavar="RUN.h5", help="the run file, or several that are reported as one")
    options.add_argument(
        "--schedules", metavar="GRID.toml | PAPER",
        help="draw the learning rates of a grid instead (default of --out: <grid>-schedules beside it)",
    )  # fmt: skip
    options.add_argument(
        "--explore", action="store_true",
        help=f"write {EXPLORER} alone: a page for a class, in which a run of two parameters is trained again "
        "with other rates, steps, levels and samples; the run must be finished",
    )  # fmt: skip
    options.add_argument(
        "--baseline", metavar="NAME",
        help="the schedule that others are compared with (default: the one named flow, else the first gradient flow, "
        "else the second side of the grid's question where it differs most from the first, else the first)",
    )  # fmt: skip
    options.add_argument(
        "--plugin", metavar="FILE.py", action="append", default=[],
        help="run this file, with which the run was computed, so that its rates and its check are there; may repeat",
    )  # fmt: skip
    options.add_argument(
        "--theme", choices=THEMES, default=THEMES[0], help="the colours of a run's page (default: the reader's)"
    )
    options.add_argument(
        "-o", "--out", metavar="DIR", help="where to write (default: <run>-report beside the first run file)"
    )
    options.add_argument(
        "--format", metavar="html,csv,md", type=_formats(FORMATS), help="what to write (default: all that can be made)"
    )
    options.add_argument(
        "--json", action="store_true", help="print verdict, answer and all tables as JSON (docs/json.md); write nothing"
    )
    options.add_argument(
        "--figures", metavar="svg,pdf,png", type=_formats(FIGURES),
        help=f"write every figure of the page as files beside it, too, and the numbers of their curves as {NUMBERS}",
    )  # fmt: skip
    return options


def _formats(known):
    """What reads names of formats, separated by commas, each once."""
    import argparse

    def names(text):
        named = dict.fromkeys(name.strip() for name in text.split(","))
        for name in named:
            if name not in known:
                raise argparse.ArgumentTypeError(f"unknown format {name!r}; valid are {', '.join(known)}")
        return list(named)

    return names


def _loaded(paths):
    """(run, path) of a run file, or of several as one, under the name of all of them."""
    if len(paths) == 1:
        return held(load(paths[0])), Path(paths[0])
    return joined(paths), Path(paths[0]).with_name(f"{'+'.join(Path(path).stem for path in paths)[:LONGEST_STEM]}.h5")


def _report(paths, options):
    """Read everything, make everything, then write."""
    _run_plugins(paths, options.plugin)
    run, path = _loaded(paths)
    folder = folder_of(path, options.out, "report")
    wanted = wanted_formats(options.format, FORMATS, say)
    asked = Options(wanted, options.baseline, options.theme, options.figures or ())
    with progress.shown("parts", quiet=False, late=True) as tell:
        report, files = contents(path, run, asked, say, tell)
    write(folder, files)
    remove_stale(folder, files, [*wanted, *(options.figures or [])])
    print(as_terminal(report))
    print("\n" + "\n".join(printable(folder / name) for name in files))
    return DONE


def _run_plugins(paths, files):
    """Run the files that somebody says to trust; InputError where one is not what a run was computed with."""
    kinds = [kind for path in paths for kind in load(path).config.plugins] if files else []
    known = {kind.plugin.digest for kind in kinds}
    for file in files:
        digest = formats.digest(file)
        if digest not in known:
            raise InputError(f"--plugin {file}: is not what the run was computed with (SHA-256 {digest[:12]})")
        run_file(file)


def _json(paths, options):
    """The numbers of a report on standard output."""
    _run_plugins(paths, options.plugin)
    run, path = _loaded(paths)
    with of_file(path):
        analysis = analysis_of(run, options.baseline)
        told = {"format": JSON_FORMAT, **headline_values(analysis, path), "tables": json_tables(analysis)}
    print(as_json(told))
    return DONE


def _explore(path, options):
    """The explorer of a run."""
    _run_plugins([path], options.plugin)
    run = load(path)
    folder = folder_of(path, options.out, "report")
    with of_file(path):
        page = explorer_page(run, path.name)
    write(folder, {EXPLORER: page.encode("utf-8")})
    print(printable(folder / EXPLORER))
    return DONE


def _schedules(grid, out, formats):
    """The learning rates of a grid."""
    config = read_paper(grid) if is_paper(grid) else read(Path(grid))
    if isinstance(config, StudyConfig):
        raise InputError(f"--schedules {grid}: is a study, which has no schedules")
    folder = folder_of(Path(grid), out, "schedules")
    for name in formats or []:
        if name not in SCHEDULE_FORMATS:
            raise InputError(f"--format {name}: goes with a run file; schedules have {', '.join(SCHEDULE_FORMATS)}")
    groups = schedule_groups(config)
    makers = {
        "html": lambda: {"schedules.html": schedules_as_html(config, groups)},
        "csv": lambda: {"schedules.csv": as_csv(groups), "bounds.csv": bounds_csv(groups)},
    }
    wanted = wanted_formats(formats, SCHEDULE_FORMATS, say)
    texts = {name: text for wish in wanted for name, text in makers[wish]().items()}
    files = {name: text.encode("utf-8") for name, text in texts.items()}
    write(folder, files)
    print("\n\n".join(map(as_text, page_parts(groups)[1])))
    print("\n" + "\n".join(printable(folder / name) for name in files))
    return DONE


def command() -> int:
    """The command as a process of its own; returns the exit status."""
    return signals.finished(main)


if __name__ == "__main__":
    sys.exit(command())
