"""What all that compute one run must have in common, for the bits depend on it."""

from typing import Any

from ...errors import show
from ...store.compatibility import PROVENANCE

AGREEING = ("simlr_version", *PROVENANCE)
OF_MACHINE = ("processor", "processor_features")


class Agreement:
    """The versions of this process, and the processor of the first worker that has them, or of the file gone on with.

    Parameters
    ----------
    here : dict
        What this process is, by name (`Job.attributes`).
    recorded : dict, optional
        The attributes of the run file that is to be gone on with.
    """

    def __init__(self, here: dict[str, Any], recorded: dict[str, Any] | None = None):
        machine = {name: (recorded or {}).get(name) for name in OF_MACHINE}
        self._wanted = {name: machine.get(name, here.get(name)) for name in AGREEING}

    def settle(self, worker: dict[str, Any]) -> None:
        """Take what a worker is, by name, for what all others have to be."""
        self._wanted = worker

    def difference(self, worker: dict[str, Any]) -> str | None:
        """The first thing in which a worker differs from what is wanted, as a reason to refuse it; None if it fits."""
        for name, wanted in self._wanted.items():
            if wanted is not None and worker[name] != wanted:
                label, values = name.replace("_", " "), (show(value, 40) for value in (worker[name], wanted))
                return "its {} is {}, and not {}; results would differ in their last bits".format(label, *values)
        return None
