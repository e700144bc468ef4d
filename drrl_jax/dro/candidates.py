"""Candidates of a row in the form that every function of this package works in."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from drrl_jax._numbers import broadcasts, check_real, check_scores, spread, wide
from drrl_jax.dro.sums import row_sum_and_max


class Candidates(NamedTuple):
    """Scores and base probabilities of rows, with masked entries neutralised.

    Attributes:
      distance: ``best - values``, at least 0, and 0 where masked. [..., n]
      probs: base probabilities, summing to 1 over the used entries of a row, 0 where
        masked (and all 0 in a row with nothing to use). [..., n]
      share: the base probability of a used entry where all have the same. [...]
      best: the largest used value of a row, 0 in a row with nothing to use. [...]
      used: the entries that count: not masked, of positive probability. [..., n]
      some: the rows that have any. [...]
    """

    distance: Array
    probs: Array
    share: Array
    best: Array
    used: Array
    some: Array


def output_dtype(values: ArrayLike) -> jnp.dtype:
    """The type that a function of ``values`` returns: its own if it is floating."""
    check_scores("values", values)
    own = jnp.result_type(values)
    return own if jnp.issubdtype(own, jnp.floating) else jnp.result_type(float)


def working_dtype(values: ArrayLike) -> jnp.dtype:
    """The type to compute in: float32, or float64 for float64 values."""
    return wide(output_dtype(values))


def candidates(
    values: ArrayLike,
    probs: ArrayLike | None,
    where: ArrayLike | None,
    *,
    hold: bool = False,
) -> Candidates:
    """Checks shapes and turns scores into distances from the best used one.

    Args:
      values: scores. [..., n]
      probs: nonnegative base weights, uniform if ``None``; normalised here over the
        used entries. Broadcasts to ``values``.
      where: which entries to use, all if ``None``. Broadcasts to ``values``.
      hold: whether distances are from a constant, as suits what does not depend on
        where they are measured from: the maximum's derivative costs several passes.

    Returns:
      The rows' `Candidates`, in the working type.

    Raises:
      ValueError: if ``values`` is a list or complex, or has no axis or no entry, or if
        ``probs`` or ``where`` does not broadcast to it.
    """
    dtype = working_dtype(values)
    shape = jnp.shape(values)
    if not shape or not shape[-1]:
        raise ValueError(f"values must be [..., n] with n at least 1; got {shape}.")
    check_real("probs", probs)
    for name, other in (("probs", probs), ("where", where)):
        if other is not None and not broadcasts(jnp.shape(other), shape):
            raise ValueError(
                f"{name} must broadcast to values; got values {shape}, "
                f"{name} {jnp.shape(other)}."
            )
    scores = jnp.asarray(values).astype(dtype)
    if probs is None and where is None:
        # Like the scores, whose sharding they take with their shape.
        used = jnp.ones_like(scores, bool)
        base = jnp.full_like(scores, 1 / shape[-1])
        best = jnp.max(scores, axis=-1)
        share = jnp.full_like(best, 1 / shape[-1])
        some = jnp.ones_like(best, bool)
    else:
        base = jnp.ones((), dtype) if probs is None else jnp.asarray(probs, dtype)
        mask = jnp.ones((), bool) if where is None else jnp.asarray(where, bool)
        base, mask = (
            lax.expand_dims(x, range(len(shape) - x.ndim)) for x in (base, mask)
        )
        # Entries of zero probability can hold no weight: they are deleted as well.
        used = jnp.broadcast_to(mask & (base > 0), shape)
        base = jnp.where(used, base, 0)
        if probs is not None:
            # Their sum may leave the type where their ratios don't. In two factors: XLA
            # makes one of two divisions, by a product that leaves it too.
            heaviest = lax.stop_gradient(jnp.max(base, axis=-1, keepdims=True))
            half = jnp.exp2(-jnp.log2(jnp.where(heaviest > 0, heaviest, 1)) / 2)
            base = base * half * half
        total, best = row_sum_and_max(base, jnp.where(used, scores, -jnp.inf))
        some = total > 0
        total = jnp.where(some, total, 1)
        share, base = 1 / total, base / total[..., None]
        best = jnp.where(some, best, 0)
        # Masked entries may hold anything, so they leave before any arithmetic.
        scores = jnp.where(used, scores, 0)
    top = lax.stop_gradient(best) if hold else best
    distance = jnp.where(used, top[..., None] - scores, 0)
    return Candidates(distance, base, share, best, used, some)


def rows(x: ArrayLike, name: str, scores: Array) -> Array:
    """``x`` as one number a row, in the type of the scores and laid out as their rows."""
    if not broadcasts(jnp.shape(x), scores.shape[:-1]):
        raise ValueError(
            f"{name} must broadcast to the rows of values; got values {scores.shape}, "
            f"{name} {jnp.shape(x)}."
        )
    check_real(name, x)
    return spread(jnp.asarray(x), jnp.sum(scores, axis=-1))
