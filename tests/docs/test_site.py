"""The site and what it is made of: links, pages, pictures, notebooks, and the reference that is made from the code."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import runs

import simlr
from simlr.config import stop
from simlr.config.grid import TABLES
from simlr.config.methods import NOISES, OPTIMIZERS
from simlr.config.settings import SETTINGS
from simlr.problems import registry

DOCS = runs.ROOT / "docs"
sys.path.insert(0, str(DOCS / "extension"))

import api_pages  # noqa: E402 - found through the path above
import grid_pages  # noqa: E402

MADE = {f"made/{name}": page for name, page in {**grid_pages.PAGES, **api_pages.PAGES}.items()}
NOTEBOOKS = sorted((DOCS / "tutorials").glob("*.ipynb"))
PAGES = sorted(DOCS.glob("*.md"))
TEXTS = [*(runs.ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md")), *PAGES]
LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```|`[^`\n]+`", re.DOTALL | re.MULTILINE)
TREE = re.compile(r"^```\{toctree\}\n(.*?)^```", re.DOTALL | re.MULTILINE)
MOST_BYTES_OF_PICTURES = 1_500_000
LONGEST_README = 60

TWO_COMMANDS = """## Two commands

With Python 3.11 or newer and make, nothing else:

    make demo      # sets up .venv, runs the paper's grid, prints the verdict, writes the report
    make test      # sets up .venv, runs the tests

`make demo` ends like this:

    Test loss of flow / that of the schedule, same seed, same level: median, and share above 1
"""


def named(path):
    return str(path.relative_to(runs.ROOT))


def anchors_of(path):
    """What a heading of a page is linked by."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub(_without_ticks, path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _without_ticks(found):
    return "" if found[0].startswith("```") else found[0].strip("`")


