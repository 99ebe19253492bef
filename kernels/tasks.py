"""Which cells a thread takes next: a task is a few neighbouring cells, and no two threads get the same."""

from .intrinsics import claim
from .jit import inline

# The outer index of a thread for which no task is left.
NONE_LEFT = -1


@inline
def claim_cells(tasks, outer, inner, width):
    """Claim the next `width` of the inner indices with one outer one: (outer, first inner, one beyond the last).

    The outer index is NONE_LEFT once all are taken. tasks (2,) int64; the first is the number of the next task.
    """
    groups = (inner + width - 1) // width
    task = claim(tasks)
    if task >= outer * groups:
        return NONE_LEFT, 0, 0
    first = task % groups * width
    return task // groups, first, min(first + width, inner)
