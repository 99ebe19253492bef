"""What a grid says in few words: shares of steps, budgets, lists that go together; and all its faults in one go."""

import math

import numpy as np
import pytest
import runs

from simlr.config.grid import GridConfig
from simlr.errors import InputError, InputErrors
from simlr.inputs import toml
from simlr.schedules.tabulation import tabulate

BASE = """
[problem]
kind = "nakkiran2020"
[stop]
steps = [20, 100]
"""


def grid(text, base=BASE):
    return GridConfig.from_toml(base + text)


def lengths(config):
    return [schedule.length for schedule, _ in config.schedules()]


# ---- shares, budgets, zipped lists, phases of no steps ----


def test_shares_of_the_steps_are_whole_steps_of_each_schedule():
    config = grid("""
        [[schedule]]
        kind = "wsd"
        learning_rate = 1.0
        steps = [20, 100]
        warmup_fraction = 0.1
        decay_fraction = 0.25
    """)
    assert config.schedule[0]["kind"] == "warmup_stable_decay" and config.schedule[0]["name"] == "wsd"
    for schedule, told in config.schedules():
        steps = schedule.length
        assert (told["warmup_steps"], told["decay_steps"]) == (round(0.1 * steps), round(0.25 * steps))
        assert told["decay_fraction"] == 0.25
        plain = tabulate(
            "warmup_stable_decay", steps=steps, learning_rate=1.0, warmup_steps=round(0.1 * steps),
            decay_steps=round(0.25 * steps),
        )  # fmt: skip
        np.testing.assert_array_equal(schedule.rates(0, steps), plain)
    assert GridConfig.from_toml(config.to_toml()) == config


@pytest.mark.parametrize("steps", range(1, 30))
def test_two_halves_are_all_steps(steps):
    rates = {"kind": "wsd", "learning_rate": 1.0, "steps": steps, "warmup_fraction": 0.5, "decay_fraction": 0.5}
    if steps == 1:
        with pytest.raises(InputError, match="less than half a step"):
            GridConfig.from_tables({**toml.read(BASE)[0], "schedule": [rates]})
        return
    ((_, told),) = GridConfig.from_tables({**toml.read(BASE)[0], "schedule": [rates]}).schedules()
    assert abs(told["warmup_steps"] - steps / 2) <= 0.5 and abs(told["decay_steps"] - steps / 2) <= 0.5
    assert told["warmup_steps"] + told["decay_steps"] <= steps


def test_a_misspelt_list_of_phases_is_named():
    phases = [{"kind": "constant", "learning_rate": 1.0, "steps": 20}]
    with pytest.raises(InputError) as refusal:
        GridConfig.from_tables({**toml.read(BASE)[0], "schedule": [{"name": "p", "phase": phases}]})
    assert str(refusal.value) == "schedule 'p': unknown key 'phase'; did you mean 'phases'?"


def test_each_budget_has_its_own_schedule():
    config = grid('[[schedule]]\nkind = "cosine"\nlearning_rate = 1.0\nsteps = "budget"')
    assert lengths(config) == [20, 100]
    listed = grid('[[schedule]]\nkind = "cosine"\nlearning_rate = 1.0\nsteps = [20, 100]')
    assert config.identity() == listed.identity()
    config = grid("""
        [[schedule]]
        phases = [{ kind = "warmup", learning_rate = 1, steps = 5 },
                  { kind = "cosine", learning_rate = 1, steps = "budget" }]
    """)
    assert lengths(config) == [20, 100]
    assert [schedule.phases[1].steps for schedule, _ in config.schedules()] == [15, 95]
    with pytest.raises(
        InputError, match=r"more than the 20 steps of the other phases of schedule 'schedule-1', got 20"
    ):
        grid("""
            [[schedule]]
            phases = [{ kind = "warmup", learning_rate = 1, steps = 20 },
                      { kind = "cosine", learning_rate = 1, steps = "budget" }]
        """)
    with pytest.raises(InputError, match=r"'budget' stands for each of stop.steps, and the grid has no budgets"):
        grid(
            '[[schedule]]\nkind = "cosine"\nlearning_rate = 1.0\nsteps = "budget"', BASE.replace("steps", "train_loss")
        )


