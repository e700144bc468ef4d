"""The temperature at which the tilted distribution has exhausted the radius."""

import jax
import jax.numpy as jnp
from jax import Array, lax

from drrl_jax.dro import newton, staircase
from drrl_jax.dro.equation import Edge, Root, Rows, tilt_at

MAX_STEPS = 60


def solve(row: Rows, guess: Array, active: Array) -> Root:
    """Newton on every active row, then the staircase where it failed."""
    tau, failed, steps = newton.solve(row, guess, active, MAX_STEPS)
    root = staircase.solve(row, tau, failed, MAX_STEPS)
    return root._replace(steps=steps + root.steps)


def budget_root(row: Rows, guess: Array, active: Array) -> Root:
    """`solve`, differentiable by the implicit function theorem.

    Rows that are not active have temperature 1 and no derivative; a stated share
    has none either.
    """

    def residual(tau: Array) -> Array:
        gap = tilt_at(row, tau).divergence - row.radius
        return jnp.where(active, gap, tau - 1)

    def solver(_, start: Array) -> tuple[Array, tuple[Edge, Array]]:
        root = solve(jax.tree.map(lax.stop_gradient, row), start, active)
        # custom_root gives auxiliary outputs tangents of their own type: no integers.
        steps = root.steps.astype(start.dtype)
        return jnp.where(active, root.tau, 1), (root.edge, steps)

    def tangent(linear, y: Array) -> Array:
        rate = linear(jnp.ones_like(y))
        some = jnp.abs(rate) > 0
        return jnp.where(some, y / jnp.where(some, rate, 1), 0)

    tau, rest = lax.custom_root(residual, guess, solver, tangent, has_aux=True)
    edge, steps = jax.tree.map(lax.stop_gradient, rest)
    return Root(tau, edge, steps.astype(jnp.int32))
