"""The softmax loss for the top of the list."""

import jax
from jax.typing import ArrayLike

from drrl_jax.losses.reduce import masked_mean
from drrl_jax.losses.rows import ReduceFn, prepare


def sl_at_k(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    *,
    quantile: ArrayLike,
    temperature: ArrayLike = 0.2,
    weight_temperature: ArrayLike = 1.0,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
) -> jax.Array:
    r"""Softmax loss at K (SL@K): rows near or over the user's top-K score count most.

    .. math:: \sigma\!\left(\frac{s^+ - \beta_K}{\tau_w}\right) \cdot
              \log \sum_j e^{(s^-_j - s^+)/\tau_d}

    The weight is part of the loss: the gradient passes through it too.

    Args:
      pos_scores: ``[...]``, usually cosines.
      neg_scores: ``[..., negatives]``.
      quantile: :math:`\beta_K`, the user's K-th largest score over all items, a
        scalar or one a row; estimated every few epochs, outside of the loss.
      temperature: :math:`\tau_d > 0`, a scalar or one a row.
      weight_temperature: :math:`\tau_w > 0`, a scalar or one a row.
      where: ``[..., negatives]``, True = use.
      log_q: log-probabilities of sampling, if not uniform.
      reduce_fn: called as ``reduce_fn(values, where=...)``; ``None`` keeps ``[...]``.

    Returns:
      The loss, in the type of the scores.

    Source:
      Yang et al., "Breaking the Top-K Barrier: Advancing Top-K Ranking Metrics
      Optimization in Recommender Systems", KDD 2025.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import sl_at_k
      >>> pos, neg = jnp.array([0.3]), jnp.array([[0.1, 0.5, -0.2]])
      >>> print(f"{sl_at_k(pos, neg, quantile=0.3, temperature=0.2):.4f}")
      0.5766
    """
    rows = prepare(pos_scores, neg_scores, where, log_q)
    beta = rows.parameter("quantile", quantile)
    tau = rows.parameter("temperature", temperature, above=0)
    tau_w = rows.parameter("weight_temperature", weight_temperature, above=0)
    weight = jax.nn.sigmoid((rows.pos - beta) / tau_w)
    total = rows.logsumexp((rows.neg - rows.pos[..., None]) / tau[..., None])
    return rows.reduce(weight * total, reduce_fn)
