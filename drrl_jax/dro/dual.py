"""The dual objective over a threshold: a power mean of what exceeds it."""

import sys

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from drrl_jax._numbers import check_number
from drrl_jax.dro.candidates import candidates, output_dtype, rows
from drrl_jax.dro.order import (
    check_dual_gamma,
    check_weight,
    kappa_of,
    whole_power,
)


def dual(
    values: ArrayLike,
    threshold: ArrayLike,
    *,
    gamma: ArrayLike,
    weight: ArrayLike,
    epsilon: ArrayLike = 0.0,
    probs: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    r"""The dual objective of the worst case at a threshold.

    .. math::
        \Big( \sum_j q_j \big(c\,(f_j - \beta)_+ + \varepsilon\big)^k \Big)^{1/k}
        + \beta, \qquad k = \gamma / (\gamma - 1)

    With ``epsilon = 0`` its minimum over the threshold :math:`\beta` is the worst case
    over the Renyi ball of radius :math:`\eta = k \log c` (`radius_from_weight`), and
    at ``gamma = inf`` it is the contrastive form :math:`c\,\overline{(f-\beta)_+} +
    \beta`. The authors of DrRL add ``epsilon = 0.1`` inside the norm and name the
    arguments ``margin_vector`` (threshold), ``renyi_omega`` (gamma) and
    ``neg_coefficient`` (weight). The largest element is factored out of the norm, so
    that a large k (gamma close to 1) neither overflows nor vanishes.

    Args:
      values: scores f. [..., n]
      threshold: beta, one number or one a row. [...]
      gamma: the order, in ``(1, inf]``; broadcasts over rows. Orders below 1 + 1e-6,
        where the threshold of a worst case is beyond -1e6 ranges, count as that.
      weight: c, at least 1; broadcasts over rows.
      epsilon: added to every element inside the norm; broadcasts over rows.
      probs: base weights q, normalised over the used entries; uniform if ``None``.
      where: the entries to use; a masked one behaves as if deleted.

    Returns:
      The value, in the type of ``values``. [...] It is the threshold where no score
      exceeds it (and ``epsilon`` is 0), with gradient 1 in the threshold and 0 in the
      scores; it is 0, with gradient 0, for a row with nothing to use.

    Raises:
      ValueError: for shapes that do not broadcast, or a plain number ``gamma <= 1``,
        ``weight < 1``, or ``epsilon < 0`` or infinite.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.dro import dual
      >>> f = jnp.array([0.1, 0.5, 0.9])
      >>> round(float(dual(f, 0.3, gamma=2.0, weight=1.5)), 4)
      0.8477
      >>> round(float(dual(f, 0.3, gamma=2.0, weight=1.5, epsilon=0.1)), 4)
      0.9245
    """
    check_dual_gamma(gamma)
    check_weight(weight)
    check_number("epsilon", epsilon, least=0, most=sys.float_info.max)
    row = candidates(values, probs, where)
    dtype = row.distance.dtype
    beta = rows(threshold, "threshold", row.distance)
    kappa = rows(kappa_of(gamma, dtype), "gamma", row.distance)
    scale = rows(weight, "weight", row.distance)
    extra = rows(epsilon, "epsilon", row.distance)

    def term(over: Array, scale: Array, extra: Array) -> Array:
        return scale * jnp.where(over > 0, over, 0) + extra

    # What exceeds the threshold does not depend on where distances are measured from.
    margin = lax.stop_gradient(row.best) - beta
    terms = term(margin[..., None] - row.distance, scale[..., None], extra[..., None])
    terms = jnp.where(row.used, terms, 0)
    # That of the best score, known without another look at the others.
    top = lax.stop_gradient(jnp.where(row.some, term(margin, scale, extra), 0))
    value = power_mean(terms, top, row.probs, kappa, whole_power(gamma)) + beta
    value = jnp.where(row.some, value, 0)
    return value.astype(output_dtype(values))


def power_mean(
    terms: Array, top: Array, probs: Array, kappa: Array, whole: int | None = None
) -> Array:
    """``(sum(probs * terms ** k)) ** (1 / k)`` of nonnegative terms, k = 1 / kappa.

    ``top`` is the largest of a row, ``whole`` is ``k - 1`` where that is known to be a
    whole number.
    """
    some = top > 0
    scale = jnp.where(some, top, 1)
    kappa = jnp.maximum(kappa, 1e-6)
    ratio = terms / scale[..., None]
    held = (ratio > 0) & (probs > 0)
    if whole is None:
        logs = jnp.log(jnp.where(held, ratio, 1)) / kappa[..., None]
        powers = jnp.exp(logs)
    else:
        powers = lax.integer_pow(ratio, whole + 1)
    total = jnp.sum(jnp.where(held, probs * powers, 0), axis=-1)
    return jnp.where(
        some, scale * jnp.exp(kappa * jnp.log(jnp.where(some, total, 1))), 0
    )
