"""What stands between parameters (p, width), side by side in lanes, and the weights (outputs d, width) of the scores.

Linear              the weights are theta
Diagonal            theta = (u, v), p = 2 outputs d; the weights are beta = u * v entry by entry: a diagonal linear
                    network. With g the gradient in beta, that in u is g * v, and in v g * u.
"""

from ..intrinsics import fma
from ..jit import inline

LINEAR, DIAGONAL = 0, 1


@inline
def parameters_of(table):
    """p, how many parameters there are."""
    return table.ridge.size * (2 if table.model == DIAGONAL else 1)


@inline
def room_of(table):
    """Rows of the scratch that `fold` and `unfold` need."""
    return table.ridge.size if table.model == DIAGONAL else 0


@inline
def fold(table, theta, product, filled):
    """The weights: theta itself, or, in `product`, those of a diagonal network."""
    if table.model == LINEAR:
        return theta
    half = product.shape[0]
    for i in range(half):
        for lane in range(filled):
            product[i, lane] = theta[i, lane] * theta[half + i, lane]
    return product


@inline
def unfold(table, theta, slope, gradient, filled):
    """The gradient in theta from that in the weights, slope (outputs d, width); of a linear model they are one."""
    if table.model == LINEAR:
        return
    half = slope.shape[0]
    for i in range(half):
        for lane in range(filled):
            gradient[i, lane] = slope[i, lane] * theta[half + i, lane]
            gradient[half + i, lane] = slope[i, lane] * theta[i, lane]


@inline
def norms(weights, out, filled):
    """out = |beta|^2 of every lane."""
    for lane in range(filled):
        out[lane] = 0.0
    for i in range(weights.shape[0]):
        for lane in range(filled):
            out[lane] = fma(weights[i, lane], weights[i, lane], out[lane])
