"""The report of a run, from its file alone: the command `python -m simlr.report`. It runs nothing and loads no Numba.

On the terminal the tables and the verdict; in a folder report.html (with matplotlib), report.md, summary.csv and the
CSV files of the analysis. With --schedules the learning rates of a grid, before it is run, and what convex theory
promises of them: schedules.html, schedules.csv and bounds.csv.
"""

from .cli import signals  # noqa: I001 - first: it minds signals from then on

import contextlib
import os
import re
import sys
import textwrap
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from .store import read as read_module
from . import analysisplots, answerplots, answertext, figures, rateplots, style
from .analysis import rows as summary, verdict as verdict_module
from .claims.registry import load_paper, paper_names
from .analysis.run_analysis import Analysis, StudyAnalysis
from .cli.arguments import DONE, Parser, answered, say
from .config.reading import read
from .csvfiles import FILES, csv_files, is_ours
from .errors import InputError
from .text import WIDTH, many, printable, values_text
from .layout import as_text, describe, findings_table, verdict_text
from .analysis.levels import WORDS, is_loss
from .page import page, schedules_page
from .analysis.pairs import index_of
from .sections import sections
from .config.study import StudyConfig
from .view import View

PROGRAM = "python -m simlr.report"
FORMATS = ("html", "csv", "md")
SCHEDULE_FORMATS = ("html", "csv")
INSTALL = 'pip install "simlr[report]"'


class Material(NamedTuple):
    """All that a report says in words and numbers."""

    title: str
    covers: str
    axes: list  # a line for each axis of the grid
    compared: str  # what the tables are about
    answer: object  # simlr.analysis.outcomes.Answer to the question of the grid, or None
    answer_table: object  # what it is made of
    tables: list
    sections: list  # of simlr.sections.Section
    verdict: object  # simlr.papers.Verdict, or None
    about: list  # paragraphs: what of the paper is a reconstruction
    provenance: list  # [(name, value), ...]
    grid: str  # TOML


def main(arguments=None):
    """The command; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.run is None) == (options.schedules is None):
        parser.error("one of RUN.h5 and --schedules GRID.toml is required")
    if options.schedules is not None and options.baseline is not None:
        parser.error("--baseline goes with a run file, not with --schedules")
    return answered(lambda: _made_of(options), "interrupted")


def _made_of(options):
    """The report that is asked for."""
    if options.schedules is not None:
        return _schedules(options.schedules, options.out, options.format)
    return _report(Path(options.run), options)


def _parser():
    """The command's arguments."""
    made = Parser(
        prog=PROGRAM,
        description="Report on a run file, finished or not: tables, verdict, CSV, Markdown and a page with pictures.",
        epilog="exit status: 0 done, 1 failed, 2 bad usage or bad input, 130 interrupted",
        allow_abbrev=False,
    )
    made.add_argument("run", nargs="?", metavar="RUN.h5", help="the run file")
    made.add_argument(
        "--schedules", metavar="GRID.toml | PAPER",
        help="draw the learning rates of a grid instead (default of --out: <grid>-schedules beside it)",
    )  # fmt: skip
    made.add_argument(
        "--baseline", metavar="NAME",
        help="the schedule that others are compared with (default: the one named flow, else the first gradient flow, "
        "else the first)",
    )  # fmt: skip
    made.add_argument("--out", metavar="DIR", help="where to write (default: <run>-report beside the run file)")
    made.add_argument(
        "--format", metavar="html,csv,md", type=_formats, help="what to write (default: all that can be made)"
    )
    return made


def _formats(text):
    """Names of formats, separated by commas, each once."""
    import argparse

    named = dict.fromkeys(name.strip() for name in text.split(","))
    for name in named:
        if name not in FORMATS:
            raise argparse.ArgumentTypeError(f"unknown format {name!r}; valid are {', '.join(FORMATS)}")
    return list(named)


def _report(path, options):
    """Read everything, make everything, then write."""
    run = read_module.load(path)
    folder = _folder(path, options.out, "report")
    wanted = _wanted(options.format, FORMATS)
    found, files = _made(path, run, options.baseline, wanted)
    print(as_terminal(found))
    _write(folder, files)
    if "csv" in wanted:
        _remove_stale(folder, files)
    print("\n" + "\n".join(printable(folder / name) for name in files))
    return DONE


