"""What a run is told beside what is run, and where to."""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..errors import InputError

OUT = re.compile(r"^--out (?=\S)")


class RunOptions(NamedTuple):
    """The options of `simlr.run`, which has their meanings."""

    threads: int | None = None
    overwrite: bool = False
    resume: bool = False
    progress: Callable[[int, int], None] | bool | None = None
    accept_other: bool = False
    extend: bool = False

    def check(self) -> None:
        """InputError where two of them exclude each other."""
        asked = [name for name in ("resume", "overwrite", "extend") if getattr(self, name)]
        if len(asked) > 1:
            raise InputError(f"{' and '.join(asked)} cannot both be asked for")
        if self.accept_other and not self.resume and not self.extend:
            raise InputError("accept_other goes with resume: there is no other code where a run begins")


@contextlib.contextmanager
def out_as_argument() -> Iterator[None]:
    """Errors within that begin with the command's --out begin with out, the argument of `simlr.run`."""
    try:
        yield
    except InputError as error:
        error.args = (OUT.sub("out: ", str(error)), *error.args[1:])
        raise
