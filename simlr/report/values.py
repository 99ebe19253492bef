"""What the commands print of a run as JSON beside its tables."""

from pathlib import Path
from typing import Any


def headline_values(analysis: Any, path: str | Path) -> dict[str, Any]:
    """Which run it is, whether it is complete, its verdict and the answer to its question; None where it has none."""
    run, verdict = analysis.run, analysis.verdict
    answer = None if run.is_study else analysis.answer
    return {
        "file": str(path),
        "name": run.config.name,
        "complete": run.complete,
        "claim": verdict.claim if verdict else None,
        "verdict": verdict.outcome if verdict else None,
        "question": answer.question if answer else None,
        "answer": answer.short if answer else None,
    }