def test_lists_that_go_together_are_one_axis():
    config = grid("""
        [[schedule]]
        name = "s"
        kind = "step"
        zip = [["learning_rate", "steps"]]
        gamma = [0.1, 0.5]
        learning_rate = [1.0, 2.0, 3.0]
        step_size = 10
        steps = [10, 20, 30]
    """)
    found = [(told["gamma"], told["learning_rate"], told["steps"]) for _, told in config.schedules()]
    assert found == [(gamma, rate, 10 * rate) for gamma in (0.1, 0.5) for rate in (1, 2, 3)]
    assert len(config.combinations()) == len(config.families()) == 6
    assert config.schedules()[1][0].name == "s[gamma=0.1,learning_rate=2.0,steps=20]"
    assert GridConfig.from_toml(config.to_toml()) == config
    assert config.identity() != grid(config.to_toml().replace("zip", "# zip"), base="").identity()


def test_lists_of_phases_go_together():
    config = grid("""
        [[schedule]]
        zip = [["phase1.learning_rate", "phase2.learning_rate"]]
        phases = [{ kind = "warmup", learning_rate = [1, 2], steps = 5 },
                  { kind = "cosine", learning_rate = [1, 2], steps = 9 }]
    """)
    assert [(told["phase1_learning_rate"], told["phase2_learning_rate"]) for _, told in config.schedules()] == [
        (1.0, 1.0),
        (2.0, 2.0),
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('"steps"', "schedule 's'.zip must be a list of lists of two keys or more"),
        ('[["steps"]]', "schedule 's'.zip must be a list of lists of two keys or more"),
        ('[["steps", "learning_rat"]]', "unknown list of the table 'learning_rat'; did you mean 'learning_rate'?"),
        ('[["steps", "learning_rate"]]', "lists that go together are of one length; steps has 3, learning_rate has 2"),
        ('[["steps", "steps"]]', "must be a list with every key once"),
    ],
)
def test_lists_that_cannot_go_together(value, message):
    with pytest.raises(InputError) as refusal:
        grid(f'[[schedule]]\nname = "s"\nkind = "constant"\nzip = {value}\nsteps = [1, 2, 3]\nlearning_rate = [1, 2]')
    assert message in str(refusal.value)


def test_a_phase_of_no_steps_is_left_out():
    config = grid("""
        [[schedule]]
        phases = [{ kind = "warmup", learning_rate = 1, steps = [0, 5] },
                  { kind = "cosine", learning_rate = 1, steps = 9 }]
    """)
    without, with_it = (schedule for schedule, _ in config.schedules())
    assert (without.length, with_it.length) == (9, 14)
    np.testing.assert_array_equal(without.rates(0, 9), with_it.rates(5, 14))
    with pytest.raises(InputError, match="none of its phases has a step"):
        grid('[[schedule]]\nphases = [{ kind = "constant", learning_rate = 1, steps = 0 }]')
    with pytest.raises(InputError, match="must be a whole number >= 1, got 0"):
        grid('[[schedule]]\nkind = "constant"\nlearning_rate = 1\nsteps = 0')


# ---- restarts ----


def test_restarts_equal_those_of_torch_at_every_step():
    """The recurrence of CosineAnnealingWarmRestarts.step() without an epoch, for whole factors."""
    random = np.random.default_rng(0)
    for _ in range(20):
        top, first, factor = random.uniform(0.01, 3.0), int(random.integers(1, 40)), int(random.integers(1, 4))
        end = top * random.uniform(0.0, 0.5)
        found = tabulate(
            "falling_restarts", steps=300, learning_rate=top, cycle_steps=first, cycle_growth=factor,
            end_learning_rate=end,
        )  # fmt: skip
        period, within, expected = first, 0, []
        for _ in range(300):
            expected.append(end + (top - end) * (1 + math.cos(math.pi * within / period)) / 2)
            within += 1
            if within >= period:
                within, period = within - period, period * factor
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * top)


