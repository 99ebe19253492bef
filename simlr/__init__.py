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

__version__ = "0.1.0"

# The public names, and the module that owns each.
_OWNERS = {
    "GridConfig": "simlr.config",
    "descend": "simlr.engine.descend",
    "load": "simlr.store",
    "run": "simlr.grid",
}
_MODULES = frozenset(
    {"bounds", "config", "grid", "kernels", "papers", "problems", "report", "schedules", "store", "summary"}
)


def _add_checkout_to_path():
    """Let `simlr.kernels` be found in a checkout, where the folder kernels/ lies beside simlr/, not in it.

    An installed simlr holds kernels/ itself, and the folder around it has no setup.cfg: another package's `kernels`
    beside it is never taken.
    """
    root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    in_checkout = os.path.isfile(os.path.join(root, "setup.cfg")) and os.path.isdir(os.path.join(root, "kernels"))
    if in_checkout and root not in __path__:
        __path__.append(root)


def __getattr__(name):
    if name in _OWNERS:
        value = getattr(importlib.import_module(_OWNERS[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted({"__version__", *_OWNERS, *_MODULES})


_add_checkout_to_path()
