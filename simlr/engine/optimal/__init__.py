"""Optimal schedules of a problem: the gradient of the expected loss by every rate, and the search that uses it."""
