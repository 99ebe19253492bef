"""Settings of several papers that cannot be: refused in one line, in place of another setting, a verdict or a crash."""

import pytest

from simlr.claims.registry import load_paper
from simlr.config.reading import read
from simlr.errors import InputError
from simlr.grid.job import run

SMALL = {
    "bansal2021": {"trials": 1, "epochs": 1, "units": 4, "features": 4},
    "rouchouse2025": {"widths": [4], "steps": 2, "draws": 2},
    "wang2026": {"dimension": 8, "modes": 8, "bins": 8},
    "wu2018": {"dimension": 4},
    "zhang2019": {"dimension": 4},
    "wu2024": {"horizons": [1, 2, 3]},
    "andriushchenko2023": {"steps": 10},
}
REFUSED = [
    ("li2025", {"capacity": [2.0, 4.0, 3.0]}, "study.source must have as many numbers as study.capacity, 3, got 2"),
    ("li2026", {"source": [1.5]}, "study.source must have as many numbers as study.capacity, 2, got 1"),
    ("li2025", {"capacity": [1e300, 4.0]}, r"capacity 1e\+300, source 1.5 and spread 2 make curvatures"),
    ("wu2024", {"wrong": 5}, "study.wrong must be at most study.rows, 4, got 5"),
    ("wu2024", {"told_margin": 1e300}, "study.told_margin must be 0, or a number from 1e-100 to 1e100"),
    ("wu2024", {"told_margin": 1e-300}, "study.told_margin must be 0, or a number from 1e-100 to 1e100"),
    ("wu2024", {"margin": 1e300}, "study.margin must be a number > 0, at most 1e100"),
    ("andriushchenko2023", {"nonzero": 201}, "study.nonzero must be at most study.dimension, 200, got 201"),
    ("andriushchenko2023", {"shares": [0.0, 0.001]}, r"study.shares must be apart by a step at least, got \[0, 0\]"),
    ("cohen2021", {"start": 1e200}, "study.start must be a number from 1e-50 to 1e50"),
    ("cohen2021", {"length": 0.0}, "study.length must be a number from 1e-50 to 1e50"),
    ("wang2026", {"batch_powers": [0.25, 0.65, 0.995]}, r"study.batch_powers: b = 0.995 takes batches of 2\^1990 rows"),
    ("wang2026", {"log_apart": 1000}, "study.log_apart must be a whole number from 1 to 20"),
    ("wang2026", {"least_left": 2.0}, "study.least_left must be a number > 0, at most 1"),
    ("zhang2019", {"least_share": 2.0}, "study.least_share must be a number > 0, at most 1"),
    ("zhang2019", {"bins": 1}, "study.bins must be 2 or more for curvatures that differ, got 1"),
    ("zhang2019", {"capacity": 1e300}, "study.capacity or study.jitter: too large"),
    ("wu2018", {"jitter": 1e300}, "study.capacity or study.jitter: too large"),
    ("wu2018", {"start": 1e300}, "study.start, study.sigma or study.noise_exponent: too large"),
    ("wu2018", {"sigma": 1e300}, "study.start, study.sigma or study.noise_exponent: too large"),
    ("wu2018", {"noise_exponent": 1e300}, "study.start, study.sigma or study.noise_exponent: too large"),
    ("bansal2021", {"noise": 2.0}, "study.noise must be a probability above 0"),
    ("bansal2021", {"components": 65}, "study.components must be a whole number from 1 to 64"),
    ("bansal2021", {"train_rows": 1797}, "study.train_rows must be below the 1797 rows that there are, got 1797"),
    ("bansal2021", {"train_rows": 8}, "study.batch must be at most study.train_rows, 8, got 32"),
    ("pan2022", {"rows": 1}, "study.rows must be a whole number >= 2, got 1"),
    ("pan2022", {"most_steps": 5}, "study.most_steps or the rows: schedule 'eigencurve'.steps must be at least 10"),
    ("pan2022", {"interval_ratio": 1.0}, "study.interval_ratio must be a finite number >= 1.01, got 1"),
    ("pan2022", {"alpha": 1e-300, "rows": 50}, "study.alpha is too small for these rows"),
    ("luo2025", {"losses": 2, "fitted": ["cosine"]}, "study.losses: 2 on each of 1 curves are not more than the 7"),
    ("pan2022", {"skew": 1e300, "labels": "linear"}, "study.labels: linear labels need rows that differ"),
    ("rouchouse2025", {"train_rows": 5000}, "study.train_rows must be below the 1797 rows"),
    ("rouchouse2025", {"train_rows": 8}, "study.batch must be at most study.train_rows, 8, got 32"),
]


@pytest.mark.parametrize(("paper", "own", "message"), REFUSED)
def test_a_setting_that_cannot_be_is_refused(paper, own, message):
    if paper in ("bansal2021", "rouchouse2025"):
        pytest.importorskip("sklearn")
    changes = [(f"study.{key}", value) for key, value in (SMALL.get(paper, {}) | own).items()]
    with pytest.raises(InputError, match=message):
        run(read(load_paper(paper).GRID, [*changes, ("seeds.count", 1)]))
