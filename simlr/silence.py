"""Keeping h5py quiet about files that could not be written."""

import contextlib
import gc
import sys
import traceback


@contextlib.contextmanager
def silent_hdf5():
    """Let h5py's objects of a file that could not be written go without a word: each would print a traceback."""
    before = sys.unraisablehook, sys.excepthook  # Cython prints through both
    sys.unraisablehook = sys.excepthook = lambda *told: None
    try:
        yield
    except Exception as error:
        # They are held by the frames of the error, of those behind it, and by cycles of them.
        behind = error
        while behind is not None:
            traceback.clear_frames(behind.__traceback__)
            behind = behind.__context__
        gc.collect()
        raise
    finally:
        sys.unraisablehook, sys.excepthook = before
