"""The temperature at which the tilted distribution has exhausted the radius."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

from drrl_jax import kernel
from drrl_jax.dro import newton, staircase
from drrl_jax.dro.equation import (
    Edge,
    Form,
    Root,
    Rows,
    far,
    first_guess,
    point_of,
    tilt_at,
)

MAX_STEPS = 60
# Passes between two looks at whether all rows are done: on a GPU a look is a wait for the
# processor, as long as several passes over short rows.
_AT_ONCE = 3
# Scores that a CPU's cache holds along with a pass's intermediate arrays.
_CACHE = 2**20


def _at_once() -> int:
    return 1 if jax.default_backend() == "cpu" else _AT_ONCE


def solve(row: Rows, start: Array | None, active: Array, form: Form) -> Root:
    """Solves the active rows from ``start`` where that is positive, else from a guess."""

    if kernel.within():
        return solve_rows(row, start, active, form)
    # Of other orders the steps want every bit of a quotient, which a kernel's lack.
    if form.whole is None:
        return _in_passes(row, start, active, form)
    in_kernel = functools.partial(_in_kernel, form=form)
    passes = functools.partial(_in_passes, form=form)
    return kernel.choose(in_kernel, passes, row.distance, row, start, active)


def _in_kernel(row: Rows, start: Array | None, active: Array, form: Form) -> Root:
    """`solve`, all that is done with a row in one kernel."""
    shape, width = row.kappa.shape, row.distance.shape[-1]
    wide = [row.distance] if form.uniform else [row.distance, row.probs]
    # Inactive rows have no radius, and arrays of flags no place in a kernel.
    thin = [row.kappa, jnp.where(active, row.radius, 0), row.largest]
    thin += [] if start is None else [start]

    def program(inside: Array, distance: Array, *given: Array) -> Root:
        del inside  # entries that are none are deleted ones
        if form.uniform:
            used = distance < far(distance.dtype)
            used = jnp.sum(used, -1, dtype=jnp.int32, keepdims=True)
            given = (1 / jnp.maximum(used, 1).astype(distance.dtype), *given)
        probs, kappa, radius, largest, *start = given
        some = radius > 0
        radius = jnp.where(some, radius, 1)
        here = Rows(distance, probs, kappa, radius, largest)
        return solve_rows(here, start[0] if start else None, some, form)

    like = Root(row.kappa, None, jnp.zeros_like(row.kappa, jnp.int32))
    found = kernel.map_rows(
        program,
        [x.reshape(-1, width) for x in wide],
        [x.reshape(-1) for x in thin],
        jax.tree.map(lambda x: x.reshape(-1), like),
        fill=[far(row.distance.dtype)] if form.uniform else [0],
        name="worst_case",
    )
    return jax.tree.map(lambda x: x.reshape(shape), found)


def _in_passes(row: Rows, start: Array | None, active: Array, form: Form) -> Root:
    """`solve` by loops of passes over all rows, on a CPU over a block of them.

    A block stays in cache from pass to pass, and stops when its own rows are done:
    several times faster on rows of thousands of scores.
    """
    shape = row.distance.shape
    total = math.prod(shape[:-1])
    block = _block(total, shape[-1]) if jax.default_backend() == "cpu" else total
    if block == total:
        return solve_rows(row, start, active, form, _at_once())

    def split(x: Array) -> Array:
        return x.reshape(total // block, block, *x.shape[len(shape) - 1 :])

    blocks = jax.tree.map(split, (row, start, active))
    root = lax.map(lambda x: solve_rows(x[0], x[1], x[2], form), blocks)
    return jax.tree.map(lambda x: x.reshape(shape[:-1]), root)


def _block(total: int, width: int) -> int:
    """Rows a block: the most that divide them all and fit, or all of them."""
    most = max(1, _CACHE // width)
    if total <= 2 * most:
        return total
    block = next(size for size in range(most, 0, -1) if total % size == 0)
    # Blocks of a few short rows would cost more than they save.
    return block if block * width >= _CACHE // 16 else total


def solve_rows(
    row: Rows, start: Array | None, active: Array, form: Form, at_once: int = 1
) -> Root:
    """Newton on every active row, then the staircase where it failed."""
    guess = first_guess(row, form)
    if start is not None:
        guess = jnp.where(start > 0, start, guess)
    if form.whole is not None:
        # Two loops and no branch in one, both sides of which vmap would run. Up to
        # order 2 Newton does not fail.
        tau, failed, steps = newton.solve(
            row, guess, active, MAX_STEPS, form, fast=True, at_once=at_once
        )
        tau, _, more = newton.solve(row, tau, failed, MAX_STEPS, form, at_once=at_once)
        return Root(tau, None, steps + more)
    tau, failed, steps = newton.solve(
        row, guess, active, MAX_STEPS, form, at_once=at_once
    )
    root = staircase.solve(row, tau, failed, MAX_STEPS)
    return root._replace(steps=steps + root.steps)


def budget_root(row: Rows, start: Array | None, active: Array, form: Form) -> Root:
    """`solve`, differentiable by the implicit function theorem.

    What the budget determines is the temperature, or, where the threshold is at a
    score, the share of that score, and the temperature is the score's. Rows that are
    not active have no derivative.
    """
    held, start, active = jax.tree.map(lax.stop_gradient, (row, start, active))
    root = solve(held, start, active, form)
    root = jax.tree.map(lax.stop_gradient, root)

    def implicit(
        found: Array, point: Callable[[Array], tuple[Array, Edge | None]]
    ) -> Array:
        def residual(unknown: Array) -> Array:
            tau, edge = point(unknown)
            gap = tilt_at(row, tau, form.whole, edge).divergence - row.radius
            return jnp.where(active, gap, unknown)

        def tangent(linear, y: Array) -> Array:
            rate = linear(jnp.ones_like(y))
            some = jnp.abs(rate) > 0
            return jnp.where(some, y / jnp.where(some, rate, 1), 0)

        return lax.custom_root(residual, found, lambda _, start: start, tangent)

    edge = root.edge
    if edge is None:
        return root._replace(tau=implicit(root.tau, lambda tau: (tau, None)))
    tied = (row.distance == edge.score[..., None]) & (row.probs > 0)
    at_score = active & jnp.any(tied, axis=-1) & (edge.share > 0)

    def point(unknown: Array) -> tuple[Array, Edge]:
        score = jnp.max(jnp.where(tied, row.distance, 0), axis=-1)
        share = jnp.where(at_score, unknown, edge.share)
        threshold = point_of(score, jnp.where(at_score, share, 0.5), row.kappa)
        tau = jnp.where(at_score, row.kappa * threshold, unknown)
        return tau, edge._replace(share=share)

    found = implicit(jnp.where(at_score, edge.share, root.tau), point)
    return Root(*point(found), root.steps)