def text_of(path):
    """The Markdown of a page or notebook, without its code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return FENCED.sub("", text)


def test_the_readme_fits_a_screen_and_begins_with_two_commands():
    text = (runs.ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_README and TWO_COMMANDS in text
    assert len(re.findall(r"!\[", text)) == 1


@pytest.mark.parametrize("path", [*TEXTS, *NOTEBOOKS], ids=named)
def test_every_link_leads_somewhere(path):
    for link in LINK.findall(text_of(path)):
        address = link[0] or link[1]
        if ":" in address:
            continue
        name, _, anchor = address.partition("#")
        target = Path(os.path.normpath(path.parent / name)) if name else path
        if target.is_relative_to(DOCS / "made"):
            assert f"made/{target.stem}" in MADE, address
            continue
        assert target.exists(), f"{named(path)}: {address}"
        assert not anchor or anchor in anchors_of(target), f"{named(path)}: {address}"


def test_every_page_is_in_the_tree_once():
    """A page that a newcomer cannot reach is not there: it belongs in the tree of guides.md, trust.md or the like."""
    listed = []
    for page in PAGES:
        for tree in TREE.findall(page.read_text(encoding="utf-8")):
            listed += [line for line in tree.splitlines() if line and not line.startswith(":")]
    pages = [page.stem for page in PAGES if page.stem != "index"]
    assert sorted(listed) == sorted([*pages, *(f"tutorials/{one.stem}" for one in NOTEBOOKS), *MADE])


def test_the_pictures_are_small_and_each_has_its_grid():
    source = importlib.util.spec_from_file_location("pictures", DOCS / "pictures.py")
    pictures = importlib.util.module_from_spec(source)
    source.loader.exec_module(pictures)
    kept = {path.name: path.stat().st_size for path in (DOCS / "pictures").iterdir()}
    assert set(kept) == {f"{one.name}.{one.ending}" for one in pictures.PICTURES}
    assert sum(kept.values()) < MOST_BYTES_OF_PICTURES
    gallery = (DOCS / "gallery.md").read_text(encoding="utf-8")
    for one in pictures.PICTURES:
        assert f"(pictures/{one.name}.{one.ending})" in gallery
        if one.grid.endswith(".toml"):
            simlr.GridConfig.from_toml(DOCS / one.grid)
            assert f"{{literalinclude}} {one.grid}" in gallery


# ---- the reference, made from the code ----


def test_the_reference_has_every_table_and_key():
    page = grid_pages.grid_file()
    for table in set(TABLES) - {"name", "engine"}:
        assert f"[{table}]" in page, table
    for parameter in [one for table in SETTINGS.values() for one in table] + [*stop.VALIDATION_PARAMETERS]:
        assert f"| `{parameter.name}` |" in page
    assert all(f"| `{rule}` |" in page for rule in stop.RULES)
    problems, methods = grid_pages.problem_kinds(), grid_pages.method_kinds()
    for kind in registry.kinds():
        assert f"## `{kind}`" in problems
        assert all(f"| `{one.name}` |" in problems for one in registry.find("kind", kind).parameters)
    assert all(f"### `{kind}`" in methods for kind in (*OPTIMIZERS, *NOISES))
    schedules = grid_pages.schedule_kinds()
    for kind in simlr.schedules.kinds():
        assert f"## `{kind}`\n" in schedules and grid_pages.cell(simlr.schedules.describe(kind)) in schedules


def test_what_a_key_accepts_is_what_its_rule_says():
    rules = {f"{table}.{one.name}": one for table, parameters in SETTINGS.items() for one in parameters}
    assert grid_pages.accepted(rules["seeds.count"].rule) == "a whole number >= 1"
    assert grid_pages.accepted(rules["record.dtype"].rule) == "'float64' or 'float32'"
    assert grid_pages.accepted(rules["record.seeds"].rule) == "a whole number >= 0 or 'all'"
    for parameters in [*SETTINGS.values(), *(registry.find("kind", kind).parameters for kind in registry.kinds())]:
        for one in parameters:
            assert grid_pages.accepted(one.rule, one.default), one.name


def test_every_command_has_its_help():
    page = grid_pages.commands()
    for name in grid_pages.COMMANDS:
        section = page.partition(f"## `simlr {name}`")[2].partition("\n## ")[0]
        assert "usage: " in section and "exit status" in section, name


def test_every_public_function_is_in_the_interface():
    page = api_pages.page()
    functions = {name: owner for name, owner in simlr._PUBLIC.items() if ":" in owner}
    assert all(f"}} simlr.{name}" in page for name in functions)
    for name in simlr.laws._OWNERS:
        assert f"}} simlr.laws.{name}" in page or name.isupper()


def test_a_docstring_becomes_markdown():
    def example(first, second=1):
        """Add two numbers.

            first + second

        Parameters
        ----------
        first : float
            With |bars| and a <name>,
            on two lines.
        second
            Another one, `code | as it is`.

        Raises
        ------
        InputError
            Where it cannot.
        """

    told = api_pages.as_markdown(example.__doc__.replace("\n        ", "\n"))
    assert "```text\nfirst + second\n```" in told
    assert "* `first` (float): With \\|bars\\| and a \\<name>, on two lines." in told
    assert "* `second`: Another one, `code | as it is`." in told
    assert "**Raises**\n\n* `InputError`: Where it cannot." in told


# ---- notebooks ----


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(path):
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        assert cell["cell_type"] == "markdown" or (cell["outputs"] == [] and cell["execution_count"] is None)


def as_script(path):
    """The cells of a notebook as a script: a line that begins with ! is a command, with names in braces."""
    lines = ["import subprocess as _process"]
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for line in "".join(cell["source"]).splitlines() if cell["cell_type"] == "code" else ():
            command = line.lstrip()
            indent = line[: len(line) - len(command)]
            shell = f"{indent}_process.run(f{command[1:]!r}, shell=True)" if command.startswith("!") else line
            lines.append(shell)
    return "\n".join(lines) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path):
    """Without Jupyter: what has no Jupyter is most installations."""
    (tmp_path / "cells.py").write_text(as_script(path))
    folder = str(Path(sys.executable).parent)
    paths = {"PATH": os.pathsep.join([folder, os.environ["PATH"]]), "PYTHONPATH": str(runs.ROOT)}
    done = subprocess.run(
        [sys.executable, "cells.py"], cwd=tmp_path, env={**os.environ, **paths, "MPLBACKEND": "Agg"},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "DIFFERENT" not in done.stdout


# ---- the site ----


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_asks_no_network(tmp_path):
    """Notebooks as they stand: they are run above, and by `make docs`."""
    missing = [name for name in ("sphinx", "myst_nb", "pydata_sphinx_theme") if not importlib.util.find_spec(name)]
    if missing:
        pytest.skip(f"the extra docs is not installed: {', '.join(missing)}")
    site = tmp_path / "site"
    options = ["-W", "--keep-going", "-q", "-b", "html", "-D", "nb_execution_mode=off", "-d", str(tmp_path / "trees")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(DOCS), str(site)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    for page in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=\"(https?:)?//", page.read_text())
        assert not loaded, page.name
