"""The command `python -m simlr.bench`: how fast simlr is on this machine, beside what bounds it.

First every kernel is checked against its naive twin in `twins`; a mismatch ends the benchmark. Then the sections are
run, and their figures printed as tables, or all together as JSON.
"""

from ..cli import signals  # noqa: I001 - first: it minds signals from then on

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence

from ..cli.arguments import DONE, FAILED, Parser, answered, called, say
from ..errors import RunError, unknown
from . import basics, closed_forms, convex, harness, jax_peers, layers, networks, streaming, twins
from . import machine as limits
from .checks import CHECKS
from .output import as_json, as_text, machine

BUSY = 0.5
SECTIONS = {
    **basics.SECTIONS,
    **closed_forms.SECTIONS,
    **convex.SECTIONS,
    **networks.SECTIONS,
    **layers.SECTIONS,
    **streaming.SECTIONS,
}


def parser() -> Parser:
    """The command's arguments."""
    options = Parser(
        "bench",
        "Check the kernels, measure their speed, and compare it with the limits of this machine.",
        "0 done, 1 failed (a kernel and its twin disagree), 2 bad usage, 130 interrupted",
    )
    options.add_argument(
        "--json", action="store_true", help="print one JSON object with every figure instead of tables"
    )
    options.add_argument("--peers", action="store_true", help="also time JAX, where it is installed")
    options.add_argument(
        "--quick", action="store_true", help="small sizes: shows that all works; the figures mean little"
    )
    options.add_argument(
        "--only",
        metavar="SECTION",
        action="append",
        default=[],
        help=f"one of: {', '.join(SECTIONS)}; may repeat",
    )
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = parser().parse_args(arguments)
    try:
        return answered(lambda: _run(options), "interrupted", name=called("bench"))
    except twins.Mismatch as mismatch:
        say(f"{called('bench')}: check failed: {mismatch}")
        return FAILED


def _run(options):
    """Check, measure, and print."""
    titles = options.only or list(SECTIONS)
    for title in titles:
        if title not in SECTIONS:
            raise unknown("--only", title, list(SECTIONS), "section")
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        raise RunError("NUMBA_DISABLE_JIT is set: there is nothing to measure without the compiler")
    try:
        temporary = tempfile.TemporaryDirectory(prefix="simlr-bench-", dir=".")  # on the disk that is to be measured
    except OSError as error:
        raise RunError(f"the working folder cannot be written to: {error.strerror}") from None
    with temporary as folder:
        bench = harness.Bench(folder, options.quick, options.peers and jax_peers.has_jax())
        notes = _notes(options, bench)
        begin, load = time.monotonic(), limits.load_average()
        figures = _measure(bench, titles, tables=not options.json)
    for note in notes:
        say(f"note: {note}")
    if options.json:
        took = {"quick": options.quick, "seconds": time.monotonic() - begin, "load_average": load, "notes": notes}
        print(json.dumps(as_json(figures, bench, took), indent=2))
    return DONE


def _notes(options, bench):
    """What a reader of the figures has to know."""
    notes = []
    if options.peers and not bench.with_jax:
        notes.append("JAX is not installed, so it was not timed: pip install jax")
    if limits.load_average() > BUSY:
        notes.append(f"other work was running (load average {limits.load_average():.1f}): the figures may be too low")
    if options.quick:
        notes.append("small sizes (--quick): the figures mean little")
    return notes


def _measure(bench, titles, tables):
    """The figures of the sections, {title: [Figure]}, after all checks."""
    for check in CHECKS:
        say(f"checking {check.__doc__.splitlines()[0]}")
        check(bench)
    if tables:
        print("\n".join(f"{name}: {value}" for name, value in machine().items()))
    figures = {}
    for title in titles:
        begin = time.monotonic()
        figures[title] = list(SECTIONS[title](bench))
        say(f"measured: {title} ({time.monotonic() - begin:.0f} s)")
        if tables:
            print("\n" + as_text(title, figures[title]), flush=True)
    return figures


def command() -> int:
    """The command as a process of its own; returns the exit status."""
    return signals.finished(main)


if __name__ == "__main__":
    sys.exit(command())
