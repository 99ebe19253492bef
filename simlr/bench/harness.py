"""What a section of the benchmark gives, and what it is given."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..config import GridConfig
from ..errors import RunError
from . import machine

T = TypeVar("T")


class Figure(NamedTuple):
    """One measured number."""

    key: str  # stable name, for programs that read the JSON
    name: str
    value: float
    unit: str
    ratios: dict[str, float]  # {what it is compared with: value / that}, above 1 where this one is more
    bound: str  # what keeps it from being better
    how: str  # how it was had


class Bench:
    """What the sections share: options, a folder on the disk to be measured, and the processor's limits."""

    def __init__(self, folder: str | Path, quick: bool = False, with_jax: bool = False) -> None:
        self.folder, self.quick, self.with_jax = Path(folder), quick, with_jax

    def pick(self, whole: T, quick: T) -> T:
        """One of two sizes."""
        return quick if self.quick else whole

    @property
    def threads(self) -> list[int]:
        """Numbers of threads to time: one, and all."""
        return sorted({1, machine.cores()})

    def grid(self, schedule: Sequence[Mapping], **tables: Any) -> GridConfig:
        """A grid on the reference problem, which needs no input file; nothing is recorded unless asked for."""
        given = {"stop": {"train_loss": [1e-30]}, "record": {"points": 0}, "problem": {"kind": "nakkiran2020"}}
        return GridConfig.from_tables({**given, **tables, "name": "bench", "schedule": schedule}, self.folder)

    def quadratics(
        self,
        curvature: NDArray[np.float64],
        residual: NDArray[np.float64],
        schedule: Sequence[Mapping],
        levels: Sequence[float],
        **tables: Any,
    ) -> GridConfig:
        """A grid on these quadratics."""
        np.savez(self.folder / "quadratics.npz", curvature=curvature, residual=residual)
        given = {"problem": {"kind": "quadratic", "file": "quadratics.npz"}, "seeds": {"count": len(curvature)}}
        return self.grid(schedule, **given, stop={"train_loss": list(levels), "max_steps": 1000}, **tables)


def many_threads(count: int) -> str:
    """1 thread, 2 threads."""
    return f"{count} thread{'' if count == 1 else 's'}"


def python(*arguments: str) -> str:
    """Standard output of another Python that finds this simlr."""
    paths = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    # An installed simlr has its bytecode, as the packages beside it have.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RunError(f"{' '.join(arguments[:2])}: ended with status {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout
