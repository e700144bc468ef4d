"""Negative sampling in proportion to popularity^α, exact, with log q for correction.

Weights are integers, so the draw is exact. Lay the weights of all items end to end;
C(i) is the weight before item i. Take out the positives of a user: the mass left before
positive p_t is C(p_t) − S_t, with S_t the weight of the positives before it. For r
uniform in the mass left, r + S_t with t = #{t : C(p_t) − S_t ≤ r} is a place in the
whole line, and the item that covers it is found by a second binary search, over C.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from drrl_jax._numbers import as_ids
from drrl_jax.data.interactions import Csr
from drrl_jax.data.negatives import count_at_most, random_below, segments

_MAX_TOTAL = 2**31 - 1


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class PopularityTable:
    """What ``sample_by_popularity`` needs; a pytree, ``O(interactions + items)``.

    Attributes:
      indptr: ``int32[users + 1]``, segment bounds of each user.
      mass_before: ``int32[nnz]``, ``C(p_t) − S_t`` for each positive.
      removed: ``int32[nnz]``, ``S_{t+1}``: weight of a user's positives up to this one.
      edges: ``int32[items]``, ``C(i)``.
      weights: ``int32[items]``.
      total: ``int32[]``, weight of all items.
      num_steps: steps of the search among positives (static).
    """

    indptr: jax.Array
    mass_before: jax.Array
    removed: jax.Array
    edges: jax.Array
    weights: jax.Array
    total: jax.Array
    num_steps: int = dataclasses.field(metadata={"static": True})

    def free(self, users: jax.Array) -> jax.Array:
        """Weight that each user may draw from, ``int32[batch]``."""
        start, degrees = segments(self.indptr, users)
        return (self.total - _removed(self, start, degrees))[:, 0]


def popularity_table(
    positives: Csr, counts: np.ndarray, alpha: float
) -> PopularityTable:
    """Prepare sampling with probabilities proportional to ``counts ** alpha``.

    The weights are ``max(⌊counts^α · s⌋, 1)`` (0 where the count is 0), with the scale
    s such that they sum to just under 2³¹.

    Args:
      positives: what ``to_csr`` returns.
      counts: training interactions of each item, ``[items]``.
      alpha: exponent; 0 is uniform over the items that occur in training.

    Returns:
      A ``PopularityTable``.

    Raises:
      ValueError: if ``alpha`` is not finite, counts are negative or all zero, or an
        item id is outside the catalogue.

    Example:
      >>> import numpy as np
      >>> from drrl_jax.data import Interactions, popularity_table, to_csr
      >>> csr = to_csr(Interactions([0], [1]), num_rows=1)
      >>> table = popularity_table(csr, np.array([1, 2, 4, 0]), alpha=1.0)
      >>> np.round(np.asarray(table.weights) / int(table.total), 3).tolist()
      [0.143, 0.286, 0.571, 0.0]
    """
    counts = np.asarray(counts, np.float64)
    if not np.isfinite(alpha):
        raise ValueError(f"alpha must be finite; got {alpha}.")
    if counts.ndim != 1 or np.any(counts < 0) or not np.any(counts > 0):
        raise ValueError(
            "counts must be one-dimensional, non-negative and not all zero; "
            f"got shape {counts.shape}, sum {counts.sum():g}."
        )
    indptr = np.asarray(positives.indptr, np.int32)
    indices = as_ids("item ids", positives.indices, len(counts))
    seen = counts > 0
    # Of the largest power, which is 1 by this division: nothing overflows.
    peak = counts.max() if alpha > 0 else counts[seen].min()
    share = np.where(seen, np.where(seen, counts / peak, 1.0) ** alpha, 0.0)
    share = share / share.sum()
    weights = np.floor(share * (_MAX_TOTAL - len(counts)))
    weights = np.where(seen, np.maximum(weights, 1), 0).astype(np.int64)
    edges = np.concatenate([[0], np.cumsum(weights)])
    degrees = np.diff(indptr)
    # Running weight within each segment, from the running weight of the whole.
    running = np.concatenate([[0], np.cumsum(weights[indices])])
    removed = running[1:] - np.repeat(running[indptr[:-1]], degrees)
    before = edges[indices] - (removed - weights[indices])

    def device(values: np.ndarray) -> jax.Array:
        # A gather needs something to read even when nobody has a positive.
        return jnp.asarray(values if len(values) else [0], jnp.int32)

    return PopularityTable(
        indptr=device(indptr),
        mass_before=device(before),
        removed=device(removed),
        edges=device(edges[:-1]),
        weights=device(weights),
        total=jnp.asarray(edges[-1], jnp.int32),
        num_steps=int(degrees.max(initial=0)).bit_length(),
    )


def sample_by_popularity(
    key: jax.Array, table: PopularityTable, users: jax.Array, num: int
) -> tuple[jax.Array, jax.Array]:
    """Draw items outside each user's positives in proportion to popularity^α.

    With replacement. Where nothing is left to draw, the row is drawn from the whole
    distribution and ``has_negatives`` is ``False``.

    Args:
      key: a JAX random key.
      table: from ``popularity_table``.
      users: ``[batch]`` dense user ids.
      num: draws for each row.

    Returns:
      ``int32[batch, num]`` item ids, and ``float32[batch, num]`` natural logarithms of
      the probability with which each was drawn, for the losses' ``log_q``.

    Example:
      >>> import jax, jax.numpy as jnp, numpy as np
      >>> from drrl_jax.data import (
      ...     Interactions, popularity_table, sample_by_popularity, to_csr)
      >>> csr = to_csr(Interactions([0], [1]), num_rows=1)
      >>> table = popularity_table(csr, np.array([1, 2, 3, 0]), alpha=1.0)
      >>> items, log_q = sample_by_popularity(
      ...     jax.random.key(0), table, jnp.array([0]), 1000)
      >>> sorted(set(items[0].tolist())), float(jnp.exp(log_q.min()).round(3))
      ([0, 2], 0.25)
    """
    start, degrees = segments(table.indptr, users)
    free = table.total - _removed(table, start, degrees)
    has_any = free > 0
    mass = jnp.where(has_any, free, table.total)
    draws = random_below(key, mass, (users.shape[0], num))
    below = count_at_most(table.mass_before, start, degrees, draws, table.num_steps)
    skipped = jnp.where(has_any, _removed(table, start, below), 0)
    num_items = table.edges.shape[0]
    items = count_at_most(
        table.edges, 0, num_items, draws + skipped, num_items.bit_length()
    )
    items = items - 1
    log_q = jnp.log(table.weights[items].astype(jnp.float32))
    return items, log_q - jnp.log(mass.astype(jnp.float32))


def _removed(table: PopularityTable, start: jax.Array, count: jax.Array) -> jax.Array:
    """Weight of the first ``count`` positives of a segment."""
    last = table.removed.at[start + count - 1].get(mode="clip")
    return jnp.where(count > 0, last, 0)
