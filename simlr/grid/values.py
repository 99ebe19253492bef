"""What `simlr run --json` prints of a run, and of one that is not begun (docs/json.md)."""

from pathlib import Path
from typing import Any

from ..analysis.run_analysis import analysis_of
from ..claims.readings import reading
from ..plan.plan import Plan
from ..plan.rate_tables import KEPT_BYTES
from ..report.csv_files import json_table
from ..report.values import headline_values
from ..store.read import load

RUN_FORMAT, DRY_RUN_FORMAT, VERIFY_FORMAT = "simlr run 1", "simlr dry-run 1", "simlr verify 1"


def outcome_values(path: Path) -> dict[str, Any]:
    """What came out of a run: which it is, its verdict with all findings, its answer, and the table of losses."""
    run = load(path)
    analysis = analysis_of(run)
    size = {} if run.is_study else {"schedules": int(run["schedule"].size), "seeds": int(run["seed"].size)}
    verdict = analysis.verdict
    return {
        "format": RUN_FORMAT,
        **headline_values(analysis, path),
        "schedules": None,
        "seeds": None,
        **size,
        "level_kind": None if run.is_study else run.config.level_kind,
        "wall_seconds": float(run["wall_seconds"]),
        "findings": [reading(finding) for finding in verdict.findings] if verdict else [],
        "summary": [] if run.is_study else json_table(analysis, "summary"),
    }


def estimate_values(plan: Plan, needed: int, out: Path) -> dict[str, Any]:
    """What a grid would take, in numbers; arguments as of `listing.estimate`."""
    stop = plan.config.stop
    most = max(stop["steps"]) if "steps" in stop and not plan.points else stop["max_steps"]
    # A block in the kernels, one that waits, one that is written; and the rate tables.
    tables = min(KEPT_BYTES, 16 * sum(min(schedule.length, 1 << 20) for schedule in plan.schedules))
    return {
        "format": DRY_RUN_FORMAT,
        "name": plan.config.name,
        "file": str(out),
        "cells": plan.cells,
        "schedules": len(plan.schedules),
        "seeds": plan.seeds,
        "first_seed": plan.first,
        "all_seeds": plan.all_seeds,
        "levels": plan.levels,
        "most_steps": sum(min(schedule.length, most) for schedule in plan.schedules) * plan.seeds,
        "recorded_moments": plan.points,
        "recorded_seeds": plan.recorded if plan.points else 0,
        "blocks": plan.blocks,
        "block_seeds": plan.block_seeds,
        "file_bytes": needed,
        "memory_bytes": 4 * plan.block_seeds * plan.bytes_a_seed + tables,
    }
