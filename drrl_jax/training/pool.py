r"""Negatives that the rows of a batch share: one pool of items, one matrix product.

Scores of ``batch`` users against a pool of N items are one product ``[batch, dim] x
[dim, N]``, without a row fetched for each pair. The pool is

* ``"shared"``: N items drawn uniformly, with replacement, from the whole catalogue; or
* ``"batch"``: the positives of the batch, drawn in proportion to their training
  interactions by the batch itself.

A row's own positives in the pool are masked, so what is left is drawn from its
negatives: uniformly, or in proportion to popularity, which ``log_q`` always corrects
(uncorrected, in-batch negatives rank below popularity: see benchmarks/NOTES.md). Rows of
a batch that share their negatives are correlated; each row's estimate is as good as
with N negatives of its own (fewer the masked ones).
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from drrl_jax import data as data_lib
from drrl_jax import scores
from drrl_jax.data.negatives import random_below
from drrl_jax.training.state import Batch, DeviceData, positives_of

POOLS = ("shared", "batch")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class PoolTable:
    """What drawing a pool needs to know; a pytree.

    Attributes:
      log_q: log share of the training interactions that each item has, ``[items]``;
        ``None`` for a uniform pool.
      num_items: size of the catalogue (static).
      kind: one of ``POOLS`` (static).
      width: the most positives that any user has (static).
    """

    log_q: jax.Array | None
    num_items: int = dataclasses.field(metadata={"static": True})
    kind: str = dataclasses.field(metadata={"static": True})
    width: int = dataclasses.field(metadata={"static": True})


def pool_table(
    kind: str,
    positives: data_lib.Csr,
    train_items: np.ndarray,
    num_items: int,
) -> PoolTable:
    """Prepares drawing pools.

    Args:
      kind: one of ``POOLS``.
      positives: the training positives of each user.
      train_items: item of each interaction of the batches.
      num_items: size of the catalogue.

    Returns:
      The table.
    """
    width = int(np.diff(np.asarray(positives.indptr)).max(initial=1))
    log_q = None
    if kind == "batch":
        counts = np.bincount(train_items, minlength=num_items)
        # An item without interactions is in no batch; its value is never looked up.
        log_q = jnp.asarray(np.log(np.maximum(counts, 1) / len(train_items)))
        log_q = log_q.astype(jnp.float32)
    return PoolTable(log_q, num_items, kind, width)


def draw_pool(
    key: jax.Array,
    data: DeviceData,
    users: jax.Array,
    items: jax.Array,
    valid: jax.Array,
    num: int,
) -> Batch:
    """The ids of a step whose rows share their negatives.

    Args:
      key: randomness of this step.
      data: training data, with a ``PoolTable`` for a sampler.
      users: ``int32 [batch]``.
      items: the positives, ``int32 [batch]``.
      valid: False for padding, ``bool [batch]``.
      num: size of a ``"shared"`` pool.

    Returns:
      A batch whose ``negatives`` are ``[pool]``, ``where`` ``[batch, pool]`` and
      ``log_q`` ``[pool]`` or ``None``.
    """
    table: PoolTable = data.sampler
    log_q = None
    if table.kind == "shared":
        size = table.num_items
        pool = random_below(key, jnp.int32(size), (num,), limit=size)
    else:
        pool = items
        log_q = None if table.log_q is None else table.log_q[items]
    where = pool_mask(data.positives, users, pool, table.num_items, table.width)
    if table.kind == "batch":
        where = where & valid[None, :]
    # Nor does a row count without a negative in the pool.
    return Batch(users, items, valid & where.any(axis=-1), pool, where, log_q)


def pool_mask(
    positives: data_lib.Csr,
    users: jax.Array,
    pool: jax.Array,
    num_items: int,
    width: int,
) -> jax.Array:
    """True where an item of the pool is no training positive of the row's user.

    Args:
      positives: training positives on the device.
      users: ``int32 [batch]``.
      pool: items, perhaps repeated, ``int32 [pool]``.
      num_items: size of the catalogue.
      width: the most positives that any user has (static).

    Returns:
      ``bool [batch, pool]``.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from drrl_jax.data import Interactions, to_csr
      >>> csr = to_csr(Interactions([0, 0, 1], [1, 3, 0]), num_rows=2)
      >>> csr = jax.tree.map(jnp.asarray, csr)
      >>> pool = jnp.array([3, 0, 2, 3])
      >>> pool_mask(csr, jnp.array([0, 1]), pool, num_items=4, width=2).tolist()
      [[False, True, True, False], [True, False, True, True]]
    """
    size = len(pool)
    # One place for each item of the pool, whichever of its repetitions that is.
    place = jnp.full((num_items,), -1, jnp.int32)
    place = place.at[pool].set(jnp.arange(size, dtype=jnp.int32))
    seen = positives_of(positives, users, width)
    column = jnp.where(seen >= 0, place[seen], -1)
    mask = scores.all_but(column, size)
    # Mapped, since XLA repeats a plain gather within each reader of the mask: a quarter
    # of a step at 40,000 items.
    column_of = place[pool]
    return jax.lax.map(lambda row: row[column_of], mask, batch_size=256)
