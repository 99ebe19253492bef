"""From a grid to its cells: combinations, engines, moments recorded, blocks, and tables of rates."""

from .plan import Plan

__all__ = ["Plan"]
