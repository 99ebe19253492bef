"""The noisy quadratic model step by step, one axis at a time, and bins by a walk through them."""


def bins(curvatures, starts, values):
    """(curvature, mean start, axes) of the bins that hold any: an axis counts in the first value not above its own."""
    found = {}
    for h, start in zip(curvatures, starts, strict=True):
        place = next(i for i, value in enumerate(values) if value <= h * (1 + 1e-12))
        found.setdefault(place, []).append(start)
    return [(values[i], sum(found[i]) / len(found[i]), len(found[i])) for i in sorted(found)]


def losses(axes, rate, momentum, variance, steps):
    """Losses after 0, 1, ... steps; an axis is (curvature, start, axes there), gradients have variance h variance."""
    states = [(start, 0.0, 0.0) for _, start, _ in axes]
    found = [sum(0.5 * h * n * xx for (h, _, n), (xx, _, _) in zip(axes, states, strict=True))]
    for _ in range(steps):
        after = []
        for (h, _, _), (xx, xv, vv) in zip(axes, states, strict=True):
            new_vv = momentum**2 * vv + 2 * momentum * h * xv + h * h * xx + h * variance
            with_old = momentum * xv + h * xx  # E x v'
            after.append((xx - 2 * rate * with_old + rate**2 * new_vv, with_old - rate * new_vv, new_vv))
        states = after
        found.append(sum(0.5 * h * n * xx for (h, _, n), (xx, _, _) in zip(axes, states, strict=True)))
    return found
