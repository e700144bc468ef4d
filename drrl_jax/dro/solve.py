"""The temperature at which the tilted distribution has exhausted the radius."""

import math

import jax
import jax.numpy as jnp
from jax import Array, lax

from drrl_jax.dro import newton, staircase
from drrl_jax.dro.equation import Edge, Root, Rows, point_of, tilt_at

MAX_STEPS = 60
# Scores that a CPU's cache holds along with a pass's intermediate arrays.
_CACHE = 2**16


def solve(row: Rows, guess: Array, active: Array) -> Root:
    """`solve_rows`, on a CPU a block of rows at a time.

    A block stays in cache from pass to pass, and stops when its own rows are done:
    several times faster on rows of thousands of scores.
    """
    shape = row.distance.shape
    total = math.prod(shape[:-1])
    block = _block(total, shape[-1]) if jax.default_backend() == "cpu" else total
    if block == total:
        return solve_rows(row, guess, active)

    def split(x: Array) -> Array:
        return x.reshape(total // block, block, *x.shape[len(shape) - 1 :])

    blocks = jax.tree.map(split, (row, guess, active))
    root = lax.map(lambda arguments: solve_rows(*arguments), blocks)
    return jax.tree.map(lambda x: x.reshape(shape[:-1]), root)


def _block(total: int, width: int) -> int:
    """Rows a block: the most that divide them all and fit, or all of them."""
    most = max(1, _CACHE // width)
    if total <= 2 * most:
        return total
    block = next(size for size in range(most, 0, -1) if total % size == 0)
    # Blocks of a few short rows would cost more than they save.
    return block if block * width >= _CACHE // 16 else total


def solve_rows(row: Rows, guess: Array, active: Array) -> Root:
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
