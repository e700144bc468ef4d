"""The order of a Renyi ball: its conjugate exponent, and radius against weight.

Everything in ``drrl_jax.dro`` is written in ``kappa = (gamma - 1) / gamma``, the
reciprocal of the conjugate exponent ``k = gamma / (gamma - 1)``. It runs over
``[0, 1]`` as the order runs over ``[1, inf]``, so that Kullback-Leibler and the
conditional value at risk are its two ends and need no formula of their own.
"""

import math

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from drrl_jax._numbers import check_number, check_real, is_number

# Longer products cost more than they save.
MAX_WHOLE_POWER = 10


def check_gamma(gamma: ArrayLike) -> None:
    """Raises ``ValueError`` where a plain number is no order of a Renyi divergence."""
    check_number("gamma", gamma, least=1)


def check_radius(radius: ArrayLike) -> None:
    """Raises ``ValueError`` where a plain number is no radius."""
    check_number("radius", radius, least=0)


def kappa_of(gamma: ArrayLike, dtype: jnp.dtype) -> Array:
    """``(gamma - 1) / gamma``, exact to rounding near 1 and 1 at infinity.

    Args:
      gamma: the order, a number or an array of any shape, in ``[1, inf]``.
      dtype: the floating type of the result. A plain number is converted after the
        division, so that ``gamma = 1 + 1e-9`` is not rounded to 1 in float32.

    Returns:
      An array of ``gamma``'s shape with values in ``[0, 1]``.
    """
    check_gamma(gamma)
    if is_number(gamma):
        exact = 1.0 if math.isinf(gamma) else (float(gamma) - 1) / float(gamma)
        return jnp.asarray(exact, dtype)
    check_real("gamma", gamma)
    order = jnp.asarray(gamma).astype(dtype)
    # A double where: inf / inf would put a NaN in the gradient of the other branch.
    finite = jnp.where(jnp.isinf(order), 2.0, order).astype(dtype)
    kappa = jnp.where(jnp.isinf(order), 1.0, (finite - 1) / finite)
    # Not a maximum, whose derivative at 0 would be halved.
    return jnp.where(kappa < 0, 0, kappa).astype(dtype)


def whole_power(gamma: ArrayLike) -> int | None:
    """``k - 1 = 1 / (gamma - 1)`` of a plain order where that is a small whole number.

    At the orders 2, 1.5, 1.25, ... a worst-case weight ``r ** (k - 1)`` is a product:
    no logarithm and no exponential of a score, which is several times faster.

    Args:
      gamma: the order.

    Returns:
      The power, or ``None`` for other orders and for arrays, traced or not.
    """
    if not is_number(gamma) or not 1 < gamma <= 2:
        return None
    power = 1 / (float(gamma) - 1)
    whole = round(power)
    near = abs(power - whole) <= 1e-12 * power
    return whole if near and whole <= MAX_WHOLE_POWER else None


def weight_from_radius(radius: ArrayLike, gamma: ArrayLike) -> Array:
    r"""The weight of the dual objective for a radius, :math:`c = e^{\eta / k}`.

    With the conjugate exponent :math:`k = \gamma / (\gamma - 1)`. The authors' code
    names the weight ``neg_coefficient``. Source: strong duality of the Renyi ball.

    Args:
      radius: the radius eta in nats, at least 0; broadcasts with ``gamma``.
      gamma: the order, in ``[1, inf]``. At 1 every radius has weight 1.

    Returns:
      The weight, at least 1.

    Raises:
      ValueError: for a plain number ``gamma < 1`` or ``radius < 0``.

    Example:
      >>> from drrl_jax.dro import weight_from_radius
      >>> round(float(weight_from_radius(1.0, 2.0)), 4)
      1.6487
    """
    check_radius(radius)
    dtype = jnp.result_type(float, radius, gamma)
    kappa, radius = kappa_of(gamma, dtype), jnp.asarray(radius, dtype)
    radius = jnp.where((kappa == 0) & jnp.isinf(radius), 0, radius)  # not 0 · inf
    return jnp.exp(radius * kappa)


def radius_from_weight(weight: ArrayLike, gamma: ArrayLike) -> Array:
    r"""The radius for a weight of the dual objective, :math:`\eta = k \log c`.

    The inverse of `weight_from_radius`. At ``gamma = 1`` the weight is 1 for every
    radius: no radius can be had from it, and a traced order of 1 gives 0 for a
    weight of 1 and infinity for a larger one.

    Args:
      weight: the weight c, at least 1; broadcasts with ``gamma``.
      gamma: the order, in ``(1, inf]``.

    Returns:
      The radius in nats, at least 0.

    Raises:
      ValueError: for a plain number ``gamma <= 1`` or ``weight < 1``.

    Example:
      >>> from drrl_jax.dro import radius_from_weight
      >>> round(float(radius_from_weight(2.0, 2.0)), 4)
      1.3863
    """
    check_weight(weight)
    check_dual_gamma(gamma)
    dtype = jnp.result_type(float, weight, gamma)
    log_weight = jnp.log(jnp.asarray(weight, dtype))
    kappa = kappa_of(gamma, dtype)
    some = kappa > 0
    radius = log_weight / jnp.where(some, kappa, 1)
    return jnp.where(some, radius, jnp.where(log_weight > 0, jnp.inf, 0.0))


def check_weight(weight: ArrayLike) -> None:
    """Raises ``ValueError`` where a plain number is no weight of the dual."""
    check_number("weight", weight, least=1)


def check_dual_gamma(gamma: ArrayLike) -> None:
    """Raises ``ValueError`` where a plain order has no finite conjugate exponent."""
    if is_number(gamma) and not gamma > 1:
        raise ValueError(
            "gamma must be above 1 in the dual over a threshold, whose minimiser is "
            f"at minus infinity at 1; got {gamma} (use worst_case or softmax)."
        )
