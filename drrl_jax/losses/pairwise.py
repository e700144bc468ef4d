"""Losses of a positive's lead over each negative."""

import jax
from jax.typing import ArrayLike

from drrl_jax.losses.reduce import masked_mean
from drrl_jax.losses.rows import ReduceFn, prepare


def bpr(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    *,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
) -> jax.Array:
    r"""Bayesian personalised ranking (BPR).

    .. math:: \tfrac1N \sum_j \log(1 + e^{s^-_j - s^+})

    Args:
      pos_scores: ``[...]``, usually dot products.
      neg_scores: ``[..., negatives]``; one negative is the published form.
      where: ``[..., negatives]``, True = use.
      log_q: log-probabilities of sampling, if not uniform: the mean becomes a
        self-normalised weighted one.
      reduce_fn: called as ``reduce_fn(values, where=...)``; ``None`` keeps ``[...]``.

    Returns:
      The loss, in the type of the scores.

    Source:
      Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback",
      UAI 2009.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import bpr
      >>> print(f"{bpr(jnp.array([2.0]), jnp.array([[1.0]])):.4f}")
      0.3133
    """
    rows = prepare(pos_scores, neg_scores, where, log_q)
    losses = jax.nn.softplus(rows.gap)
    return rows.reduce(rows.mean(losses), reduce_fn)
