"""What is learned: each kind of problem draws a train and a test quadratic for a seed."""

from .registry import find, kinds

__all__ = ["find", "kinds"]
