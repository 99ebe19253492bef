"""Make the pictures of the README and the gallery: `make pictures`, or `make pictures ARGS="noise rows"` for some.

Each is one figure of the report of a run, as `simlr report --figures` writes it. They are kept in docs/pictures/.
"""

import io
import shutil
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

from simlr.grid.__main__ import main as run_grid
from simlr.report.__main__ import main as report_run

DOCS = Path(__file__).resolve().parent


class Picture(NamedTuple):
    """One picture of the gallery.

    Attributes
    ----------
    name
        Of its file in docs/pictures/, without the ending.
    grid
        The grid file, relative to docs/; or the name of a paper.
    figure
        The figure of the report: the file figure-<figure>.<ending>.
    ending
        svg, or png where that is smaller.
    """

    name: str
    grid: str
    figure: str
    ending: str = "svg"


PICTURES = (
    Picture("nakkiran2020", "nakkiran2020", "paths", "png"),
    Picture("ratio", "nakkiran2020", "ratio"),
    Picture("annealing", "../data/annealing.toml", "answer"),
    Picture("early-stopping", "../data/early-stopping.toml", "answer"),
    Picture("one-pass", "../data/one-pass.toml", "answer"),
    Picture("noise", "gallery/noise.toml", "answer"),
    Picture("rows", "gallery/rows.toml", "answer"),
    Picture("optimal", "gallery/optimal.toml", "optima"),
)


def make(picture: Picture, folder: Path) -> None:
    """Run the grid of a picture in a folder, unless it is there, and keep the figure."""
    grid = DOCS / picture.grid
    run = folder / f"{Path(picture.grid).stem}.h5"
    if not run.exists():
        _ended_well(run_grid([str(grid) if grid.exists() else picture.grid, "--out", str(run), "--quiet"]), run)
    report = run.with_suffix("")
    if not report.exists():
        options = ["--figures", "svg,png", "--format", "md", "--theme", "light"]
        with redirect_stdout(io.StringIO()):  # the tables
            status = report_run([str(run), "--out", str(report), *options])
        _ended_well(status, run)
    kept = DOCS / "pictures" / f"{picture.name}.{picture.ending}"
    shutil.copyfile(report / f"figure-{picture.figure}.{picture.ending}", kept)
    print(f"{kept.relative_to(DOCS.parent)}: {kept.stat().st_size:,} bytes")


def _ended_well(status, run):
    """End where a command has failed, which has said why."""
    if status:
        sys.exit(f"{run.stem}: ended with status {status}")


def main(names: list[str]) -> None:
    """Make the pictures of these names, by default all."""
    unknown = sorted(set(names) - {picture.name for picture in PICTURES})
    if unknown:
        sys.exit(f"no picture is called {unknown[0]}; there are {', '.join(picture.name for picture in PICTURES)}")
    with tempfile.TemporaryDirectory() as folder:
        for picture in PICTURES:
            if not names or picture.name in names:
                make(picture, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
