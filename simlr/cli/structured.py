"""What `--json` prints: strict JSON, which has no numbers that are not finite (docs/json.md)."""

import json
import math
from typing import Any


def as_json(value: Any) -> str:
    """A value as strict JSON on several lines."""
    return json.dumps(strict(value), indent=1, allow_nan=False)


def strict(value: Any) -> Any:
    """The value as JSON can have it: null for NaN and infinity, lists for arrays and tuples, texts for the rest."""
    if isinstance(value, dict):
        return {str(key): strict(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [strict(one) for one in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # of NumPy, which is not loaded for this
        return strict(value.tolist())
    return str(value)
