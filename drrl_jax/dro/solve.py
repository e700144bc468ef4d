"""The temperature at which the tilted distribution has exhausted the radius.

The budget is a decreasing function of the log temperature, from the log of one over
the base probability of the best scores down to 0, so its root is bracketed from the
start. Newton's step is taken on the logit of the budget as a fraction of that largest
one, which is close to linear in the log temperature at both ends.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from drrl_jax.dro.tilt import Tilt, tilt

MAX_STEPS = 60


class Rows(NamedTuple):
    """The budget equation of every row, distances scaled to a largest of 1."""

    distance: Array  # [..., n]
    probs: Array  # [..., n]
    kappa: Array  # [...]
    radius: Array  # [...]
    largest: Array  # [...] the largest budget, log(1 / q(best))


class _State(NamedTuple):
    log_tau: Array
    low: Array
    high: Array
    done: Array
    steps: Array
    count: Array


def tilt_at(row: Rows, log_tau: Array) -> Tilt:
    """The tilted distribution at a log temperature of the scaled distances."""
    tau = jnp.exp(log_tau)
    x = row.distance / tau[..., None]
    return tilt(x, row.probs, row.kappa, lax.stop_gradient(tau > 1))


def bounds(dtype: jnp.dtype) -> tuple[float, float]:
    """The least and the greatest log temperature, in units of a row's range."""
    info = jnp.finfo(dtype)
    return math.log(info.tiny) / 2, -math.log(info.eps)


def first_guess(row: Rows) -> Array:
    """The log temperature of a row whose scores were normal."""
    mean = jnp.sum(row.probs * row.distance, axis=-1)
    square = jnp.sum(row.probs * (row.distance - mean[..., None]) ** 2, axis=-1)
    share = jnp.minimum(row.radius / jnp.maximum(row.largest, 1e-6), 0.999)
    odds = row.radius / (1 - share)
    odds = jnp.maximum(odds, jnp.finfo(odds.dtype).eps ** 2)
    tau = row.kappa * mean + jnp.sqrt(square * (1 - row.kappa) / (2 * odds))
    low, high = bounds(row.distance.dtype)
    return jnp.clip(jnp.log(jnp.maximum(tau, math.exp(low))), low, high)


def solve(row: Rows, guess: Array, active: Array) -> tuple[Array, Array]:
    """Safeguarded Newton on every active row; returns log temperature and steps."""
    eps = jnp.finfo(guess.dtype).eps
    low, high = bounds(guess.dtype)
    step_tol, budget_tol = 8 * jnp.sqrt(eps), 64 * eps
    target = jnp.log(row.radius) - jnp.log(row.largest - row.radius)
    target = jnp.where(active, target, 0)

    def body(state: _State) -> _State:
        at = tilt_at(row, state.log_tau)
        gap = jnp.where(active, at.divergence - row.radius, 0)
        lower = jnp.where(gap > 0, state.log_tau, state.low)
        upper = jnp.where(gap > 0, state.high, state.log_tau)
        spent = jnp.maximum(at.divergence, eps**2)
        left = jnp.maximum(row.largest - at.divergence, eps * row.largest)
        logit = jnp.log(spent) - jnp.log(left) - target
        rate = at.slope * (1 / spent + 1 / left)
        step = -logit / jnp.where(rate < 0, rate, -eps)
        step = jnp.clip(step, -2.5, 2.5)
        proposal = state.log_tau + step
        bad = ~((proposal > lower) & (proposal < upper))
        proposal = jnp.where(bad, (lower + upper) / 2, proposal)
        met = jnp.abs(gap) <= budget_tol
        smooth = row.kappa <= 0.55
        close = ~bad & smooth & (jnp.abs(step) <= step_tol)
        narrow = upper - lower <= 4 * eps
        done = state.done | met | close | narrow
        return _State(
            jnp.where(state.done | met, state.log_tau, proposal),
            lower,
            upper,
            done,
            state.steps + ~state.done,
            state.count + 1,
        )

    state = _State(
        guess,
        jnp.full_like(guess, low),
        jnp.full_like(guess, high),
        ~active,
        jnp.zeros(guess.shape, jnp.int32),
        jnp.zeros((), jnp.int32),
    )
    state = lax.while_loop(
        lambda s: jnp.any(~s.done) & (s.count < MAX_STEPS), body, state
    )
    return state.log_tau, state.steps


def log_temperature(row: Rows, guess: Array, active: Array) -> tuple[Array, Array]:
    """`solve`, differentiable by the implicit function theorem.

    Rows that are not active have log temperature 0 and no derivative.
    """

    def residual(log_tau: Array) -> Array:
        gap = tilt_at(row, log_tau).divergence - row.radius
        return jnp.where(active, gap, log_tau)

    def solver(_, start):
        fixed = jax.tree.map(lax.stop_gradient, row)
        log_tau, steps = solve(fixed, start, active)
        # custom_root gives its auxiliary output a tangent of its own type.
        return jnp.where(active, log_tau, 0), steps.astype(log_tau.dtype)

    def tangent(linear, y):
        rate = linear(jnp.ones_like(y))
        some = jnp.abs(rate) > 0
        return jnp.where(some, y / jnp.where(some, rate, 1), 0)

    root, steps = lax.custom_root(residual, guess, solver, tangent, has_aux=True)
    return root, lax.stop_gradient(steps).astype(jnp.int32)
