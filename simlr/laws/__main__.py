"""The command `python -m simlr.laws`, also `simlr fit`: fits a law to loss curves, and says how well it predicts."""

from ..cli import signals  # noqa: I001 - first: it minds signals from then on

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..cli import progress
from ..cli.arguments import BAD_INPUT, DONE, Parser, answered, harmless, positive, say, setting
from ..cli.structured import as_json
from ..errors import InputError, unknown
from ..inputs import rules
from ..inputs.dialects import GUESS
from ..inputs.wanted import text_options
from ..report.figures import importing
from ..report.output import refuse_others, write
from ..schedules.export import FORMATS, export
from ..store.read import held, load
from ..store.run import Run
from ..store.target import check_folder
from ..text import printable
from . import scaling_result
from .best import Best, best_schedule
from .curve import since
from .files import MOST_STEPS, Read, read_curve
from .fitting import Fit, fit
from .law import law_of, names
from .of_run import LOSSES, Exact, curves_of_run, exact_losses
from .result import LAWS_BEST, as_page, as_text, as_values, table_as_text
from .sizes import scaling

FORMAT, SCALING_FORMAT = "simlr fit 1", "simlr scaling 1"
RUN_FILES = (".h5", ".hdf5")
# What `--scaling` reads; and what is of files of curves, which a run file has no use for.
OF_SCALING = {"curves", "scaling", "size", "floor", "resamples", "loss", "out", "json", "quiet"}
DIALECT = {"separator": "SIGN", "decimal": "SIGN", "comment": "SIGN", "encoding": "NAME"}
OF_FILES = {"first_step", "step", "rate", *DIALECT}
EXPORTS = {"torch": "schedule_torch.py", "optax": "schedule_optax.py", "csv": "schedule.csv", "json": "schedule.json"}


def parser() -> Parser:
    """The command's arguments."""
    options = Parser(
        "laws",
        "Fit a law to loss curves of the columns step, learning rate and loss, and say how well it predicts.",
        "0 done, 1 failed, 2 bad usage or bad input, 130 interrupted",
    )
    options.add_argument(
        "curves", nargs="+", metavar="CURVE.csv | RUN.h5",
        help="loss curves, a file each, which it names; or one run file of simlr, whose trajectories are the curves",
    )  # fmt: skip
    options.add_argument("--law", default="multi-power", metavar="LAW", help=f"{', '.join(names())}")
    options.add_argument(
        "--hold-out", action="append", default=[], metavar="NAME",
        help="a curve that is not fitted, whose error is out of sample; may be given again",
    )  # fmt: skip
    options.add_argument(
        "--warmup", type=int, default=0, metavar="STEPS",
        help="steps over which the rate rose in a line to that of the first row (default: none, the first row's rate)",
    )  # fmt: skip
    options.add_argument(
        "--first-step", type=int, choices=(0, 1), default=1,
        help="what the first update is called in the files: with 0, the loss beside step s is that after s + 1 updates",
    )  # fmt: skip
    options.add_argument(
        "--from", type=positive, default=1, metavar="STEP", dest="begin",
        help="fit the losses from that step on: laws are not of what comes right after the start (default: all)",
    )  # fmt: skip
    options.add_argument("--batch", type=float, metavar="SIZE", help="batch size, of laws that have one (default: 1)")
    for key in ("step", "rate", "loss"):
        options.add_argument(f"--{key}", default="", metavar="NAME", help=f"the column of the {key}, where not found")
    for key, kind in DIALECT.items():
        options.add_argument(f"--{key}", default=GUESS, metavar=kind, help=f"the {key} of the files, where not found")
    options.add_argument("--resamples", type=int, default=200, metavar="N", help="draws for the intervals; 0 for none")
    options.add_argument("--starts", type=positive, default=6, metavar="N", help="starts that are followed")
    _add_best(options)
    _add_of_runs(options)
    options.add_argument("--out", metavar="DIR", help="where the page and the schedule go (default: fit-report)")
    options.add_argument("--json", action="store_true", help="print all as JSON, and write no page")
    options.add_argument("--quiet", action="store_true", help="no progress")
    return options


