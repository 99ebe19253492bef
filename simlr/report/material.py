"""What a report says of a run, before it is laid out."""

import zlib
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..analysis.levels import WORDS, is_loss
from ..analysis.verdict import paper_of
from ..text import many, values_text
from . import answer_text
from .sections import sections
from .tables import describe, tables


class Material(NamedTuple):
    """All that a report says in words and numbers."""

    title: str
    covers: str
    axes: list  # a line for each axis of the grid
    compared: str  # what the tables are about
    answer: Any  # simlr.analysis.outcomes.Answer to the question of the grid, or None
    answer_table: Any  # what it is made of
    tables: list
    sections: list  # of simlr.report.sections.Section
    verdict: Any  # simlr.papers.Verdict, or None
    about: list  # paragraphs: what of the paper is a reconstruction
    provenance: list  # [(name, value), ...]
    grid: str  # TOML


# ---- what is said ----


def material(analysis: Any, name: str) -> Material:
    """The `Material` of an `Analysis` of a run whose file has the name `name`."""
    run, rows = analysis.run, analysis.rows
    paper = paper_of(run)
    source = f": {paper.SOURCE}" if paper else ""
    return Material(
        title=run.config.name + source,
        covers=_study_covers(run) if run.is_study else describe(rows),
        axes=[] if run.is_study else [f"{key}: {values_text(values)}" for key, values in run.config.axes()],
        compared="" if run.is_study else _compared(run.config.level_kind),
        answer=analysis.answer,
        answer_table=answer_text.table(run, analysis.answer) if analysis.answer_rows else None,
        tables=tables(rows) if rows else [],
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
        *(("data", text) for text in str(told.get("problem_data", "")).splitlines()),
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
