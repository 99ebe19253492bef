"""simlr: learning-rate schedules on learning problems that can be solved exactly.

    import simlr

    run = simlr.run(simlr.GridConfig.from_toml("my.toml"))
    run = simlr.load("data/nakkiran2020.h5")
    rates = simlr.schedules.tabulate("cosine", steps=100, learning_rate=0.1)

All names but `__version__` are loaded at first use. So importing simlr loads neither Numba, NumPy nor h5py, and
`python -m simlr.grid` finds its module not yet imported, as runpy wants it.
"""

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

__version__ = "0.1.0"

# The public names, and where each is: module:name, or a module.
_PUBLIC = {
    "GridConfig": "simlr.config.grid:GridConfig",
    "descend": "simlr.engine.descend:descend",
    "load": "simlr.store.read:load",
    "run": "simlr.grid.job:run",
    **{name: f"simlr.{name}" for name in ("config", "grid", "kernels", "papers", "problems", "report", "schedules")},
    **{name: f"simlr.analysis.{name}" for name in ("answers", "directions", "families", "growth", "outcomes")},
    **{name: f"simlr.analysis.{name}" for name in ("pairs", "summary")},
    **{name: f"simlr.{name}" for name in ("analysis", "engine", "plan", "store")},
    "bounds": "simlr.schedules.bounds",
}


def _add_checkout_to_path():
    """Let `simlr.kernels` be found in a checkout, where the folder kernels/ lies beside simlr/, not in it.

    An installed simlr holds kernels/ itself, and the folder around it has no setup.cfg: another package's `kernels`
    beside it is never taken.
    """
    root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    in_checkout = os.path.isfile(os.path.join(root, "setup.cfg")) and os.path.isdir(os.path.join(root, "kernels"))
    if in_checkout and root not in __path__:
        __path__.append(root)


def lazily(package: str, owners: dict[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package that hands on what its modules own: {name: "module:name", or a module}.

    What is asked for once is kept.
    """

    def look_up(name):
        if name not in owners:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, attribute = owners[name].partition(":")
        value = importlib.import_module(module)
        value = getattr(value, attribute) if attribute else value
        setattr(sys.modules[package], name, value)
        return value

    return look_up


__getattr__ = lazily(__name__, _PUBLIC)


def __dir__():
    return sorted({"__version__", *_PUBLIC})


_add_checkout_to_path()
