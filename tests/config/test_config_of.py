"""What `simlr.run` takes in the place of a config."""

from pathlib import Path

import numpy as np
import pytest
import runs

from simlr.config.grid import GridConfig
from simlr.config.reading import config_of
from simlr.errors import InputError

TABLES = {
    "problem": {"kind": "nakkiran2020", "theta_star": np.array([1.0, 2.0])},
    "seeds": {"count": np.int64(3)},
    "stop": {"steps": range(5, 8)},
    "record": {"points": 0},
    "schedule": [{"kind": "constant", "learning_rate": np.linspace(0.1, 0.3, 3)}],
}


def test_arrays_and_ranges_are_lists():
    config = config_of(TABLES)
    assert config.levels == [5, 6, 7] and config.problem["theta_star"] == (1.0, 2.0)
    assert config.schedule[0]["learning_rate"] == np.linspace(0.1, 0.3, 3).tolist()
    assert config_of(config) is config


def test_text_paths_and_papers_are_read(tmp_path):
    config = config_of(TABLES)
    path = tmp_path / "mine.toml"
    path.write_text(config.to_toml())
    assert config_of(config.to_toml()) == config_of(path) == config_of(str(path)) == config
    assert isinstance(config_of("nakkiran2020"), GridConfig)
    assert config_of(str(Path(runs.ROOT) / "data/diabetes.toml")).name == "diabetes"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (3, "run must be a GridConfig, a dict, a path, TOML text or a paper's name, got 3"),
        ("nakiran2020", "run: unknown file or paper 'nakiran2020'; did you mean 'nakkiran2020'?"),
    ],
)
def test_what_is_none_of_them_is_refused(source, message):
    with pytest.raises(InputError) as refusal:
        config_of(source)
    assert str(refusal.value) == message
