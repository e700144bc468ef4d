"""The temperature at which the tilted distribution has exhausted the radius."""

import jax
import jax.numpy as jnp
from jax import Array, lax

from drrl_jax.dro import newton, staircase
from drrl_jax.dro.equation import Edge, Root, Rows, point_of, tilt_at

MAX_STEPS = 60


def solve(row: Rows, guess: Array, active: Array) -> Root:
    """Newton on every active row, then the staircase where it failed."""
    tau, failed, steps = newton.solve(row, guess, active, MAX_STEPS)
    root = staircase.solve(row, tau, failed, MAX_STEPS)
    return root._replace(steps=steps + root.steps)


def budget_root(row: Rows, guess: Array, active: Array) -> Root:
    """`solve`, differentiable by the implicit function theorem.

    What the budget determines is the temperature, or, where the threshold is at a
    score, the share of that score, and the temperature is the score's. Rows that are
    not active have no derivative.
    """
    root = solve(jax.tree.map(lax.stop_gradient, row), guess, active)
    root = jax.tree.map(lax.stop_gradient, root)
    tied = (row.distance == root.edge.score[..., None]) & (row.probs > 0)
    at_score = active & jnp.any(tied, axis=-1) & (root.edge.share > 0)

    def parts(unknown: Array) -> tuple[Array, Edge]:
        score = jnp.max(jnp.where(tied, row.distance, 0), axis=-1)
        share = jnp.where(at_score, unknown, root.edge.share)
        point = point_of(score, jnp.where(at_score, share, 0.5), row.kappa)
        tau = jnp.where(at_score, row.kappa * point, unknown)
        return tau, root.edge._replace(share=share)

    def residual(unknown: Array) -> Array:
        gap = tilt_at(row, *parts(unknown)).divergence - row.radius
        return jnp.where(active, gap, unknown)

    def tangent(linear, y: Array) -> Array:
        rate = linear(jnp.ones_like(y))
        some = jnp.abs(rate) > 0
        return jnp.where(some, y / jnp.where(some, rate, 1), 0)

    found = jnp.where(at_score, root.edge.share, root.tau)
    found = lax.custom_root(residual, found, lambda _, start: start, tangent)
    tau, edge = parts(found)
    return Root(tau, edge, root.steps)
