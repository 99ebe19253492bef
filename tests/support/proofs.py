"""`make proofs`: what takes too long for a test, run by hand; its figures go to docs.

    python tests/support/proofs.py [PART ...]      roots coverage laws noise means tests; all of them by default
    SIMLR_PROOF_ROOTS=5 SIMLR_PROOF_CONTROLS=2 SIMLR_PROOF_PAPERS="wu2021 li2019" python tests/support/proofs.py roots

A small member of each part is among the tests (tests/papers, tests/analysis). Exit status 1 where a verdict is not what
it must be, or an interval covers less than it says. A part or paper that was not run keeps its lines.
"""

import os
import subprocess
import sys
import time

import expectation_proofs
import law_proofs
import noise_order
import numpy as np
import runs

import simlr
from simlr.analysis import growth
from simlr.analysis.statistics import COVERAGE, RESAMPLES, joint_medians, median_interval, sign_test, wilson
from simlr.analysis.verdict import verdict_of
from simlr.claims.registry import load_paper, paper_names
from simlr.claims.verdict import HOLDS
from simlr.config import read
from simlr.papers._judging import judge_control

PAGE, ANALYSIS = runs.ROOT / "docs/proofs.md", runs.ROOT / "docs/analysis.md"
LAWS, NOISE = runs.ROOT / "docs/laws.md", runs.ROOT / "docs/li-wei-ma.md"
EXPECTATION = runs.ROOT / "docs/expectation.md"
ROOTS = range(int(os.environ.get("SIMLR_PROOF_ROOTS", "20")))
PAPERS = os.environ.get("SIMLR_PROOF_PAPERS", "").split() or paper_names()
# At most so many of them: the controls are many.
ROOTS_OF_CONTROLS = int(os.environ.get("SIMLR_PROOF_CONTROLS", "20"))
REPLICATIONS = 10_000
LEAST = 0.94
COVERAGE_HEADER = ("of what", "values", "samples", "covers", "Monte Carlo error")
SAMPLES = (6, 8, 20, 100, 1000)
# Values of an exponent's sample -> how many samples: its interval is of resamples, which take long.
# True shares of wins, for the interval of a share.
SHARES = (0.5, 0.75, 0.9, 0.99)
GROWN = {20: 3000, 100: 500, 1000: 50}
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
    """How often intervals hold what they are of, and sign tests do not find what is not there."""
    lines, wrong = [], []
    for law, (draw, median) in DISTRIBUTIONS.items():
        for count in SAMPLES:
            values = draw(np.random.default_rng(count), (REPLICATIONS, count))
            ends = np.array([median_interval(one)[1:] for one in np.sort(values, axis=1)])
            held = (ends[:, 0] <= median) & (median <= ends[:, 1])
            lines.append(_covers(f"median, {law}", count, held, wrong))
            wins = (values < median).sum(axis=1)
            held = np.array([sign_test(int(w), int(count - w)) for w in wins]) > 1.0 - COVERAGE
            lines.append(_covers(f"sign test, {law}", count, held, wrong))
        for count, times in GROWN.items():
            lines.append(_covers(f"exponent, {law}", count, _exponents_held(draw, median, count, times), wrong))
    lines += shares_cover(wrong)
    write("coverage", COVERAGE_HEADER, lines, ANALYSIS)
    return wrong


def shares_cover(wrong):
    """The lines of the interval of a share of wins."""
    lines = []
    for share in SHARES:
        for count in SAMPLES:
            wins = np.random.default_rng(count).binomial(count, share, REPLICATIONS)
            _, low, high = wilson(wins, np.full(REPLICATIONS, count))
            lines.append(_covers(f"share of wins, true {share:g}", count, (low <= share) & (share <= high), wrong))
    return lines


def _covers(what, count, held, wrong):
    """A line of the table; added to `wrong` where it lies below `LEAST` by more than chance."""
    share = held.mean()
    error = np.sqrt(share * (1.0 - share) / held.size)
    if share + 2.0 * error < LEAST:
        wrong.append(f"{what}, {count} values: {100 * share:.1f} %")
    return what, str(count), f"{held.size:,}", f"{100 * share:.1f} %", f"{100 * error:.1f} %"


def _exponents_held(draw, median, count, times):
    """Whether the intervals of exponents hold the true one: losses of 5 rates at 2 batch sizes, best ~ batch size^1.

    The losses of a seed are exp(parabola in the logarithm of the rate + noise), noise of the law divided by 8.
    """
    generator, rates = np.random.default_rng(count), np.geomspace(0.1, 1.6, 5)
    held = np.empty(times, bool)
    for i in range(times):
        points = []
        for best in (0.3, 0.6):
            noise = (draw(generator, (rates.size, count)) - median) / 8.0
            losses = np.exp(np.clip(np.log(rates / best)[:, None] ** 2 + noise, -50.0, 50.0))
            parts = [growth.vertices(rates, part) for part in joint_medians(losses, RESAMPLES // 4)]
            points.append(np.concatenate(parts))
        low, high = growth.interval((points[1] - points[0]) / np.log(2.0))
        held[i] = low <= 1.0 <= high
    return held


def tests():
    """The tests that are marked `proof`."""
    ended = subprocess.run([sys.executable, "-m", "pytest", "-q", "-n", "2", "-m", "proof"], cwd=runs.ROOT, check=False)
    return [] if ended.returncode == 0 else [f"tests marked proof: pytest ends with status {ended.returncode}"]


def laws():
    """How often intervals of the laws hold what they are of, and what laws make of exact curves; no outcome is due."""
    write("coverage", law_proofs.HEADER, law_proofs.coverage(), LAWS)
    write("exponents", law_proofs.EXPONENT_HEADER, law_proofs.exponents(), LAWS)
    write("exact curves", *law_proofs.unseen(), LAWS)
    return []


def noise():
    """Whether noise alone changes what a large rate learns first: no outcome is due, so none is wrong."""
    cells, outcome, lines = noise_order.measured(noise_order.SCALES, noise_order.LARGEST)
    write("noise", noise_order.HEADER, cells, NOISE)
    print(outcome, *lines, sep="\n")
    return []


def means():
    """Exact means beside drawn runs."""
    lines, wrong = expectation_proofs.sampled()
    write("sampled", expectation_proofs.HEADER, lines, EXPECTATION)
    return wrong


def stability():
    """A million steps just below the limit of stability, and just above."""
    lines, wrong = expectation_proofs.beside_the_limit()
    write("stability", expectation_proofs.STABLE_HEADER, lines, EXPECTATION)
    return wrong


PARTS = {
    "roots": roots,
    "coverage": coverage,
    "laws": laws,
    "noise": noise,
    "means": means,
    "stability": stability,
    "tests": tests,
}


def write(part, header, lines, page=PAGE):
    """Put lines of a table between its marks on the page, in place of those that begin with the same words."""
    begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
    head, rest = page.read_text(encoding="utf-8").split(begin)
    before, tail = rest.split(end)
    rows = [f"| {' | '.join(cells)} |" for cells in lines]
    ours = {cells[0] for cells in lines}
    kept = [row for row in before.splitlines()[3:] if row.startswith("| ") and row.split(" | ")[0][2:] not in ours]
    table = [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header))]
    body = "\n".join([*table, *sorted([*kept, *rows], key=lambda row: row.split(" | ")[0])])
    page.write_text(f"{head}{begin}\n{body}\n{end}{tail}", encoding="utf-8")
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
