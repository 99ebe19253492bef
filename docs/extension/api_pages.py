"""The API reference of the site, made from the docstrings of the public functions and classes.

Docstrings are plain text in NumPy's sections: paragraphs stay paragraphs, an indented formula a block of code, and each
entry of a section a line of a list.
"""

import inspect
import re
import textwrap

from markdown_text import escaped

import simlr
from simlr import laws, schedules
from simlr.analysis import answers, directions, families, pairs
from simlr.schedules import bounds

# Heading, what it is for, and the names under which they are reached.
SECTIONS = (
    ("Running and reading", "A grid or a run file in, a `Run` out.",
     ("simlr.run", "simlr.load", "simlr.GridConfig", "simlr.store.run.Run", "simlr.read_table")),
    ("Findings of a run", "[Questions to a run](../analysis.md) has the rule by which two sides are compared.",
     ("simlr.pairs.compare", "simlr.families.best_values", "simlr.families.annealing", "simlr.answers.answer",
      "simlr.directions.directions", "simlr.directions.bias_and_variance")),
    ("Arrays in, arrays out", "The recurrences without a grid: your own curvatures, starts and learning rates.",
     ("simlr.descend", "simlr.expected_losses", "simlr.stability")),
    ("Schedules", "[Kinds of schedule](schedule-kinds.md) has all kinds with their parameters.",
     ("simlr.schedules.tabulate", "simlr.schedules.from_callable", "simlr.schedules.export", "simlr.schedules.kinds",
      "simlr.schedules.describe", "simlr.schedules.parameters", "simlr.bounds.last_iterate_bound",
      "simlr.bounds.best_base_rate")),
    ("Optimal schedules", "[Optimal schedules](../optimal.md) says what they rest on.",
     ("simlr.optimise", "simlr.greedy_rates", "simlr.loss_gradient")),
    ("Laws for loss curves", "[Laws](../laws.md) has their formulas.",
     tuple(f"simlr.laws.{name}" for name in sorted(laws._OWNERS) if name.islower() or name in ("Curve", "Fit", "Law"))),
)  # fmt: skip
# Where a name is reached through, for what is no attribute of simlr's own modules.
MODULES = {
    "simlr.pairs": pairs, "simlr.families": families, "simlr.answers": answers, "simlr.directions": directions,
    "simlr.bounds": bounds, "simlr.schedules": schedules, "simlr.laws": laws, "simlr": simlr,
}  # fmt: skip
RULER = re.compile(r"^-{3,}$")


def found(name: str):
    """The object of a public name."""
    owner, _, attribute = name.rpartition(".")
    if owner in MODULES:
        return getattr(MODULES[owner], attribute)
    return getattr(__import__(owner, fromlist=[attribute]), attribute)


def page() -> str:
    """The page of all public names."""
    parts = [
        "# The Python interface",
        "Made from the docstrings. Shapes: S schedules, N seeds, E levels, d axes, K recorded moments. Whatever is "
        "wrong with an argument is an `InputError`, which is a `ValueError`, with one line that names the key, the "
        "rule and the value. [From Python](../python.md) shows them at work.",
    ]
    listed = {name for _, _, names in SECTIONS for name in names}
    public = [f"simlr.{name}" for name, owner in simlr._PUBLIC.items() if ":" in owner]
    rest = [name for name in public if name not in listed]
    more = [("More", "What is in none of the sections above.", rest)] if rest else []
    for title, meaning, names in [*SECTIONS, *more]:
        parts += [f"## {title}", meaning, *(_entry(name, found(name)) for name in names)]
    return "\n\n".join(parts) + "\n"


def _entry(name, thing, depth=4):
    """A function, or a class with its public methods, as a directive whose content is Markdown."""
    kind = "class" if inspect.isclass(thing) else "function"
    own = [f"`````{'`' * depth}{{py:{kind}}} {name}{_signature(thing)}", "", as_markdown(inspect.getdoc(thing))]
    if kind == "class":
        own += [part for attribute, member in vars(thing).items() for part in _member(attribute, member)]
    return "\n".join([*own, f"`````{'`' * depth}"])


def _member(name, member):
    """A public method or property of a class."""
    if name.startswith("_"):
        return []
    if isinstance(member, property):
        head = f"```{{py:property}} {name}"
    elif callable(getattr(member, "__func__", member)):
        head = f"```{{py:method}} {name}{_signature(getattr(member, '__func__', member))}"
    else:
        return []
    told = inspect.getdoc(member)
    return ["", f"``{head}", "", as_markdown(told), "`````"] if told else []


def _signature(thing):
    """The arguments without their annotations, which the docstring has in words."""
    try:
        taken = list(inspect.signature(thing).parameters.values())
    except ValueError:
        return "()"
    kept = [one.replace(annotation=inspect.Parameter.empty) for one in taken if one.name not in ("self", "cls")]
    # A default that has no literal, such as a function, is told by the docstring.
    plain = (bool, int, float, str, tuple, type(None), type(inspect.Parameter.empty))
    kept = [one if isinstance(one.default, plain) else one.replace(default=None) for one in kept]
    return str(inspect.Signature(kept))


def as_markdown(docstring: str | None) -> str:
    """A docstring in NumPy's sections as Markdown."""
    if not docstring:
        return ""
    lines, parts, start = docstring.splitlines(), [], 0
    heads = [i for i in range(len(lines) - 1) if RULER.match(lines[i + 1]) and lines[i].strip()]
    ends = [*heads, len(lines)]
    parts.append(_text(lines[start : ends[0]]))
    for head, end in zip(heads, ends[1:], strict=True):
        body = lines[head + 2 : end]
        parts += [f"**{lines[head].strip()}**", _section(lines[head].strip(), body)]
    return "\n\n".join(part for part in parts if part)


def _section(title, lines):
    """The body of a section: entries `name : type` with indented text below as a list, else a text."""
    if title in ("Notes", "Examples") or not any(line.startswith("    ") or " : " in line for line in lines):
        return _text(lines)
    entries = []
    for line in lines:
        if line and not line.startswith(" "):
            entries.append([line])
        elif line.strip() and entries:
            entries[-1].append(line.strip())
    return "\n".join(_item(*entry) for entry in entries)


def _item(head, *body):
    """One entry of a section as an item of a list."""
    name, _, kind = head.partition(" : ")
    told = f"`{name}`" if kind or re.fullmatch(r"[\w*, .]+", name) else escaped(name)
    kind = f" ({escaped(kind)})" if kind else ""
    return f"* {told}{kind}{': ' if body else ''}{escaped(' '.join(body))}"


def _text(lines):
    """Paragraphs; a line that is indented after an empty one begins a block of code, which Markdown has as well."""
    paragraphs = re.split(r"\n\s*\n", "\n".join(lines).strip("\n"))
    return "\n\n".join(
        f"```text\n{textwrap.dedent(one)}\n```" if one.startswith("    ") else escaped(one) for one in paragraphs if one
    )


PAGES = {"api": page}
