"""The command `simlr optimise`: the learning rates that make the expected loss of a grid's problem least."""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..claims.registry import folder_of, is_paper, load_paper
from ..cli.arguments import DONE, Parser, answered, harmless, positive, say, setting
from ..cli.signals import is_command
from ..cli.structured import as_json
from ..config import optimal
from ..config.axes import check_axis
from ..config.grid import GridConfig
from ..errors import Faults, InputError
from ..inputs import toml
from ..report.output import is_ours, write
from ..report.plain.terminal import as_text
from ..report.tables import Table
from ..schedules.export import FORMATS, check_lines, export
from ..store.target import check_folder
from ..text import number, printable
from .startup import compiling_told, load_numba

FORMAT = "simlr optimise 1"
SUFFIXES = {"torch": "_torch.py", "optax": "_optax.py", "csv": ".csv", "json": ".json"}
# What an optimum does not ask for: it is of the problem, its noise and the optimiser.
LEFT_OUT = "record", "question"


class Pieces(NamedTuple):
    """A schedule of constant pieces."""

    learning_rate: NDArray[np.float64]  # (P,)
    lengths: NDArray[np.int64]  # (P,) steps


def parser() -> Parser:
    """The command's arguments."""
    options = Parser(
        "optimise",
        "Compute the learning rates that make the expected loss of a grid's problem, noise and optimiser least after "
        "so many steps. The grid's schedules are left out, but for those of kind 'optimal', whose keys hold where no "
        "option is given.",
        "0 done, 1 failed, 2 bad usage or bad input, 130 interrupted",
        program="simlr optimise",
    )
    options.add_argument("grid", metavar="GRID.toml | PAPER", help="a grid file, or the name of a published claim")
    options.add_argument(
        "--set", metavar="KEY.PATH=VALUE", action="append", default=[], type=setting, dest="settings",
        help="replace one value of the grid, e.g. problem.dimension=100; may repeat",
    )  # fmt: skip
    options.add_argument(
        "--steps", metavar="N[,N...]", type=_horizons,
        help="the horizon; of several numbers there is an optimum each (default: the grid's stop.steps)",
    )  # fmt: skip
    options.add_argument("--cap", metavar="RATE", type=_number_or_word, help=f"{_meaning('cap')} (default: none)")
    options.add_argument("--peak", metavar="RATE", type=_number_or_word, help=_meaning("peak"))
    options.add_argument("--shape", metavar="SHAPE", help=f"{', '.join(optimal.SHAPES)}: {_meaning('shape')}")
    options.add_argument(
        "--warmup-steps", metavar="N", type=_number_or_word, help=f"{_meaning('warmup_steps')} (default: 0)"
    )
    options.add_argument("--equal-pieces", metavar="N", type=_number_or_word, help=_meaning("equal_pieces"))
    options.add_argument("--objective", metavar="LOSS", help=f"{' or '.join(optimal.OBJECTIVES)}: what is made least")
    options.add_argument("--draws", metavar="N", type=_number_or_word, help=_meaning("draws"))
    _add_output(options)
    return options


def _add_output(options):
    """The arguments that say where the rates go."""
    where = options.add_mutually_exclusive_group()
    where.add_argument("--out", metavar="DIR", help="where the rates go (default: <grid>-optimum beside the grid)")
    where.add_argument("--csv", metavar="FILE", help="the rates of the one optimum as a table, step and learning rate")
    options.add_argument("--export", choices=FORMATS, help="how the rates are written (default: csv)")
    options.add_argument("--json", action="store_true", help="print JSON (docs/json.md); write only where that is said")
    options.add_argument("--quiet", action="store_true", help="no word of what takes long")


def _meaning(name):
    """What a key of a schedule of kind "optimal" is."""
    return next(one.meaning for one in optimal.PARAMETERS if one.name == name)


def _horizons(text):
    """A whole number, or several, separated by commas."""
    found = [positive(part.strip()) for part in text.split(",")]
    if len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"must be different whole numbers, got {text!r}")
    return found if len(found) > 1 else found[0]


