"""Slow, obvious twins of the stopping rules. Imports nothing of simlr.

A run is a list of iterates, the start first, up to its end or to the iterate with which it diverged.
"""

import math


def early_stopping(losses, patience, min_delta):
    """(the best look, the look at which it stops or None) of one patience on a curve; entry 0 is the start."""
    best, best_look = math.inf, 0
    for look, loss in enumerate(losses):
        if loss + min_delta < best:
            best, best_look = loss, look
        elif look - max(best_look, 0) >= patience:
            return best_look, look
    return best_look, None


def validated(losses, last, diverged, every, patience, min_delta, restore):
    """(outcome, step of the iterate, step of the end) of a run whose iterate t has the validation loss losses(t).

    last is the number of steps taken, the diverging one included; outcome is "stopped", "ended" or "diverged".
    """
    looks = [t for t in range(0, last + 1, every) if not (diverged and t == last)]
    best, stop = early_stopping([losses(t) for t in looks], patience, min_delta)
    if stop is not None:
        return "stopped", looks[best if restore else stop], looks[stop]
    if diverged:
        return "diverged", last, last
    return "ended", looks[best] if restore else last, last


def spent(budget, last, diverged):
    """(outcome, step) of a run of `last` steps after a budget of steps."""
    if diverged and last <= budget:
        return "diverged", last
    return ("spent", budget) if budget <= last else ("ended", last)
