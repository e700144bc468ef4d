"""The ids of a step: positives by row number, negatives drawn on the device."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from drrl_jax import data as data_lib
from drrl_jax.training.pool import PoolTable, draw_pool, pool_table
from drrl_jax.training.state import Batch, DeviceData


class Sampling(NamedTuple):
    """How a step's negatives are drawn (all static).

    Attributes:
      batch_size: rows a step.
      negatives: negatives a row; ``None`` for the whole catalogue.
      false_negative_rate: share of each row's negatives drawn from the user's own
        positives (noise study).
      log_q_correction: hand the log probabilities of draws by popularity to the loss.
      marked_rate: probability by which a negative is replaced by one of the user's
        marked positives (noise study).
    """

    batch_size: int
    negatives: int | None
    false_negative_rate: float = 0.0
    log_q_correction: bool = False
    marked_rate: float = 0.0


def make_sampler(
    positives: data_lib.Csr,
    train_items: np.ndarray,
    num_items: int,
    alpha: float,
    pool: str = "row",
) -> data_lib.NegativeTable | data_lib.PopularityTable | PoolTable:
    """Tables of the uniform sampler, of the ``popularity^alpha`` one, or of a pool."""
    if pool != "row":
        return pool_table(pool, positives, train_items, num_items)
    if not alpha:
        return data_lib.negative_table(positives, num_items)
    counts = np.bincount(train_items, minlength=num_items)
    return data_lib.popularity_table(positives, counts, alpha)


def draw_batch(
    key: jax.Array, data: DeviceData, rows: jax.Array, sampling: Sampling
) -> Batch:
    """The ids of one step.

    Args:
      key: randomness of this step.
      data: training data.
      rows: interaction numbers, ``int32 [batch]``; numbers past the end are padding.
      sampling: see ``Sampling``.
    """
    valid = rows < data.users.shape[0]
    rows = jnp.minimum(rows, data.users.shape[0] - 1)
    users, items = data.users[rows], data.items[rows]
    if isinstance(data.sampler, PoolTable):
        assert sampling.negatives is not None
        return draw_pool(key, data, users, items, valid, sampling.negatives)
    # A user whose positives cover the catalogue has no negative: the row counts nothing.
    has_any = data_lib.has_negatives(data.sampler, users)
    valid = valid & has_any
    if sampling.negatives is None:
        return Batch(users, items, valid)
    shape = (sampling.batch_size, sampling.negatives)
    log_q = None
    if isinstance(data.sampler, data_lib.PopularityTable):
        drawn, log_q = data_lib.sample_by_popularity(
            key, data.sampler, users, sampling.negatives
        )
        log_q = log_q if sampling.log_q_correction else None
    elif sampling.false_negative_rate:
        drawn = data_lib.sample_with_false_negatives(
            key,
            data.sampler,
            users,
            sampling.negatives,
            sampling.false_negative_rate,
        )
    else:
        drawn = data_lib.sample_negatives(key, data.sampler, users, sampling.negatives)
    if sampling.marked_rate and data.marked is not None:
        marked_key = jax.random.fold_in(key, 1)
        drawn = data_lib.replace_with_marked(
            marked_key, drawn, data.marked, users, sampling.marked_rate
        )
    where = jnp.broadcast_to(has_any[:, None], shape)
    return Batch(users, items, valid, drawn, where, log_q)
