"""What a run file has of the plug-ins of its grid, and kinds made of that without running any of their code."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ..errors import InputError
from .kinds import Plugin, PluginKind
from .loading import Adopt, adopted, digest_of, from_file, from_package, installed, is_in_file, package_of, run_before

ATTRIBUTE = "plugins"
# What a parameter's value may be: one value; a vector, of which a list of lists is an axis; words or an array.
VALUE, VECTOR, LIST, ARRAY = "value", "vector", "list", "array"

_records: ContextVar[dict[tuple[str, str], dict] | None] = ContextVar("records", default=None)


def attribute_of(kinds: list[PluginKind]) -> dict[str, str]:
    """The attribute of a run file for the plug-in kinds of its grid; none where there are none."""
    plugins = {(kind.plugin.role, kind.plugin.name): kind.plugin for kind in kinds}
    text = json.dumps([plugins[key].record() for key in sorted(plugins)], sort_keys=True)
    return {ATTRIBUTE: text} if plugins else {}


@contextmanager
def reading_back(text: Any) -> Iterator[None]:
    """Read a grid as a run file has it: its kinds are those that the file describes, and no file is run.

    Parameters
    ----------
    text
        The file's attribute `plugins`; "" where it has none.
    """
    try:
        found = {(str(one["role"]), str(one["name"])): dict(one) for one in json.loads(text)} if text else {}
    except (KeyError, TypeError, ValueError, RecursionError):
        raise InputError("its description of plug-ins is damaged") from None
    token = _records.set(found)
    try:
        yield
    finally:
        _records.reset(token)


def kind_of(
    role: str, key: str, kind: str, folder: str | Path, adopt: Adopt, stand_in: Callable[[dict], Any]
) -> PluginKind | None:
    """What a kind that is not simlr's own stands for; None where it is nobody's.

    Where a grid of a run file is read, it is what that file describes; else it comes from the Python file that it
    names, or from an installed package.

    Parameters
    ----------
    role, key, kind, folder, adopt
        As of `loading.from_file`.
    stand_in
        As of `from_record`.

    Raises
    ------
    InputError
        Where it cannot be loaded.
    """
    if _records.get() is not None:
        return from_record(role, kind, adopt, stand_in)
    if is_in_file(kind):
        return from_file(role, key, kind, folder, adopt)
    return from_package(role, key, kind, adopt)


def from_record(role: str, kind: str, adopt: Adopt, stand_in: Callable[[dict], Any]) -> PluginKind | None:
    """The kind that the run file has described; None where it has none of this name.

    It is loaded where this process has run a file of the same digest, or a package of the same digest is installed.

    Parameters
    ----------
    role, kind, adopt
        As of `loading.from_file`.
    stand_in
        What a grid works with in its place, from what the run file says of it.
    """
    record = (_records.get() or {}).get((role, kind))
    if record is None:
        return None
    digest, package = str(record.get("digest", "")), str(record.get("package", ""))
    if is_in_file(kind):
        module = run_before(digest)
        name = kind.rpartition(":")[2]
        if module is not None and hasattr(module, name):
            return adopted(Plugin(role, kind, digest, module=module), getattr(module, name), adopt)
    elif any(digest_of(one) == digest and package_of(one) == package for one in installed(role).get(kind, [])):
        return from_package(role, role, kind, adopt)
    shape = {key: value for key, value in record.items() if key not in ("role", "name", "digest", "package")}
    try:
        return PluginKind(Plugin(role, kind, digest, package, stand_in(shape), None, shape))
    except (AttributeError, TypeError, ValueError):
        raise InputError("its description of plug-ins is damaged") from None
