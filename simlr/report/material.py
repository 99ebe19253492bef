"""What a report says of a run, before it is laid out."""

import zlib
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..analysis.levels import WORDS, is_loss
from ..analysis.summary import is_exact
from ..analysis.verdict import paper_of
from ..analysis.wording import METHODS, begun, noun
from ..plugins.kinds import told
from ..plugins.recorded import ATTRIBUTE
from ..problems import basis, losses
from ..store.compatibility import JOINED
from ..text import first_few, many, values_text
from . import answer_text
from .optima import optima
from .sections import sections
from .tables import describe, loss_tables, tables

MOST_FILES = 4  # named in one line


class Material(NamedTuple):
    """All that a report says in words and numbers."""

    title: str
    covers: str
    axes: list  # a line for each axis of the grid
    compared: str  # what the tables are about
    answer: Any  # simlr.analysis.outcomes.Answer to the question of the grid, or None
    answer_table: Any  # what it is made of
    tables: list
    loss_tables: list  # those of `tables` that have no ratios
    sections: list  # of simlr.report.sections.Section
    verdict: Any  # simlr.papers.Verdict, or None
    about: list  # paragraphs: what exact means are means of, what of the paper is a reconstruction
    provenance: list  # [(name, value), ...]
    grid: str  # TOML


# ---- what is said ----


def material(analysis: Any, name: str) -> Material:
    """What the report of a run says.

    Parameters
    ----------
    analysis : Analysis or StudyAnalysis
        Of the run.
    name
        That of the run's file.
    """
    run, rows = analysis.run, analysis.rows
    paper, exact = paper_of(run), not run.is_study and is_exact(run)
    if run.is_study:
        seeds = f"; {many(run['seed'].size, 'seed')}" if "seed" in run.names else ""
        covers, compared, axes = run.config.definition.meaning + seeds, "", []
    else:
        kind = run.config.level_kind
        covers, compared = describe(rows), "At equal train loss" if is_loss(kind) else f"At the same {WORDS[kind].same}"
        axes = [f"files: {first_few(files, MOST_FILES, len(files))}"] if (files := _files_of(run)) else []
        axes += [f"{_axis(key)}: {values_text(values)}" for key, values in run.config.axes()]
    return Material(
        title=run.config.name + (f": {paper.SOURCE}" if paper else ""),
        covers=covers,
        axes=axes,
        compared=compared,
        answer=analysis.answer,
        answer_table=answer_text.table(run, analysis.answer) if analysis.answer_rows else None,
        tables=tables(analysis.lines, exact=exact) if rows else [],
        loss_tables=loss_tables(analysis.lines, exact=exact) if rows else [],
        sections=[] if run.is_study else [*optima(analysis), *sections(analysis)],
        verdict=analysis.verdict,
        about=[
            *([] if run.is_study else losses.told(run.config.problem) + basis.told(run.config.problem)),
            *([f"{begun(run.attributes['expectation'])}."] if "expectation" in run.attributes else []),
            *_not_loaded(run),
            *([f"Reconstruction: {paper.RECONSTRUCTION}"] if hasattr(paper, "RECONSTRUCTION") else []),
        ],
        provenance=_provenance(run, name),
        grid=run.attributes["config"],
    )


def _axis(key):
    """An axis of a grid in words: "learning rate of annealed in phase 1"."""
    *of, name = key.split(".")
    if not of:
        return WORDS[name].axis
    table, phase = METHODS.get(of[0], of[0]), f" in {of[1].replace('phase', 'phase ')}" if len(of) > 1 else ""
    return noun(name).name + ("" if table == "problem" else f" of {table}{phase}")


def _not_loaded(run):
    """What is to be said of plug-ins whose code is not here."""
    names = dict.fromkeys(kind.plugin.name for kind in run.config.plugins if not kind.plugin.is_loaded)
    told = (
        f"Not loaded, for a report runs nobody's code: {', '.join(names)}. What takes rates of a schedule, or a check, "
    )
    return [f"{told}is left out; --plugin FILE.py runs a file."] if names else []


def _files_of(run):
    """Of which files a run was joined, a line each; none of a file's own run."""
    return str(run.attributes.get(JOINED, "")).splitlines()


def _provenance(run, name):
    """What the numbers were made with: [(name, value), ...]."""
    attributes = run.attributes
    versions = ("simlr", "numba", "numpy", "h5py", "python")
    provenance = [
        ("run file", name),
        *(("data", text) for text in str(attributes.get("problem_data", "")).splitlines()),
        ("versions", ", ".join(f"{key} {attributes.get(f'{key}_version', 'unknown')}" for key in versions)),
        ("kernel digest", attributes.get("kernel_digest", "unknown")),
        *(("plug-in", text) for text in told(str(attributes.get(ATTRIBUTE, "")))),
        *(("joined from", text) for text in _files_of(run)),
        *(("other code, accepted", text) for text in run.accepted_other),
        ("processor", attributes.get("processor", "unknown")),
        ("root seed", run.config.seeds["root"]),
        ("started", _moment(attributes.get("started_at"))),
        ("finished", _moment(float(run["finished_at"]))),
        ("computing took", f"{float(run['wall_seconds']):.3g} s"),
    ]
    if not run.is_study and JOINED not in attributes:
        done, crc = run["block_done"] == 1, run["block_crc32"]
        # Where all blocks are done, what tells these results from others.
        digest = f"; CRC-32 of their CRCs {zlib.crc32(crc.astype('<u4').tobytes()):08x}" if done.all() else ""
        provenance.append(("blocks", f"{int(done.sum())} of {done.size} done{digest}"))
    return provenance


def _moment(seconds):
    """Unix seconds as a date and time."""
    if not seconds:
        return "not yet"
    return datetime.fromtimestamp(float(seconds), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
