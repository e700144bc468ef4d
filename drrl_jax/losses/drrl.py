"""Distributionally robust losses over a Renyi ball: four ways to hold its size."""

import jax
from jax.typing import ArrayLike

from drrl_jax import dro
from drrl_jax.losses.reduce import masked_mean
from drrl_jax.losses.rows import ReduceFn, prepare


def drrl(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    *,
    gamma: ArrayLike = 1.5,
    radius: ArrayLike = 1.0,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
) -> jax.Array:
    r"""DrRL with a given radius, the threshold solved for each row.

    .. math:: -s^+ + \max_p \Big\{ \sum_j p_j s^-_j : D_\gamma(p \| q) \le \eta \Big\}

    The maximum is solved exactly (:func:`drrl_jax.dro.worst_case_mean`), and the
    gradient in a negative score is its worst-case weight. :math:`\gamma = 1` is the
    Kullback-Leibler ball, :math:`\gamma = \infty` conditional value at risk.

    Args:
      pos_scores: ``[...]``, cosines.
      neg_scores: ``[..., negatives]``.
      gamma: Renyi order in :math:`[1, \infty]`, a scalar or one a row.
      radius: :math:`\eta \ge 0` in nats, a scalar or one a row.
      where: ``[..., negatives]``, True = use.
      log_q: log-probabilities of sampling, if not uniform: the ball's centre becomes
        the self-normalised importance weights.
      reduce_fn: called as ``reduce_fn(values, where=...)``; ``None`` keeps ``[...]``.

    Returns:
      The loss, in the type of the scores and in units of the scores.

    Source:
      Zhang et al., "Advancing Loss Functions in Recommender Systems: A Comparative
      Study with a Renyi Divergence-Based Solution", AAAI 2025: the worst case before
      it is turned into its dual.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import drrl
      >>> pos, neg = jnp.array([0.9]), jnp.array([[0.1, 0.5, -0.2]])
      >>> print(f"{drrl(pos, neg, gamma=2.0, radius=0.3):.4f}")
      -0.5971
    """
    rows = prepare(pos_scores, neg_scores, where, log_q)
    worst = dro.worst_case_mean(
        rows.neg,
        gamma=rows.checked("gamma", gamma),
        radius=rows.checked("radius", radius),
        probs=rows.probs,
        where=rows.where,
    )
    return rows.reduce(worst - rows.pos, reduce_fn)


def drrl_dual(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    *,
    threshold: ArrayLike,
    gamma: ArrayLike = 2.0,
    weight: ArrayLike = 2.0,
    epsilon: ArrayLike = 0.0,
    margin: ArrayLike = 1.0,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
) -> jax.Array:
    r"""DrRL with a given threshold: the paper's Algorithm 1.

    .. math:: (m - s^+)_+ + \Big( \tfrac1N \sum_j \big(c\,(s^-_j - \beta)_+
              + \varepsilon\big)^k \Big)^{1/k} + \beta,
              \quad k = \tfrac{\gamma}{\gamma - 1}

    Minimised over the model and :math:`\beta` together (:func:`drrl_jax.dro.dual`);
    the smallest value over :math:`\beta` is :func:`drrl` at the radius
    :math:`\eta = k \log c`, with a hinge for the positive. :math:`\gamma = \infty` is
    :func:`ccl` with margin :math:`\beta`, plus :math:`\beta`.

    Args:
      pos_scores: ``[...]``, cosines.
      neg_scores: ``[..., negatives]``.
      threshold: :math:`\beta`, a scalar or one a row; a parameter of each user in the
        paper, with a learning rate of its own.
      gamma: Renyi order in :math:`(1, \infty]`, a scalar or one a row.
      weight: :math:`c \ge 1`, the size of the ball, a scalar or one a row.
      epsilon: added to each element inside the norm; the authors' code has 0.1.
      margin: m, the positive score beyond which nothing is gained.
      where: ``[..., negatives]``, True = use.
      log_q: log-probabilities of sampling, if not uniform: the mean becomes a
        self-normalised weighted one.
      reduce_fn: called as ``reduce_fn(values, where=...)``; ``None`` keeps ``[...]``.

    Returns:
      The loss, in the type of the scores and in units of the scores.

    Source:
      Zhang et al., "Advancing Loss Functions in Recommender Systems: A Comparative
      Study with a Renyi Divergence-Based Solution", AAAI 2025, Algorithm 1.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import drrl_dual
      >>> pos, neg = jnp.array([0.9]), jnp.array([[0.1, 0.5, -0.2]])
      >>> print(f"{drrl_dual(pos, neg, threshold=0.0, gamma=2.0, weight=1.2):.4f}")
      0.4533
    """
    rows = prepare(pos_scores, neg_scores, where, log_q)
    worst = dro.dual(
        rows.neg,
        rows.checked("threshold", threshold),
        gamma=rows.checked("gamma", gamma),
        weight=rows.checked("weight", weight),
        epsilon=rows.checked("epsilon", epsilon),
        probs=rows.probs,
        where=rows.where,
    )
    m = rows.parameter("margin", margin)
    return rows.reduce(jax.nn.relu(m - rows.pos) + worst, reduce_fn)


