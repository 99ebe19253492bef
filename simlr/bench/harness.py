"""What a section of the benchmark gives, and what it is given."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import RunError
from . import machine


class Figure(NamedTuple):
    """One measured number."""

    key: str  # stable name, for programs that read the JSON
    name: str
    value: float
    unit: str
    ratios: dict  # {what it is compared with: value / that}, above 1 where this one is more
    bound: str  # what keeps it from being better
    how: str  # how it was had


class Bench:
    """What the sections share: options, a folder on the disk to be measured, and the processor's limits."""

    def __init__(self, folder, quick=False, with_jax=False):
        self.folder, self.quick, self.with_jax = Path(folder), quick, with_jax

    def pick(self, whole, quick):
        """One of two sizes."""
        return quick if self.quick else whole

    @property
    def threads(self):
        """Numbers of threads to time: one, and all."""
        return sorted({1, machine.cores()})

    def grid(self, schedule, **tables):
        """A grid on the reference problem, which needs no input file; nothing is recorded unless asked for."""
        from ..config.grid import GridConfig

        given = {"stop": {"train_loss": [1e-30]}, "record": {"points": 0}, "problem": {"kind": "nakkiran2020"}}
        return GridConfig.from_tables({**given, **tables, "name": "bench", "schedule": schedule}, self.folder)

    def quadratics(self, curvature, residual, schedule, levels, **tables):
        """A grid on these quadratics."""
        np.savez(self.folder / "quadratics.npz", curvature=curvature, residual=residual)
        given = {"problem": {"kind": "quadratic", "file": "quadratics.npz"}, "seeds": {"count": len(curvature)}}
        return self.grid(schedule, **given, stop={"train_loss": list(levels), "max_steps": 1000}, **tables)


def many_threads(count):
    """1 thread, 2 threads."""
    return f"{count} thread{'' if count == 1 else 's'}"


def python(*arguments):
    """Standard output of another Python that finds this simlr."""
    paths = [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    # An installed simlr has its bytecode, as the packages beside it have.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RunError(f"{' '.join(arguments[:2])}: ended with status {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout
