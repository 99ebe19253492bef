"""Settings that a claim is not about, and draws that are none: undecided with the reason, and no warning of NumPy's."""

import warnings

import pytest

import simlr
from simlr.analysis.verdict import verdict_of
from simlr.claims.registry import load_paper
from simlr.claims.verdict import FAILS, HOLDS, UNDECIDED, Finding, outside
from simlr.config.reading import read

QUICK = {
    "li2025": {
        "seeds.count": 2,
        "study.capacity": [2.0],
        "study.source": [1.5],
        "study.horizons": [10**4, 10**6, 10**8],
    },
    "li2026": {"seeds.count": 2, "study.rounds": 1, "study.horizons": [10**6, 10**8]},
    "wang2026": {"seeds.count": 2, "study.dimension": 16, "study.modes": 100},
    "luo2025": {"seeds.count": 2, "study.modes": 20, "study.losses": 10, "study.starts": 1, "study.steps": 500},
    "zhang2019": {"seeds.count": 3, "study.rates": 40, "study.momenta": 6, "study.dimension": 300},
    "pan2022": {"seeds.count": 12, "study.rows": 200, "study.tuning": 2},
    "wu2018": {"seeds.count": 12, "study.horizons": [1, 16], "study.dimension": 20},
}
COPIES = "copies of one problem tell nothing of others"
OUTSIDE = [
    ("li2025", {"study.spread": 1.0}, COPIES),
    ("li2025", {"study.spread": 1.0000001}, COPIES),
    ("wang2026", {"study.spread": 1.01}, COPIES),
    ("li2025", {"study.spread": 100.0}, "study.spread is above 4"),
    ("li2025", {"study.bins": 20}, "less than 8 for a factor of ten"),
    ("li2026", {"study.spread": 1.0, "study.bins": 20}, COPIES),
    ("wang2026", {"study.spread": 1.0, "study.bins": 9}, COPIES),
    ("luo2025", {"study.spread": 1.0}, COPIES),
    ("luo2025", {"study.fitted": ["constant"]}, "the claim is of fits to all of constant, cosine, two-stage"),
    ("luo2025", {"study.sigma": 1e6}, "2 of 2 draws have no R2; their losses are beyond 1,000, or flat"),
    ("pan2022", {"study.rates": 3}, "study.rates below 7 tunes nothing"),
    ("pan2022", {"study.largest_rate": 1e-7}, "best rate is the first or the last of the mesh"),
    ("pan2022", {"study.alpha": 10.0}, "its condition number is below 100"),
    ("pan2022", {"study.interval_ratio": 1e9}, "study.interval_ratio is above 4"),
    ("pan2022", {"study.label_noise": 100.0}, "fewer than 1,000 steps are short for a skewed Hessian"),
    ("wu2018", {"study.noise_exponent": 0.0}, "noise whose variance is not h^2 sigma^2 is not the claim's"),
    ("zhang2019", {"study.momenta": 1}, "study.momenta below 5 tunes nothing"),
    ("zhang2019", {"study.batches": [1000, 1001, 1002]}, "to be below the critical one"),
    ("zhang2019", {"study.batches": [32, 64, 128]}, "to be above the critical one"),
    ("zhang2019", {"study.batches": [1e12, 1e13, 1e14]}, "to be below the critical one"),
    ("zhang2019", {"study.target": 0.9}, "to be below the critical one"),
    ("zhang2019", {"study.noise": 0.0}, "to be below the critical one"),
    ("zhang2019", {"study.dimension": 3}, "to be below the critical one"),
    ("wu2018", {"study.horizons": [1, 3, 9]}, "of fewer than 32 steps"),
    ("wu2018", {"study.sigma": 0.0}, "noise is not felt"),
    ("wu2018", {"study.sigma": 1e4}, "noise is not felt"),
    ("wu2018", {"study.horizons": [1, 2]}, "no horizon is long"),
]


def judged(paper, settings):
    """The verdict at some settings; NumPy's warnings are errors."""
    if paper in ("li2026", "luo2025", "wu2018", "zhang2019"):
        pytest.importorskip("scipy")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return verdict_of(simlr.run(read(load_paper(paper).GRID, [*(QUICK[paper] | settings).items()])))


@pytest.mark.parametrize(("paper", "settings", "why"), OUTSIDE)
def test_settings_of_no_claim_are_undecided_and_say_why(paper, settings, why):
    found = judged(paper, settings)
    assert found.outcome == UNDECIDED
    assert FAILS not in {one.outcome for one in found.findings}
    assert any(why in line for line in found.lines)


def test_rows_that_are_all_alike_say_nothing_of_a_skewed_hessian(tmp_path):
    file = tmp_path / "alike.txt"
    file.write_text("1 1:1\n" * 100 + "-1 1:1\n" * 50, encoding="ascii")
    found = judged("pan2022", {"study.file": str(file)})
    assert found.outcome == UNDECIDED and any("the rows are all alike" in line for line in found.lines)


def test_outside_takes_back_what_speaks_against_and_nothing_else():
    holds, fails = Finding("a", 1.0, "> 0"), Finding("a", -1.0, "> 0", "", FAILS, "p = 1")
    assert outside(holds, "why") == holds and outside(fails, "") == fails and holds.outcome == HOLDS
    assert outside(fails, "why")[4:] == (UNDECIDED, "p = 1; why")
