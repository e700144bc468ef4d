"""Negative sampling on the device, exactly uniform outside a user's positives.

Memory is proportional to the interactions: there is no users × items matrix and no
rejection. Write p₀ < p₁ < … for the positives of a user in a catalogue of I items.
The number of non-positives below p_t is p_t − t, which never falls with t; so the r-th
non-positive is r + #{t : p_t − t ≤ r}, and that count is a binary search in the user's
own segment. Drawing r uniformly from [0, I − n_u) gives each non-positive the same
chance, in ⌈log₂(max n_u + 1)⌉ gathers.

"Exactly" is up to the random bits: 32 of them for up to 2¹⁶ items, 64 for more.
"""

import dataclasses
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from drrl_jax._numbers import amount, as_ids
from drrl_jax.data.interactions import Csr

if TYPE_CHECKING:
    from drrl_jax.data.popularity import PopularityTable


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class NegativeTable:
    """What the samplers need to know of the training positives; a pytree.

    Attributes:
      indptr: ``int32[users + 1]``, segment bounds of each user.
      ranks: ``int32[nnz]``, ``p_t − t`` for the t-th positive of its user.
      num_items: size of the catalogue (static).
      num_steps: steps of the binary search (static).
    """

    indptr: jax.Array
    ranks: jax.Array
    num_items: int = dataclasses.field(metadata={"static": True})
    num_steps: int = dataclasses.field(metadata={"static": True})

    def free(self, users: jax.Array) -> jax.Array:
        """Number of items that each user may draw, ``int32[batch]``."""
        return self.num_items - segments(self.indptr, users)[1][:, 0]


def negative_table(positives: Csr, num_items: int) -> NegativeTable:
    """Put the training positives on the device for sampling.

    Args:
      positives: what ``to_csr`` returns.
      num_items: size of the catalogue.

    Returns:
      A ``NegativeTable``; pass it to jitted functions as an argument.

    Raises:
      ValueError: if an item id is no whole number or outside the catalogue.

    Example:
      >>> from drrl_jax.data import Interactions, negative_table, to_csr
      >>> csr = to_csr(Interactions([0, 0], [1, 3]), num_rows=1)
      >>> table = negative_table(csr, num_items=5)
      >>> table.ranks.tolist(), table.num_steps
      ([1, 2], 2)
    """
    indptr = np.asarray(positives.indptr, np.int32)
    indices = as_ids("item ids", positives.indices, num_items)
    degrees = np.diff(indptr)
    offsets = np.arange(len(indices), dtype=np.int32) - np.repeat(indptr[:-1], degrees)
    # A gather needs something to read even when nobody has a positive.
    ranks = indices - offsets if len(indices) else np.zeros(1, np.int32)
    num_steps = int(degrees.max(initial=0)).bit_length()
    return NegativeTable(jnp.asarray(indptr), jnp.asarray(ranks), num_items, num_steps)


def sample_negatives(
    key: jax.Array, table: NegativeTable, users: jax.Array, num: int
) -> jax.Array:
    """Draw items uniformly, with replacement, outside each user's positives.

    Each of the ``I − n_u`` items is drawn with probability ``1 / (I − n_u)``, up to a
    relative ``2⁻¹⁶``, the most by which ``random_below`` is uneven. ``num`` may exceed
    ``I − n_u``: draws are with replacement. A user whose positives cover the catalogue
    has no negatives; the row is then uniform over the whole catalogue, and
    ``has_negatives`` is ``False``, to be used in ``where``.

    Args:
      key: a JAX random key.
      table: from ``negative_table``.
      users: ``[batch]`` dense user ids.
      num: draws for each row.

    Returns:
      ``int32[batch, num]`` item ids.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from drrl_jax.data import Interactions, negative_table, to_csr
      >>> csr = to_csr(Interactions([0, 0, 1], [1, 3, 0]), num_rows=2)
      >>> table = negative_table(csr, num_items=4)
      >>> from drrl_jax.data import sample_negatives
      >>> items = sample_negatives(jax.random.key(0), table, jnp.array([0, 1]), 1000)
      >>> [sorted(set(row)) for row in items.tolist()]
      [[0, 2], [1, 2, 3]]
    """
    start, degrees = segments(table.indptr, users)
    free = table.num_items - degrees
    bound = jnp.where(free > 0, free, table.num_items)
    shape = (users.shape[0], num)
    draws = random_below(key, bound, shape, limit=table.num_items)
    length = jnp.where(free > 0, degrees, 0)
    search = table.ranks, start, length, draws, table.num_steps
    return count_at_most(*search, origin=draws)


