"""Losses of each score against its own label: 1 for positives, 0 for negatives."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from drrl_jax.losses.reduce import masked_mean
from drrl_jax.losses.rows import ReduceFn, prepare


def bce(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    *,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
) -> jax.Array:
    r"""Binary cross entropy (BCE) with the scores as logits.

    .. math:: -\log \sigma(s^+) - \tfrac1N \sum_j \log(1 - \sigma(s^-_j))

    The negatives are averaged, so their number changes the noise, not the balance.

    Args:
      pos_scores: ``[...]``, usually dot products.
      neg_scores: ``[..., negatives]``.
      where: ``[..., negatives]``, True = use.
      log_q: log-probabilities of sampling, if not uniform: the mean becomes a
        self-normalised weighted one.
      reduce_fn: called as ``reduce_fn(values, where=...)``; ``None`` keeps ``[...]``.

    Returns:
      The loss, in the type of the scores.

    Source:
      He et al., "Neural Collaborative Filtering", WWW 2017.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import bce
      >>> print(f"{bce(jnp.array([2.0]), jnp.array([[1.0, -1.0]])):.4f}")
      0.9402
    """
    rows = prepare(pos_scores, neg_scores, where, log_q)
    negatives = rows.mean(jax.nn.softplus(rows.neg))
    return rows.reduce(jax.nn.softplus(-rows.pos) + negatives, reduce_fn)


def mse(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    *,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
) -> jax.Array:
    r"""Squared error (MSE) of the sigmoid of the scores.

    .. math:: (1 - \sigma(s^+))^2 + \tfrac1N \sum_j \sigma(s^-_j)^2

    Args:
      pos_scores: ``[...]``, usually dot products.
      neg_scores: ``[..., negatives]``.
      where: ``[..., negatives]``, True = use.
      log_q: log-probabilities of sampling, if not uniform: the mean becomes a
        self-normalised weighted one.
      reduce_fn: called as ``reduce_fn(values, where=...)``; ``None`` keeps ``[...]``.

    Returns:
      The loss, in the type of the scores.

    Source:
      Koren et al., "Matrix Factorization Techniques for Recommender Systems", IEEE
      Computer 2009, on implicit labels through a sigmoid.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import mse
      >>> print(f"{mse(jnp.array([2.0]), jnp.array([[1.0, -1.0]])):.4f}")
      0.3176
    """
    rows = prepare(pos_scores, neg_scores, where, log_q)
    negatives = rows.mean(jnp.square(jax.nn.sigmoid(rows.neg)))
    # 1 - sigmoid(x) is sigmoid(-x), without the cancellation.
    positive = jnp.square(jax.nn.sigmoid(-rows.pos))
    return rows.reduce(positive + negatives, reduce_fn)
