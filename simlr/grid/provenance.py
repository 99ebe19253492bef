"""What a run file says of where it comes from: the attributes of its root."""

import time
from typing import Any

from .. import __version__
from ..errors import RunError
from ..plugins.recorded import attribute_of
from ..resources import check_compiler
from ..store import file_format


def environment_here() -> dict[str, str]:
    """What the bits depend on besides the grid; RunError where Numba does not work here, before anything is touched.

    InputError where the limit on memory leaves its compiler no room.
    """
    try:
        from ..engine.environment import environment
        from ..kernels import jit

        found = environment()
    except (ImportError, OSError, ValueError) as error:
        raise RunError(f"Numba cannot be used: {error}") from error
    check_compiler(jit.is_warm)
    return found


def root_attributes(config: Any, problem_identity: str, environment: dict[str, str], **others: str) -> dict[str, Any]:
    """The attributes of the root: what ran, on what, when.

    Parameters
    ----------
    config : GridConfig or StudyConfig
        What ran.
    problem_identity
        What tells its data and code from others.
    environment
        The machine and the packages, as of `environment_here`.
    **others
        What only one kind of run has.
    """
    return {
        "format": file_format.FORMAT,
        "format_version": file_format.FORMAT_VERSION,
        **others,
        **attribute_of(config.plugins),
        "config": config.to_toml(),
        "identity": config.identity(),
        "problem_identity": problem_identity,
        "simlr_version": __version__,
        **environment,
        "started_at": time.time(),
    }