def sample_with_false_negatives(
    key: jax.Array, table: NegativeTable, users: jax.Array, num: int, rate: float
) -> jax.Array:
    """Negatives of which a share are the user's own training positives (noise study).

    The first ``⌊num · rate⌋`` columns (29 for .29 of 100, which as floats is less) are
    drawn uniformly from the positives of the row's user, with replacement, the others as
    ``sample_negatives`` does. A user without positives gets negatives only.

    Args:
      key: a JAX random key.
      table: from ``negative_table``.
      users: ``[batch]`` dense user ids.
      num: draws for each row.
      rate: share of false negatives, in [0, 1]; a Python number.

    Returns:
      ``int32[batch, num]`` item ids.

    Raises:
      ValueError: if ``rate`` is not in [0, 1].

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from drrl_jax.data import Interactions, negative_table, to_csr
      >>> from drrl_jax.data import sample_with_false_negatives
      >>> csr = to_csr(Interactions([0, 0], [1, 3]), num_rows=1)
      >>> table = negative_table(csr, num_items=1000)
      >>> items = sample_with_false_negatives(
      ...     jax.random.key(0), table, jnp.array([0]), num=40, rate=0.125)
      >>> sum(item in (1, 3) for item in items[0].tolist())
      5
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate must lie in [0, 1]; got {rate}.")
    false = int(amount(rate, num))
    if not false:
        return sample_negatives(key, table, users, num)
    key, false_key = jax.random.split(key)
    items = sample_negatives(key, table, users, num)
    start, degrees = segments(table.indptr, users)
    shape = (users.shape[0], false)
    bound = jnp.maximum(degrees, 1)
    draws = random_below(false_key, bound, shape, limit=table.num_items)
    positives = table.ranks.at[start + draws].get(mode="clip") + draws
    positives = jnp.where(degrees > 0, positives, items[:, :false])
    return jnp.concatenate([positives, items[:, false:]], axis=1)


def has_negatives(
    table: "NegativeTable | PopularityTable", users: jax.Array
) -> jax.Array:
    """Whether each user has any item outside the positives, ``bool[batch]``.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.data import Interactions, has_negatives, negative_table, to_csr
      >>> csr = to_csr(Interactions([0, 0, 1], [0, 1, 0]), num_rows=2)
      >>> has_negatives(negative_table(csr, num_items=2), jnp.array([0, 1])).tolist()
      [False, True]
    """
    return table.free(users) > 0


def random_below(
    key: jax.Array,
    bound: jax.Array,
    shape: tuple[int, ...],
    *,
    limit: int = 2**31 - 1,
) -> jax.Array:
    """Uniform integers in ``[0, bound)``: ``⌊bits · bound / 2^b⌋`` of b random bits.

    Without the three integer divisions of ``jax.random.randint``, which cost more on a
    CPU than all the rest of the sampler. An outcome's probability is off by a relative
    ``bound · 2⁻ᵇ`` at most; b is 32 where that is at most 2⁻¹⁶, else 64.

    Args:
      key: a JAX random key.
      bound: positive integers up to ``limit`` that broadcast to ``shape``.
      shape: shape of the result.
      limit: what ``bound`` never exceeds (static).

    Returns:
      ``int32[shape]``.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from drrl_jax.data.negatives import random_below
      >>> draws = random_below(jax.random.key(0), jnp.array(3), (1000,), limit=3)
      >>> int(draws.min()), int(draws.max())
      (0, 2)
    """
    bound = jnp.asarray(bound).astype(jnp.uint32)
    if limit <= 1 << 16:
        high = jax.random.bits(key, shape, jnp.uint32)
        return _multiply_high(high, bound).astype(jnp.int32)
    high, low = jax.random.bits(key, (2, *shape), jnp.uint32)
    carry = high * bound > ~_multiply_high(low, bound)
    return (_multiply_high(high, bound) + carry.astype(jnp.uint32)).astype(jnp.int32)


def _multiply_high(a: jax.Array, b: jax.Array) -> jax.Array:
    """Upper 32 bits of the 64-bit product, in 32-bit arithmetic (x64 may be off)."""
    mask, shift = jnp.uint32(0xFFFF), jnp.uint32(16)
    a_low, a_high, b_low, b_high = a & mask, a >> shift, b & mask, b >> shift
    middle = a_high * b_low + ((a_low * b_low) >> shift)
    other = a_low * b_high + (middle & mask)
    return a_high * b_high + (middle >> shift) + (other >> shift)


def count_at_most(
    sorted_values: jax.Array,
    start: jax.Array | int,
    length: jax.Array | int,
    bound: jax.Array,
    num_steps: int,
    origin: jax.Array | None = None,
) -> jax.Array:
    """How many values of a sorted segment are at most ``bound``.

    By descending powers of two: one gather a step, all rows at once.

    Args:
      sorted_values: segments of ascending values, one after the other.
      start: first position of each segment, broadcastable to ``bound``.
      length: length of each segment, below ``2 ** num_steps``.
      bound: what values are compared with.
      num_steps: static number of steps.
      origin: what the count is added to, ``int32`` of ``bound``'s shape. Added
        afterwards, XLA on CPU would draw the random numbers behind ``bound`` twice,
        once for the search and once for the sum.

    Returns:
      Counts, ``int32`` of ``bound``'s shape.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.data.negatives import count_at_most
      >>> values = jnp.array([9, 1, 4, 4, 8])
      >>> count_at_most(values, 1, 4, jnp.array([0, 4, 7, 9]), 3).tolist()
      [0, 3, 3, 4]
    """
    if origin is None:
        origin = jnp.zeros(bound.shape, jnp.int32)

    # Rolled on a CPU, where XLA would fuse the steps and recompute them, three times as
    # slow at a million draws; on a GPU each turn of a loop would be three launches.
    def step(i: jax.Array, found: jax.Array) -> jax.Array:
        size = jnp.int32(1) << (num_steps - 1 - i)
        larger = found - origin + size
        value = sorted_values.at[start + larger - 1].get(mode="clip")
        return jnp.where((larger <= length) & (value <= bound), found + size, found)

    unroll = None if jax.default_backend() == "cpu" else True
    return jax.lax.fori_loop(0, num_steps, step, origin, unroll=unroll)


def segments(indptr: jax.Array, users: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Start and length of each user's segment, ``int32[batch, 1]`` both.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.data.negatives import segments
      >>> start, length = segments(jnp.array([0, 2, 5]), jnp.array([1]))
      >>> start.tolist(), length.tolist()
      ([[2]], [[3]])
    """
    start = indptr[users]
    return start[:, None], (indptr[users + 1] - start)[:, None]