def _add_best(options):
    """The arguments of the schedule that a law calls best."""
    options.add_argument("--optimise", action="store_true", help="the schedule that the law calls best")
    options.add_argument("--horizon", type=positive, metavar="STEPS", help="its steps (default: the longest curve's)")
    options.add_argument("--peak", type=float, metavar="RATE", help="its highest rate (default: the highest fitted)")
    options.add_argument("--export", choices=FORMATS, help="how it is written (default: csv)")


def _add_of_runs(options):
    """The arguments that go with a run file."""
    options.add_argument(
        "--problem", action="append", default=[], type=setting, metavar="NAME=VALUE",
        help="of a run with several problems the one that is meant; may be given again",
    )  # fmt: skip
    options.add_argument(
        "--scaling", action="store_true",
        help="of a run with several budgets of steps: how the tuned loss falls with steps, rows and work, no law",
    )  # fmt: skip
    options.add_argument("--size", metavar="NAME", help="with --scaling: the problem's parameter that is a size")
    options.add_argument("--floor", type=float, metavar="LOSS", help="with --scaling: what the loss falls to")


def main(arguments: list[str] | None = None) -> int:
    """The command `python -m simlr.laws`; returns the exit status."""
    options = parser().parse_args(arguments)
    return answered(lambda: _run(options), "interrupted")


def _run(options):
    """Read, fit, tell, write."""
    if options.json:
        _refuse_files(options)
    else:
        check_folder(_folder(options))
        exported = [EXPORTS[options.export or "csv"]] if options.optimise else []
        refuse_others(_folder(options), ["scaling.csv", "scaling.html"] if options.scaling else ["fit.html", *exported])
    if options.scaling:
        return _scaling(options)
    _check(options)
    read, faults, run = _read(options)
    read = [one._replace(curve=since(one.curve, options.begin)) for one in read]
    for fault in faults:
        say(f"simlr: {fault}")
    if faults:
        return BAD_INPUT
    names = [one.curve.name for one in read]
    for name in options.hold_out:
        if name not in names:
            raise unknown("--hold-out", name, names, "curve")
    with progress.shown("parts", options.quiet) as tell:
        found = fit(
            options.law, [one.curve for one in read], hold_out=options.hold_out, starts=options.starts,
            resamples=options.resamples, progress=tell,
        )  # fmt: skip
    best = _best(options, read, found) if options.optimise else None
    exact = _exact(options, run, best) if best is not None and run is not None else None
    if options.json:
        print(as_json({"format": FORMAT, **as_values(found, best, read, exact)}))
        return DONE
    print(harmless(as_text(found, best, read, exact)))
    _write(options, best, lambda: as_page(found, best, read, exact))
    return DONE


def _check(options):
    """Refuse what makes no fit of a law, before anything is read."""
    given = [f"--{key}" for key in ("size", "floor") if getattr(options, key) is not None]
    if given:
        raise InputError(f"{given[0]} goes with --scaling")
    law_of(options.law)
    rules.count_or_none("--warmup", options.warmup)
    needless = [f"--{key}" for key in ("horizon", "peak", "export") if getattr(options, key) is not None]
    if needless and not options.optimise:
        raise InputError(f"{needless[0]} is of the schedule that a law calls best; add --optimise")
    if options.peak is not None:
        rules.positive("--peak", options.peak)
    if options.horizon is not None:
        rules.count("--horizon", options.horizon, most=MOST_STEPS)


def _refuse_files(options):
    """Refuse options of what is written beside JSON, of which nothing is."""
    given = [f"--{key}" for key in ("out", "export") if getattr(options, key) is not None]
    if given:
        raise InputError(f"{given[0]} is of files, and --json writes none")


def _folder(options):
    """Where the page and the schedule go."""
    return Path(options.out or "fit-report")


def _given(options, names):
    """The options among these that were not left as they are, as they are typed."""
    default = parser().get_default
    given = [name for name in vars(options) if name in names and getattr(options, name) != default(name)]
    return [f"--{'from' if name == 'begin' else name.replace('_', '-')}" for name in given]