def _number_or_word(text):
    """A number where it is one, else the text, which the check of the table judges."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def main(arguments: list[str] | None = None) -> int:
    """The command `simlr optimise`; returns the exit status."""
    options = parser().parse_args(arguments)
    return answered(lambda: _run(options), "interrupted; nothing is kept")


def _run(options):
    """Read, search, tell, write."""
    config = posed(options.grid, options.settings, _asked(options))
    form = options.export or "csv"
    if options.csv is not None and form != "csv":
        raise InputError(f"--csv {options.csv}: is a table; --export {form} goes with --out DIR")
    folder, names = _files(options, config, form)
    found = _search(config, options.quiet)
    files = {}
    for name, one in zip(names, found, strict=True):
        files[name] = export(_pieces(one), form).encode("ascii")
    if folder is not None:
        write(folder, files)
    written = [str(folder / name) if folder is not None else None for name in names]
    if options.json:
        told = [_record(one, file) for one, file in zip(found, written, strict=True)]
        print(as_json({"format": FORMAT, "grid": options.grid, "name": config.name, "optima": told}))
        return DONE
    print(harmless("\n\n".join(as_text(_table(one)) for one in found)))
    print("\n" + "\n".join(map(printable, written)))
    return DONE


def _asked(options):
    """The keys of an optimum that options say; InputErrors name these, for the grid's file has no such value."""
    asked, faults = {}, Faults()
    for one in optimal.PARAMETERS:
        value = getattr(options, one.name)
        if value is not None:
            with faults:
                asked[one.name] = check_axis(f"--{one.name.replace('_', '-')}", value, one.rule)
    faults.raise_all()
    return asked


def posed(source: str, overrides: list[tuple[str, Any]], asked: dict[str, Any]) -> GridConfig:
    """The grid whose schedules are the optima that are asked for.

    Parameters
    ----------
    source
        A grid file, or a paper's name.
    overrides
        Values that replace the grid's, by dotted key.
    asked
        Keys of a [[schedule]] table of kind "optimal", which replace those of the tables of this kind that the grid
        has.

    Raises
    ------
    InputError
        As reading such a grid does.
    """
    given = load_paper(source).GRID if is_paper(source) else Path(source)
    tables, folder = toml.read(given)
    folder = folder_of(source) if is_paper(source) else folder
    for key, value in overrides:
        toml.override(tables, key, value)
    file = toml.file_of(given)
    with toml.placed(file):
        wanted = _tables(tables, asked)
    return GridConfig.from_tables(wanted, folder, file)


def _tables(tables, asked):
    """The tables of the grid with the optima alone."""
    if "study" in tables:
        raise InputError("[study] makes it a study, which has no learning rates to optimise")
    schedules, stop = tables.get("schedule"), tables.get("stop")
    own = [table for table in schedules if optimal.is_optimal(table)] if isinstance(schedules, list) else []
    computed = optimal.COMPUTED if asked else ()
    kept = [{key: value for key, value in table.items() if key not in computed} for table in own]
    wanted = [{**table, **asked} for table in kept or [{"kind": optimal.KIND}]]
    steps = asked.get("steps")
    if steps is not None:
        stop = {"steps": steps}
    elif not isinstance(stop, dict) or "steps" not in stop:
        raise InputError("--steps is missing: the grid has no stop.steps that would say after how many")
    rest = {key: value for key, value in tables.items() if key not in LEFT_OUT}
    return {**rest, "stop": stop, "schedule": wanted, "expectation": tables.get("expectation") or {}}


