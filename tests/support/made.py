"""Runs made of arrays: what the summary layer looks at, and nothing else."""

from types import SimpleNamespace

import numpy as np


class Made:
    """A run made of arrays."""

    is_study = False

    def __init__(self, arrays, config):
        self._arrays, self.config = arrays, config
        self.names = sorted(arrays)

    def __getitem__(self, name):
        return self._arrays[name]

    def part(self, name, *where):
        return self._arrays[name][where]

    def dims(self, name):
        if name.startswith("problem_"):
            return ("seed",)
        return ("schedule",) if name.startswith("schedule_") else ()


def made_run(status, test, levels, names=("flow", "other"), kind="train_loss", tables=None, **more):
    """A run of these outcomes and test losses (S, N, E); train losses are the levels unless given."""
    status = np.asarray(status, np.uint8)
    shape = status.shape
    arrays = {
        "status": status,
        "test_loss": np.asarray(test, float),
        "train_loss": np.broadcast_to(np.asarray(levels, float), shape).copy(),
        "stop_step": np.arange(status.size).reshape(shape),
        "stop_time": np.arange(status.size).reshape(shape) / 8.0,
        "level": np.asarray(levels, float),
        "schedule": np.array(names[: shape[0]], dtype=object),
        "seed": np.arange(shape[1]),
        "draw": np.arange(shape[1]),
        "train_floor": np.zeros(shape[1]),
        "test_floor": np.zeros(shape[1]),
    } | more
    tables = list(tables or names[: shape[0]])
    kinds = {"problem": {"kind": "dataset"}, "paper": "dataset", "level_kind": kind}
    config = SimpleNamespace(**kinds, families=lambda: tables, levels=list(levels))
    return Made(arrays, config)
