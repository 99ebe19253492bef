"""Expected losses of gradient descent on quadratics, one number at a time; rates may be complex."""


def expected_loss(lam, start, rates, batches, optimizer, beta, noise, sigma, weight, offset):
    """The loss sum_i weight_i E (r_i + offset_i)^2 after the last step, by full second moments of (r, v)."""
    size = len(lam)
    # second[i] = 2 x 2 matrix E (r, v)(r, v)^T, mean[i] = E (r, v)
    second = [[[start[i] ** 2, 0.0], [0.0, 0.0]] for i in range(size)]
    mean = [[start[i], 0.0] for i in range(size)]
    for eta, batch in zip(rates, batches, strict=True):
        excess = sum(0.5 * lam[i] * second[i][0][0] for i in range(size))
        for i in range(size):
            # v' = beta v + g;  r' = r - eta v'  or  r - eta (g + beta v')
            velocity = [lam[i], beta]
            if optimizer == "gd":
                velocity = [lam[i], 0.0]
            kick_v = 1.0
            if optimizer == "nesterov":
                place = [1.0 - eta * (lam[i] + beta * velocity[0]), -eta * beta * velocity[1]]
                kick_r = -eta * (1.0 + beta)
            else:
                place = [1.0 - eta * velocity[0], -eta * velocity[1]]
                kick_r = -eta
            variance = {
                "none": 0.0,
                "isotropic": sigma**2,
                "hessian": sigma**2 * lam[i],
                "fresh": (2 * lam[i] * (excess + sigma**2) + lam[i] ** 2 * second[i][0][0]) / batch,
            }[noise]
            matrix, kick = [place, velocity], [kick_r, kick_v]
            old = second[i]
            second[i] = [
                [
                    sum(matrix[a][c] * old[c][d] * matrix[b][d] for c in (0, 1) for d in (0, 1))
                    + kick[a] * kick[b] * variance
                    for b in (0, 1)
                ]
                for a in (0, 1)
            ]
            mean[i] = [sum(matrix[a][c] * mean[i][c] for c in (0, 1)) for a in (0, 1)]
    return sum(weight[i] * (second[i][0][0] + 2 * offset[i] * mean[i][0] + offset[i] ** 2) for i in range(size))


def derivatives(lam, start, rates, batches, *rest):
    """d loss / d rate of every step by complex steps, exact but for rounding."""
    tiny = 1e-40
    found = []
    for t in range(len(rates)):
        shifted = [rate + (1j * tiny if k == t else 0.0) for k, rate in enumerate(rates)]
        found.append(expected_loss(lam, start, shifted, batches, *rest).imag / tiny)
    return found
