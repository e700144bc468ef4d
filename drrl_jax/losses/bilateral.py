r"""Robust on both sides: a Renyi ball over a user's positives beside the negatives'.

A ball over the positives has two directions. *Pessimistic*: the mean positive score at
its lowest, so that hard positives count most. *Optimistic*: at its highest, so that a
positive nobody would rank high, a wrong click, is let go; the direction of BSL.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from drrl_jax import dro
from drrl_jax._names import check_choice
from drrl_jax._numbers import check_count
from drrl_jax.losses.groups import as_matrix, flat, sort_groups, to_rows
from drrl_jax.losses.reduce import masked_mean
from drrl_jax.losses.rows import ReduceFn, Rows, prepare

DIRECTIONS = ("optimistic", "pessimistic")


def bilateral(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    *,
    users: ArrayLike,
    gamma: ArrayLike = 1.5,
    radius: ArrayLike = 1.0,
    pos_gamma: ArrayLike = 1.5,
    pos_radius: ArrayLike = 0.1,
    direction: str = "optimistic",
    group_size: int | None = None,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
) -> jax.Array:
    r"""DrRL with a second ball, over the positives of a row's user in the batch.

    .. math:: -V^+ + \max_p \Big\{ \sum_j p_j s^-_j : D_\gamma(p \| q) \le \eta \Big\}

    with :math:`V^+` the largest (``optimistic``) or the smallest (``pessimistic``) mean
    positive score :math:`\sum_i p_i s^+_i` over :math:`D_{\gamma^+}(p \| \text{uniform})
    \le \eta^+`, p over all rows of the call with the row's user. A radius of 0 is the
    plain mean on its side; ``pos_radius`` 0 is :func:`drrl` in the mean over a batch.

    Args:
      pos_scores: ``[...]``, cosines.
      neg_scores: ``[..., negatives]``.
      users: ``[...]`` integers; only their equality is used.
      gamma: order of the negatives' ball, in :math:`[1, \infty]`, a scalar or one a row.
      radius: its radius :math:`\eta \ge 0`, a scalar or one a row.
      pos_gamma: order of the positives' ball, one number.
      pos_radius: its radius :math:`\eta^+ \ge 0`, one number.
      direction: ``"optimistic"`` or ``"pessimistic"``.
      group_size: static; at least the most rows of one user (``None``: all rows). A
        smaller one saves work.
      where: ``[..., negatives]``, True = use.
      log_q: log-probabilities of sampling, if not uniform.
      reduce_fn: called as ``reduce_fn(values, where=...)``; ``None`` keeps ``[...]``.

    Returns:
      The loss, in the type of the scores and in units of the scores.

    Source:
      This project, after Wu et al., "BSL: Understanding and Improving Softmax Loss for
      Recommendation", ICDE 2024, whose balls are Kullback-Leibler at temperatures.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import bilateral
      >>> pos, neg = jnp.array([0.9, 0.3]), jnp.array([[0.1, 0.5], [0.2, 0.0]])
      >>> options = dict(users=jnp.array([7, 7]), pos_radius=0.2, reduce_fn=None)
      >>> for direction in ("optimistic", "pessimistic"):
      ...     loss = bilateral(pos, neg, direction=direction, **options)
      ...     print(" ".join(f"{x:.4f}" for x in loss))
      -0.2574 -0.5574
      0.0574 -0.2426
    """
    rows = prepare(pos_scores, neg_scores, where, log_q)
    negatives = dro.worst_case_mean(
        rows.neg,
        gamma=rows.checked("gamma", gamma),
        radius=rows.checked("radius", radius),
        probs=rows.probs,
        where=rows.where,
    )
    options = {
        "gamma": rows.one_number("pos_gamma", pos_gamma, least=1),
        "radius": rows.one_number("pos_radius", pos_radius, least=0),
    }

    def largest_mean(scores: jax.Array, where: jax.Array) -> jax.Array:
        return dro.worst_case_mean(scores, where=where, **options)

    positives = _of_users(rows, users, largest_mean, direction, group_size)
    return rows.reduce(negatives - positives, reduce_fn)


def bilateral_tempered(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    *,
    users: ArrayLike,
    gamma: ArrayLike = 1.5,
    temperature: ArrayLike = 0.3,
    pos_gamma: ArrayLike = 1.5,
    pos_temperature: ArrayLike = 0.3,
    direction: str = "optimistic",
    group_size: int | None = None,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
) -> jax.Array:
    r"""The same with temperatures in the place of radii: nothing to solve.

    .. math:: -T^+ + T_{\gamma, \tau}(s^-), \qquad T_{\gamma, \tau}(f) = F + k\tau \Big(
              \Big( \operatorname*{mean}_j \big(1 - \tfrac{F - f_j}{k\tau}\big)_+^k
              \Big)^{1/k} - 1 \Big), \quad F = \max_j f_j

    with :math:`T^+ = T(s^+)` (``optimistic``) or :math:`-T(-s^+)` (``pessimistic``) over
    the rows of the row's user. At orders 1 the optimistic form is
    :math:`\tau / w` times :func:`bsl_grouped`, for :math:`\tau^+ = \tau / w`. As
    :math:`\tau^+ \to \infty` it is :func:`drrl_tempered` in the mean over a batch.

    Args:
      pos_scores: ``[...]``, cosines.
      neg_scores: ``[..., negatives]``.
      users: ``[...]`` integers; only their equality is used.
      gamma: order of the negatives, in :math:`[1, \infty]`, a scalar or one a row.
      temperature: :math:`\tau > 0` of the negatives, a scalar or one a row.
      pos_gamma: order of the positives, one number.
      pos_temperature: :math:`\tau^+ > 0` of the positives, one number.
      direction: ``"optimistic"`` or ``"pessimistic"``.
      group_size: static; at least the most rows of one user (``None``: all rows).
      where: ``[..., negatives]``, True = use.
      log_q: log-probabilities of sampling, if not uniform.
      reduce_fn: called as ``reduce_fn(values, where=...)``; ``None`` keeps ``[...]``.

    Returns:
      The loss, in the type of the scores and in units of the scores.

    Source:
      This project; orders 1 as in Wu et al., "BSL: Understanding and Improving Softmax
      Loss for Recommendation", ICDE 2024.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import bilateral_tempered
      >>> pos, neg = jnp.array([0.9, 0.3]), jnp.array([[0.1, 0.5], [0.2, 0.0]])
      >>> loss = bilateral_tempered(pos, neg, users=jnp.array([7, 7]), reduce_fn=None)
      >>> print(" ".join(f"{x:.4f}" for x in loss))
      -0.3700 -0.6107
    """
    rows = prepare(pos_scores, neg_scores, where, log_q)
    negatives = dro.value_at_temperature(
        rows.neg,
        rows.checked("temperature", temperature, above=0),
        gamma=rows.checked("gamma", gamma),
        probs=rows.probs,
        where=rows.where,
    )
    order = rows.one_number("pos_gamma", pos_gamma, least=1)
    tau = rows.one_number("pos_temperature", pos_temperature, above=0)

    def tilted_mean(scores: jax.Array, where: jax.Array) -> jax.Array:
        return dro.value_at_temperature(scores, tau, gamma=order, where=where)

    positives = _of_users(rows, users, tilted_mean, direction, group_size)
    return rows.reduce(negatives - positives, reduce_fn)


def _of_users(
    rows: Rows,
    users: ArrayLike,
    upper: Callable[[jax.Array, jax.Array], jax.Array],
    direction: str,
    group_size: int | None,
) -> jax.Array:
    """``upper`` of the positives of each row's user, or its mirror image, ``[...]``."""
    check_choice("direction", direction, DIRECTIONS)
    if group_size is not None:
        check_count("group_size", group_size)
    labels = rows.labels("users", users)
    if not labels.size:
        return rows.pos
    groups = sort_groups(labels)
    pos = flat(rows.pos)
    keep = jnp.ones(pos.shape, bool) if rows.valid is None else flat(rows.valid)
    size = min(group_size or pos.size, pos.size)
    matrix, mask = as_matrix(pos, groups, keep, size)
    sign = 1 if direction == "optimistic" else -1
    value = sign * upper(sign * matrix, mask)
    return to_rows(value, groups).reshape(rows.pos.shape)
