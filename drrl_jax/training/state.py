"""What a run carries from step to step, and how it starts."""

import enum
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from drrl_jax import scores
from drrl_jax.data import Csr


class TrainState(NamedTuple):
    """Everything that changes during training; a pytree, donated to each epoch.

    Randomness is a pure function of the run's seed and ``step``, so no key is carried.

    Attributes:
      step: updates made, ``int32 []``.
      params: ``{"model": …}`` and, where a loss has them, its auxiliary variables.
      opt_state: state of the optimiser of all parameters.
      per_user: statistics refreshed from the catalogue, each ``[num_users]``.
    """

    step: jax.Array
    params: dict[str, Any]
    opt_state: optax.OptState
    per_user: dict[str, jax.Array]


class DeviceData(NamedTuple):
    """Training data as it lies on the device.

    Attributes:
      users: user of each interaction, ``int32 [n]``.
      items: item of each interaction, ``int32 [n]``.
      sampler: tables of the negative sampler.
      positives: the training positives of each user.
      graph: the propagation graph of graph backbones, else ``None``.
      marked: the positives of each user that come back as negatives (noise study),
        else ``None``. They are among ``positives`` and not among the interactions.
    """

    users: jax.Array
    items: jax.Array
    sampler: Any
    positives: Csr
    graph: Any = None
    marked: Csr | None = None


class Batch(NamedTuple):
    """Ids of one step.

    Attributes:
      users: ``int32 [batch]``.
      items: the positives, ``int32 [batch]``.
      valid: False for the rows that pad the last batch, ``bool [batch]``.
      negatives: ``int32 [batch, negatives]``, or ``[pool]`` where the rows share them
        (see ``pool.py``); ``None`` stands for the whole catalogue.
      where: negatives to use, ``bool [batch, negatives]``, or ``None`` for all.
      log_q: log proposal probabilities, of the negatives' shape; ``None`` for uniform.
    """

    users: jax.Array
    items: jax.Array
    valid: jax.Array
    negatives: jax.Array | None = None
    where: jax.Array | None = None
    log_q: jax.Array | None = None


class Stream(enum.IntEnum):
    """Streams of randomness of a run: none reads another's keys."""

    SHUFFLE = 0  # the order of an epoch's interactions
    STEP = 1  # negatives, noise and dropout of a step
    START = 2  # the parameters
    LOOKAHEAD = 3  # validation rows of a learned order (bilevel.py)


def start_of_stream(seed: int | jax.Array, number: Stream) -> jax.Array:
    """The key that a stream of a run begins with."""
    return jax.random.fold_in(jax.random.key(seed), int(number))


def positives_of(positives: Csr, users: jax.Array, width: int) -> jax.Array:
    """The training positives of each row's user, padded by -1.

    Args:
      positives: training positives on the device.
      users: ``int32 [b]``.
      width: the most positives that any user has (static).

    Returns:
      ``int32 [b, width]``.
    """
    start, end = positives.indptr[users], positives.indptr[users + 1]
    offsets = start[:, None] + jnp.arange(width, dtype=start.dtype)[None, :]
    items = positives.indices[jnp.minimum(offsets, positives.indices.shape[0] - 1)]
    return jnp.where(offsets < end[:, None], items, -1)


def catalogue_mask(
    positives: Csr, users: jax.Array, num_items: int, width: int
) -> jax.Array:
    """True where an item is not a training positive of the row's user.

    Args:
      positives: training positives on the device.
      users: ``int32 [b]``.
      num_items: size of the catalogue.
      width: the most positives that any user has (static).

    Returns:
      ``bool [b, num_items]``.
    """
    return scores.all_but(positives_of(positives, users, width), num_items)
