"""Several sums and maxima over the same rows in one pass."""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax

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
    return _over_rows(terms, [lax.add] * len(terms))


@row_sums.defjvp
def _row_sums_jvp(terms, tangents):
    return row_sums(*terms), tuple(jnp.sum(t, axis=-1) for t in tangents)


def row_sum_of(first: Array, a: Array, b: Array) -> Array:
    """The sum over the last axis of ``a`` in rows where ``first``, else of ``b``.

    Args:
      first: which rows. bool [...]
      a: entries. [..., n]
      b: others of the same shape and type. [..., n]

    Returns:
      One sum a row. [...]
    """
    if jax.default_backend() == "cpu":  # one sum alone would be written down
        of_a, of_b = row_sums(a, b)
        return jnp.where(first, of_a, of_b)
    return jnp.sum(jnp.where(first[..., None], a, b), axis=-1)


@jax.custom_jvp
def row_sum_and_max(added: Array, compared: Array) -> tuple[Array, Array]:
    """The sum of one array and the maximum of another over the last axis.

    Entries that are equally large share the maximum's derivative.

    Args:
      added: entries. [..., n]
      compared: others of the same shape and type. [..., n]

    Returns:
      The sum and the maximum. [...]
    """
    total, best = _over_rows([added, compared], [lax.add, lax.max])
    return total, best


@row_sum_and_max.defjvp
def _row_sum_and_max_jvp(primals, tangents):
    (added, compared), (by_added, by_compared) = primals, tangents
    total, best = row_sum_and_max(added, compared)
    at = (compared == best[..., None]).astype(compared.dtype)
    share = at / jnp.maximum(jnp.sum(at, axis=-1, keepdims=True), 1)
    moved = jnp.sum(by_added, axis=-1), jnp.sum(by_compared * share, axis=-1)
    return (total, best), moved


Operation = Callable[[Array, Array], Array]
_ALONE: dict[Operation, Callable] = {lax.add: jnp.sum, lax.max: jnp.max}
_START: dict[Operation, float] = {lax.add: 0, lax.max: -math.inf}


def _over_rows(
    terms: Sequence[Array], operations: Sequence[Operation]
) -> tuple[Array, ...]:
    """Each of the terms reduced over the last axis by its operation."""
    parts = _PARTS if jax.default_backend() == "cpu" else 1
    shape = terms[0].shape
    width = shape[-1] // parts
    if parts == 1 or not width:
        return tuple(_ALONE[f](x, axis=-1) for f, x in zip(operations, terms))
    even = parts * width
    folded = [term[..., :even].reshape(*shape[:-1], parts, width) for term in terms]
    partial = _together(folded, operations, axis=-2)
    found = [_ALONE[f](x, axis=-1) for f, x in zip(operations, partial)]
    if even < shape[-1]:
        rest = _together([term[..., even:] for term in terms], operations, axis=-1)
        found = [f(a, b) for f, a, b in zip(operations, found, rest)]
    return tuple(found)


def _together(
    terms: Sequence[Array], operations: Sequence[Operation], axis: int
) -> tuple[Array, ...]:
    """All terms reduced over one axis in one loop."""
    return lax.reduce(
        tuple(terms),
        tuple(jnp.asarray(_START[f], x.dtype) for f, x in zip(operations, terms)),
        lambda a, b: tuple(f(x, y) for f, x, y in zip(operations, a, b)),
        (terms[0].ndim + axis,),
    )
