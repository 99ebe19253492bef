"""The command `simlr list`: everything that a grid may name, or one kind with its formula, parameters and a drawing."""

import inspect
import json
from typing import Any

import numpy as np

from ..claims.registry import load_paper, own_names
from ..cli.arguments import DONE, Parser, harmless, one_line
from ..cli.structured import as_json
from ..config import optimal
from ..config.methods import AVERAGING, NOISES, OPTIMIZERS
from ..config.settings import SETTINGS
from ..config.stop import RULES as STOP_RULES
from ..errors import InputError, unknown
from ..inputs.parameters import REQUIRED
from ..plugins.kinds import PAPER, PROBLEM, SCHEDULE, plugin_of
from ..plugins.loading import installed, package_of, run_file
from ..problems import losses, registry
from ..problems.source import Problem
from ..schedules import checking
from ..schedules.plugin import with_plugins
from ..schedules.registry import KINDS, PLATEAU, Kind
from ..schedules.schedule import FLOW
from ..schedules.tabulation import tabulate
from . import listing

FORMAT = "simlr list 1"
STEPS, WIDTH, HEIGHT = 100, 60, 8  # of a drawing
# What stands for a parameter that a drawing needs and that has no default.
DRAWN = {
    "learning_rate": 1.0,
    "start_learning_rate": 0.01,
    "gamma": 0.97,
    "power": 2.0,
    "step_size": 25,
    "milestones": [40, 75],
    "boundaries": [40, 75],
    "learning_rates": [1.0, 0.5, 0.1],
    "decay_steps": 30,
    "cycle_steps": 30,
    "up_steps": 20,
    "smallest_curvature": 0.05,
    "largest_curvature": 1.0,
}


def parser() -> Parser:
    """The command's arguments."""
    meaning = "List what a grid may name, or describe one of it."
    options = Parser("list", meaning, "0 done, 2 no such name", program="simlr list")
    options.add_argument(
        "name", nargs="?", metavar="NAME | FILE.py",
        help="a schedule, problem, loss, optimiser, noise, table or paper; or a Python file, FILE.py[:NAME]",
    )  # fmt: skip
    options.add_argument("--json", action="store_true", help="print JSON (docs/json.md)")
    return options


def main(arguments: list[str] | None = None) -> int:
    """The command `simlr list`; returns the exit status."""
    given = parser().parse_args(arguments)

    def work():
        found = entries()
        if given.name is not None:
            name = checking.ALIASES.get(given.name, given.name)
            found = of_file(name) if name.partition(":")[0].endswith(".py") else [e for e in found if e["name"] == name]
            if not found:
                raise unknown("list", given.name, names(), "name")
        if given.json:
            print(as_json({"format": FORMAT, "entries": found}))
        else:
            print(harmless("\n\n".join(map(described, found)) if given.name else everything()))
        return DONE

    return one_line("simlr", work)


def everything() -> str:
    """All that there is, what installed packages offer last."""
    offered = "\n".join(map(described, of_packages()))
    return listing.everything() + (f"\n\nFROM INSTALLED PACKAGES  (docs/plugins.md)\n{offered}" if offered else "")


def names() -> list[str]:
    """All that `simlr list NAME` knows."""
    return [*(one["name"] for one in entries()), *checking.ALIASES]


def entries() -> list[dict[str, Any]]:
    """All that a grid may name: [{"name", "table", "meaning", "parameters": [{"name", "default", "meaning"}]}].

    A parameter that must be given has no "default".
    """
    found = [_schedule(kind) for kind in checking.kinds()]
    found.append(_entry(optimal.KIND, "schedule", optimal.MEANING, optimal.PARAMETERS))
    for kind in registry.kinds():
        problem = registry.find("problem.kind", kind)
        found.append(_entry(kind, "problem", problem.meaning, problem.parameters))
    found += [
        _entry(kind, table, method.formula, method.parameters)
        for table, methods in (("optimizer", OPTIMIZERS), ("average", AVERAGING), ("noise", NOISES))
        for kind, method in methods.items()
    ]
    found += [_entry(rule, "stop", meaning, ()) for rule, meaning in STOP_RULES.items()]
    found += [
        _entry(loss, "loss", f"loss = {json.dumps(loss)} in [problem]: {meaning}; docs/convex.md", ())
        for loss, meaning in losses.MEANINGS.items()
    ]
    found += [_entry(table, "table", f"the table [{table}]", parameters) for table, parameters in SETTINGS.items()]
    found.append(
        _entry("stop", "table", f"the table [stop], with one of {', '.join(STOP_RULES)}; docs/stopping.md", ())
    )
    found += [_entry(name, "paper", load_paper(name).CLAIM, ()) for name in own_names()]
    return found + of_packages()


def of_packages() -> list[dict[str, Any]]:
    """What installed packages offer; of what cannot be loaded, why."""
    own = {SCHEDULE: checking.kinds(), PROBLEM: registry.kinds(), PAPER: own_names()}
    found = []
    offered = [(role, name, points[0]) for role in own for name, points in sorted(installed(role).items())]
    for role, name, point in offered:
        if role == PROBLEM and point.group == "simlr.papers":
            continue  # the problem of a paper is listed with it
        try:
            made = _entry(name, role, "", ()) if name in own[role] else _of_plugin(role, name)
            hidden = "; simlr's own of this name is used" if name in own[role] else ""
        except InputError as error:
            made, hidden = _entry(name, role, str(error), ()), ""
        found.append(made | {"meaning": f"{made['meaning']} (package {package_of(point)}{hidden})".strip()})
    return found


