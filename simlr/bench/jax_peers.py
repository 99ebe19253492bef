"""The same in JAX, as one would write it."""

import importlib.util
from collections.abc import Callable
from functools import cache


def has_jax() -> bool:
    """Whether JAX is installed."""
    return importlib.util.find_spec("jax") is not None


def jax_layouts(axes: int) -> tuple[str, ...]:
    """The layouts worth timing: d arrays are fastest at d = 2, rows of d beyond; 50 arrays compile for ever."""
    return ("columns",) * (axes <= 10) + ("rows",) * (axes >= 3)


@cache
def jax_scan(layout: str) -> Callable:
    """A function like `numpy_loop` in JAX, float64: one compiled lax.scan over the steps of the whole batch."""
    import jax

    jax.config.update("jax_enable_x64", True)
    scan = jax.jit({"columns": _scan_columns, "rows": _scan_rows}[layout])
    return lambda *arrays: jax.block_until_ready(scan(*arrays))


def _scan_columns(curvature, residual, rates, level):
    """The state as d arrays (S, N)."""
    import jax
    import jax.numpy as jnp

    lam, shape = curvature.T, (rates.shape[0], curvature.shape[0])

    def step(carry, eta):
        r, stop = carry
        live = sum(0.5 * column * x * x for column, x in zip(lam, r, strict=True)) > level
        gain = jnp.where(live, eta[:, None], 0.0)
        return (tuple((1.0 - gain * column) * x for column, x in zip(lam, r, strict=True)), stop + live), None

    start = tuple(jnp.broadcast_to(column, shape) for column in residual.T)
    return jax.lax.scan(step, (start, jnp.zeros(shape, jnp.int64)), rates.T)[0][1]


def _scan_rows(curvature, residual, rates, level):
    """The state as one array (S, N, d)."""
    import jax
    import jax.numpy as jnp

    def step(carry, eta):
        r, stop = carry
        live = 0.5 * (curvature * r * r).sum(axis=-1) > level
        gain = jnp.where(live, eta[:, None], 0.0)
        return ((1.0 - gain[..., None] * curvature) * r, stop + live), None

    start = jnp.broadcast_to(residual, (rates.shape[0], *curvature.shape))
    return jax.lax.scan(step, (start, jnp.zeros(start.shape[:2], jnp.int64)), rates.T)[0][1]
