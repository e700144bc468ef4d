"""Losses for the top of the list: rows below it count less."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from drrl_jax._numbers import is_number
from drrl_jax.losses.drrl import drrl_matched, drrl_tempered
from drrl_jax.losses.reduce import masked_mean
from drrl_jax.losses.rows import ReduceFn, Rows, prepare


def sl_at_k(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    *,
    quantile: ArrayLike,
    temperature: ArrayLike = 0.2,
    weight_temperature: ArrayLike = 2.0,
    negative_weight: ArrayLike | None = None,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
) -> jax.Array:
    r"""Softmax loss at K (SL@K): rows near or over the user's top-K score count most.

    .. math:: \sigma\!\left(\frac{s^+ - \beta_K}{\tau_w}\right) \cdot
              \log \sum_j e^{(s^-_j - s^+)/\tau_d}

    The weight is part of the loss: the gradient passes through it too, and pulls a
    positive down by as much as the logarithm is large, which :math:`\log N` is part of.
    ``negative_weight`` fixes that part: with :math:`w` the sum over the negatives is
    :math:`w` times their mean, whatever their number. Where
    :math:`\tau_d \log w / \tau_w` is above .7 training fails; .3 to .6 served on sparse
    data, less on dense.

    Args:
      pos_scores: ``[...]``, usually cosines.
      neg_scores: ``[..., negatives]``.
      quantile: :math:`\beta_K`, the user's K-th largest score over all items, a
        scalar or one a row; estimated every few epochs, outside of the loss (of
        embeddings, ``evaluation.top_k(users @ items.T, k)[0].min(-1)`` is every user's).
      temperature: :math:`\tau_d > 0`, a scalar or one a row.
      weight_temperature: :math:`\tau_w > 0`, a scalar or one a row.
      negative_weight: :math:`w > 0`, a scalar or one a row; None: N, as published.
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
    tau = rows.parameter("temperature", temperature, above=0)
    weight = _top_k_weight(rows, quantile, weight_temperature)
    total = rows.logsumexp(rows.gap / tau[..., None])
    if negative_weight is not None:
        total += _log_weight(rows, negative_weight) - jnp.log(rows.count)
    return rows.reduce(weight * total, reduce_fn)


def drrl_at_k(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    *,
    quantile: ArrayLike,
    gamma: ArrayLike = 1.25,
    temperature: ArrayLike = 0.25,
    weight_temperature: ArrayLike = 2.0,
    negative_weight: ArrayLike | None = None,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
) -> jax.Array:
    r"""DrRL at K: SL@K's weight on the positives, Renyi weights on the negatives.

    .. math:: \sigma\!\left(\frac{s^+ - \beta_K}{\tau_w}\right) \cdot
              \left( \frac{L}{\tau} + \log w \right)

    where L has the value of :func:`drrl_tempered` at order :math:`\gamma` and
    temperature :math:`\tau`, and the gradient of :func:`drrl_matched`, the exact
    worst-case weights; in the temperature it is that of the former. Differentiated
    twice it has the derivatives of this gradient at a held value of L.
    :math:`\gamma = 1` is :func:`sl_at_k`.

    Args:
      pos_scores: ``[...]``, usually cosines.
      neg_scores: ``[..., negatives]``.
      quantile: :math:`\beta_K`, as in :func:`sl_at_k`.
      gamma: Renyi order in :math:`[1, \infty]`, a scalar or one a row.
      temperature: :math:`\tau > 0`, a scalar or one a row.
      weight_temperature: :math:`\tau_w > 0`, a scalar or one a row; how large it must
        be beside the temperature, :func:`sl_at_k` says.
      negative_weight: :math:`w > 0`, as in :func:`sl_at_k`; None: N.
      where: ``[..., negatives]``, True = use; N counts these.
      log_q: log-probabilities of sampling, if not uniform: the mean over negatives
        becomes a self-normalised weighted one.
      reduce_fn: called as ``reduce_fn(values, where=...)``; ``None`` keeps ``[...]``.

    Returns:
      The loss, in the type of the scores.

    Source:
      This project, after Yang et al., KDD 2025 (the weight) and Zhang et al., AAAI
      2025 (the worst case).

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import drrl_at_k
      >>> pos, neg = jnp.array([0.3]), jnp.array([[0.1, 0.5, -0.2]])
      >>> options = dict(quantile=0.3, temperature=0.2)
      >>> print(f"{drrl_at_k(pos, neg, gamma=1.0, **options):.4f}")
      0.5766
      >>> print(f"{drrl_at_k(pos, neg, gamma=1.5, **options):.4f}")
      0.6020
    """
    rows = prepare(pos_scores, neg_scores, where, log_q)
    temperature = rows.checked("temperature", temperature, above=0)
    weight = _top_k_weight(rows, quantile, weight_temperature)
    log_q = None if rows.log_weights is None else -rows.log_weights
    given = rows.pos, rows.neg, rows.checked("gamma", gamma, least=1), log_q
    tempered, matched = (
        loss(
            pos,
            neg,
            gamma=order,
            temperature=temperature,
            where=rows.where,
            log_q=log_q,
            reduce_fn=None,
        )
        for loss, (pos, neg, order, log_q) in (
            (drrl_tempered, jax.tree.map(_held, given)),
            (drrl_matched, given),
        )
    )
    # What the ball costs is held: the weights stay exact, the level that of SL@K. Only
    # the temperature, of which `matched` is no function, moves it.
    value = matched + tempered - jax.lax.stop_gradient(matched)
    level = _log_weight(rows, negative_weight)
    tau = rows.parameter("temperature", temperature)
    return rows.reduce(weight * (value / tau + level), reduce_fn)


def _held(x: ArrayLike) -> ArrayLike:
    """A constant; a plain number stays one, for the quick way of whole powers."""
    return x if is_number(x) else jax.lax.stop_gradient(x)


def _log_weight(rows: Rows, negative_weight: ArrayLike | None) -> jax.Array:
    """The logarithm of what all negatives together weigh."""
    if negative_weight is None:
        return jnp.log(rows.count)
    return jnp.log(rows.parameter("negative_weight", negative_weight, above=0))


def _top_k_weight(
    rows: Rows, quantile: ArrayLike, weight_temperature: ArrayLike
) -> jax.Array:
    """How far a positive is above the user's K-th score, squashed to (0, 1)."""
    beta = rows.parameter("quantile", quantile)
    tau = rows.parameter("weight_temperature", weight_temperature, above=0)
    return jax.nn.sigmoid((rows.pos - beta) / tau)
