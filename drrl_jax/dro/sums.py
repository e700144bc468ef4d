"""Several sums over the same rows in one pass."""

import jax
import jax.numpy as jnp
from jax import Array, lax

# XLA's CPU backend writes the summands of a row down and reads them again for each sum.
# Folded into so few parts, and summed together, rows are read once, with vector
# instructions: four times as fast (experiments/benchmarks/NOTES.md).
_PARTS = 8


@jax.custom_jvp
def row_sums(*terms: Array) -> tuple[Array, ...]:
    """Sums over the last axis of arrays of one shape, each computed where it is added.

    Args:
      *terms: entries, best of formulas in the same few arrays. [..., n]

    Returns:
      The sum of each. [...]
    """
    parts = _PARTS if jax.default_backend() == "cpu" else 1
    shape = terms[0].shape
    width = shape[-1] // parts
    if parts == 1 or not width:
        return tuple(jnp.sum(term, axis=-1) for term in terms)
    even = parts * width
    folded = [term[..., :even].reshape(*shape[:-1], parts, width) for term in terms]
    sums = [jnp.sum(part, axis=-1) for part in _added(folded)]
    if even < shape[-1]:
        rest = _added([term[..., even:] for term in terms], axis=-1)
        sums = [a + b for a, b in zip(sums, rest)]
    return tuple(sums)


@row_sums.defjvp
def _row_sums_jvp(terms, tangents):
    return row_sums(*terms), tuple(jnp.sum(t, axis=-1) for t in tangents)


def _added(terms: list[Array], axis: int = -2) -> tuple[Array, ...]:
    """Sums of all terms over one axis in one loop."""
    return tuple(
        lax.reduce(
            tuple(terms),
            tuple(jnp.zeros((), term.dtype) for term in terms),
            lambda a, b: tuple(x + y for x, y in zip(a, b)),
            (terms[0].ndim + axis,),
        )
    )
