"""`make proofs`: what takes too long for a test, run by hand; its figures go to docs/proofs.md.

    python tests/support/proofs.py [PART ...]      roots coverage; all of them by default

A small member of each part is among the tests (tests/papers, tests/analysis). Exit status 1 where a verdict is not what
it must be, or an interval covers less than it says. A part that was not run keeps its lines.
"""

import os
import sys
import time

import numpy as np
import runs

import simlr
from simlr.analysis.statistics import COVERAGE, median_interval
from simlr.analysis.verdict import verdict_of
from simlr.claims.registry import load_paper, paper_names
from simlr.claims.verdict import HOLDS
from simlr.config import read

PAGE = runs.ROOT / "docs/proofs.md"
ROOTS = range(int(os.environ.get("SIMLR_PROOF_ROOTS", "5")))
REPLICATIONS = 10_000
ROOM = 0.02  # of few values a percentile interval covers a little less than it says
SAMPLES = (20, 100, 1000)
# distribution -> (a draw of `size` values, its median)
DISTRIBUTIONS = {
    "normal": (lambda drawn, size: drawn.standard_normal(size), 0.0),
    "skewed: lognormal, sigma 2": (lambda drawn, size: drawn.lognormal(0.0, 2.0, size), 1.0),
    "heavy-tailed: Cauchy": (lambda drawn, size: drawn.standard_cauchy(size), 0.0),
}


def roots():
    """The verdict on every paper at several roots of its draws: lines of a table, and what is not as it must be."""
    lines, wrong = [], []
    for name in paper_names():
        began, outcomes = time.process_time(), []
        for root in ROOTS:
            run = simlr.run(read(load_paper(name).GRID, [("seeds.root", root)]))
            outcomes.append(verdict_of(run).outcome)
        seconds = (time.process_time() - began) / len(ROOTS)
        others = ", ".join(f"root {root}: {one}" for root, one in zip(ROOTS, outcomes, strict=True) if one != HOLDS)
        lines.append((name, f"{outcomes.count(HOLDS)} of {len(ROOTS)}", others or "-", f"{seconds:.0f} s"))
        wrong += [f"{name}: {others}"] if others else []
        print(*lines[-1], sep="  ", flush=True)
    return ("paper", "holds at", "otherwise", "processor time a root"), lines, wrong


def coverage():
    """How often the interval of a median covers the median of the law that the values are drawn from."""
    lines, wrong = [], []
    for law, (draw, median) in DISTRIBUTIONS.items():
        for count in SAMPLES:
            values = np.sort(draw(np.random.default_rng(count), (REPLICATIONS, count)), axis=1)
            ends = np.array([median_interval(one)[1:] for one in values])
            share = np.mean((ends[:, 0] <= median) & (median <= ends[:, 1]))
            error = np.sqrt(share * (1.0 - share) / REPLICATIONS)
            lines.append((law, str(count), f"{100 * share:.1f} %", f"{100 * error:.1f} %"))
            print(*lines[-1], sep="  ", flush=True)
            if share + 3.0 * error < COVERAGE - ROOM:
                wrong.append(f"{law}, {count} values: {100 * share:.1f} %")
    return ("values", "how many", "covers the median", "Monte Carlo error"), lines, wrong


PARTS = {"roots": roots, "coverage": coverage}


def write(part, header, lines):
    """Put a part's table between its marks on the page."""
    begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
    head, rest = PAGE.read_text(encoding="utf-8").split(begin)
    tail = rest.split(end)[1]
    table = [header, ["---"] * len(header), *lines]
    body = "\n".join(f"| {' | '.join(cells)} |" for cells in table)
    PAGE.write_text(f"{head}{begin}\n{body}\n{end}{tail}", encoding="utf-8")


def main(names):
    """Run the parts; the exit status."""
    status = 0
    for name in names or PARTS:
        began = time.monotonic()
        header, lines, wrong = PARTS[name]()
        print("\n".join(wrong), f"-- {name}: {time.monotonic() - began:.0f} s", flush=True)
        write(name, header, lines)
        status = status or int(bool(wrong))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
