"""Every loss on labelled lists, the form of rax and of learning to rank."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from drrl_jax.losses.reduce import masked_mean
from drrl_jax.losses.rows import ReduceFn


def from_lists(
    loss: Callable[..., jax.Array],
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
    **hyperparameters: Any,
) -> jax.Array:
    r"""A loss of this package on ``(scores, labels, where)`` lists.

    Each positive of a list (label > 0) is a row against all the list's other entries
    (label <= 0). An entry that is no positive, or whose list has no negative, is no
    row: 0, and in no mean. The result is differentiable in ``scores`` alone, so it
    serves in any ``jax.grad`` and optax loop.

    ======================== ==========================================================
    the same number in rax   here, with ``reduce_fn=None`` and ``.sum(-1)`` a list
    ======================== ==========================================================
    ``softmax_loss``         ``softmax, temperature=1., include_positive=True``, for
                             one positive a list
    ``unique_softmax_loss``  the same, for any number of positives (labels 0 and 1)
    ``pairwise_logistic_``   ``bpr`` times the number of negatives; its mean over pairs
    ``loss``                 is this function's mean, for lists of the same make
    ======================== ==========================================================

    With one positive a list ``softmax, temperature=1., include_positive=True`` is also
    Optax's ``softmax_cross_entropy`` and, on ``users @ items.T``, tokamax's
    ``linear_softmax_cross_entropy_loss``; there :func:`catalogue` gives the same number
    without the score matrix.

    Args:
      loss: a function of :data:`drrl_jax.losses.LOSSES`.
      scores: ``[..., list]``.
      labels: ``[..., list]``; only their sign counts.
      where: ``[..., list]``, True = use.
      log_q: ``[..., list]``, log-probabilities of sampling an entry, if not uniform.
      reduce_fn: as for the losses; ``None`` keeps ``[..., list]``.
      **hyperparameters: passed on. An array a row has the shape ``[..., list]``, one a
        negative ``[..., list, list]``, the row first.

    Returns:
      The loss over all positives.

    Raises:
      ValueError: shapes that differ.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import from_lists, softmax
      >>> scores, labels = jnp.array([[2.0, 1.0, 0.0]]), jnp.array([[1, 0, 0]])
      >>> print(f"{from_lists(softmax, scores, labels, temperature=1.0):.4f}")
      -0.6867
    """
    scores, labels = jnp.asarray(scores), jnp.asarray(labels)
    shapes = {"labels": labels.shape}
    if where is not None:
        where = jnp.asarray(where, bool)
        shapes["where"] = where.shape
    if log_q is not None:
        log_q = jnp.asarray(log_q)
        shapes["log_q"] = log_q.shape
    for name, shape in shapes.items():
        if shape != scores.shape or not shape:
            raise ValueError(
                f"{name} and scores must have one shape, [..., list]; got {name} "
                f"{shape}, scores {scores.shape}."
            )
    positive = labels > 0
    negative = ~positive
    if where is not None:
        positive, negative = positive & where, negative & where
    size = scores.shape[-1]

    def as_negatives(x: jax.Array) -> jax.Array:
        return jnp.broadcast_to(x[..., None, :], (*x.shape, size))

    return loss(
        scores,
        as_negatives(scores),
        where=positive[..., :, None] & negative[..., None, :],
        log_q=None if log_q is None else as_negatives(log_q),
        reduce_fn=reduce_fn,
        **hyperparameters,
    )
