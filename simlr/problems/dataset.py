"""The problem kind `dataset`: losses on the user's own table, or on features of its rows."""

from ..errors import InputError
from ..inputs import rules
from ..inputs.parameters import REQUIRED, Parameter
from ..inputs.wanted import PARAMETERS
from . import features, losses
from .featured import Featured
from .source import Problem
from .table_rows import ALL, NO_TRAIN_ROWS, TableRows

# Within these, the square of a length scale is a float, and so is anything divided by it.
_SHORTEST, _LONGEST = 1e-100, 1e100


def _train_rows(key, value):
    """A count, or ALL of the train rows of a split that is given."""
    return value if isinstance(value, str) and value == ALL else rules.count(key, value)


def _length_scale(key, value):
    """A length, or 0."""
    rule = f"0, or a number from {_SHORTEST:g} to {_LONGEST:g}"
    cast = rules.number(key, value, least=0.0, most=_LONGEST, rule=rule)
    return cast if cast == 0.0 or cast >= _SHORTEST else rules.refuse(key, rule, value)


def _check(table):
    """Refuse what only some feature maps use where there are none of these, and no number of train rows to be drawn."""
    losses.check(table)
    if table["train_rows"] == ALL and table["split"] == "" and table["test_data"] == "":
        raise InputError(NO_TRAIN_ROWS)
    chosen = table["features"] if isinstance(table["features"], list) else [table["features"]]
    goes_with = {"feature_count": features.DRAWN, "length_scale": features.MAPS[1:]}
    for name, kinds in goes_with.items():
        if table[name] != 0 and not set(kinds) & set(chosen):
            wanted = " or ".join(repr(kind) for kind in kinds)
            raise InputError(f"problem.{name} goes with features = {wanted}, got {chosen[0]!r}")


DATASET = Problem(
    "dataset",
    "your own table or features of it; every seed is a split into train and held-out rows; losses: docs/convex.md",
    (
        Parameter(
            "file",
            rules.text,
            REQUIRED,
            "CSV or the like (docs/tables.md), or NPZ / HDF5 with features (rows, d) and target (rows,)",
        ),
        *PARAMETERS,
        Parameter(
            "standardize",
            rules.one_of("train", "all", "none"),
            "train",
            "features and target to mean 0 and spread 1 over the train rows, over all rows, or not at all",
        ),
        Parameter(
            "intercept",
            rules.flag,
            False,
            "a column of ones; without it there is an intercept with standardize = train alone, by the means",
        ),
        Parameter("train_rows", _train_rows, ALL, "rows to train on; all of split or test_data where one is given"),
        Parameter(
            "validation_rows", rules.count_or_none, 0, "rows for stop.validation, behind the train rows; 0 = none"
        ),
        Parameter("label_noise", rules.not_negative, 0.0, "sigma of N(0, sigma^2) added to the train rows' targets"),
        Parameter("test_rows", rules.count_or_none, 0, "held-out rows; 0 = all that are left"),
        Parameter(
            "features",
            rules.one_of(*features.MAPS),
            "linear",
            "linear: the columns themselves; relu, fourier: random features of them; rbf: kernel gradient descent",
        ),
        Parameter("feature_count", rules.count_or_none, 0, "random features, drawn anew for every seed"),
        Parameter(
            "length_scale",
            _length_scale,
            0.0,
            "ell: relu is max(0, <w, x>/ell), rbf exp(-|x - y|^2 / (2 ell^2)); 0 = the square root of the columns",
        ),
        *losses.PARAMETERS,
    ),
    lambda given, folder: (TableRows if given["features"] == "linear" else Featured)(given, folder),
    _check,
)
