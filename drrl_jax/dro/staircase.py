r"""The budget equation at orders above 2, where the budget is a staircase.

There the power :math:`r^{k-1} = r^{1/(\gamma-1)}` of a score rises all but vertically
once the threshold has passed it: at order infinity the budget jumps at every score.
Its slope says nothing of the next jump, so the root is bracketed by secants that stop
at scores, until no score lies inside the bracket. What is left is a single jump, over
which the budget is solved for the *share* of the score that jumps, its value of
:math:`r^{k-1}` between 0 and 1: smooth at every order, linear at infinity, where the
share is the fraction of the atom in the conditional value at risk.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from drrl_jax.dro.equation import (
    Edge,
    Root,
    Rows,
    budget_tolerance,
    point_of,
    reach,
    target_logit,
    tilt_at,
)


class _State(NamedTuple):
    point: Array  # the distance of the threshold, tau / kappa, to try next
    share: Array  # the power of the score at `below` to try next, in a jump
    jump: Array  # whether no score is left inside the bracket
    low: Array  # bracket of the point
    high: Array
    low_share: Array  # bracket of the share, in a jump
    high_share: Array
    low_gap: Array  # the gap of the budget at both ends, below and above 0
    high_gap: Array
    above: Array  # the first score past `low`
    below: Array  # the last score before `high`
    side: Array  # which end moved last, -1 or 1
    done: Array
    steps: Array
    passes: Array


def power_of(point: Array, score: Array, kappa: Array) -> Array:
    """``(1 - score / point) ** (k - 1)``, 0 where the score is past the point."""
    # Not 1 less a quotient, which on a GPU may be off 1 where both are equal.
    left = (point - score) / point
    some = left > 0
    power = (1 - kappa) / jnp.maximum(kappa, jnp.finfo(kappa.dtype).eps)
    return jnp.where(some, jnp.exp(power * jnp.log(jnp.where(some, left, 1))), 0)


def solve(row: Rows, guess: Array, active: Array, max_steps: int) -> Root:
    """Solves the active rows; the others return their guess."""
    info = jnp.finfo(guess.dtype)
    zeros = jnp.zeros_like(guess)
    target = target_logit(row, active)

    def body(state: _State) -> _State:
        moved = point_of(state.below, state.share, row.kappa)
        point = jnp.where(state.jump, moved, state.point)
        score = jnp.where(state.jump, state.below, point)
        edge = Edge(score, jnp.where(state.jump, state.share, 0))
        at = tilt_at(row, row.kappa * point, None, edge)
        met = jnp.abs(at.divergence - row.radius) <= budget_tolerance(row.radius)
        kept = state.done | met
        gap = jnp.expm1(row.kappa * (row.radius - at.divergence))
        down = gap < 0
        # The ends of the bracket. An end that stays twice has its gap halved
        # (Illinois), so that the secant cannot stall.
        side = jnp.where(down, -1, 1).astype(jnp.int32)
        again = side == state.side
        low = jnp.where(down, point, state.low)
        high = jnp.where(down, state.high, point)
        stale_low = jnp.where(again, state.low_gap / 2, state.low_gap)
        stale_high = jnp.where(again, state.high_gap / 2, state.high_gap)
        low_gap = jnp.where(down, gap, stale_low)
        high_gap = jnp.where(down, stale_high, gap)
        d, t = row.distance, point[..., None]
        after = jnp.min(jnp.where(d > t, d, jnp.inf), axis=-1)
        before = jnp.max(jnp.where(d < t, d, -jnp.inf), axis=-1)
        above = jnp.where(down & ~state.jump, after, state.above)
        below = jnp.where(down | state.jump, state.below, before)
        jump = state.jump | (jnp.isfinite(high) & (high <= above))
        enters = jump & ~state.jump
        low_share = jnp.where(down, state.share, state.low_share)
        high_share = jnp.where(down, state.high_share, state.share)
        start = power_of(jnp.maximum(low, below), below, row.kappa)
        low_share = jnp.where(enters, start, low_share)
        high_share = jnp.where(enters, power_of(high, below, row.kappa), high_share)
        # The next share, by the secant.
        part = low_gap / jnp.where(low_gap < high_gap, low_gap - high_gap, -1)
        width = high_share - low_share
        share = low_share + part * width
        inside = (share > low_share) & (share < high_share)
        share = jnp.where(inside, share, low_share + width / 2)
        stuck = jump & ((width <= 2 * info.eps) | ~(share < high_share))
        # The next point: the secant in its logarithm, or, before both ends are
        # known, the slope that scores of a power-law density would have.
        both = (low > 0) & jnp.isfinite(high)
        log_low = jnp.log(jnp.where(low > 0, low, 1))
        log_high = jnp.log(jnp.where(both, high, 1))
        secant = log_low + part * (log_high - log_low)
        rate = -at.mean / (1 - row.kappa * at.mean)
        spent = jnp.maximum(at.divergence, info.eps)
        room = jnp.maximum(row.largest - at.divergence, info.eps)
        logit = jnp.log(spent) - jnp.log(room) - target
        rate = rate * (1 / spent + 1 / room)
        step = -logit / jnp.where(rate < 0, rate, -info.eps)
        step = jnp.clip(step * 1.1, -1.0, 1.0)
        step = jnp.where(down, jnp.maximum(step, 0.02), jnp.minimum(step, -0.02))
        proposal = jnp.exp(jnp.where(both, secant, jnp.log(point) + step))
        # Stop at scores: past the next one on either side the staircase is unknown.
        proposal = jnp.maximum(proposal, jnp.where(above < jnp.inf, above, low))
        proposal = jnp.minimum(proposal, below)
        return _State(
            jnp.where(kept, point, proposal),
            jnp.where(kept, state.share, share),
            jnp.where(kept, state.jump, jump),
            low,
            high,
            low_share,
            high_share,
            low_gap,
            high_gap,
            above,
            jnp.where(kept, state.below, below),
            side,
            kept | stuck,
            state.steps + (~state.done).astype(jnp.int32),
            state.passes + 1,
        )

    state = _State(
        point=guess / jnp.where(active, row.kappa, 1),
        share=zeros,
        jump=jnp.zeros_like(guess, bool),
        low=zeros,
        high=jnp.full_like(guess, jnp.inf),
        low_share=zeros,
        high_share=zeros,
        low_gap=zeros + jnp.expm1(row.kappa * (row.radius - row.largest)),
        high_gap=zeros + jnp.expm1(row.kappa * row.radius),
        above=zeros,
        below=jnp.full_like(guess, jnp.inf),
        side=jnp.zeros_like(guess, jnp.int32),
        done=~active,
        steps=jnp.zeros_like(guess, jnp.int32),
        passes=jnp.zeros((), jnp.int32),
    )
    state = lax.while_loop(
        lambda s: jnp.any(~s.done) & (s.passes < max_steps), body, state
    )
    left = reach(state.share, row.kappa)
    moved = point_of(state.below, state.share, row.kappa)
    point = jnp.where(state.jump, moved, state.point)
    tau = jnp.where(active, row.kappa * point, guess)
    # A share that the threshold resolves needs no statement, and is differentiable.
    kappa = jnp.maximum(row.kappa, info.eps)
    steep = (left < 1e5 * info.eps * (1 - kappa) / kappa) | (row.kappa >= 1)
    score = jnp.where(state.jump, jnp.where(steep, state.below, -1), point)
    share = jnp.where(state.jump, state.share, 0)
    return Root(tau, Edge(jnp.where(active, score, -1), share), state.steps)
