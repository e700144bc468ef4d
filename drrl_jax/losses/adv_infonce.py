"""InfoNCE with negatives weighted by an adversary."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from drrl_jax.losses.reduce import masked_mean
from drrl_jax.losses.rows import ReduceFn, prepare


def adv_infonce(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    *,
    hardness: ArrayLike | None = None,
    temperature: ArrayLike = 0.2,
    negative_weight: ArrayLike = 64.0,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
) -> jax.Array:
    r"""Adversarial InfoNCE (AdvInfoNCE).

    .. math:: -\log \frac{e^{s^+/\tau}}
        {e^{s^+/\tau} + w N \sum_j p_j e^{s^-_j/\tau}}, \quad p = \mathrm{softmax}(h)

    The model descends on this loss and the adversary, whose scores are ``hardness``,
    ascends: give its parameters an optimiser with the sign flipped. With ``log_q``,
    p is the softmax of :math:`h_j - \log q_j`.

    Args:
      pos_scores: ``[...]``, cosines.
      neg_scores: ``[..., negatives]``.
      hardness: ``[..., negatives]``, the adversary's scores h; ``None`` is no
        adversary, p uniform.
      temperature: :math:`\tau > 0`, a scalar or one a row.
      negative_weight: :math:`w > 0`, a scalar or one a row.
      where: ``[..., negatives]``, True = use; N counts these.
      log_q: log-probabilities of sampling, if not uniform.
      reduce_fn: called as ``reduce_fn(values, where=...)``; ``None`` keeps ``[...]``.

    Returns:
      The loss, in the type of the scores.

    Source:
      Zhang et al., "Empowering Collaborative Filtering with Principled Adversarial
      Contrastive Loss", NeurIPS 2023.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import adv_infonce
      >>> pos, neg = jnp.array([0.9]), jnp.array([[0.1, 0.5, -0.2]])
      >>> hardness = jnp.array([[0.0, 1.0, 0.0]])
      >>> print(f"{adv_infonce(pos, neg, hardness=hardness):.4f}")
      2.8262
    """
    rows = prepare(pos_scores, neg_scores, where, log_q)
    tau = rows.parameter("temperature", temperature, above=0)
    w = rows.parameter("negative_weight", negative_weight, above=0)
    h = jnp.zeros_like(rows.neg)
    if hardness is not None:
        h = rows.per_negative("hardness", hardness)
    expected = rows.logsumexp(rows.neg / tau[..., None] + h) - rows.logsumexp(h)
    negatives = jnp.log(w * rows.count) + expected
    pos = rows.pos / tau
    return rows.reduce(jnp.logaddexp(pos, negatives) - pos, reduce_fn)
