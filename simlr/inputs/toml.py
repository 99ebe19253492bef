"""TOML: read with one clear line for what is wrong, changed by dotted keys, and written, which Python cannot do."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeGuard

from ..errors import InputError, show
from .files import read_text

LARGEST_BYTES = 1 << 26
# Python's reader takes memory and time by the square of a key's parts.
MOST_PARTS = 100
_PART = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
LONG_KEY = re.compile(rf"""(?<![\w"'-])(?>{_PART}[ \t]*+\.[ \t]*+){{{MOST_PARTS}}}""")


def read(source: str | Path) -> tuple[dict, str]:
    """The tables of a TOML file (a path) or of TOML text, and the folder that relative paths in it start from."""
    if is_text(source):
        text, folder = source, "."
    else:
        text, folder = read_text(Path(source), LARGEST_BYTES), str(Path(source).parent)
    try:
        if LONG_KEY.search(text):
            raise ValueError(f"a key of more than {MOST_PARTS} parts")
        return tomllib.loads(text), folder
    except (ValueError, RecursionError) as error:  # not TOML, too many digits, nested too deep
        where = source if text is not source else "grid"
        raise InputError(f"{where}: not valid TOML: {error}") from None


def placed(source: str | Path) -> Callable[[str], str]:
    """What puts the file before each line of what is wrong with it; of TOML text there is no file."""
    if is_text(source):
        return str
    return lambda fault: f"{source}: {fault}"


def is_text(source: str | Path) -> TypeGuard[str]:
    """Whether it is TOML text, by its lines or its "=", and not a path."""
    return isinstance(source, str) and ("\n" in source or ("=" in source and not source.endswith(".toml")))


def override(tables: dict, key: str, value: Any) -> None:
    """Put one value at a dotted key; a number picks an entry of a list."""
    *parents, last = key.split(".")
    if len(parents) >= MOST_PARTS:
        raise InputError(f"--set {show(key)}: has more than {MOST_PARTS} parts")
    here = tables
    for part in parents:
        here = here[_entry(here, part, key)] if isinstance(here, list) else here.setdefault(part, {})
        if not isinstance(here, dict | list):
            raise InputError(f"--set {key}: {part!r} is a value, not a table")
    here[_entry(here, last, key) if isinstance(here, list) else last] = value


def _entry(entries, part, key):
    """The number of an entry of a list."""
    if not (part.isascii() and part.isdecimal() and len(part) < 10 and int(part) < len(entries)):
        raise InputError(f"--set {key}: {part!r} is no entry; there are {len(entries)}, counted from 0")
    return int(part)


def write(tables: dict) -> str:
    """TOML of nested dicts: plain values first, then tables, then lists of tables."""
    lines = [f"{key} = {_toml_value(v)}" for key, v in tables.items() if not _is_table(v) and not _is_tables(v)]
    for key, value in tables.items():
        if _is_table(value):
            lines += ["", f"[{key}]", *(f"{k} = {_toml_value(v)}" for k, v in value.items())]
        elif _is_tables(value):
            for entry in value:
                lines += ["", f"[[{key}]]", *(f"{k} = {_toml_value(v)}" for k, v in entry.items())]
    return "\n".join(lines).lstrip("\n") + "\n"


def quoted(value: Any) -> str:
    """One value as TOML has it: a string in quotes."""
    return _toml_value(value)


def _is_table(value):
    return isinstance(value, dict)


def _is_tables(value):
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(v, dict) for v in value)


def _toml_value(value):
    """One value on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL, which JSON leaves as it is.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml_value(v) for v in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml_value(v)}" for k, v in value.items()) + " }"
    raise InputError(f"a value of type {type(value).__name__} cannot be written: {show(value)}")
