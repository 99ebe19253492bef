"""Whether matplotlib is there: its import, which is quiet and leaves a notebook its way of showing pictures."""

import logging
import os
import sys
from contextlib import suppress


def available() -> bool:
    """Whether matplotlib can be imported."""
    # It tells of its caches and fonts, from the import on; that is nothing to the reader of a report.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    is_first = "matplotlib" not in sys.modules
    backend = os.environ.pop("MPLBACKEND", None)  # of a notebook, say; one that it lacks is refused as it is imported
    try:
        import matplotlib.figure
    except ImportError:
        return False
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend and is_first:  # which matplotlib looks at only then: a notebook would show no picture of its reader's
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend
    return True
