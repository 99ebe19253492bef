"""Texts that the grid command prints: what there is, what a grid would take, what came out of a run."""

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path

from ..analysis import answers, summary
from ..analysis.verdict import verdict_of
from ..claims.registry import load_paper, paper_names, papers_having
from ..config import question
from ..config import stop as stopping
from ..config.methods import AVERAGING, NOISES, OPTIMIZERS
from ..config.study import StudyConfig
from ..inputs.parameters import REQUIRED
from ..plan.plan import Plan
from ..plan.rate_tables import KEPT_BYTES
from ..problems import registry
from ..report import answer_text
from ..report.terminal import table, verdict_text
from ..schedules import checking
from ..schedules.schedule import FLOW
from ..store.read import load
from ..text import WIDTH


def everything() -> str:
    """Papers, problems, schedules and optimisers with their parameters."""
    parts = [
        ("PAPERS  (python -m simlr.grid NAME runs one)", [_paper(name) for name in paper_names()]),
        (
            "PROBLEMS  ([problem] kind = ...; a list of values is a grid axis)",
            [_problem(kind) for kind in registry.kinds()],
        ),
        ("STUDIES  ([study] kind = ...)", [_study(kind) for kind in papers_having("STUDY")]),
        (
            "SCHEDULES  ([[schedule]] kind = ..., or phases of these; a list is an axis, of a vector a list of lists)",
            [_schedule(kind) for kind in checking.kinds()],
        ),
        (
            "OPTIMISERS  ([[optimizer]] kind = ...)",
            [_method(kind, *known) for kind, known in OPTIMIZERS.items()],
        ),
        ("  average = ... in any [[optimizer]]", [_method(kind, *known) for kind, known in AVERAGING.items()]),
        (
            "STOPPING  ([stop] has exactly one of these, a list of levels, and max_steps; docs/stopping.md)",
            [_wrapped(rule, meaning) for rule, meaning in stopping.RULES.items()],
        ),
        ("NOISE  ([[noise]] kind = ...)", [_method(kind, *known) for kind, known in NOISES.items()]),
        (
            "QUESTION  ([question] has text and one of these; the report answers it; docs/analysis.md)",
            [_wrapped(form, meaning) for form, meaning in question.FORMS.items()],
        ),
    ]
    return "\n\n".join("\n".join([title, *entries]) for title, entries in parts if entries)


def _paper(name):
    module = load_paper(name)
    return f"  {name}\n      {module.SOURCE}\n      {module.CLAIM}"


def _problem(kind):
    return _described(registry.find("problem.kind", kind))


def _study(kind):
    return _described(load_paper(kind).STUDY)


def _described(problem):
    """A problem or a study with its parameters."""
    lines = [f"  {problem.kind}\n      {problem.meaning}"]
    width = max((len(parameter.name) for parameter in problem.parameters), default=0)
    for parameter in problem.parameters:
        default = "required" if parameter.default is REQUIRED else f"default {_plain(parameter.default)}"
        lines.append(f"      {parameter.name:<{width}} {parameter.meaning} ({default})")
    return "\n".join(lines)


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


def _schedule(kind):
    parameters = [_parameter(name, default) for name, default in checking.parameters(kind).items()]
    if kind == "table":
        parameters += ["or file, column = -1", "steps = all"]
    elif kind != FLOW:
        parameters.append("steps" if checking.needs_steps(kind) else "steps = to max_steps")
    # A default stays beside its parameter where the line is broken.
    text = ", ".join(parameter.replace(" ", "\0") for parameter in parameters)
    lines = textwrap.wrap(text, WIDTH, initial_indent=f"  {kind:<12} ", subsequent_indent=" " * 6)
    return "\n".join([*(lines or [f"  {kind}"]), f"      {checking.describe(kind)}"]).replace("\0", " ")


def _parameter(name, default):
    """A parameter with its default as the grid file has it."""
    if default is None:
        return name
    return f"{name} = {json.dumps(default) if isinstance(default, bool | str) else format(default, 'g')}"


def _wrapped(name, meaning):
    return textwrap.fill(meaning, WIDTH, initial_indent=f"  {name}\n      ", subsequent_indent=" " * 6)


def _method(kind, meaning, known):
    parameters = [p.name if p.default is REQUIRED else f"{p.name} = {p.default}" for p in known]
    return f"  {kind:<12} {', '.join(parameters)}".rstrip() + f"\n      {meaning}"


def estimate(plan: Plan, needed: int, out: Path, data: Sequence[str] = ()) -> str:
    """What a grid would take: cells, steps, bytes and memory."""
    schedules_, seeds = len(plan.schedules), plan.seeds
    stop = plan.config.stop
    most = max(stop["steps"]) if "steps" in stop and not plan.points else stop["max_steps"]
    steps = sum(min(schedule.length, most) for schedule in plan.schedules) * seeds
    lines = [
        ("grid", plan.config.name),
        *(("data", text) for text in data),
        ("cells", f"{plan.cells:,} ({schedules_:,} schedules x {seeds:,} seeds), {plan.levels} levels each"),
        ("stop", stopping.describe(stop)),
        ("steps", f"at most {steps:,}; cells stop at their last level"),
        ("recorded", f"{plan.points} moments of {plan.recorded:,} seeds" if plan.points else "nothing"),
        *(
            [("shard", f"seeds {plan.first:,} to {plan.first + seeds - 1:,} of {plan.all_seeds:,}")]
            if plan.window
            else []
        ),
        ("blocks", f"{plan.blocks:,} of {plan.block_seeds:,} seeds"),
        ("file", f"{needed:,} bytes -> {out}"),
        ("memory", f"about {_memory(plan):,} bytes beside the interpreter's"),
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


def _memory(plan):
    """Bytes held at a time: a block in the kernels, one waiting, one being written; and the rate tables."""
    tables = min(KEPT_BYTES, 16 * sum(min(s.length, 1 << 20) for s in plan.schedules))
    return 4 * plan.block_seeds * plan.bytes_a_seed + tables


def outcome(path: Path) -> str:
    """The summary of a run file, the verdict where there is one, and where the file is."""
    run = load(path)
    parts = [] if run.is_study else [table(summary.rows(run))]
    verdict = verdict_of(run)
    if verdict:
        parts.append(verdict_text(verdict))
    found = answers.answer(run)
    if found:
        parts.append(answer_text.as_text(found))
    parts.append(f"{path}\npython -m simlr.report {path}")
    return "\n\n".join(parts)
