"""Slow and obvious twins of what simlr computes; they import nothing of it."""
