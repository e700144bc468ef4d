"""The pairwise softmax loss."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from drrl_jax._names import check_choice
from drrl_jax.losses.reduce import masked_mean
from drrl_jax.losses.rows import ReduceFn, prepare

# Smallest activation, so that its logarithm is finite: e^{-87}, nothing in a sum.
_FLOOR = float(jnp.finfo(jnp.float32).tiny)


def _floored_log(x: jax.Array) -> jax.Array:
    above = x > _FLOOR
    return jnp.log(jnp.where(above, x, _FLOOR))


@jax.custom_jvp
def _log_tanh1(x: jax.Array) -> jax.Array:
    # tanh(x) + 1 = 2 sigmoid(2x), which keeps its precision as x falls. By log, not
    # log1p, whose careful digits near 0 are lost in the sum and cost a fifth of the loss.
    tail = jnp.exp(-2 * jnp.abs(x))
    return jnp.log(2.0).astype(x.dtype) + jnp.minimum(2 * x, 0) - jnp.log(1 + tail)


@_log_tanh1.defjvp
def _log_tanh1_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    # 2 sigmoid(-2x), of the exponential that the value has.
    tail = jnp.exp(-2 * jnp.abs(x))
    return _log_tanh1(x), 2 * jnp.where(x > 0, tail, 1) / (1 + tail) * dx


_LOG_ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "tanh": _log_tanh1,
    "atan": lambda x: _floored_log(jnp.arctan(x) + 1),
    "relu": lambda x: _floored_log(x + 1),
}
ACTIVATIONS = tuple(_LOG_ACTIVATIONS)


def psl(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    *,
    temperature: ArrayLike = 0.1,
    activation: str = "tanh",
    score_temperature: ArrayLike = 1.0,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
) -> jax.Array:
    r"""Pairwise softmax loss (PSL): softmax with a gentler surrogate than exp.

    .. math:: \log \sum_j \sigma(x_j)^{1/\tau^*}, \quad x_j = (s^-_j - s^+)/\tau

    with :math:`\sigma(x)` = tanh(x) + 1, atan(x) + 1 or relu(x + 1), each a tighter
    bound of :math:`[x \ge 0]` than :math:`e^x`. The published forms use cosines with
    :math:`\tau = 2`, for which x is in [-1, 1]. Further down, atan and relu reach 0:
    their logarithm stops at -87, where its gradient is 0.

    Args:
      pos_scores: ``[...]``, cosines.
      neg_scores: ``[..., negatives]``.
      temperature: :math:`\tau^* > 0`, a scalar or one a row.
      activation: ``"tanh"``, ``"atan"`` or ``"relu"``.
      score_temperature: :math:`\tau > 0`, which divides the scores.
      where: ``[..., negatives]``, True = use.
      log_q: log-probabilities of sampling, if not uniform.
      reduce_fn: called as ``reduce_fn(values, where=...)``; ``None`` keeps ``[...]``.

    Returns:
      The loss, in the type of the scores.

    Source:
      Yang et al., "PSL: Rethinking and Improving Softmax Loss from Pairwise
      Perspective for Recommendation", NeurIPS 2024.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import psl
      >>> pos, neg = jnp.array([0.9]), jnp.array([[0.1, 0.5, -0.2]])
      >>> options = dict(temperature=0.1, score_temperature=2.0)
      >>> print(f"{psl(pos, neg, activation='relu', **options):.4f}")
      -2.1737
    """
    check_choice("activation", activation, ACTIVATIONS)
    rows = prepare(pos_scores, neg_scores, where, log_q)
    tau_star = rows.parameter("temperature", temperature, above=0)
    tau = rows.parameter("score_temperature", score_temperature, above=0)
    x = rows.gap / tau[..., None]
    logs = _LOG_ACTIVATIONS[activation](x) / tau_star[..., None]
    return rows.reduce(rows.logsumexp(logs), reduce_fn)