def test_peaks_fall_by_their_factor():
    rates = tabulate(
        "falling_restarts", steps=40, learning_rate=1.0, cycle_steps=10, peak_factor=0.5, end_learning_rate=0.2
    )
    np.testing.assert_allclose(rates[::10], [1.0, 0.6, 0.4, 0.3], rtol=1e-15)


# ---- faults ----

WRONG = """
nam = "x"
[problem]
kind = "nakkiran2021"
[stopp]
train_loss = 1
[record]
points = -1
seed = 3
[[schedule]]
kind = "cosin"
[[schedule]]
name = "b"
kin = "constant"
learning_rate = 1.0
[[schedule]]
kind = "constant"
learning_rate = -1.0
stepz = 3
[[noise]]
knd = "none"
"""


def test_all_faults_are_told_in_one_go(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(WRONG)
    with pytest.raises(InputErrors) as refusal:
        GridConfig.from_toml(path)
    lines = refusal.value.faults
    assert all(line.startswith(f"{path}: ") for line in lines) and len(lines) == len(set(lines))
    told = [
        *("grid: unknown key 'nam'; did you mean 'name'?", "grid: unknown key 'stopp'; did you mean 'stop'?"),
        "problem.kind: unknown kind 'nakkiran2021'; did you mean 'nakkiran2020'?",
        *("record: unknown key 'seed'; did you mean 'seeds'?", "record.points must be a whole number >= 0, got -1"),
        "schedule 'schedule-1': unknown kind 'cosin'; did you mean 'cosine'?",
        "schedule 'b': unknown key 'kin'; did you mean 'kind'?",
        "schedule 'constant' (kind 'constant'): unknown key 'stepz'; did you mean 'steps'?",
        *("noise[0]: unknown key 'knd'; did you mean 'kind'?",),
    ]
    assert sorted(line.removeprefix(f"{path}: ") for line in lines) == sorted(told)


@pytest.mark.parametrize(("wrong", "right"), [("stopp", "stop"), ("problm", "problem"), ("schedules", "schedule")])
def test_a_table_under_a_misspelled_name_is_not_missing_besides(wrong, right):
    schedule = {"kind": "linear", "learning_rate": 0.1, "steps": "budget"}
    tables = {"problem": {"kind": "nakkiran2020"}, "stop": {"steps": [3]}, "schedule": [schedule]}
    tables[wrong] = tables.pop(right)
    with pytest.raises(InputError) as refusal:
        GridConfig.from_tables(tables)
    assert refusal.value.faults == [f"grid: unknown key {wrong!r}; did you mean {right!r}?"]


def test_budgets_under_a_misspelled_key_are_not_missing_besides():
    schedule = {"kind": "linear", "learning_rate": 0.1, "steps": "budget"}
    with pytest.raises(InputError) as refusal:
        GridConfig.from_tables({"problem": {"kind": "nakkiran2020"}, "stop": {"stepss": [3]}, "schedule": [schedule]})
    assert refusal.value.faults == ["stop: unknown key 'stepss'; did you mean 'steps'?"]


def test_the_command_tells_them_a_line_each(tmp_path):
    (tmp_path / "mine.toml").write_text(WRONG)
    done = runs.command("mine.toml", cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 9 and all(line.startswith("simlr: mine.toml: ") for line in lines)


# ---- mistakes of typing: the table of docs/mistakes.md ----

PAGE = (runs.ROOT / "docs/mistakes.md").read_text(encoding="utf-8")
MISTAKES = [
    line.strip("| ").split("` | `") for line in PAGE.splitlines() if line.startswith("| `") and "| `simlr " not in line
]
GRID = PAGE.partition("```toml\n")[2].partition("```")[0]


def test_there_are_twenty_mistakes_and_the_grid_is_right():
    assert len(MISTAKES) >= 20
    GridConfig.from_toml(GRID)


@pytest.mark.parametrize(("written", "line"), MISTAKES, ids=[row[0] for row in MISTAKES])
def test_each_mistake_gets_its_line(written, line):
    key, _, value = written.strip("`").partition(" = ")
    value = toml.read(f"value = {value}\n")[0]["value"]
    with pytest.raises(InputError) as refusal:
        GridConfig.from_toml(GRID, [(key, value)])
    assert str(refusal.value) == line.strip("`")
