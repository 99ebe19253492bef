"""The figures as text and as JSON."""

import platform
from typing import Any

from .. import __version__
from . import machine as limits
from .harness import Bench, Figure

FORMAT_VERSION = 1
PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": limits.processor_name(),
        "cores": limits.cores(),
        "system": platform.system(),
        "machine": platform.machine(),
    }


def versions(with_jax: bool) -> dict[str, Any]:
    """What was measured."""
    from ..engine.environment import environment

    versions_here = {"simlr_version": __version__, **environment()}
    if with_jax:
        from importlib.metadata import version

        versions_here["jax_version"] = version("jax")
    return versions_here


def as_json(figures: dict[str, list[Figure]], bench: Bench, took: dict[str, Any]) -> dict[str, Any]:
    """All figures with what belongs to them, for `json.dumps`."""
    rows = [{"section": title, **figure._asdict()} for title, section in figures.items() for figure in section]
    return {
        "benchmark": "simlr",
        "format_version": FORMAT_VERSION,
        **took,
        "machine": machine(),
        "versions": versions(bench.with_jax),
        "figures": rows,
    }


def as_text(title: str, figures: list[Figure]) -> str:
    """The figures of one section in columns: what, how much, compared with what, bounded by what."""
    lines = []
    for one in figures:
        ratios = ", ".join(f"{ratio:.3g} x {name}" for name, ratio in one.ratios.items())
        lines.append((one.name, amount(one.value, one.unit), ratios, one.bound))
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    rows = [
        f"  {name.ljust(widths[0])}  {value.rjust(widths[1])}  {ratios.ljust(widths[2])}  <- {bound}"
        for name, value, ratios, bound in lines
    ]
    return "\n".join([title.upper(), *rows])


def amount(value: float, unit: str) -> str:
    """A value of three digits with a decimal prefix: 3.37 G/s, 118 MB, 0.217 s."""
    size, prefix = next(((size, prefix) for size, prefix in PREFIXES if abs(value) >= size), (1.0, ""))
    scaled = value / size
    digits = f"{scaled:.{3 - sum(scaled >= edge for edge in (1, 10, 100))}f}"
    return f"{digits} {prefix}{'' if len(unit) < 4 or not prefix else ' '}{unit}"
