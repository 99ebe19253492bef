"""Texts that the grid command prints: what there is, what a grid would take, what came out of a run."""

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path

from ..analysis.run_analysis import analysis_of
from ..claims.registry import load_paper, own_names, papers_having
from ..cli.arguments import called
from ..config import expectation, optimal, question
from ..config import stop as stopping
from ..config.grid import ENGINES
from ..config.methods import AVERAGING, NOISES, OPTIMIZERS
from ..config.settings import SETTINGS
from ..config.study import StudyConfig
from ..inputs.parameters import REQUIRED
from ..plan.plan import Plan
from ..problems import registry
from ..report import answer_text
from ..report.plain.terminal import ending, verdict_in_short, verdict_text
from ..schedules import checking
from ..schedules.schedule import FLOW
from ..store.read import load
from ..text import WIDTH, many
from .values import estimate_values

ENGINE_MEANING = "auto skips steps where that is exact and pays, recurrence never, closed-form always; default auto"
SCHEDULE_KEYS = {
    "name": "what the report calls it; by default its kind",
    "unit": '"absolute" (default), or "sharpness": rates are in units of 1/sharpness of the seed\'s problem',
    "zip": '[["learning_rate", "steps"], ...]: lists of one length that go together, one axis; of phases '
    '"phase1.learning_rate"',
    "steps": 'a number, or "budget": a schedule for each of [stop] steps; in phases also 0, a phase that is left out',
    "warmup_fraction, decay_fraction": "in place of warmup_steps, decay_steps: shares of the steps, rounded",
}


def everything() -> str:
    """Papers, problems, schedules and optimisers with their parameters."""
    papers = {name: load_paper(name) for name in own_names()}
    parts = [
        (
            "PAPERS  (simlr run NAME runs one)",
            [f"  {name}\n      {paper.SOURCE}\n      {paper.CLAIM}" for name, paper in papers.items()],
        ),
        (
            "PROBLEMS  ([problem] kind = ...; a list of values is a grid axis)",
            [_described(registry.find("problem.kind", kind)) for kind in registry.kinds()],
        ),
        ("STUDIES  ([study] kind = ...)", [_described(load_paper(kind).STUDY) for kind in papers_having("STUDY")]),
        (
            "SCHEDULES  ([[schedule]] kind = ..., or phases of these; a list is an axis, of a vector a list of lists)",
            [*map(_schedule, checking.kinds()), _method(optimal.KIND, optimal.MEANING, optimal.PARAMETERS)],
        ),
        (
            "OPTIMISERS  ([[optimizer]] kind = ...)",
            [_method(kind, *entry) for kind, entry in OPTIMIZERS.items()],
        ),
        ("  average = ... in any [[optimizer]]", [_method(kind, *entry) for kind, entry in AVERAGING.items()]),
        (
            "STOPPING  ([stop] has exactly one of these, a list of levels, max_steps and landing; docs/stopping.md)",
            [_wrapped(rule, meaning) for rule, meaning in stopping.RULES.items()],
        ),
        *_settings(),
        ("NOISE  ([[noise]] kind = ...)", [_method(kind, *entry) for kind, entry in NOISES.items()]),
        (
            "EXPECTATION  ([expectation], a table that may be empty: exact means in place of noise seeds; "
            "docs/expectation.md)",
            [
                *(_wrapped(one.name, one.meaning) for one in SETTINGS[expectation.TABLE]),
                _wrapped("mind", expectation.MEANING),
            ],
        ),
        (
            "QUESTION  ([question] has text and one of these; the report answers it; docs/analysis.md)",
            [_wrapped(form, meaning) for form, meaning in question.FORMS.items()],
        ),
    ]
    return "\n\n".join("\n".join([title, *entries]) for title, entries in parts if entries)


def _settings():
    """The sections of what every schedule may have, and of the tables that are no lists of kinds."""
    return [
        (
            "SCHEDULE TABLES  (every [[schedule]] may have these)",
            [_wrapped(name, meaning) for name, meaning in SCHEDULE_KEYS.items()],
        ),
        *(
            (f"{table.upper()}  ([{table}])", [_wrapped(_with_default(one), one.meaning) for one in SETTINGS[table]])
            for table in ("seeds", "record", "run")
        ),
        ("ENGINE  (engine = ..., above all tables)", [_wrapped(" | ".join(ENGINES), ENGINE_MEANING)]),
    ]


def _with_default(parameter):
    return f"{parameter.name} = {json.dumps(parameter.default)}"


