"""Which worker computes which block. Bookkeeping alone: nothing is sent or waited for here."""

from collections import Counter, deque
from collections.abc import Iterator, KeysView

MOST_DEATHS = 3
# Finished blocks that may wait on a worker until they are fetched, while it computes the next one.
MOST_KEPT = 1


class Dispatch:
    """The blocks of a run, and the workers that compute them.

    A worker has one block in hand at a time, so that when it dies there is no doubt which one it was at. A block that
    was in hand when its worker died for the third time is set aside. Blocks that a worker had finished, but that were
    not fetched yet, are lost with it: they are computed again, without blame.
    """

    def __init__(self, blocks):
        self._fresh, self._again = iter(blocks), deque()
        self._left = len(blocks)
        self._in_hand, self._kept = {}, {}  # worker -> block or None; worker -> finished blocks
        self._deaths = Counter()
        self.set_aside = []

    @property
    def done(self) -> bool:
        """Whether every block has been fetched or set aside."""
        return not self._left

    @property
    def workers(self) -> KeysView[str]:
        """The workers that compute."""
        return self._in_hand.keys()

    def join(self, worker: str) -> None:
        """Let a worker compute."""
        self._in_hand.setdefault(worker, None)
        self._kept.setdefault(worker, [])

    def leave(self, worker: str, died: bool = True) -> int | None:
        """Count on a worker no longer; the block that it had in hand, or None."""
        block, kept = self._in_hand.pop(worker, None), self._kept.pop(worker, [])
        self._again.extend(kept)
        if block is not None:
            self._deaths[block] += died
            if self._deaths[block] < MOST_DEATHS:
                self._again.append(block)
            else:
                self.set_aside.append(block)
                self._left -= 1
        return block

    def assign(self) -> Iterator[tuple[str, int]]:
        """(worker, block) for every worker that has room for one, as long as there are blocks."""
        for worker, block in self._in_hand.items():
            if block is None and len(self._kept[worker]) <= MOST_KEPT:
                # First those that have to be computed again.
                block = self._again.popleft() if self._again else next(self._fresh, None)
                if block is None:
                    return
                self._in_hand[worker] = block
                yield worker, block

    def finish(self, worker: str, block: int) -> None:
        """A worker has finished the block in its hand."""
        self._in_hand[worker] = None
        self._kept[worker].append(block)

    def fetch(self, worker: str, block: int) -> None:
        """A finished block has been fetched from its worker."""
        self._kept[worker].remove(block)
        self._left -= 1
