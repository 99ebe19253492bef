"""A parser of JSON that takes nothing but JSON: no NaN, no infinity, no key twice."""

import json


def parsed(text):
    """The value of the text; ValueError where it is not strict JSON."""

    def constant(name):
        raise ValueError(f"{name} is not JSON")

    def unique(pairs):
        if len(dict(pairs)) < len(pairs):
            raise ValueError(f"a key twice among {[key for key, _ in pairs]}")
        return dict(pairs)

    return json.loads(text, parse_constant=constant, object_pairs_hook=unique)