def _scaling(options):
    """Exponents and frontiers of a run."""
    path, needless = Path(options.curves[0]), _given(options, vars(options).keys() - OF_SCALING)
    if needless:
        raise InputError(f"{needless[0]} goes with the fit of a law; --scaling fits none")
    if len(options.curves) > 1 or path.suffix not in RUN_FILES:
        raise InputError("--scaling goes with one run file")
    run = held(load(path))
    try:
        found = scaling(run, options.loss or LOSSES[0], options.size or "", options.floor, options.resamples)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if options.json:
        print(as_json({"format": SCALING_FORMAT, "file": str(path), "lines": scaling_result.as_values(found)}))
        return DONE
    print(harmless("\n\n".join(map(table_as_text, scaling_result.tables(found)))))
    folder, files = _folder(options), {"scaling.csv": scaling_result.as_csv(found).encode("utf-8")}
    if importing.available():
        files["scaling.html"] = scaling_result.as_page(path.name, found).encode("utf-8")
    write(folder, files)
    print("\n" + "\n".join(printable(folder / name) for name in files))
    return DONE


def _read(options) -> tuple[list[Read], list[str], Run | None]:
    """The curves, a line for each file that is none, and the run that they are of, if it is one."""
    runs = [name for name in options.curves if Path(name).suffix in RUN_FILES]
    if runs and len(options.curves) > 1:
        raise InputError(f"{runs[0]}: a run's curves are fitted by themselves; leave the other files out")
    if options.problem and not runs:
        raise InputError("--problem goes with a run file")
    needless = _given(options, OF_FILES) if runs else []
    if needless:
        raise InputError(f"{needless[0]} is of files of curves; a run file says it itself")
    if runs:
        run = held(load(runs[0]))
        try:
            return curves_of_run(run, dict(options.problem), options.loss or LOSSES[0]), [], run
        except InputError as error:
            raise InputError(f"{runs[0]}: {error}") from None
    dialect = {key: getattr(options, key).replace("\\t", "\t") for key in DIALECT}
    text_options(dialect, "--")
    columns = {key: getattr(options, key) for key in ("step", "rate", "loss")} | dialect
    read, faults, batch = [], [], 1.0 if options.batch is None else options.batch
    for name in options.curves:
        try:
            read.append(read_curve(name, warmup=options.warmup, batch=batch, first_step=options.first_step, **columns))
        except (InputError, OSError) as error:
            faults.append(re.sub(rf"\b({'|'.join(DIALECT)}) = ", r"--\1 ", str(error)))
    return read, faults, None


def _exact(options, run: Run, best: Best) -> Exact | None:
    """What the run's own problem says of the law's best schedule and the usual shapes; None, said, where it cannot."""
    try:
        return exact_losses(
            run, {LAWS_BEST: best.rates, **best.shape_rates}, dict(options.problem), options.loss or LOSSES[0],
            warmup=options.warmup,
        )  # fmt: skip
    except InputError as error:
        say(f"simlr: no exact optimum beside it: {error}")
        return None


def _best(options, read: list[Read], found: Fit) -> Best:
    """What the law calls best at the horizon and peak that are wanted."""
    import numpy as np

    fitted = [one.curve for one in read if one.curve.name not in options.hold_out]
    horizon = options.horizon or max(len(np.asarray(curve.rates)) for curve in fitted)
    highest = max(float(np.max(curve.rates)) for curve in fitted)
    peak = highest if options.peak is None else options.peak
    if peak > highest * (1.0 + 1e-9):
        say(f"simlr: --peak {peak:g} is above {highest:g}, the highest rate that was fitted: the law is extrapolated")
    batch = options.batch if options.batch is not None else fitted[0].batch
    values = {"warmup": options.warmup, "batch": batch}
    return best_schedule(options.law, found.parameters, horizon, peak, **values)


def _write(options, best: Best | None, page: Callable[[], str]) -> None:
    """The page, and the schedule beside it."""
    folder = _folder(options)
    files: dict[str, Any] = {}
    if importing.available():
        files["fit.html"] = page().encode("utf-8")
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
