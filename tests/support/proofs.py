"""`make proofs`: what takes too long for a test, run by hand; its figures go to docs/proofs.md.

    python tests/support/proofs.py [PART ...]      roots coverage; all of them by default
    SIMLR_PROOF_ROOTS=5 SIMLR_PROOF_PAPERS="wu2021 li2019" python tests/support/proofs.py roots

A small member of each part is among the tests (tests/papers, tests/analysis). Exit status 1 where a verdict is not what
it must be, or an interval covers less than it says. A part or paper that was not run keeps its lines.
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
from simlr.papers._judging import judge_control

PAGE = runs.ROOT / "docs/proofs.md"
ROOTS = range(int(os.environ.get("SIMLR_PROOF_ROOTS", "20")))
PAPERS = os.environ.get("SIMLR_PROOF_PAPERS", "").split() or paper_names()
ROOTS_OF_CONTROLS = 5  # at most: they are many
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
    """The verdict on every paper, and on each of its controls, at several roots of its draws, a paper at a time.

    A table goes to the page as soon as a paper is judged; what is not as it must be is returned.
    """
    wrong = []
    for name in PAPERS:
        began = time.process_time()
        runs_of = [simlr.run(read(load_paper(name).GRID, [("seeds.root", root)])) for root in ROOTS]
        seconds = (time.process_time() - began) / len(ROOTS)
        wrong += write_roots(name, [verdict_of(run).outcome for run in runs_of], seconds)
        wrong += write_controls(name, judged_controls(name, ROOTS[:ROOTS_OF_CONTROLS]))
    return wrong


def judged_controls(name, at):
    """[(control, [outcome at each root]), ...]."""
    return [
        (control, [judge_control(name, control, changes=(("seeds.root", root),)).outcome for root in at])
        for control in load_paper(name).controls()
    ]


def others(outcomes, expected):
    """Roots at which an outcome is another, in words."""
    return ", ".join(f"root {root}: {one}" for root, one in enumerate(outcomes) if one != expected)


def write_roots(name, outcomes, seconds):
    """Put a paper's line into the table of papers; what is not as it must be."""
    off = others(outcomes, HOLDS)
    line = (name, f"{outcomes.count(HOLDS)} of {len(outcomes)}", off or "-", f"{seconds:.0f} s")
    write("roots", ("paper", "holds at", "otherwise", "processor time a root"), [line])
    return [f"{name}: {off}"] if off else []


def write_controls(name, judged):
    """Put a paper's lines into the table of controls; what is not as it must be."""
    lines, wrong = [], []
    for control, outcomes in judged:
        off = others(outcomes, control.expected)
        as_due = f"{outcomes.count(control.expected)} of {len(outcomes)}"
        lines.append((name, control.name, control.expected, as_due, off or "-"))
        wrong += [f"{name}, {control.name}: {off}"] if off else []
    write("controls", ("paper", "control", "must come out", "does at", "otherwise"), lines)
    return wrong


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
            if share + 3.0 * error < COVERAGE - ROOM:
                wrong.append(f"{law}, {count} values: {100 * share:.1f} %")
    write("coverage", ("values", "how many", "covers the median", "Monte Carlo error"), lines)
    return wrong


PARTS = {"roots": roots, "coverage": coverage}


def write(part, header, lines):
    """Put lines of a table between its marks on the page, in place of those that begin with the same words."""
    begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
    head, rest = PAGE.read_text(encoding="utf-8").split(begin)
    before, tail = rest.split(end)
    rows = [f"| {' | '.join(cells)} |" for cells in lines]
    ours = {cells[0] for cells in lines}
    kept = [row for row in before.splitlines()[3:] if row.startswith("| ") and row.split(" | ")[0][2:] not in ours]
    table = [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header))]
    body = "\n".join([*table, *sorted([*kept, *rows], key=lambda row: row.split(" | ")[0])])
    PAGE.write_text(f"{head}{begin}\n{body}\n{end}{tail}", encoding="utf-8")
    print(*rows, sep="\n", flush=True)


def main(names):
    """Run the parts; the exit status."""
    status = 0
    for name in names or PARTS:
        began = time.monotonic()
        wrong = PARTS[name]()
        print("\n".join(wrong), f"-- {name}: {time.monotonic() - began:.0f} s", flush=True)
        status = status or int(bool(wrong))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
