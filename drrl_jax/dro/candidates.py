"""Candidates of a row in the form that every function of this package works in."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from drrl_jax._numbers import broadcasts, check_real, check_scores, spread, wide
from drrl_jax.dro.sums import row_extent


class Candidates(NamedTuple):
    """Scores and base probabilities of rows, with masked entries neutralised.

    Attributes:
      distance: ``best - values`` with the best score a constant, at least 0, and 0 where
        masked. [..., n]
      probs: base probabilities, summing to 1 over the used entries of a row, 0 where
        masked (and all 0 in a row with nothing to use). [..., n]
      share: the base probability of a used entry where all have the same. [...]
      best: the largest used value of a row, 0 in a row with nothing to use. [...]
      range: the largest distance of a row, a constant. [...]
      tied: the base probability of the entries that have the best value, 1 in a row with
        nothing to use. [...]
      used: the entries that count: not masked, of positive probability. [..., n]
      some: the rows that have any. [...]
    """

    distance: Array
    probs: Array
    share: Array
    best: Array
    range: Array
    tied: Array
    used: Array
    some: Array

    @property
    def moved(self) -> Array:
        """0, with the derivative of the best score, by which distances grow. [...]"""
        return self.best - lax.stop_gradient(self.best)


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
) -> Candidates:
    """Checks shapes and turns scores into distances from the best used one.

    Args:
      values: scores. [..., n]
      probs: nonnegative base weights, uniform if ``None``; normalised here over the
        used entries. Broadcasts to ``values``.
      where: which entries to use, all if ``None``. Broadcasts to ``values``.

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
        used, base = jnp.ones_like(scores, bool), jnp.ones_like(scores)
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
    total, best, least, tied = row_extent(base, scores, used)
    some = total > 0
    total, tied = jnp.where(some, total, 1), jnp.where(some, tied, 1)
    best, least = jnp.where(some, best, 0), jnp.where(some, least, 0)
    # From a constant: what depends on where distances are measured from adds `moved`.
    # Masked entries may hold anything, so they leave before any arithmetic.
    top = lax.stop_gradient(best)[..., None]
    distance = jnp.where(used, top - jnp.where(used, scores, 0), 0)
    return Candidates(
        distance,
        base / total[..., None],
        1 / total,
        best,
        lax.stop_gradient(best - least),
        tied / total,
        used,
        some,
    )


def rows(x: ArrayLike, name: str, scores: Array) -> Array:
    """``x`` as one number a row, in the type of the scores and laid out as their rows."""
    if not broadcasts(jnp.shape(x), scores.shape[:-1]):
        raise ValueError(
            f"{name} must broadcast to the rows of values; got values {scores.shape}, "
            f"{name} {jnp.shape(x)}."
        )
    check_real(name, x)
    return spread(jnp.asarray(x), jnp.sum(scores, axis=-1))
