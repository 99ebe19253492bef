"""The command `python -m simlr.papers`: run every paper and its controls, and judge them: one table."""

from ..cli import signals  # noqa: I001 - first: it minds signals from then on

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from ..claims.registry import is_paper, load_paper, paper_names
from ..cli import progress
from ..cli.arguments import DONE, FAILED, Parser, answered, positive, say
from ..cli.structured import as_json
from ..errors import unknown
from ..grid.pipeline import still_working
from ..grid.startup import compiling_told
from ..report.plain.terminal import as_text
from ..store.target import make_folder
from ._judging import ending, judge, table

FORMAT = "simlr papers 1"


def parser() -> Parser:
    """The command's arguments."""
    options = Parser(
        "papers",
        "Run published claims, and settings whose outcome is known, and judge them: one table.",
        "0 every claim holds and every control comes out as it must, 1 otherwise, 2 bad usage, 130 interrupted",
    )
    options.add_argument("papers", nargs="*", metavar="NAME", help="the papers to run (default: all)")
    options.add_argument("--controls", action="store_true", help="run all controls, not only the few of every time")
    options.add_argument("--json", action="store_true", help="print JSON in place of the table")
    options.add_argument("--out", metavar="DIR", help="keep the run files, DIR/<name>.h5 (default: they are removed)")
    options.add_argument("--overwrite", action="store_true", help="replace run files in DIR")
    options.add_argument("--threads", metavar="N", type=positive, help="threads to compute with (default: all)")
    options.add_argument("--list", action="store_true", help="print the papers and their claims; run nothing")
    options.add_argument("--quiet", action="store_true", help="no progress")
    return options


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    options = parser().parse_args(arguments)
    kept = "finished runs are kept in " + options.out if options.out else "nothing is kept"
    return answered(lambda: _command(options), f"interrupted; {kept}", still_working=still_working)


def _command(options):
    wanted = _names(options.papers)
    if options.list and options.json:
        papers = {name: load_paper(name) for name in wanted}
        told = [{"paper": name, "source": one.SOURCE, "claim": one.CLAIM} for name, one in papers.items()]
        print(as_json({"format": FORMAT, "papers": told}))
        return DONE
    if options.list:
        print("\n".join(f"{name}\n    {load_paper(name).SOURCE}\n    {load_paper(name).CLAIM}" for name in wanted))
        return DONE
    with ExitStack() as held:
        folder = Path(options.out or held.enter_context(tempfile.TemporaryDirectory()))
        make_folder(folder)
        held.enter_context(compiling_told(options.quiet))
        judged = [_judged(name, folder, options) for name in wanted]
    if options.json:
        print(as_json({"format": FORMAT, "papers": [one.record() for one in judged]}))
    else:
        print(f"{as_text(table(judged))}\n\n{ending(judged)}")
    return DONE if all(one.passed for one in judged) else FAILED


def _names(wanted):
    """The papers asked for, each once; InputError where there is no such paper."""
    for name in wanted:
        if not is_paper(name):
            raise unknown("papers", name, paper_names(), "paper")
    return list(dict.fromkeys(wanted)) or paper_names()


def _judged(name, folder, options):
    """One paper, with progress."""
    with ExitStack() as held:
        shown = {}

        def tell(what, done, total):
            if what not in shown:
                if not options.quiet:
                    say(f"{what} ...")
                shown[what] = held.enter_context(progress.shown("parts", options.quiet))
            shown[what](done, total)

        one = judge(name, folder / f"{Path(name).stem}.h5", options.threads, options.overwrite, tell, options.controls)
    if not options.out:
        one.file = ""
    return one


def command() -> int:
    """The command as a process of its own; returns the exit status."""
    return signals.finished(main)


if __name__ == "__main__":
    sys.exit(command())
