"""From the arrays of a run to findings: rows, comparisons, families, directions, answers. Pure functions of a run."""
