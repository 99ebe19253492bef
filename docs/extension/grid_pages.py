"""Pages of the site that are made from the code: all that a grid file may say, and the help of every command.

What a key accepts is asked of the rule that checks it: the rule refuses a value that nothing takes, and says why.
"""

import io
import json
import os
from contextlib import redirect_stdout
from unittest.mock import patch

from markdown_text import cell

from simlr.__main__ import COMMANDS
from simlr.__main__ import main as simlr_command
from simlr.config import optimal, question, stop
from simlr.config.grid import ENGINES
from simlr.config.methods import AVERAGING, NOISES, OPTIMIZERS
from simlr.config.settings import SETTINGS
from simlr.errors import InputError
from simlr.grid.catalogue import DRAWN
from simlr.grid.listing import ENGINE_MEANING, SCHEDULE_KEYS
from simlr.inputs import rules
from simlr.inputs.parameters import REQUIRED
from simlr.problems import losses, registry
from simlr.schedules import checking
from simlr.schedules.registry import KINDS
from simlr.schedules.rules import RULES
from simlr.schedules.schedule import FLOW
from simlr.schedules.tabulation import tabulate

NO_WORD = "no-word-of-any-rule"
STEPS, WIDTH, HEIGHT = 100, 260, 70  # of a drawing


class _Nothing:
    """A value that no rule takes."""


def accepted(rule, default=REQUIRED) -> str:
    """What a rule takes, in the words with which it refuses what it does not take."""
    if isinstance(rule, rules.ArrayRule):
        return "an array of finite numbers"
    told = _refusal(rule, _Nothing()).removeprefix("KEY: each value must be ").removeprefix("KEY must be ")
    told = told.rpartition(", got ")[0]
    words = _refusal(rule, NO_WORD).partition("; valid are ")[2].split(", ")
    missing = [word for word in words if word and word not in told]
    if isinstance(default, str) and default and repr(default) not in [*words, *missing] and repr(default) not in told:
        missing.append(repr(default))
    return " or ".join([told, *missing])


def _refusal(rule, value):
    """The message with which a rule refuses a value; "" where it takes it."""
    try:
        rule("KEY", value)
    except InputError as error:
        return str(error)
    return ""


def _key_table(parameters, keys=("key", "accepts", "default", "meaning")):
    """A Markdown table of parameters, a line each."""
    lines = [f"| {' | '.join(keys)} |", f"|{'---|' * len(keys)}"]
    for one in parameters:
        value = list(one.default) if isinstance(one.default, tuple) else one.default
        default = "required" if value is REQUIRED else f"`{json.dumps(value)}`"
        lines.append(f"| `{one.name}` | {cell(accepted(one.rule, one.default))} | {default} | {cell(one.meaning)} |")
    return "\n".join(lines)


