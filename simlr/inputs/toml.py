"""TOML: read with one clear line for what is wrong, changed by dotted keys, and written, which Python cannot do."""

import json
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeGuard

from ..errors import Faults, InputError, show
from . import formats
from .files import read_text

LARGEST_BYTES = 1 << 26
# Python's reader takes memory and time by the square of a key's parts.
MOST_PARTS = 100
TABLES = ".csv", ".tsv", ".npy", ".npz", ".parquet"
_PART = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)")
_BARE = re.compile(rf"""{_PART}(?:\.{_PART})*\s*=\s*([^\s"'\[\]{{}}#,=]+)\s*(?:#.*)?""")  # key = word
LONG_KEY = re.compile(rf"""(?<![\w"'-])(?>{_PART}[ \t]*+\.[ \t]*+){{{MOST_PARTS}}}""")


def read(source: str | Path) -> tuple[dict, str]:
    """The tables of a TOML file (a path) or of TOML text, and the folder that relative paths in it start from."""
    if is_text(source):
        text, folder = source, "."
    else:
        _refuse_others(Path(source))
        text, folder = read_text(Path(source), LARGEST_BYTES), str(Path(source).parent)
    try:
        if LONG_KEY.search(text):
            raise ValueError(f"a key of more than {MOST_PARTS} parts")
        return tomllib.loads(text), folder
    except (ValueError, RecursionError) as error:  # not TOML, too many digits, nested too deep
        where = source if text is not source else "grid"
        raise InputError(f"{where}: not valid TOML: {error}{_shown(text, str(error))}") from None


def _shown(text, fault):
    """The line that a fault of the reader is in, and of a bare word that it has for a value what is wrong with it."""
    found = _AT_LINE.search(fault)
    lines = text.replace("\r\n", "\n").split("\n")
    if not found or int(found[1]) > len(lines):
        return ""
    line = lines[int(found[1]) - 1].strip()
    word = _BARE.fullmatch(line)
    cause = f"; {show(word[1], 40)} is no number, and text stands in quotes" if word and not _is_value(word[1]) else ""
    return f": {show(line)}{cause}" if line else ""


def _is_value(word):
    """Whether it is a value of TOML."""
    try:
        return bool(tomllib.loads(f"value = {word}"))
    except ValueError:
        return False


def _refuse_others(path):
    """Refuse a run file and a table, each with the command that takes it."""
    with formats.opened(path) as file:
        head = file.read(len(formats.HDF5_MARK))
    if head == formats.HDF5_MARK:
        raise InputError(f"{path}: is an HDF5 file, and no TOML; simlr report {path} reports a run file")
    if path.suffix in TABLES:
        raise InputError(f"{path}: is a table, and no TOML; simlr new {path} writes a grid for it")


def file_of(source: str | Path) -> str:
    """The path of a TOML file as it was given; "" of TOML text, which has none."""
    return "" if is_text(source) else str(source)


@contextmanager
def placed(file: str) -> Iterator[None]:
    """Each line of what is wrong within begins with the file, where there is one."""
    faults = Faults()
    with faults:
        yield
    faults.raise_all(lambda fault: f"{file}: {fault}" if file else fault)


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