def of_file(name: str) -> list[dict[str, Any]]:
    """What "file.py" or "file.py:name" has for a grid; the file is run."""
    file, _, chosen = name.partition(":")
    module, _ = run_file(file)
    found = []
    for key, value in vars(module).items():
        role = (
            PROBLEM if isinstance(value, Problem) else SCHEDULE if isinstance(value, Kind) else _role_of(value, module)
        )
        if role and (not chosen or key == chosen):
            found.append(_of_plugin(role, f"{file}:{key}"))
    if not found:
        raise InputError(
            f"{name}: has no schedule (t, steps, ...) and no problem (draw, ...)" + f" {chosen!r}" * bool(chosen)
        )
    return found


def _role_of(value, module):
    """What a function of a file is, by its first parameters; None where it is neither schedule nor problem."""
    if not inspect.isfunction(value) or value.__module__ != module.__name__:
        return None
    first = [*inspect.signature(value).parameters][:2]
    return SCHEDULE if first == ["t", "steps"] else PROBLEM if first[:1] == ["draw"] else None


def _of_plugin(role, name):
    """A schedule, a problem or a paper of somebody's own as an entry."""
    if role == PAPER:
        return _entry(name, "paper", load_paper(name).CLAIM, ())
    if role == SCHEDULE:
        return _schedule(with_plugins("list", {"kind": name}, ".")["kind"])
    problem = registry.find("list", name)
    return _entry(name, "problem", problem.meaning, map(_of_rows, problem.parameters))


def _of_rows(parameter):
    """A parameter of a plug-in, which takes those of losses where it returns rows: that is known once it is called."""
    is_loss = parameter in losses.PARAMETERS
    return parameter._replace(meaning=f"where it returns rows: {parameter.meaning}") if is_loss else parameter


def _entry(name, table, meaning, parameters):
    told = []
    for one in parameters:
        default = {} if one.default is REQUIRED else {"default": one.default}
        told.append({"name": one.name, **default, "meaning": one.meaning})
    return {"name": name, "table": table, "meaning": meaning, "parameters": told}


def _schedule(kind):
    """A schedule as an entry, with the number of its steps as a parameter."""
    told: list[dict] = []
    for name, default in checking.parameters(kind).items():
        meaning = checking.meaning_of(kind, name)
        told.append({"name": name, **({} if default is None else {"default": default}), "meaning": meaning})
    told += [
        {"name": name, "default": None, "meaning": f"{steps} as a share of the steps"}
        for name, steps in checking.fractions(kind).items()
    ]
    if kind != FLOW:
        needed = checking.needs_steps(kind)
        told.append({"name": "steps", **({} if needed else {"default": None}), "meaning": "how many steps it takes"})
    return {"name": kind, "table": "schedule", "meaning": checking.describe(kind), "parameters": told}


def described(entry: dict[str, Any]) -> str:
    """An entry as text: what it is, its parameters with their defaults, and of a schedule a drawing."""
    head = f"{entry['name']}  ({entry['table']})\n  {entry['meaning']}"
    width = max((len(one["name"]) for one in entry["parameters"]), default=0)
    lines = []
    for one in entry["parameters"]:
        default = one.get("default", REQUIRED)
        text = (
            "required" if default is REQUIRED else "optional" if default is None else f"default {json.dumps(default)}"
        )
        lines.append(f"  {one['name']:<{width}}  {text}{'  ' + one['meaning'] if one['meaning'] else ''}")
    aliases = [alias for alias, kind in checking.ALIASES.items() if kind == entry["name"]]
    lines += [f"  also called {', '.join(aliases)}"] if aliases else []
    drawn = drawing(entry["name"]) if entry["table"] == "schedule" else ""
    return "\n".join([head, *lines, *([drawn] if drawn else [])])


def drawing(kind: str) -> str:
    """A schedule of some usual parameters in characters; "" where it has no rates to draw, or needs other ones."""
    if kind == FLOW or (kind not in KINDS and plugin_of(kind) is None):
        return ""
    needed = [name for name, default in checking.parameters(kind).items() if default is None]
    if not set(needed) <= DRAWN.keys():
        return ""
    if kind == PLATEAU:
        return "  no drawing: its rates depend on the loss of each seed; docs/stopping.md"
    try:
        rates = tabulate(kind, steps=3 if kind == "table" else STEPS, **{name: DRAWN[name] for name in needed})
    except InputError:
        return ""
    shown = rates[np.linspace(0, rates.size - 1, WIDTH).round().astype(int)]
    height = np.rint(shown / max(rates.max(), 1e-300) * (HEIGHT - 1)).astype(int)
    rows = ["".join("*" if at == row else " " for at in height).rstrip() for row in range(HEIGHT - 1, -1, -1)]
    top = f"{rates.max():.3g}"
    margins = [top, *[""] * (HEIGHT - 2), "0"]
    body = [f"  {margin:>{len(top)}} |{row}" for margin, row in zip(margins, rows, strict=True)]
    told = ", ".join(f"{name} = {json.dumps(DRAWN[name])}" for name in needed)
    end = f"{' ' * (len(top) + 3)}0{f'step {rates.size - 1}':>{WIDTH}}"
    return "\n".join(
        ["", *body, f"{' ' * (len(top) + 3)}{'-' * WIDTH}", end, f"  with {told}" if told else ""]
    ).rstrip()