def _schedules(grid, out, formats):
    """The learning rates of a grid."""
    is_paper = grid in paper_names()
    config = read(load_paper(grid).GRID if is_paper else Path(grid))
    if isinstance(config, StudyConfig):
        raise InputError(f"--schedules {grid}: is a study, which has no schedules")
    folder = _folder(Path(grid), out, "schedules")
    for name in formats or []:
        if name not in SCHEDULE_FORMATS:
            raise InputError(f"--format {name}: goes with a run file; schedules have {', '.join(SCHEDULE_FORMATS)}")
    found = rateplots.groups(config)
    makers = {
        "html": lambda: {"schedules.html": _schedules_html(config, found)},
        "csv": lambda: {"schedules.csv": rateplots.as_csv(found), "bounds.csv": rateplots.bounds_csv(found)},
    }
    texts = {name: text for wish in _wanted(formats, SCHEDULE_FORMATS) for name, text in makers[wish]().items()}
    files = {name: text.encode("utf-8") for name, text in texts.items()}
    print("\n\n".join(map(as_text, rateplots.page_parts(found)[1])))
    _write(folder, files)
    print("\n" + "\n".join(printable(folder / name) for name in files))
    return DONE


def _schedules_html(config, found):
    """The page of a grid's learning rates."""
    images = _images(rateplots.pictures(found))
    covers, tables = rateplots.page_parts(found)
    return schedules_page(config.name, covers, tables, images, config.to_toml())


def _wanted(formats, known):
    """The formats to write: those asked for, else all that can be made."""
    wanted = formats or list(known)
    if "html" in wanted and not style.available():
        if formats:
            raise InputError(f"--format html: needs matplotlib; {INSTALL}")
        wanted = [name for name in wanted if name != "html"]
        say(f"simlr: no page with pictures, for matplotlib is missing; {INSTALL}")
    return wanted


def _folder(path, out, noun):
    """The folder to write to; InputError where it cannot be one."""
    folder = Path(out) if out else path.with_name(f"{path.stem}-{noun}")
    if not folder.parent.is_dir():
        raise InputError(f"--out {folder}: the folder {folder.parent} does not exist")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder}: is not a folder")
    return folder


def _made(path, run, baseline, wanted):
    """The `Material` of a run, and the contents of the files: {name: bytes}."""
    try:
        analysis = _analysis(run, baseline)
        found = material(analysis, path.name)
        makers = {
            "html": lambda: {"report.html": as_html(analysis, found)},
            "csv": lambda: csv_files(analysis),
            "md": lambda: {"report.md": as_markdown(found)},
        }
        texts = {name: text for wish in wanted for name, text in makers[wish]().items()}
        return found, {name: text.encode("utf-8") for name, text in texts.items()}
    except InputError as error:
        raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # whatever a damaged file makes its readers raise
        raise InputError(f"{path}: is damaged: {type(error).__name__}: {error}") from error


def _analysis(run, baseline):
    """The analysis of a run against the baseline asked for."""
    if not run.is_study:
        return Analysis(run, None if baseline is None else index_of(run, baseline, "--baseline"))
    if baseline is not None:
        raise InputError("--baseline: a study has no schedules to compare")
    return StudyAnalysis(run)


def _write(folder, files):
    """Write all files, each at once: who looks at an older report never sees half of a new one."""
    try:
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            new = folder / f"{name}.new"
            new.write_bytes(content)
            os.replace(new, folder / name)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written: {error.strerror}") from None


def _remove_stale(folder, files):
    """Remove the CSV files that an earlier report left, of which this run has no rows; other people's files stay."""
    for name in FILES:
        if name not in files and is_ours(folder / name):
            with contextlib.suppress(OSError):
                os.remove(folder / name)


# ---- what is said ----


def material(analysis, name):
    """The `Material` of an `Analysis` of a run whose file has the name `name`."""
    run, rows = analysis.run, analysis.rows
    paper = verdict_module.paper(run)
    source = f": {paper.SOURCE}" if paper else ""
    return Material(
        title=run.config.name + source,
        covers=_study_covers(run) if run.is_study else describe(rows),
        axes=[] if run.is_study else [f"{key}: {values_text(values)}" for key, values in run.config.axes()],
        compared="" if run.is_study else _compared(run.config.level_kind),
        answer=analysis.answer,
        answer_table=answertext.table(run, analysis.answer) if analysis.answer_rows else None,
        tables=summary.tables(rows) if rows else [],
        sections=[] if run.is_study else sections(analysis),
        verdict=analysis.verdict,
        about=[f"Reconstruction: {paper.RECONSTRUCTION}"] if hasattr(paper, "RECONSTRUCTION") else [],
        provenance=_provenance(run, name),
        grid=run.attributes["config"],
    )


