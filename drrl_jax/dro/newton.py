"""Safeguarded Newton on the budget equation.

The budget falls in the log temperature from the log of one over the base probability
of the best scores down to 0, so its root is bracketed from the start. Newton's step is
taken on the logit of the budget as a fraction of that largest one, which is close to
linear in the log temperature at both ends.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from drrl_jax.dro.equation import (
    Form,
    Rows,
    bounds,
    budget_tolerance,
    target_logit,
    tilt_at,
)
from drrl_jax.dro.tilt import whole_budget
from drrl_jax.kernel import any_of, within

# The divergence and its slope as a function of the temperature.
Budget = Callable[[Array], tuple[Array, Array]]


class _State(NamedTuple):
    log_tau: Array
    low: Array
    high: Array
    done: Array
    failed: Array
    steps: Array
    passes: Array


def solve(
    row: Rows,
    guess: Array,
    active: Array,
    max_steps: int,
    form: Form,
    *,
    fast: bool = False,
    at_once: int = 1,
) -> tuple[Array, Array, Array]:
    """Solves the active rows; returns temperatures, which failed, and steps.

    Above order 2 the slope of the budget is not continuous, and a row whose Newton
    step leaves the bracket is given up for the staircase solver. ``fast`` is for whole
    powers, by sums that lose their digits in mild rows (`tilt.whole_budget`), of rows
    that are `light`: one whose temperature exceeds its range is given up. ``at_once`` is
    how many passes at most lie between two looks at whether all rows are done: a row that
    is stays as it is.
    """
    eps = jnp.finfo(guess.dtype).eps
    low, high = (math.log(bound) for bound in bounds(guess.dtype))
    step_tolerance = 8 * jnp.sqrt(eps)
    target = target_logit(row, active)
    smooth = row.kappa <= 0.5
    # Newton's error after a step is of second order where the slope is Lipschitz.
    trusted = row.kappa <= 0.35

    budget = _fast(row, form) if fast else _careful(row, form)

    def body(state: _State) -> _State:
        divergence, slope = budget(jnp.exp(state.log_tau))
        gap = divergence - row.radius
        lower = jnp.where(gap > 0, state.log_tau, state.low)
        upper = jnp.where(gap > 0, state.high, state.log_tau)
        spent = jnp.maximum(divergence, eps**2)
        left = jnp.maximum(row.largest - divergence, eps * row.largest)
        logit = jnp.log(spent) - jnp.log(left) - target
        rate = slope * (1 / spent + 1 / left)
        step = jnp.clip(-logit / jnp.where(rate < 0, rate, -eps), -2.5, 2.5)
        proposal = state.log_tau + step
        kept = (proposal > lower) & (proposal < upper)
        proposal = jnp.where(kept, proposal, (lower + upper) / 2)
        met = jnp.abs(gap) <= budget_tolerance(row.radius)
        # Both: where the best scores are rare the budget is steep, and a small step in
        # the temperature leaves much of the gap.
        small = (jnp.abs(step) <= step_tolerance) & (jnp.abs(gap) <= step_tolerance)
        close = kept & trusted & small
        narrow = upper - lower <= 4 * eps
        failed = ~smooth & ~met & (~kept | (state.passes >= 4))
        failed |= fast & ~met & (proposal > 0)
        return _State(
            jnp.where(state.done | met, state.log_tau, proposal),
            lower,
            upper,
            state.done | met | close | narrow | failed,
            state.failed | (failed & ~state.done),
            state.steps + (~state.done).astype(jnp.int32),
            state.passes + 1,
        )

    # The staircase is too steep for even one Newton step well above order 2.
    skip = (row.kappa > 0.9) | (fast & (guess > 1))
    state = _State(
        jnp.log(guess),
        jnp.full_like(guess, low),
        jnp.full_like(guess, high),
        ~active | skip,
        active & skip,
        jnp.zeros_like(guess, jnp.int32),
        jnp.zeros((), jnp.int32),
    )
    at_once = max(n for n in range(1, at_once + 1) if max_steps % n == 0)

    def passes(state: _State) -> _State:
        for _ in range(at_once):
            state = body(state)
        return state

    if fast and at_once > 1:  # all rows take some
        state = passes(state)
    state = lax.while_loop(
        lambda s: any_of(~s.done) & (s.passes < max_steps), passes, state
    )
    return jnp.exp(state.log_tau), state.failed, state.steps


def _careful(row: Rows, form: Form) -> Budget:
    def budget(tau: Array) -> tuple[Array, Array]:
        given = row
        if form.lightens and not within():
            # Else XLA writes the full rows down before the loop, whether or not it turns.
            given, tau = lax.optimization_barrier((row, tau))
        at = tilt_at(given, tau, form.whole)
        return at.divergence, at.slope

    return budget


def _fast(row: Rows, form: Form) -> Budget:
    assert form.whole is not None
    whole = form.whole

    def budget(tau: Array) -> tuple[Array, Array]:
        x = row.distance * (1 / tau)[..., None]
        return whole_budget(x, row.probs, row.kappa, whole)

    return budget
