"""Gradient descent and gradient flow on diagonal quadratics: the recurrence, its closed forms, and their ends."""
