"""Which cells a thread takes next: a task is a few neighbouring cells of one row, and no two threads get the same."""

from .intrinsics import claim
from .jit import inline

# The row of a thread for which no task is left.
NONE_LEFT = -1


@inline
def claim_cells(tasks, rows, columns, width):
    """Claim the next `width` of the columns of one row: (row, first column, one beyond the last), row by row.

    The row is NONE_LEFT once all are taken. tasks (2,) int64, of which the first is the number of the next task.
    """
    groups = (columns + width - 1) // width
    task = claim(tasks)
    if task >= rows * groups:
        return NONE_LEFT, 0, 0
    first = task % groups * width
    return task // groups, first, min(first + width, columns)
