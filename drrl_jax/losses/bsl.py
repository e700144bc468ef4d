"""The bilateral softmax loss, in the two forms in which it was published."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from drrl_jax.losses.groups import flat, sort_groups, to_rows
from drrl_jax.losses.reduce import masked_mean
from drrl_jax.losses.rows import ReduceFn, prepare
from drrl_jax.rows import sum_rows


def bsl(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    *,
    pos_temperature: ArrayLike = 0.2,
    neg_temperature: ArrayLike = 0.2,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
) -> jax.Array:
    r"""Bilateral softmax loss (BSL), the form with one positive a row.

    .. math:: -s^+/\tau_1 + \tfrac{\tau_2}{\tau_1} \log \sum_j e^{s^-_j/\tau_2}

    It is :func:`softmax` at :math:`\tau_2`, times :math:`\tau_2 / \tau_1`: an optimiser
    that does not see the scale of a loss, such as Adam without weight decay, finds what
    it finds for that. :func:`bsl_grouped` is a loss of its own.

    Args:
      pos_scores: ``[...]``, usually cosines.
      neg_scores: ``[..., negatives]``.
      pos_temperature: :math:`\tau_1 > 0`, a scalar or one a row.
      neg_temperature: :math:`\tau_2 > 0`, a scalar or one a row.
      where: ``[..., negatives]``, True = use.
      log_q: log-probabilities of sampling, if not uniform.
      reduce_fn: called as ``reduce_fn(values, where=...)``; ``None`` keeps ``[...]``.

    Returns:
      The loss, in the type of the scores.

    Source:
      Wu et al., "BSL: Understanding and Improving Softmax Loss for Recommendation",
      ICDE 2024; this form as in the benchmarks of PSL (NeurIPS 2024).

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import bsl
      >>> pos, neg = jnp.array([0.9]), jnp.array([[0.1, 0.5, -0.2]])
      >>> print(f"{bsl(pos, neg, pos_temperature=0.5, neg_temperature=0.2):.4f}")
      -0.7387
    """
    rows = prepare(pos_scores, neg_scores, where, log_q)
    tau1 = rows.parameter("pos_temperature", pos_temperature, above=0)
    tau2 = rows.parameter("neg_temperature", neg_temperature, above=0)
    total = rows.logsumexp(rows.neg / tau2[..., None])
    return rows.reduce(tau2 / tau1 * total - rows.pos / tau1, reduce_fn)


def bsl_grouped(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    *,
    users: ArrayLike,
    temperature: ArrayLike = 0.2,
    weight: ArrayLike = 1.0,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
) -> jax.Array:
    r"""Bilateral softmax loss, a user's positives averaged inside the logarithm.

    .. math:: -\log \operatorname*{mean}_{i:\,u_i = u} e^{w s^+_i/\tau}
              + w \log \operatorname*{mean}_j e^{s^-_j/\tau}

    The first mean is over all rows of the call with the row's user, so easy positives
    count most and noisy ones are let go. A row without negatives is in no mean.

    Args:
      pos_scores: ``[...]``, usually cosines.
      neg_scores: ``[..., negatives]``.
      users: ``[...]`` integers; only their equality is used.
      temperature: :math:`\tau > 0`, one number for the batch.
      weight: :math:`w > 0`, one number for the batch.
      where: ``[..., negatives]``, True = use.
      log_q: log-probabilities of sampling, if not uniform.
      reduce_fn: called as ``reduce_fn(values, where=...)``; ``None`` keeps ``[...]``.

    Returns:
      The loss, in the type of the scores.

    Source:
      Wu et al., "BSL: Understanding and Improving Softmax Loss for Recommendation",
      ICDE 2024, as the DrRL authors code it.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import bsl_grouped
      >>> pos, neg = jnp.array([0.9, 0.3]), jnp.array([[0.1, 0.5], [0.2, 0.0]])
      >>> loss = bsl_grouped(pos, neg, users=jnp.array([7, 7]), reduce_fn=None)
      >>> print(" ".join(f"{x:.4f}" for x in loss))
      -1.9217 -3.2353
    """
    rows = prepare(pos_scores, neg_scores, where, log_q)
    users = rows.labels("users", users)
    tau = jnp.asarray(
        rows.one_number("temperature", temperature, above=0), rows.pos.dtype
    )
    w = jnp.asarray(rows.one_number("weight", weight, above=0), rows.pos.dtype)
    negatives = rows.logsumexp(rows.neg / tau) - jnp.log(rows.count)
    positives = _group_logmeanexp(w * rows.pos / tau, users, rows.valid)
    return rows.reduce(w * negatives - positives, reduce_fn)


def _group_logmeanexp(
    values: jax.Array, groups: jax.Array, valid: jax.Array | None
) -> jax.Array:
    """Log of the mean of exponentials over each entry's group, at each entry."""
    shape, size = values.shape, values.size
    sorted_rows = sort_groups(groups)
    order, ids = sorted_rows.order, sorted_rows.group
    x = flat(values)[order]
    keep = jnp.ones(size, bool) if valid is None else flat(valid)[order]

    def total(x: jax.Array) -> jax.Array:
        return sum_rows(x, ids, size)

    top = jax.ops.segment_max(
        jnp.where(keep, x, -jnp.inf), ids, size, indices_are_sorted=True
    )
    top = jax.lax.stop_gradient(jnp.where(jnp.isfinite(top), top, 0))
    parts = jnp.where(keep, jnp.exp(jnp.where(keep, x - top[ids], 0)), 0)
    count = total(keep.astype(x.dtype))
    some = count > 0
    mean = jnp.where(some, total(parts), 1) / jnp.where(some, count, 1)
    return to_rows(jnp.log(mean) + top, sorted_rows).reshape(shape)
