"""What is wanted of a table: its keys, of a grid file and of `simlr.read_table`, the rule of each, and their values."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any, NamedTuple

from ..errors import InputError
from . import rules
from .dialects import GUESS, Options
from .parameters import Parameter

MISSING = GUESS, "refuse", "drop", "mean"


class Split(NamedTuple):
    """Which rows are held out, where that is given: the column that says so, and its values."""

    column: str | int = ""  # "" for none
    train: str | float = GUESS
    validation: str | float = GUESS
    test: str | float = GUESS

    def check(self, is_alone: bool) -> None:
        """Refuse values without a column, and a column beside a second file."""
        if self.column == "" and self != Split():
            raise InputError("train_value, validation_value and test_value are of the column that split = ... names")
        if self.column != "" and not is_alone:
            raise InputError("split and test_data both say which rows are held out; one of them is enough")


class Wanted(NamedTuple):
    """What is wanted of a file: columns by name or number, and what is known of how it is written."""

    target: str | int = -1
    columns: tuple = ()  # () for all that there are
    drop: tuple = ()
    categorical: tuple = ()
    missing: str = GUESS
    fillers: str | tuple = GUESS
    array: str = GUESS
    text: Options = Options()
    split: Split = Split()
    classes: int = 0  # how many classes the target may have; 0 where it is a number

    @property
    def words(self) -> tuple:
        """The columns whose fields are kept as they are written."""
        words = self.categorical if self.split.column == "" else (*self.categorical, self.split.column)
        return (*words, self.target) if self.classes else words


def text_options(written: Mapping[str, Any], before: str = "") -> Options:
    """The `Options` of a text from some of its keys by the rules of PARAMETERS; a refusal has `before` a key's name."""
    rule = {one.name: one.rule for one in PARAMETERS}
    return Options(**{key: rule[key](f"{before}{key}", value) for key, value in written.items()})


def of_parameters(parameters: Mapping[str, Any]) -> Wanted:
    """The `Wanted` of checked values of PARAMETERS."""
    text = Options(**{key: parameters[key] for key in ("separator", "decimal", "comment", "header", "encoding")})
    keys = ("target", "columns", "drop", "categorical", "missing", "fillers", "array")
    values = (parameters[f"{part}_value"] for part in ("train", "validation", "test"))
    return Wanted(**{key: parameters[key] for key in keys}, text=text, split=Split(parameters["split"], *values))


def column(key: str, value: Any) -> str | int:
    """The rule of a column: its name or number."""
    if isinstance(value, bool) or not isinstance(value, Integral | str):
        rules.refuse(key, "a column's name or number", value)
    return value if isinstance(value, str) else int(value)


@rules.ListRule
def _columns(key, value):
    """A list of columns, which may be empty; a single one may stand by itself."""
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(column(f"{key}: each value", one) for one in values)


@rules.ListRule
def _fillers(key, value):
    """GUESS, or a list of numbers, which may be empty."""
    if isinstance(value, str) and value == GUESS:
        return value
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(rules.finite(f"{key}: each value", one) for one in values)


def _header(key, value):
    """true, false or GUESS."""
    return value if isinstance(value, str) and value == GUESS else rules.flag(key, value)


def _separator(key, value):
    """GUESS, or one letter; a blank stands for any number of blanks and tabs."""
    rule = "one letter that parts columns, as ';' or '\\t', or 'guess'"
    if value == "\\t":
        rules.refuse(key, f'{rule} (a tab is "\\t" between double quotes, and not between single ones)', value)
    if value != GUESS and (not isinstance(value, str) or len(value) != 1 or value in '"\r\n+-.' or value.isalnum()):
        rules.refuse(key, rule, value)
    return value


def _label(key, value):
    """What a row of the column `split` holds: a word or a number."""
    if isinstance(value, bool):
        return str(value).lower()
    return rules.text(key, value) if isinstance(value, str) else rules.finite(key, value)


def _optional_text(key, value):
    """A string that may be empty."""
    return value if isinstance(value, str) and not value else rules.text(key, value)


PARAMETERS = (
    Parameter("target", column, -1, "target column of a CSV: its name, or its number; of NPZ / HDF5 an array's name"),
    Parameter("columns", _columns, (), "features to take, by name or number; [] = all"),
    Parameter("drop", _columns, (), "features to leave out, by name or number"),
    Parameter(
        "categorical", _columns, (), "columns of words that become one of 0 and 1 a word; a target of two: -1, 1"
    ),
    Parameter(
        "missing",
        rules.one_of(*MISSING),
        GUESS,
        "rows with gaps: refuse, drop, or mean (of the column in their place); guess drops up to nine tenths",
    ),
    Parameter("fillers", _fillers, GUESS, "numbers that stand for no value, as [-999]; guess refuses what looks so"),
    Parameter("separator", _separator, GUESS, "of columns: ',', ';', '\\t', '|' or ' ' (blanks); or guess"),
    Parameter("decimal", rules.one_of(GUESS, ".", ","), GUESS, "decimal mark: . or ,"),
    Parameter("comment", rules.text, GUESS, "what a comment line begins with; or none"),
    Parameter("header", _header, GUESS, "whether the first line names the columns: true, false or guess"),
    Parameter("encoding", rules.text, GUESS, "of the text, as latin-1; guess is UTF-8 or what a mark says"),
    Parameter("array", rules.text, GUESS, "the array of features of NPZ / HDF5; guess is features, or what fits"),
    Parameter("split", column, "", "column that says which rows are held out; without it every seed draws them"),
    Parameter("test_value", _label, GUESS, "what it holds in test rows; guess takes words as train and test"),
    Parameter("train_value", _label, GUESS, "what it holds in train rows; guess is all that is neither"),
    Parameter("validation_value", _label, GUESS, "what it holds in rows for stop.validation"),
    Parameter("test_data", _optional_text, "", "a second file, of the same columns: its rows are the test rows"),
)
