"""Slow, obvious twins of the stopping rules. Imports nothing of simlr.

A run is a list of iterates, the start first, up to its end or to the iterate with which it diverged.
"""

import math


def is_better(loss, best, min_delta, relative=False):
    """Whether a loss improves on the best one so far, by more than min_delta or by more than that share of its size."""
    if not relative or math.isinf(best):
        return loss + (0.0 if relative else min_delta) < best
    return loss < (best * (1.0 - min_delta) if best >= 0.0 else best * (1.0 + min_delta))


def early_stopping(losses, patience, min_delta, relative=False):
    """(the best check, the check at which it stops or None) of one patience on a curve; entry 0 is the start."""
    best, best_check = math.inf, 0
    for check, loss in enumerate(losses):
        if is_better(loss, best, min_delta, relative):
            best, best_check = loss, check
        elif check - max(best_check, 0) >= patience:
            return best_check, check
    return best_check, None


def validated(losses, last, diverged, every, patience, min_delta, restore, relative=False):
    """(outcome, step of the iterate, step of the end) of a run whose iterate t has the validation loss losses(t).

    last is the number of steps taken, the diverging one included; outcome is "stopped", "ended" or "diverged".
    """
    checks = [t for t in range(0, last + 1, every) if not (diverged and t == last)]
    best, stop = early_stopping([losses(t) for t in checks], patience, min_delta, relative)
    if stop is not None:
        return "stopped", checks[best if restore else stop], checks[stop]
    if diverged:
        return "diverged", last, last
    return "ended", checks[best] if restore else last, last


def at_budget(budget, last, diverged):
    """(outcome, step) of a run of `last` steps after a budget of steps."""
    if diverged and last <= budget:
        return "diverged", last
    return ("spent", budget) if budget <= last else ("ended", last)
