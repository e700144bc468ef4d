"""The cosine contrastive loss."""

import jax
from jax.typing import ArrayLike

from drrl_jax.losses.reduce import masked_mean
from drrl_jax.losses.rows import ReduceFn, prepare


def ccl(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    *,
    margin: ArrayLike = 0.3,
    negative_weight: ArrayLike = 5.0,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
) -> jax.Array:
    r"""Cosine contrastive loss (CCL): a hinge on each side.

    .. math:: (1 - s^+)_+ + w \cdot \tfrac1N \sum_j (s^-_j - m)_+

    Args:
      pos_scores: ``[...]``, cosines.
      neg_scores: ``[..., negatives]``.
      margin: :math:`m`, the score under which a negative costs nothing; a scalar or
        one a row.
      negative_weight: :math:`w \ge 0`, a scalar or one a row.
      where: ``[..., negatives]``, True = use.
      log_q: log-probabilities of sampling, if not uniform: the mean becomes a
        self-normalised weighted one.
      reduce_fn: called as ``reduce_fn(values, where=...)``; ``None`` keeps ``[...]``.

    Returns:
      The loss, in the type of the scores.

    Source:
      Mao et al., "SimpleX: A Simple and Strong Baseline for Collaborative Filtering",
      CIKM 2021.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import ccl
      >>> pos, neg = jnp.array([0.9]), jnp.array([[0.1, 0.5, -0.2]])
      >>> print(f"{ccl(pos, neg, margin=0.2, negative_weight=3.0):.4f}")
      0.4000
    """
    rows = prepare(pos_scores, neg_scores, where, log_q)
    m = rows.parameter("margin", margin)
    w = rows.parameter("negative_weight", negative_weight, least=0)
    hinge = rows.mean(jax.nn.relu(rows.neg - m[..., None]))
    return rows.reduce(jax.nn.relu(1 - rows.pos) + w * hinge, reduce_fn)