def drrl_tempered(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    *,
    gamma: ArrayLike = 1.5,
    temperature: ArrayLike = 0.3,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
) -> jax.Array:
    r"""DrRL with a given temperature: the threshold moves with the row's largest score.

    .. math:: -s^+ + F + k\tau \Big( \Big( \tfrac1N \sum_j
              \big(1 - \tfrac{F - s^-_j}{k\tau}\big)_+^k \Big)^{1/k} - 1 \Big),
              \quad F = \max_j s^-_j, \quad k = \tfrac{\gamma}{\gamma - 1}

    The dual of :func:`drrl` at threshold :math:`\beta = F - k\tau` and radius 0
    (:func:`drrl_jax.dro.value_at_temperature`): nothing to solve or to learn.
    :math:`\gamma = 1` is :math:`\tau` times (:func:`softmax` less log N);
    :math:`\gamma = \infty` is :func:`ccl` with a margin of :math:`F - \tau`.

    Args:
      pos_scores: ``[...]``, cosines.
      neg_scores: ``[..., negatives]``.
      gamma: Renyi order in :math:`[1, \infty]`, a scalar or one a row.
      temperature: :math:`\tau > 0`, a scalar or one a row.
      where: ``[..., negatives]``, True = use.
      log_q: log-probabilities of sampling, if not uniform: the mean becomes a
        self-normalised weighted one.
      reduce_fn: called as ``reduce_fn(values, where=...)``; ``None`` keeps ``[...]``.

    Returns:
      The loss, in the type of the scores and in units of the scores.

    Source:
      This project: the DrRL dual in the variable in which its limits are the softmax
      loss and the cosine contrastive loss.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import drrl_tempered
      >>> pos, neg = jnp.array([0.9]), jnp.array([[0.1, 0.5, -0.2]])
      >>> print(f"{drrl_tempered(pos, neg, gamma=1.5, temperature=0.3):.4f}")
      -0.6401
    """
    rows = prepare(pos_scores, neg_scores, where, log_q)
    value = dro.value_at_temperature(
        rows.neg,
        rows.checked("temperature", temperature, above=0),
        gamma=rows.checked("gamma", gamma),
        radius=0.0,
        probs=rows.probs,
        where=rows.where,
    )
    return rows.reduce(value - rows.pos, reduce_fn)


def drrl_matched(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    *,
    gamma: ArrayLike = 1.5,
    temperature: ArrayLike = 0.3,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
) -> jax.Array:
    r"""DrRL with a given temperature, exact: each row's radius is matched to it.

    .. math:: -s^+ + \max_p \Big\{ \sum_j p_j s^-_j : D_\gamma(p \| q)
              \le \eta(s^-) \Big\}

    where :math:`\eta(s^-)` is the radius whose solution has the temperature
    :math:`\tau` (:func:`drrl_jax.dro.worst_case_at_temperature`). :func:`drrl` gives
    every row one radius; here a row of spread scores has a large one and a row of
    equal scores none, as in the softmax loss, whose gradient :math:`\gamma = 1` has.
    :func:`drrl_tempered` has these weights only up to a share that its bound leaves on
    the hardest negative; here the gradient in a negative score is its worst-case
    weight, as in :func:`drrl`, and nothing is solved.

    Args:
      pos_scores: ``[...]``, cosines.
      neg_scores: ``[..., negatives]``.
      gamma: Renyi order in :math:`[1, \infty]`, a scalar or one a row.
      temperature: :math:`\tau > 0`, a scalar or one a row.
      where: ``[..., negatives]``, True = use.
      log_q: log-probabilities of sampling, if not uniform: the ball's centre becomes
        the self-normalised importance weights.
      reduce_fn: called as ``reduce_fn(values, where=...)``; ``None`` keeps ``[...]``.

    Returns:
      The loss, in the type of the scores and in units of the scores.

    Source:
      This project: Zhang et al., AAAI 2025, with the multiplier of the ball held
      instead of its radius.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import drrl_matched
      >>> pos, neg = jnp.array([0.9]), jnp.array([[0.1, 0.5, -0.2]])
      >>> print(f"{drrl_matched(pos, neg, gamma=1.5, temperature=0.3):.4f}")
      -0.5164
    """
    rows = prepare(pos_scores, neg_scores, where, log_q)
    worst = dro.worst_case_at_temperature(
        rows.neg,
        rows.checked("temperature", temperature, above=0),
        gamma=rows.checked("gamma", gamma),
        probs=rows.probs,
        where=rows.where,
    )
    return rows.reduce(worst.value - rows.pos, reduce_fn)
