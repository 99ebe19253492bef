"""Published claims, one file a paper: what it claims, what is run for it, and how that is judged.

A file simlr/papers/NAME.py is all that a paper takes; nothing elsewhere names it. docs/adding-a-paper.md walks through
one. It has

    SOURCE          the citation, with the arXiv number and where in the paper the claim stands
    CLAIM           the claim, one sentence
    RECONSTRUCTION  what is ours rather than the paper's: choices it leaves open, sizes that were made smaller
    GRID            what is run, TOML: a grid of schedules x seeds, or a study (below)
    check(run)      the `Verdict` on a run of it, by `Finding`s: each measurement beside the paper's figure
    controls()      settings whose outcome is known, as `Control`s: most break the claim, and the check has to see it

and may have

    PROBLEM         a `simlr.problems.source.Problem` of its own, a problem kind NAME for any grid
    STUDY           a `simlr.config.study.Study` of its own, for what is no grid of quadratics (a network, a bound, ...)
    pictures(run)   its pictures, [`simlr.report.figures.style.Picture`, ...], the one that a talk would show first
    theory(run), annealers(run)    a line for the picture of ratios of a grid (see `nakkiran2020`)

A grid belongs to a paper where its problem kind is the paper's name; a study, where its [study] kind is.

A paper may import claims, config, problems, schedules, inputs and store as it is loaded, and whatever else it needs
(kernels, engine, grid, report.figures) inside the function that needs it: loading all papers loads no Numba.
"""

from ..claims.registry import load_paper as load
from ..claims.registry import paper_names as names

__all__ = ["load", "names"]
