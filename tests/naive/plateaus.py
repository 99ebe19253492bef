"""Slow, obvious twins of rates that are lowered on plateaus of a loss. Imports nothing of simlr.

`Plateau` is torch.optim.lr_scheduler.ReduceLROnPlateau of mode "min" for one number, by its documentation.
"""

import math

import numpy as np


class Plateau:
    """One rate, lowered by the losses that it is told."""

    def __init__(self, rule):
        self.rule, self.rate = rule, rule["learning_rate"]
        self.best, self.bad, self.cooling = math.inf, 0, 0

    def is_better(self, loss):
        if self.rule["threshold_mode"] == "absolute":
            return loss < self.best - self.rule["threshold"]
        return loss < self.best * (1.0 - self.rule["threshold"])

    def look(self, loss):
        if self.is_better(loss):
            self.best, self.bad = loss, 0
        else:
            self.bad += 1
        if self.cooling > 0:
            self.cooling -= 1
            self.bad = 0
        if self.bad > self.rule["patience"]:
            lowered = max(self.rate * self.rule["factor"], self.rule["min_learning_rate"])
            if self.rate - lowered > self.rule["epsilon"]:
                self.rate = lowered
            self.cooling, self.bad = self.rule["cooldown"], 0


def descend(gradient, loss, start, steps, rule, optimizer="gd", beta=0.0, unit=1.0):
    """(iterates (T + 1, d), rates (T,) in the schedule's unit): the loss is looked at after every so many steps."""
    plateau, theta, v = Plateau(rule), np.array(start, dtype=float), np.zeros(len(start))
    found, rates = [theta], []
    for t in range(steps):
        g = gradient(theta, t)
        v = beta * v + g
        move = {"gd": g, "momentum": v, "nesterov": g + beta * v}[optimizer]
        theta = theta - plateau.rate / unit * move
        found.append(theta)
        rates.append(plateau.rate)
        if (t + 1) % rule["every"] == 0:
            plateau.look(loss(theta))
    return np.array(found), np.array(rates)