def _compared(kind):
    """What the tables of a grid compare."""
    return "At equal train loss" if is_loss(kind) else f"At the same {WORDS[kind].same}"


def _study_covers(run):
    """What a study measures, in one line."""
    seeds = f"; {many(run['seed'].size, 'seed')}" if "seed" in run.names else ""
    return run.config.definition.meaning + seeds


def _provenance(run, name):
    """What the numbers were made with: [(name, value), ...]."""
    told = run.attributes
    versions = ("simlr", "numba", "numpy", "h5py", "python")
    return [
        ("run file", name),
        ("versions", ", ".join(f"{key} {told.get(f'{key}_version', 'unknown')}" for key in versions)),
        ("kernel digest", told.get("kernel_digest", "unknown")),
        ("processor", told.get("processor", "unknown")),
        ("root seed", run.config.seeds["root"]),
        ("started", _moment(told.get("started_at"))),
        ("finished", _moment(float(run["finished_at"]))),
        ("computing took", f"{float(run['wall_seconds']):.3g} s"),
        *([] if run.is_study else [("blocks", _state_of_blocks(run))]),
    ]


def _state_of_blocks(run):
    """How many blocks are done and, where all are, what tells these results from others."""
    done, crc = run["block_done"], run["block_crc32"]
    state = f"{int((done == 1).sum())} of {done.size} done"
    if (done == 1).all():
        state += f"; CRC-32 of their CRCs {zlib.crc32(crc.astype('<u4').tobytes()):08x}"
    return state


def _moment(seconds):
    """Unix seconds as a date and time."""
    if not seconds:
        return "not yet"
    return datetime.fromtimestamp(float(seconds), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def as_terminal(found):
    """The report as text: tables, then the verdict."""
    parts = [printable(found.title) + "\n" + found.covers, *map(as_text, found.tables)]
    if found.answer:
        parts.append(answertext.as_text(found.answer))
    if found.verdict:
        parts.append(verdict_text(found.verdict))
    parts += ["\n".join(textwrap.wrap(printable(text), WIDTH)) for text in found.about]
    return "\n\n".join(parts)


# ---- files ----


def as_markdown(found):
    """The report in Markdown, without pictures."""
    parts = [f"# {_marked(found.title)}", _marked(found.covers)]
    if found.axes:
        parts.append("\n".join(f"- {_marked(axis)}" for axis in found.axes))
    if found.answer:
        parts += [f"**{_marked(found.answer.question)}** {_marked(found.answer.sentence)}"]
        parts += ["\n".join(f"- {_marked(note)}" for note in found.answer.notes)] if found.answer.notes else []
        parts += [_markdown_table(found.answer_table)] if found.answer_table else []
    if found.verdict:
        parts += [f"**Verdict: {found.verdict.outcome}.** {_marked(found.verdict.claim)}"]
        parts += [_markdown_table(findings_table(found.verdict))]
    parts += map(_marked, found.about)
    parts += map(_markdown_table, found.tables)
    for section in found.sections:
        parts += [f"# {_marked(section.title)}", *([_marked(section.note)] if section.note else [])]
        parts += map(_markdown_table, section.tables)
    parts += ["## Where this comes from", "\n".join(f"- {name}: {_marked(v)}" for name, v in found.provenance)]
    indented = "\n".join(f"    {printable(line)}" for line in found.grid.rstrip("\n").split("\n"))
    return "\n\n".join([*parts, "The whole grid:", indented]) + "\n"


def _markdown_table(table):
    """One table with its title and notes."""
    lines = [table.header, ["---"] + ["---:"] * (len(table.header) - 1)]
    rows = [f"| {' | '.join(map(_marked, table.header))} |", f"| {' | '.join(lines[1])} |"]
    rows += [f"| {' | '.join(map(_marked, line))} |" for line in table.lines]
    notes = "\n".join(f"- {_marked(note)}" for note in table.notes)
    return "\n\n".join(part for part in (f"## {_marked(table.title)}", "\n".join(rows), notes) if part)


def _marked(text):
    """Text on one line in which nothing is Markdown or HTML."""
    escaped = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~$-])", r"\\\1", escaped)


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
    draw = getattr(verdict_module.paper(run), "pictures", None)
    with style.applied():
        own = list(draw(run)) if draw else []
    return own + ([] if run.is_study else figures.pictures(run, rows))


def _images(pictures):
    """Pictures as [(caption, SVG bytes), ...]."""
    return [(picture.caption, style.svg(picture.figure)) for picture in pictures]


def command():
    """The command as a process of its own; returns the exit status."""
    return signals.finished(main)


if __name__ == "__main__":
    sys.exit(command())
