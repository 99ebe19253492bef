"""The tables of single settings that a grid file may have, and what each of them must be."""

from ..errors import InputError, unknown
from ..inputs import rules

MOST_POINTS = 1_000_000
LONGEST_NAME = 200  # bytes: a file name has at most 255, and something is put after it


def _recorded_seeds(key, value):
    """A number of seeds, or "all"."""
    if isinstance(value, str):
        return rules.one_of("all")(key, value)
    return rules.count_or_none(key, value)


def _points(key, value):
    """A number of recorded moments; they are held in memory."""
    return rules.count(key, value, least=0, most=MOST_POINTS)


# table -> key -> (rule, default)
SETTINGS = {
    "seeds": {"count": (rules.count, 1000), "root": (rules.count_or_none, 0)},
    "record": {
        "points": (_points, 200),
        "flow_time": (rules.positive, 20.0),
        "seeds": (_recorded_seeds, 64),
        "iterates": (rules.flag, False),
        "stop_residual": (rules.flag, False),
        "dtype": (rules.one_of("float64", "float32"), "float64"),
    },
    "run": {"block_seeds": (rules.count_or_none, 0)},
}


# ---- checking ----


def _table(tables, key, required=False):
    """One table of the grid."""
    if required and key not in tables:
        raise InputError(f"[{key}] is missing")
    table = tables.get(key, {})
    if not isinstance(table, dict):
        rules.refuse(key, "a table", table)
    return table


def check_name(name):
    """The grid's name, which names its output file."""
    rules.text("name", name)
    if "/" in name or "\\" in name or name.startswith(".") or len(name.encode()) > LONGEST_NAME:
        rules.refuse("name", f"fit for a file name (no slash, no leading dot, at most {LONGEST_NAME} bytes)", name)
    return name


def check_settings(tables, key):
    """A table of single values, each with a rule and a default."""
    table, known = _table(tables, key), SETTINGS[key]
    for name in table:
        if name not in known:
            raise unknown(key, name, known, "key")
    return {name: rule(f"{key}.{name}", table.get(name, default)) for name, (rule, default) in known.items()}
