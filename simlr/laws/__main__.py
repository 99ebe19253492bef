"""The command `python -m simlr.laws`, also `simlr fit`: fits a law to loss curves, and says how well it predicts."""

from ..cli import signals  # noqa: I001 - first: it minds signals from then on

import json
import sys
from pathlib import Path
from typing import Any

from ..cli.arguments import BAD_INPUT, DONE, Parser, answered, harmless, positive, say
from ..errors import InputError
from ..inputs import rules
from ..report.figures import style
from ..report.output import write
from ..schedules.export import FORMATS, export
from ..text import printable
from .best import Best, best_schedule
from .files import Read, read_curve
from .fitting import Fit, fit
from .law import law_of, names
from .result import as_page, as_text, as_values

EXPORTS = {"torch": "schedule_torch.py", "optax": "schedule_optax.py", "csv": "schedule.csv", "json": "schedule.json"}


def parser() -> Parser:
    """The command's arguments."""
    options = Parser(
        "laws",
        "Fit a law to loss curves of the columns step, learning rate and loss, and say how well it predicts.",
        "0 done, 1 failed, 2 bad usage or bad input, 130 interrupted",
    )
    options.add_argument("curves", nargs="+", metavar="CURVE.csv", help="one file a run; its name names the curve")
    options.add_argument("--law", default="multi-power", metavar="LAW", help=f"{', '.join(names())}")
    options.add_argument(
        "--hold-out", action="append", default=[], metavar="NAME",
        help="a curve that is not fitted, whose error is out of sample; may be given again",
    )  # fmt: skip
    options.add_argument(
        "--warmup", type=int, default=0, metavar="STEPS",
        help="steps over which the rate rose in a line to that of the first row (default: none, the first row's rate)",
    )  # fmt: skip
    options.add_argument("--batch", type=float, default=1.0, metavar="SIZE", help="batch size, of laws that have one")
    for key in ("step", "rate", "loss"):
        options.add_argument(f"--{key}", default="", metavar="NAME", help=f"the column of the {key}, where not found")
    options.add_argument("--resamples", type=int, default=200, metavar="N", help="draws for the intervals; 0 for none")
    options.add_argument("--starts", type=positive, default=6, metavar="N", help="starts that are followed")
    options.add_argument("--optimise", action="store_true", help="the schedule that the law calls best")
    options.add_argument("--horizon", type=positive, metavar="STEPS", help="its steps (default: the longest curve's)")
    options.add_argument("--peak", type=float, metavar="RATE", help="its highest rate (default: the highest fitted)")
    options.add_argument("--export", choices=FORMATS, help="how it is written (default: csv)")
    options.add_argument("--out", metavar="DIR", help="where the page and the schedule go (default: fit-report)")
    options.add_argument("--json", action="store_true", help="print all as JSON, and write no page")
    return options


def main(arguments: list[str] | None = None) -> int:
    """The command `python -m simlr.laws`; returns the exit status."""
    options = parser().parse_args(arguments)
    return answered(lambda: _run(options), "interrupted")


def _run(options):
    """Read, fit, tell, write."""
    law_of(options.law)
    rules.count_or_none("--warmup", options.warmup)
    needless = [f"--{key}" for key in ("horizon", "peak", "export") if getattr(options, key) is not None]
    if needless and not options.optimise:
        raise InputError(f"{needless[0]} is of the schedule that a law calls best; add --optimise")
    read, faults = _read(options)
    for fault in faults:
        say(f"simlr: {fault}")
    if faults:
        return BAD_INPUT
    found = fit(
        options.law, [one.curve for one in read], hold_out=options.hold_out, starts=options.starts,
        resamples=options.resamples,
    )  # fmt: skip
    best = _best(options, read, found) if options.optimise else None
    if options.json:
        print(json.dumps(as_values(found, best, read), indent=1))
        return DONE
    print(harmless(as_text(found, best, read)))
    _write(options, found, best, read)
    return DONE


def _read(options) -> tuple[list[Read], list[str]]:
    """The curves, and a line for each file that is none."""
    columns = {"step": options.step, "rate": options.rate, "loss": options.loss}
    read, faults = [], []
    for name in options.curves:
        try:
            read.append(read_curve(name, warmup=options.warmup, batch=options.batch, **columns))
        except (InputError, OSError) as error:
            faults.append(str(error))
    return read, faults


def _best(options, read: list[Read], found: Fit) -> Best:
    """What the law calls best at the horizon and peak that are wanted."""
    import numpy as np

    fitted = [one.curve for one in read if one.curve.name not in options.hold_out]
    horizon = options.horizon or max(len(np.asarray(curve.rates)) for curve in fitted)
    peak = max(float(np.max(curve.rates)) for curve in fitted) if options.peak is None else options.peak
    values = {"warmup": options.warmup, "batch": options.batch}
    return best_schedule(options.law, found.parameters, horizon, rules.positive("--peak", peak), **values)


def _write(options, found: Fit, best: Best | None, read: list[Read]) -> None:
    """The page, and the schedule beside it."""
    folder = Path(options.out or "fit-report")
    files: dict[str, Any] = {}
    if style.available():
        files["fit.html"] = as_page(found, best, read).encode("utf-8")
    else:
        say("simlr: no page with pictures, for matplotlib is missing; pip install 'simlr[report]'")
    write(folder, files)
    if best is not None:
        kind = options.export or "csv"
        files[EXPORTS[kind]] = b""
        export(best.rates, kind, folder / EXPORTS[kind])
    print("\n" + "\n".join(printable(folder / name) for name in files))


def command() -> int:
    """The command as a process of its own; returns the exit status."""
    return signals.finished(main)


if __name__ == "__main__":
    sys.exit(command())