def _files(options, config, form):
    """The folder and the names of the files of rates, one an optimum; no folder where nothing is to be written."""
    asked = [one for table in config.schedule for one in optimal.requests(table)]
    settings = len(config.problem_combinations()[1]) * len(config.methods())
    count = len(asked) * settings
    stems = ["optimum"] if count == 1 else [f"optimum-{i + 1}" for i in range(count)]
    names = [stem + SUFFIXES[form] for stem in stems]
    writes = options.out is not None or options.csv is not None or not options.json
    if not writes:
        return None, names
    for one in asked:
        check_lines(form, one["steps"])
    if options.csv is None:
        beside = Path(options.grid)
        folder = Path(options.out) if options.out else beside.with_name(f"{beside.stem}-optimum")
        check_folder(folder)
        return folder, names
    file = Path(options.csv)
    if count > 1:
        raise InputError(f"--csv {file}: is of one optimum, and there are {count}; use --out DIR")
    if not file.parent.is_dir():
        raise InputError(f"--csv {file}: the folder {file.parent} does not exist")
    if file.suffix != ".csv":
        raise InputError(f"--csv {file}: must end in .csv")
    if file.exists() and not is_ours(file):
        raise InputError(f"--csv {file}: was not made by simlr, so it is not replaced; name another file")
    return file.parent, [file.name]


def _search(config, quiet):
    """Every optimum beside the usual shapes."""
    from .job import Job, different_draws

    if is_command():
        load_numba()
    from ..engine.optimal.in_grid import beside_shapes

    if not quiet:
        say(f"{config.name}: searching for the optimal rates ...")
    with compiling_told(quiet):
        job = Job(config)
        return beside_shapes(job.config, job.sources, different_draws(job.sources, job.plan.sizes))


def _pieces(one):
    """The rates of an optimum, as `export` takes them."""
    ends = [*one.entry["boundaries"], one.asked["steps"]]
    return Pieces(np.array(one.entry["learning_rates"]), np.diff(ends, prepend=0))


def _above(one):
    """{schedule: (highest rate, loss, loss above the floor over the optimum's; NaN where that has none)}."""
    least = one.entry["expected_loss"] - one.floor
    told = {"optimum": (max(one.entry["learning_rates"]), one.entry["expected_loss"])}
    told |= {name: (best.learning_rate, best.loss) for name, best in one.families.items()}
    return {
        name: (rate, loss, (loss - one.floor) / least if least > 0.0 else np.nan) for name, (rate, loss) in told.items()
    }


def _table(one):
    """An optimum beside the best of each usual shape, and what speaks for it."""
    lines = [
        (name.replace("_", " "), f"{rate:.6g}", f"{loss:.6g}", f"{ratio:.4g}" if ratio == ratio else "-")
        for name, (rate, loss, ratio) in _above(one).items()
    ]
    bound = f"the cap of {one.largest:.6g}" if one.asked["cap"] != "none" else f"the search's bound {one.largest:.6g}"
    entry, measure = one.entry, one.asked["objective"].replace("_", " ")
    notes = (
        f"floor {number(one.floor)}; each shape with its best peak, under the same limits",
        f"certificate: gradient norm {entry['gradient_norm']:.1e}, losses of the starts within "
        f"{entry['start_gap']:.1e} of each other, {'some' if one.cap_binds else 'no'} rate is at {bound}",
    )
    of = f", {entry['optimised_for']}" if entry["optimised_for"] else ""
    title = f"{one.table}: expected {measure} after {one.asked['steps']:,} steps{printable(of)}"
    return Table(
        title, ("schedule", "highest rate", "loss", "above the floor, over the optimum's"), tuple(lines), notes
    )


def _record(one, file):
    """An optimum for JSON."""
    pieces = _pieces(one)
    shapes = _above(one)
    del shapes["optimum"]
    return {
        "schedule": one.table,
        "asked": one.asked,
        **{name: one.entry[name] for name in optimal.TOLD},
        "floor": one.floor,
        "largest": one.largest,
        "cap_binds": one.cap_binds,
        "shapes": {
            name: {"learning_rate": rate, "expected_loss": loss, "over_optimum": ratio}
            for name, (rate, loss, ratio) in shapes.items()
        },
        "first_step": (np.cumsum(pieces.lengths) - pieces.lengths).tolist(),
        "learning_rate": pieces.learning_rate.tolist(),
        "file": file,
    }
