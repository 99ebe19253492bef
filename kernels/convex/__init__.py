"""Descent on convex losses of linear scores, row by row: what has no quadratic to be solved by."""
