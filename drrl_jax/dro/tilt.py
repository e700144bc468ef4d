r"""Moments of the tilted distribution, the one place where its powers are taken.

A worst-case distribution is :math:`p \propto q\, r^{k-1}` with
:math:`r_j = (1 - \kappa x_j)_+`, where :math:`x_j = d_j / \tau` is the distance from
the best score in units of the temperature and :math:`\kappa = 1/k`. The
powers are :math:`r^k = e^{L}` and :math:`r^{k-1} = e^{(1-\kappa)L}` with
:math:`L = \log(1 - \kappa x) / \kappa`, which tends to :math:`-x` as
:math:`\kappa \to 0`: Kullback-Leibler is no special case.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Tilt(NamedTuple):
    """The tilted distribution of rows at a temperature, and its budget.

    Attributes:
      powers: ``r ** (k - 1)``; the weights are ``probs * powers / mass``. [..., n]
      mass: the sum of ``probs * powers``, at least the probability of the best. [...]
      mean: the weights' mean of x, so that they have value ``best - tau * mean``. [...]
      divergence: the Renyi divergence of the weights from ``probs``. [...]
      slope: the derivative of the divergence in log temperature, at most 0. [...]
    """

    powers: Array
    mass: Array
    mean: Array
    divergence: Array
    slope: Array


def _positive(kappa: Array) -> Array:
    """A tiny number that stands for order 1, whose kappa is 0."""
    return jnp.maximum(kappa, jnp.finfo(kappa.dtype).eps ** 2)


@jax.custom_jvp
def log_power(x: Array, kappa: Array) -> Array:
    r""":math:`\log(1 - \kappa x) / \kappa`, :math:`-x` at 0; needs `inside`.

    ``log1p`` keeps full relative precision for a small argument, so that a tiny
    ``kappa`` stands for 0. Only the derivative in ``kappa`` needs a series.
    """
    kappa = _positive(kappa)
    return jnp.log1p(-kappa * x) / kappa


@log_power.defjvp
def _log_power_jvp(primals, tangents):
    (x, kappa), (dx, dkappa) = primals, tangents
    by_kappa = -(x**2) * _log_curvature(kappa * x)
    return log_power(x, kappa), -dx / (1 - kappa * x) + dkappa * by_kappa


def _log_curvature(z: Array) -> Array:
    """``(z / (1 - z) + log(1 - z)) / z**2``, 1/2 at 0, by its series near 0."""
    cut = 0.1 if z.dtype == jnp.float32 else 0.02
    near = jnp.abs(z) < cut
    small = jnp.where(near, z, 0)
    large = jnp.where(near, 0.5, z)
    series = sum((i + 1) / (i + 2) * small**i for i in range(9))
    direct = (large / (1 - large) + jnp.log1p(-large)) / large**2
    return jnp.where(near, series, direct)


@jax.custom_jvp
def exp_power(a: Array, kappa: Array) -> Array:
    r""":math:`(e^{\kappa a} - 1) / \kappa`, ``a`` at 0; careful like `log_power`."""
    kappa = _positive(kappa)
    return jnp.expm1(kappa * a) / kappa


@exp_power.defjvp
def _exp_power_jvp(primals, tangents):
    (a, kappa), (da, dkappa) = primals, tangents
    by_kappa = a**2 * _exp_curvature(kappa * a)
    return exp_power(a, kappa), da * jnp.exp(kappa * a) + dkappa * by_kappa


def _exp_curvature(y: Array) -> Array:
    """``(y exp(y) - expm1(y)) / y**2``, 1/2 at 0, by its series near 0."""
    cut = 0.3 if y.dtype == jnp.float32 else 0.05
    near = jnp.abs(y) < cut
    small = jnp.where(near, y, 0)
    large = jnp.where(near, 1, y)
    series, factorial = jnp.zeros_like(y), 1.0
    for i in range(8):
        factorial *= i + 2  # (i + 2)!
        series = series + (i + 1) / factorial * small**i
    direct = (large * jnp.exp(large) - jnp.expm1(large)) / large**2
    return jnp.where(near, series, direct)


def inside(x: Array, kappa: Array) -> Array:
    """The entries above the threshold, ``kappa * x < 1``.

    At order 1 those beyond 1e13 temperatures, whose power is 0, count as below.
    """
    return _positive(kappa)[..., None] * x < 1


def log_mean_exp(log_powers: Array, probs: Array, support: Array, mild: Array) -> Array:
    """``log sum(probs * exp(log_powers))`` over the support, without cancellation.

    Args:
      log_powers: at most 0. [..., n]
      probs: base probabilities, summing to 1. [..., n]
      support: the entries to sum. [..., n]
      mild: rows whose powers are all close to 1, where the sum is 1 less a small
        number that must keep its digits. [...]
    """
    exps = jnp.exp(log_powers)
    less = jnp.where(mild[..., None], jnp.expm1(log_powers), exps)
    outside = jnp.where(mild, -1.0, 0.0).astype(exps.dtype)[..., None]
    total = jnp.sum(probs * jnp.where(support, less, outside), axis=-1)
    # Rows with nothing to use sum to 0.
    some = mild | (total > 0)
    logs = jnp.log(jnp.where(some & ~mild, total, 1))
    return jnp.where(mild, jnp.log1p(jnp.where(mild, total, 0)), logs)


def tilt(
    x: Array,
    probs: Array,
    kappa: Array,
    mild: Array,
    stated: Array | None = None,
) -> Tilt:
    r"""The tilted distribution at distances ``x`` in units of the temperature.

    With :math:`A = \sum q r^{k-1}` and :math:`E` the tilted mean of x,

    .. math:: D = (1 - \kappa) \log(1 - \kappa E) / \kappa - \log A

    which is :math:`(k-1) \log m - k \log A` without the difference of two large
    numbers as the order falls to 1.

    Args:
      x: distances over temperature, at least 0. [..., n]
      probs: base probabilities. [..., n]
      kappa: the reciprocal of the conjugate exponent. [...]
      mild: see `log_mean_exp`. [...]
      stated: powers that override those of x, -1 for none. [..., n]

    Returns:
      The `Tilt` of the rows.
    """
    order = kappa[..., None]
    support = inside(x, kappa)
    logs = (1 - order) * log_power(jnp.where(support, x, 0), order)
    if stated is not None:
        support = (stated > 0) | (support & (stated < 0))
        logs = jnp.where(stated > 0, jnp.log(jnp.where(stated > 0, stated, 1)), logs)
    safe = jnp.where(support, x, 0)
    log_mass = log_mean_exp(logs, probs, support, mild)
    powers = jnp.where(support, jnp.exp(logs), 0)
    mass = jnp.exp(log_mass)
    weighted = probs * powers * safe
    mean = jnp.sum(weighted, axis=-1) / mass
    # An entry at the edge of the support has r = 0 up to rounding.
    eps = jnp.finfo(x.dtype).eps
    ratio = safe / jnp.maximum(1 - order * safe, eps)
    square = jnp.sum(weighted * ratio, axis=-1) / mass
    mean = jnp.minimum(mean, (1 - eps) / jnp.maximum(kappa, eps))
    divergence = (1 - kappa) * log_power(mean, kappa) - log_mass
    slope = (kappa - 1) * (square - mean**2 / (1 - kappa * mean))
    return Tilt(powers, mass, mean, divergence, slope)