def _plain_table(head, rows):
    """A Markdown table of texts, the first column as code."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join(lines + [f"| `{first}` | {' | '.join(map(cell, others))} |" for first, *others in rows])


def grid_file() -> str:
    """The page of the tables of a grid file."""
    parts = [
        "# The grid file",
        "This page is made from the code that checks a grid. What a key accepts is what its rule says when it refuses "
        "something else. A list of accepted values is an axis of the grid, in `[problem]`, `[[schedule]]`, "
        "`[[optimizer]]` and `[[noise]]`. [Writing a grid](../grids.md) explains the file from the beginning, and "
        "`simlr list NAME` prints the entry of one kind.",
        "## Above all tables",
        _plain_table(
            ("key", "accepts", "meaning"),
            [
                ("name", "a string that is fit for a file name", "names the run and its file, data/NAME.h5"),
                ("engine", " or ".join(map(repr, ENGINES)), ENGINE_MEANING),
            ],
        ),
        "## `[problem]`",
        "`kind` is required; the other keys are those of the kind: [kinds of problem](problem-kinds.md).",
        *(f"## `[{table}]`\n\n{_key_table(SETTINGS[table])}" for table in SETTINGS),
        "`[expectation]` may be empty; where it is there, losses are exact means over the noise: "
        "[exact means](../expectation.md).",
        "## `[stop]`",
        "Exactly one of these rules, each with a list of levels: [stopping](../stopping.md).",
        _plain_table(
            ("rule", "a level is", "a run stops"),
            [(rule, accepted(stop.CHECKS[rule]) if rule in stop.CHECKS else "a patience, see below", meaning)
             for rule, meaning in stop.RULES.items()],
        ),
        "Beside it",
        _plain_table(
            ("key", "accepts", "meaning"),
            [
                ("landing", " or ".join(map(repr, stop.LANDINGS)), "'exact' shortens the last step to land on a level"),
                ("max_steps", "a whole number >= 1", f"no run takes more steps; by default {stop.DEFAULT_MAX_STEPS}"),
            ],
        ),
        "`validation` is a table:",
        _key_table(stop.VALIDATION_PARAMETERS),
        "## `[[schedule]]`",
        "One table or more. Each has a `kind` with its parameters, or a list of `phases` of such kinds, one after the "
        "other: [kinds of schedule](schedule-kinds.md).",
        _plain_table(("key", "meaning"), SCHEDULE_KEYS.items()),
        "## `[[optimizer]]` and `[[noise]]`",
        "None, one or more of each; every schedule is run with every combination: "
        "[kinds of optimiser and noise](method-kinds.md).",
        "## `[question]`",
        "`text`, the question in words, and one of two forms: [questions](../analysis.md).",
        _plain_table(("key", "meaning"), question.FORMS.items()),
        _plain_table(
            ("key", "accepts"),
            [
                ("measure", " or ".join(map(repr, question.MEASURES))),
                ("margin", f"a number >= 0; differences up to it count as none; by default {question.DEFAULT_MARGIN}"),
            ],
        ),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def problem_kinds() -> str:
    """The page of the kinds of problem."""
    parts = [
        "# Kinds of problem",
        "`[problem] kind = ...`, made from the code that checks it. [Problems](../problems.md) has the formulas.",
    ]
    for kind in registry.kinds():
        problem = registry.find("problem.kind", kind)
        parts += [f"## `{kind}`", f"{cell(problem.meaning).capitalize()}.", _key_table(problem.parameters)]
    parts += [
        "## Losses",
        "`loss = ...` of the kinds that have such a key: [convex losses](../convex.md).",
        _plain_table(("loss", "formula"), losses.MEANINGS.items()),
    ]
    return "\n\n".join(parts) + "\n"


def schedule_kinds() -> str:
    """The page of the kinds of schedule, each with a drawing."""
    parts = [
        "# Kinds of schedule",
        "`[[schedule]] kind = ...`, or `kind` of a phase; made from the code that checks and draws them. Rates count "
        "steps `t` from 0. `steps` is the length; where it is optional, a schedule without it runs to `[stop] "
        "max_steps`.",
    ]
    for kind in checking.kinds():
        aliases = [f"`{alias}`" for alias, meant in checking.ALIASES.items() if meant == kind]
        parts += [f"## `{kind}`", *([f"Also called {', '.join(aliases)}."] if aliases else [])]
        parts += [cell(checking.describe(kind)), *_drawn(kind), *_schedule_table(kind)]
    parts += [f"## `{optimal.KIND}`", cell(optimal.MEANING), _key_table(optimal.PARAMETERS)]
    return "\n\n".join(parts) + "\n"


def _schedule_table(kind):
    """The parameters of a kind of schedule as a Markdown table, where it has any."""
    rows = []
    for name, default in checking.parameters(kind).items():
        told = "required" if default is None else f"`{json.dumps(default)}`"
        accepts = accepted(checking.rule_of(kind, name), default)
        rows.append((name, accepts, told, checking.meaning_of(kind, name)))
    for name, steps in checking.fractions(kind).items():
        rows.append((name, accepted(RULES[name]), "none", f"in place of `{steps}`: a share of the steps"))
    if kind != FLOW:
        told = "required" if checking.needs_steps(kind) else "optional"
        rows.append(("steps", accepted(RULES["steps"]), told, "how many steps it takes"))
    return [_plain_table(("key", "accepts", "default", "meaning"), rows)] if rows else []


def _drawn(kind):
    """A drawing of a schedule of some usual parameters, where its rates can be drawn."""
    needed = [name for name, default in checking.parameters(kind).items() if default is None]
    if kind == FLOW or kind not in KINDS or not set(needed) <= DRAWN.keys():
        return []
    given = {name: DRAWN[name] for name in needed}
    try:
        rates = tabulate(kind, steps=len(DRAWN["learning_rates"]) if kind == "table" else STEPS, **given)
    except InputError:  # it needs other parameters than the usual ones
        return []
    scale = (WIDTH - 10) / max(rates.size - 1, 1), (HEIGHT - 10) / max(rates.max(), 1e-300)
    points = " ".join(f"{5 + t * scale[0]:.1f},{HEIGHT - 5 - rate * scale[1]:.1f}" for t, rate in enumerate(rates))
    return [
        f'<svg class="schedule" role="img" aria-label="{kind}: rate by step" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}">'
        f'<path d="M5 5V{HEIGHT - 5}H{WIDTH - 5}"/><polyline points="{points}"/></svg>',
        f"Drawn with {', '.join(f'`{name} = {json.dumps(value)}`' for name, value in given.items())}.",
    ]  # fmt: skip


def method_kinds() -> str:
    """The page of the kinds of optimiser, of averages and of noise."""
    parts = [
        "# Kinds of optimiser and noise",
        "Made from the code that checks them. [Optimisers](../optimizers.md) tells more of Adam and its kin.",
        "## Optimisers",
        "`[[optimizer]] kind = ...`; by default there is one, `gd`.",
    ]
    sections = (
        ("", OPTIMIZERS), ("## Averages\n\n`average = ...` in any `[[optimizer]]`.", AVERAGING),
        ("## Noise\n\n`[[noise]] kind = ...`; by default there is none.", NOISES),
    )  # fmt: skip
    for title, methods in sections:
        parts += [title] if title else []
        for kind, method in methods.items():
            parts += [f"### `{kind}`", f"`{method.formula}`"]
            parts += [_key_table(method.parameters)] if method.parameters else []
    return "\n\n".join(parts) + "\n"


def commands() -> str:
    """The page of the commands, as their --help has it."""
    parts = [
        "# Commands",
        "`simlr COMMAND` and `python -m simlr COMMAND` are the same; this page is what `--help` prints. Every command "
        "ends with status 0 (done), 1 (failed), 2 (bad usage or bad input, told in one line) or 130 (interrupted).",
        f"```text\n{_help_of()}```",
    ]
    for name, (meaning, _, _) in COMMANDS.items():
        parts += [f"## `simlr {name}`", f"{meaning.capitalize()}.", f"```text\n{_help_of(name)}```"]
    return "\n\n".join(parts) + "\n"


def _help_of(*arguments):
    """What a command prints for --help, on 80 columns."""
    printed = io.StringIO()
    with patch.dict(os.environ, {"COLUMNS": "80"}), redirect_stdout(printed):
        try:
            simlr_command([*arguments, "--help"])
        except SystemExit:  # argparse has printed its help
            pass
    return printed.getvalue()


PAGES = {
    "grid-file": grid_file,
    "problem-kinds": problem_kinds,
    "schedule-kinds": schedule_kinds,
    "method-kinds": method_kinds,
    "commands": commands,
}
