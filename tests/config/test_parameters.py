"""The one reader of tables of parameters, and what it is told of them."""

import pytest

from simlr.config.axes import cast_different, check_axis, count_combinations, expand
from simlr.errors import InputError
from simlr.inputs import rules
from simlr.inputs.parameters import REQUIRED, Parameter, check_keys, read_parameters

PARAMETERS = (Parameter("size", rules.count, REQUIRED, "how many"), Parameter("at", rules.vector(2), (0.0, 1.0)))


def test_values_are_cast_and_complete_in_order():
    assert list(read_parameters("t", {"at": [1, 2], "size": 3}, PARAMETERS).items()) == [
        ("size", 3),
        ("at", (1.0, 2.0)),
    ]
    assert read_parameters("t", {"size": 3, "kind": "x"}, PARAMETERS, others=("kind",)) == {"size": 3, "at": (0.0, 1.0)}


@pytest.mark.parametrize(
    ("table", "kind", "message"),
    [
        ({}, None, "t: size is missing"),
        ({}, "k", "t (kind 'k'): size is missing"),
        ({"sise": 1}, "k", "t (kind 'k'): unknown key 'sise'; did you mean 'size'?"),
        ({"zzz": 1}, None, "t: unknown key 'zzz'; valid are 'kind', 'size', 'at'"),
        ({"size": 0}, "k", "t.size must be a whole number >= 1, got 0"),
        ({"size": 1, "at": [1]}, None, "t.at must be a list of 2 finite numbers, got [1]"),
    ],
)
def test_what_is_wrong_is_refused(table, kind, message):
    with pytest.raises(InputError) as refusal:
        read_parameters("t", table, PARAMETERS, kind, others=("kind",))
    assert str(refusal.value) == message


def test_keys_alone():
    check_keys("t", {"a": 1}, ("a", "b"))
    with pytest.raises(InputError, match="t: unknown key 'c'; valid are 'a', 'b'"):
        check_keys("t", {"c": 1}, ("a", "b"))


def test_of_vectors_only_a_list_of_lists_is_an_axis():
    assert check_axis("k", [1, 2], rules.vector()) == (1.0, 2.0)
    assert check_axis("k", [[1, 2], [3]], rules.vector()) == [(1.0, 2.0), (3.0,)]
    assert check_axis("k", [1, 2], rules.count) == [1, 2]

    @rules.VectorRule
    def pair(key, value):
        return tuple(value)

    assert check_axis("k", [1, 2], pair) == (1, 2)


def test_lists_are_counted_and_expanded():
    table = {"kind": "k", "a": [1, 2], "b": (3, 4), "c": [5, 6, 7]}
    assert count_combinations(table) == len(expand([table])) == 6
    assert expand([table])[:2] == [{"kind": "k", "a": 1, "b": (3, 4), "c": c} for c in (5, 6)]
    with pytest.raises(InputError, match="k must be a list of different levels, got"):
        cast_different("k", [1, 1.0], rules.finite, "levels")
