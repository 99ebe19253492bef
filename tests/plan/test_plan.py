"""The plan of a grid: engines, recorded moments and seeds, blocks, and the parts that it can be cut into."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlr.config.grid import GridConfig
from simlr.errors import InputError
from simlr.plan import plan as plans
from simlr.plan.block_size import SeedBytes, seeds_a_block
from simlr.plan.engines import CLOSED_FORM, MIXED, RECURRENCE, STOCHASTIC
from simlr.plan.recording import recorded_moments
from simlr.schedules.schedule import Phase, Schedule

FLOW = {"kind": "flow"}
CONSTANT = {"kind": "constant", "learning_rate": 1.0, "steps": 1000}


def planned(sizes=((2, 40),), **tables):
    base = {"problem": {"kind": "nakkiran2020"}, "stop": {"train_loss": 0.1}, "schedule": [FLOW]}
    return plans.Plan.of_grid(GridConfig.from_tables(base | tables), sizes)


# ---- engines ----

COSINE = {"kind": "cosine", "learning_rate": 1.0, "steps": 10_000}
SHORT = [{**CONSTANT, "steps": 63}, {**COSINE, "steps": 8191}]
VALIDATION = {"validation": {"patience": 3, "every": 64}}


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ({"schedule": [FLOW, CONSTANT, COSINE]}, [RECURRENCE, CLOSED_FORM, MIXED]),
        ({"schedule": SHORT}, [RECURRENCE, RECURRENCE]),
        ({"schedule": [CONSTANT, COSINE], "engine": "recurrence"}, [RECURRENCE, RECURRENCE]),
        ({"schedule": SHORT, "engine": "closed-form"}, [CLOSED_FORM] * 2),
        ({"schedule": [CONSTANT, COSINE], "stop": VALIDATION}, [CLOSED_FORM, RECURRENCE]),
        ({"schedule": [CONSTANT], "stop": {"validation": {"patience": 3, "every": 63}}}, [RECURRENCE]),
        ({"schedule": [CONSTANT], "optimizer": [{"kind": "momentum"}, {}]}, [STOCHASTIC, CLOSED_FORM]),
    ],
)
def test_engines(tables, expected):
    assert list(planned(((2, 64),), **tables).engines) == expected


def test_the_engine_is_that_of_the_whole_grid():
    """Cells of a part are computed as in the whole, to the bit, however few seeds it has."""
    whole = planned(((2, 64),), schedule=[COSINE], run={"block_seeds": 1})
    assert whole.engines == whole.part(0, 64).engines == whole.with_part([3, 5], 4).engines == (MIXED,)
    assert planned(((2, 63),), schedule=[COSINE]).engines == (RECURRENCE,)


# ---- moments ----


def joined(steps, flows):
    phases = (Phase("constant", steps, (("learning_rate", 1.0),)),) if steps else ()
    return Schedule("joined", "absolute", phases, flows)


@pytest.mark.parametrize(
    ("steps", "flows", "points", "expected"),
    [
        (3, False, 6, [0, 1, 2, 3, -1, -1]),
        (1000, False, 5, [0, 1, 10, 100, 1000]),
        (1, True, 5, [0, 1, 1, 1, 1]),
        (100, True, 7, [0, 1, 10, 100, 100, 100, 100]),
        (0, True, 3, [0, 0, 0]),
        (5, True, 1, [0]),
        (5, True, 0, []),
    ],
)
def test_recorded_moments(steps, flows, points, expected):
    taken, flow = recorded_moments(joined(steps, flows), points, 20.0)
    assert taken.dtype == np.int64 and taken.tolist() == expected
    in_flow = flow[~np.isnan(flow)]
    if in_flow.size > 1:
        ratio = 1000.0 ** (1.0 / (in_flow.size - 1))
        np.testing.assert_allclose(in_flow, 0.02 * ratio ** np.arange(in_flow.size), rtol=1e-14)
    assert in_flow.size == (points - 1 - np.unique(taken[taken > 0]).size if flows and points else 0)


# ---- seeds, blocks and parts ----

sizes_of_problems = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 30)), min_size=1, max_size=4).map(tuple)


@given(
    sizes=sizes_of_problems,
    kept=st.one_of(st.just("all"), st.integers(0, 40)),
    points=st.sampled_from([0, 3]),
    block=st.integers(1, 50),
    count=st.integers(1, 6),
)
def test_parts_put_together_are_the_whole(sizes, kept, points, block, count):
    whole = planned(sizes, record={"points": points, "seeds": kept}, run={"block_seeds": block})
    firsts = np.cumsum([0, *(draws for _, draws in sizes)])
    draws = {int(start) + k: k for start, (_, n) in zip(firsts[:-1], sizes, strict=True) for k in range(n)}
    expected = [seed for seed, k in draws.items() if points and (kept == "all" or k < kept)]
    assert whole.recorded_rows(0, whole.seeds)[1].tolist() == expected
    assert whole.dimension == max(d for d, _ in sizes)
    if count > whole.blocks:
        with pytest.raises(InputError, match="so at most as many shards"):
            whole.part(0, count)
        return
    parts = [whole.part(index, count) for index in range(count)]
    ends = np.cumsum([part.seeds for part in parts]).tolist()
    assert [part.first for part in parts] == [0, *ends[:-1]] and ends[-1] == whole.seeds
    starts = np.concatenate([part.block_starts + part.first for part in parts])
    np.testing.assert_array_equal(starts, whole.block_starts)
    seeds = np.concatenate([part.recorded_rows(0, part.seeds)[1] + part.first for part in parts])
    assert seeds.tolist() == expected and sum(part.recorded for part in parts) == len(expected)
    row = 0
    for part in parts:  # rows are counted from 0 in every part
        for first, n in zip(part.block_starts, part.block_sizes, strict=True):
            of_block, recorded = part.recorded_rows(int(first), int(first) + n)
            if recorded.size:
                assert of_block == row
                row += recorded.size
        assert row == part.recorded
        row = 0


def test_cutting_leaves_the_plan_as_it_was():
    whole = planned(((2, 40),), run={"block_seeds": 8})
    before = whole.block_starts.tolist()
    part = whole.with_part([8, 20], 17)
    assert (part.first, part.seeds, part.block_starts.tolist(), part.block_sizes) == (8, 17, [0, 12], [12, 5])
    assert whole.with_blocks([0, 3]).block_sizes == [3, 37] and part.with_blocks([0]).seeds == 40
    assert whole.block_starts.tolist() == before == [0, 8, 16, 24, 32] and whole.blocks == 5
    assert part.tables is whole.tables  # made once, whatever the part


@pytest.mark.parametrize(
    ("wanted", "seeds", "schedules", "one", "expected"),
    [
        (7, 100, 1, (1, 0), 7),
        (7, 5, 1, (1, 0), 5),
        (0, 5, 1, (1, 0), 1),
        (0, 100, 1, (1, 0), 6),
        (0, 10**9, 1, (1, 0), 32768),
        (0, 10**9, 100, (1, 0), 320),
        (0, 10**9, 10**6, (1, 0), 64),
        (0, 10**9, 1, (1 << 20, 0), 64),
        (0, 10**9, 1, (1, 1 << 20), 128),
        (0, 10**9, 1, (1 << 30, 0), 1),
    ],
)
def test_seeds_a_block(wanted, seeds, schedules, one, expected):
    assert seeds_a_block(wanted, seeds, schedules, SeedBytes(*one)) == expected


def test_a_grid_of_more_cells_than_can_be_counted_is_refused():
    with pytest.raises(InputError, match="grid: 9007199254740992 cells, more than the 4503599627370496"):
        planned(((2, 2**53),))
