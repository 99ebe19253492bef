"""The laws for loss curves, written out step by step from the papers' formulas, in plain Python."""

import math


def _areas(rates):
    areas = [0.0]
    for rate in rates:
        areas.append(areas[-1] + rate)
    return areas


def multi_power(p, rates, t):
    """Luo et al. 2025; rates[k - 1] is that of step k."""
    area = _areas(rates)
    felt = 0.0
    for k in range(2, t + 1):
        change = rates[k - 1] - rates[k - 2]
        if rates[k - 1] > 0.0:
            reach = 1.0 - (1.0 + p["C"] * rates[k - 1] ** -p["gamma"] * (area[t] - area[k - 1])) ** -p["beta"]
        else:
            reach = 1.0 if area[t] > area[k - 1] else 0.0
        felt += change * reach
    return p["L0"] + p["A"] * area[t] ** -p["alpha"] + p["B"] * felt


def annealing(p, rates, t):
    """Tissue et al. 2024: the momentum of drops step by step."""
    momentum = total = 0.0
    for k in range(2, t + 1):
        momentum = p["lambda"] * momentum + rates[k - 2] - rates[k - 1]
        total += momentum
    return p["L0"] + p["A"] * _areas(rates)[t] ** -p["alpha"] - p["C"] * total


def functional_scaling(p, rates, t, batch):
    """Li et al. 2025, the integral as a sum over steps."""
    area, power = _areas(rates), 2.0 - 1.0 / p["capacity"]

    def forcing(u):
        return p["A"] * (1.0 + p["time"] * u) ** -p["source"]

    loss = p["L0"] + forcing(area[t])
    for k in range(1, t + 1):
        kernel = (1.0 + p["time"] * (area[t] - area[k])) ** -power
        loss += rates[k - 1] ** 2 / batch[k - 1] * kernel * (p["gain"] * forcing(area[k - 1]) + p["noise"])
    return loss


def forcing_memory(p, rates, t, batch):
    """The surrogate, du = eta_k and r = batch / eta_k in its integral."""
    area = _areas(rates)
    loss = p["L_inf"] + p["A_F"] * (1.0 + area[t]) ** -p["q_F"]
    for k in range(1, t + 1):
        noise = p["A0"] + p["A1"] * (1.0 + area[k - 1]) ** -p["q_F"]
        kernel = (1.0 + p["c_K"] * (area[t] - area[k])) ** -p["q_K"]
        loss += rates[k - 1] * (rates[k - 1] / batch[k - 1]) * noise * kernel
    return loss


def cosine(peak, end, warmup, steps):
    """Rates that rise over the warm-up, step 1 at 0, and fall as half a cosine."""
    rates = []
    for t in range(steps):
        if t < warmup:
            rates.append(peak * t / warmup)
        else:
            rates.append(end + 0.5 * (peak - end) * (1.0 + math.cos(math.pi * (t - warmup) / (steps - warmup))))
    return rates
