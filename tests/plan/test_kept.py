"""The cache of tables: what is kept, what goes first, and how much."""

from simlr.plan.kept import Kept


def test_what_was_unused_longest_goes_first():
    made = []
    kept = Kept(10, len)

    def get(key, size):
        return kept.get(key, lambda: made.append(key) or bytes(size))

    for key in "ab":
        get(key, 5)
    assert get("a", 5) == bytes(5) and made == ["a", "b"]
    get("c", 4)  # b goes
    get("a", 5)
    assert made == ["a", "b", "c"]
    get("b", 5)
    assert made == ["a", "b", "c", "b"]


def test_what_was_asked_for_last_is_kept_however_large():
    kept = Kept(10, len)
    large = kept.get("large", lambda: bytes(11))
    assert kept.get("large", bytes) is large
    kept.get("small", lambda: bytes(1))
    assert kept.get("large", bytes) == b""
