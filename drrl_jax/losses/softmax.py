"""The softmax loss over sampled or all negatives."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from drrl_jax._numbers import check_flag
from drrl_jax.losses.reduce import masked_mean
from drrl_jax.losses.rows import ReduceFn, prepare


def softmax(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    *,
    temperature: ArrayLike = 0.2,
    include_positive: bool = False,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
) -> jax.Array:
    r"""Softmax loss (SL), also sampled softmax or InfoNCE.

    .. math:: -s^+/\tau + \log \sum_j e^{s^-_j/\tau}

    With ``include_positive`` the sum has the positive in it too: InfoNCE, and the
    cross entropy of a classifier over the list. ``log_q`` puts the importance weight
    :math:`w_j` in front of each exponential (see :mod:`drrl_jax.losses`).

    Args:
      pos_scores: ``[...]``, usually cosines.
      neg_scores: ``[..., negatives]``.
      temperature: :math:`\tau > 0`, a scalar or one a row.
      include_positive: whether the positive is in the sum.
      where: ``[..., negatives]``, True = use.
      log_q: log-probabilities of sampling, if not uniform.
      reduce_fn: called as ``reduce_fn(values, where=...)``; ``None`` keeps ``[...]``.

    Returns:
      The loss, in the type of the scores.

    Raises:
      ValueError: for an ``include_positive`` that is an array, which a trace could not
        branch on, or shapes and numbers that do not fit.

    Source:
      Wu et al., "On the Effectiveness of Sampled Softmax Loss for Item
      Recommendation", TOIS 2024; van den Oord et al., "Representation Learning with
      Contrastive Predictive Coding", 2018.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import softmax
      >>> pos, neg = jnp.array([0.9]), jnp.array([[0.1, 0.5, -0.2]])
      >>> print(f"{softmax(pos, neg, temperature=0.2):.4f}")
      -1.8468
      >>> print(f"{softmax(pos, neg, temperature=0.2, include_positive=True):.4f}")
      0.1465
    """
    check_flag("include_positive", include_positive)
    rows = prepare(pos_scores, neg_scores, where, log_q)
    tau = rows.parameter("temperature", temperature, above=0)
    pos = rows.pos / tau
    total = rows.logsumexp(rows.neg / tau[..., None])
    if include_positive:
        total = jnp.logaddexp(pos, total)
    return rows.reduce(total - pos, reduce_fn)