def _described(problem):
    """A problem or a study with its parameters."""
    lines = [f"  {problem.kind}\n      {problem.meaning}"]
    width = max((len(parameter.name) for parameter in problem.parameters), default=0)
    for parameter in problem.parameters:
        value = "''" if parameter.default == "" else _plain(parameter.default)
        default = "required" if value is REQUIRED else f"default {value}"
        lines.append(f"      {parameter.name:<{width}} {parameter.meaning} ({default})")
    return "\n".join(lines)


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


def _schedule(kind):
    """A schedule with its parameters, and their defaults as the grid file has them."""
    parameters = []
    for name, default in checking.parameters(kind).items():
        if default is None:
            parameters.append(name)
        else:
            text = json.dumps(default) if isinstance(default, bool | str) else format(default, "g")
            parameters.append(f"{name} = {text}")
    if kind == "table":
        parameters += ["or file, column = -1", "steps = all"]
    elif kind != FLOW:
        parameters.append("steps" if checking.needs_steps(kind) else "steps = to max_steps")
    # A default stays beside its parameter where the line is broken.
    text = ", ".join(parameter.replace(" ", "\0") for parameter in parameters)
    lines = textwrap.wrap(text, WIDTH, initial_indent=f"  {kind:<12} ", subsequent_indent=" " * 6)
    return "\n".join([*(lines or [f"  {kind}"]), f"      {checking.describe(kind)}"]).replace("\0", " ")


def _wrapped(name, meaning):
    return textwrap.fill(meaning, WIDTH, initial_indent=f"  {name}\n      ", subsequent_indent=" " * 6)


def _method(kind, meaning, parameters):
    parameters = [p.name if p.default is REQUIRED else f"{p.name} = {p.default}" for p in parameters]
    return f"  {kind:<12} {', '.join(parameters)}".rstrip() + f"\n      {meaning}"


def estimate(plan: Plan, needed: int, out: Path, data: Sequence[str] = ()) -> str:
    """What a grid would take: cells, steps, bytes and memory.

    Parameters
    ----------
    plan : Plan
        The grid's plan, or a shard's.
    needed : int
        Bytes of the run file.
    out : Path
        The run file.
    data : sequence of str
        What the problems read from files, a line each.
    """
    told = estimate_values(plan, needed, out)
    size = f"{many(told['schedules'], 'schedule', ',')} x {many(told['seeds'], 'seed', ',')}"
    lines = [
        ("grid", plan.config.name),
        *(("data", text) for text in data),
        ("cells", f"{plan.cells:,} ({size}), {many(plan.levels, 'level')} each"),
        ("stop", stopping.describe(plan.config.stop)),
        *([("means", expectation.MEANING)] if plan.expects else []),
        ("steps", f"at most {told['most_steps']:,}; cells stop at their last level"),
        (
            "recorded",
            f"{many(plan.points, 'moment')} of {many(plan.recorded, 'seed', ',')}" if plan.points else "nothing",
        ),
        *(
            [("shard", f"seeds {plan.first:,} to {plan.first + plan.seeds - 1:,} of {plan.all_seeds:,}")]
            if plan.window
            else []
        ),
        ("blocks", f"{plan.blocks:,} of {many(plan.block_seeds, 'seed', ',')}"),
        ("file", f"{needed:,} bytes -> {out}"),
        ("memory", f"about {told['memory_bytes']:,} bytes beside the interpreter's"),
    ]
    return "\n".join(f"{name:<9} {value}" for name, value in lines)


def study_estimate(config: StudyConfig, out: Path) -> str:
    """What a study would measure: its parameters and arrays."""
    parameters = [f"{key} = {json.dumps(_plain(value))}" for key, value in config.study.items() if key != "kind"]
    lines = [
        ("study", f"{config.paper}: {config.definition.meaning}"),
        ("parameters", ", ".join(parameters) or "none"),
        ("seeds", f"{config.seeds['count']:,}, root {config.seeds['root']}"),
        ("arrays", ", ".join(f"{one.name} ({', '.join(one.dims)})" for one in config.definition.arrays)),
        ("file", f"-> {out}, written whole"),
    ]
    return "\n".join(f"{name:<11}{value}" for name, value in lines)


def outcome(path: Path) -> str:
    """One short table of a run file, the verdict in a sentence where there is one, and where the file is.

    The report has all tables, and the figures of the verdict; a study, which has no table, prints them here.
    """
    run = load(path)
    analysis = analysis_of(run)
    parts = [ending(analysis.rows, analysis.lines)] if analysis.rows else []
    verdict = analysis.verdict
    if verdict:
        parts.append(verdict_text(verdict) if run.is_study else verdict_in_short(verdict))
    if analysis.answer:
        parts.append(answer_text.in_short(analysis.answer))
    parts.append(f"{path}\n{called('report')} {path}")
    return "\n\n".join(parts)
