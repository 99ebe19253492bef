"""What was made once is kept while it is used, as far as a number of bytes allows."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any


class Kept:
    """A cache of at most so many bytes, but of at least what was asked for last; the longest unused goes first."""

    def __init__(self, limit: int, size: Callable[[Any], int]):
        """`size` gives the bytes of a value."""
        self._limit, self._size = limit, size
        self._values: OrderedDict[Hashable, Any] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of a key, which `make` makes where it is not kept."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        value = self._values[key] = make()
        self._bytes += self._size(value)
        while self._bytes > self._limit and len(self._values) > 1:
            self._bytes -= self._size(self._values.popitem(last=False)[1])
        return value
