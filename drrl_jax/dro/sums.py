"""Several sums, maxima and minima over the same rows in one pass."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from drrl_jax.kernel import any_of, within

# XLA's CPU backend writes what is reduced down and reads it again for each reduction.
# Folded into so few parts, and reduced together, rows are read once, with vector
# instructions: two to four times as fast (experiments/benchmarks/NOTES.md).
_PARTS = 8


@jax.custom_jvp
def row_sums(*terms: Array) -> tuple[Array, ...]:
    """Sums over the last axis of arrays of one shape, each computed where it is added.

    Args:
      *terms: entries, best of formulas in the same few arrays. [..., n]

    Returns:
      The sum of each. [...]
    """
    return _over_rows(terms, (0,) * len(terms), _sums, _added)


@row_sums.defjvp
def _row_sums_jvp(terms, tangents):
    return row_sums(*terms), tuple(jnp.sum(t, axis=-1) for t in tangents)


def row_any(marks: Array) -> Array:
    """Whether any of a row's marks is set, ``bool [..., n] -> [...]``."""
    parts = 2 * _PARTS
    width = marks.shape[-1] // parts
    if within() or jax.default_backend() != "cpu" or not width:
        return any_of(marks, axis=-1)
    even = parts * width
    folded = marks[..., :even].reshape(*marks.shape[:-1], parts, width)
    # A barrier, or XLA makes one slow reduction of both.
    some = lax.optimization_barrier(jnp.any(folded, axis=-2))
    return jnp.any(some, axis=-1) | jnp.any(marks[..., even:], axis=-1)


def row_sum_of(first: Array, a: Array, b: Array, *others: Array) -> tuple[Array, ...]:
    """The sum over the last axis of ``a`` in rows where ``first``, else of ``b``.

    Args:
      first: which rows. bool [...]
      a: entries. [..., n]
      b: others of the same shape and type. [..., n]
      *others: more of these, of which all rows have the sums.

    Returns:
      One sum a row, and those of the others. [...]
    """
    if jax.default_backend() == "cpu":  # one sum alone would be written down
        of_a, of_b, *rest = row_sums(a, b, *others)
        return jnp.where(first, of_a, of_b), *rest
    return row_sums(jnp.where(first[..., None], a, b), *others)


class Extent(NamedTuple):
    """The base weight of rows, and where their scores lie.

    Attributes:
      total: the sum of the weights. [...]
      best: the largest score; minus infinity if nothing is used. [...]
      least: the smallest, a constant; infinity if nothing is used. [...]
      tied: the weight of the entries that have the largest score. [...]
    """

    total: Array
    best: Array
    least: Array
    tied: Array


@jax.custom_jvp
def row_extent(weights: Array, scores: Array, used: Array) -> Extent:
    """The `Extent` of rows, read once.

    Entries that are equally large share the largest score's derivative by their weights.

    Args:
      weights: at least 0, and 0 where not used. [..., n]
      scores: of the same type. [..., n]
      used: the entries that count. bool [..., n]
    """
    above = jnp.where(used, scores, -jnp.inf)
    below = jnp.where(used, scores, jnp.inf)
    terms = [weights, above, below, weights]
    return Extent(*_over_rows(terms, (0, -math.inf, math.inf, 0), _extent, _joined))


@row_extent.defjvp
def _row_extent_jvp(primals, tangents):
    (weights, scores, used), (by_weights, by_scores, _) = primals, tangents
    found = row_extent(weights, scores, used)
    at = used & (scores == found.best[..., None])
    share = weights / jnp.where(found.tied > 0, found.tied, 1)[..., None]
    moved = Extent(
        jnp.sum(by_weights, axis=-1),
        jnp.sum(jnp.where(at, share * by_scores, 0), axis=-1),
        jnp.zeros_like(found.least),
        jnp.sum(jnp.where(at, by_weights, 0), axis=-1),
    )
    return found, moved


def _extent(*terms: Array) -> tuple[Array, ...]:
    total, above, below, tied = terms
    best = jnp.max(above, axis=-1)
    tied = jnp.where(above == best[..., None], tied, 0)
    ends = best, jnp.min(below, axis=-1)
    return jnp.sum(total, axis=-1), *ends, jnp.sum(tied, axis=-1)


def _joined(one: Sequence[Array], other: Sequence[Array]) -> tuple[Array, ...]:
    best = jnp.maximum(one[1], other[1])
    of_one = jnp.where(one[1] == best, one[3], 0)
    of_other = jnp.where(other[1] == best, other[3], 0)
    least = jnp.minimum(one[2], other[2])
    return one[0] + other[0], best, least, of_one + of_other


def _sums(*terms: Array) -> tuple[Array, ...]:
    return tuple(jnp.sum(x, axis=-1) for x in terms)


def _added(one: Sequence[Array], other: Sequence[Array]) -> tuple[Array, ...]:
    return tuple(a + b for a, b in zip(one, other))


def _over_rows(
    terms: Sequence[Array],
    start: Sequence[float],
    alone: Callable[..., tuple[Array, ...]],
    join: Callable[[Sequence[Array], Sequence[Array]], tuple[Array, ...]],
) -> tuple[Array, ...]:
    """The terms reduced over the last axis, one by one or, on a CPU, in one loop.

    Args:
      terms: arrays of one shape. [..., n]
      start: what `join` leaves the others as they are with.
      alone: reduces the last axis of terms by operations of their own.
      join: two reductions made one.
    """
    parts = _PARTS if jax.default_backend() == "cpu" else 1
    shape = terms[0].shape
    width = shape[-1] // parts
    if parts == 1 or not width:
        return alone(*terms)

    def together(terms: Sequence[Array], axis: int) -> tuple[Array, ...]:
        first = tuple(jnp.asarray(s, x.dtype) for s, x in zip(start, terms))
        return lax.reduce(tuple(terms), first, join, (terms[0].ndim + axis,))

    even = parts * width
    folded = [term[..., :even].reshape(*shape[:-1], parts, width) for term in terms]
    found = alone(*together(folded, axis=-2))
    if even < shape[-1]:
        found = join(found, together([term[..., even:] for term in terms], axis=-1))
    return found
