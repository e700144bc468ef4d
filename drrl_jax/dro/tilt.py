r"""Moments of the tilted distribution, the one place where its powers are taken.

A worst-case distribution is :math:`p \propto q\, r^{k-1}` with
:math:`r_j = (1 - \kappa x_j)_+`, where :math:`x_j = d_j / \tau` is the distance from
the best score in units of the temperature and :math:`\kappa = 1/k`. The
powers are :math:`r^k = e^{L}` and :math:`r^{k-1} = e^{(1-\kappa)L}` with
:math:`L = \log(1 - \kappa x) / \kappa`, which tends to :math:`-x` as
:math:`\kappa \to 0`: Kullback-Leibler is no special case.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from drrl_jax.dro.sums import row_sum_of, row_sums


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


class Stated(NamedTuple):
    """What is known of powers ``r ** (k - 1)`` better than from rounded distances.

    Attributes:
      powers: those that are known, -1 for the others. [..., n]
      least: what the others are at least: entries nearer than the threshold's score
        have no smaller power than it, however close they are. [..., n]
    """

    powers: Array
    least: Array


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


def entropy_curvature(z: Array) -> Array:
    """``((1 - z) log(1 - z) + z) / z**2`` for z up to 1, 1/2 at 0.

    It is ``(1 - z)`` times `_log_curvature`, but for the edge of the support, z = 1,
    where the product with the logarithm is 0 and rounding may go beyond.
    """
    edge = 1 - z < jnp.finfo(z.dtype).eps
    inner = jnp.where(edge, 0, z)
    at_edge = 1 / jnp.where(edge, z, 1)
    return jnp.where(edge, at_edge, (1 - inner) * _log_curvature(inner))


def inside(x: Array, kappa: Array) -> Array:
    """The entries above the threshold, ``kappa * x < 1``.

    At order 1 those beyond 1e13 temperatures, whose power is 0, count as below.
    """
    return _positive(kappa)[..., None] * x < 1


class Powers(NamedTuple):
    """Powers of r over the rows' entries.

    Attributes:
      values: ``r ** n``, 0 outside the support. [..., n]
      less_one: ``r ** n - 1`` with all its digits where that is close to 0; 0 in mild rows
        where an entry is `far` away. [..., n]
    """

    values: Array
    less_one: Array


def powers_of(
    x: Array, kappa: Array, whole: int | None, lower: bool
) -> tuple[Powers, Array]:
    """``r ** (k - 1)`` if ``lower`` else ``r ** k``, and the support.

    Args:
      x: distances over temperature, at least 0. [..., n]
      kappa: the reciprocal of the conjugate exponent. [...]
      whole: ``k - 1`` if it is known to be that whole number (`order.whole_power`).
      lower: which of the two powers.
    """
    order = kappa[..., None]
    support = inside(x, kappa)
    if whole is None:
        logs = log_power(jnp.where(support, x, 0), order)
        values, less_one = _exponentials((1 - order) * logs if lower else logs)
        values, less_one = (
            jnp.where(support, values, 0),
            jnp.where(support, less_one, -1),
        )
    else:
        z = jnp.where(support, order * x, 1)
        values, less_one = _whole_powers(z, whole if lower else whole + 1)
    # Of mild rows only what is deleted is so far away.
    return Powers(values, jnp.where(x < 2, less_one, 0)), support


@jax.custom_jvp
def _exponentials(logs: Array) -> tuple[Array, Array]:
    """``exp(logs)`` and that less 1, which have one derivative."""
    return jnp.exp(logs), jnp.expm1(logs)


@_exponentials.defjvp
def _exponentials_jvp(primals, tangents):
    found = _exponentials(*primals)
    moved = found[0] * tangents[0]
    return found, (moved, moved)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _whole_powers(z: Array, exponent: int) -> tuple[Array, Array]:
    """``(1 - z) ** exponent`` and that less 1, which have one derivative."""
    r = 1 - z
    # r ** n - 1 = -(1 - r) (1 + r + ... + r ** (n - 1))
    series = jnp.ones_like(r)
    for _ in range(exponent - 1):
        series = 1 + r * series
    return lax.integer_pow(r, exponent), -z * series


@_whole_powers.defjvp
def _whole_powers_jvp(exponent, primals, tangents):
    slope = -exponent * lax.integer_pow(1 - primals[0], exponent - 1)
    moved = slope * tangents[0]
    return _whole_powers(*primals, exponent), (moved, moved)


def is_mild(reach: ArrayLike, temperature: Array) -> Array:
    """Rows of which no score is further than a temperature from the best. [...]

    Args:
      reach: the largest distance of a row. [...]
      temperature: in the same units. [...]
    """
    return lax.stop_gradient(temperature > reach)


def log_mean(
    powers: Powers, probs: Array, mild: Array, *others: Array
) -> tuple[Array, ...]:
    """``log sum(probs * powers)`` over a row, without cancellation, and other sums.

    Args:
      powers: of the row's entries, at most 1.
      probs: base probabilities, summing to 1. [..., n]
      mild: rows whose powers are all close to 1, where the sum is 1 less a small
        number that must keep its digits. [...]
      *others: entries that are summed in the same pass. [..., n]

    Returns:
      The logarithm, and the sums of the others. [...]
    """
    less_one, values = probs * powers.less_one, probs * powers.values
    total, *rest = row_sum_of(mild, less_one, values, *others)
    # Rows with nothing to use sum to 0.
    some = mild | (total > 0)
    logs = jnp.log(jnp.where(some & ~mild, total, 1))
    return jnp.where(mild, jnp.log1p(jnp.where(mild, total, 0)), logs), *rest


def tilt(
    x: Array,
    probs: Array,
    kappa: Array,
    mild: Array,
    stated: Stated | None = None,
    whole: int | None = None,
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
      mild: see `log_mean`. [...]
      stated: powers that override those of x.
      whole: see `powers_of`.

    Returns:
      The `Tilt` of the rows.
    """
    order = kappa[..., None]
    powers, support = powers_of(x, kappa, whole, lower=True)
    if stated is not None:
        low = powers.values < stated.least
        known = jnp.where(low, stated.least, stated.powers)
        support = (known > 0) | (support & (known < 0))
        powers = Powers(
            jnp.where(known < 0, powers.values, known),
            jnp.where(known < 0, powers.less_one, known - 1),
        )
    safe = jnp.where(support, x, 0)
    weighted = probs * powers.values * safe
    eps = jnp.finfo(x.dtype).eps
    if whole is None:
        # An entry at the edge of the support has r = 0 up to rounding.
        squares = weighted * safe / jnp.maximum(1 - order * safe, eps)
    else:
        squares = probs * safe**2 * lax.integer_pow(1 - order * safe, whole - 1)
    log_mass, mean, square = log_mean(powers, probs, mild, weighted, squares)
    mass = jnp.exp(log_mass)
    mean, square = mean / mass, square / mass
    mean = jnp.minimum(mean, (1 - eps) / jnp.maximum(kappa, eps))
    divergence = (1 - kappa) * log_power(mean, kappa) - log_mass
    slope = (kappa - 1) * (square - mean**2 / (1 - kappa * mean))
    return Tilt(powers.values, mass, mean, divergence, slope)


def whole_budget(
    x: Array, share: Array, kappa: Array, whole: int
) -> tuple[Array, Array]:
    r"""The divergence and the slope of `tilt` by three sums of whole powers.

    With :math:`S_i = \sum_j q_j r_j^i` and n = k - 1,

    .. math:: D = n \log(S_{n+1} / S_n) - \log S_n, \qquad
        \frac{dD}{d \log\tau} = \frac{1 - \kappa}{\kappa^2}
            \Big( \frac{S_n}{S_{n+1}} - \frac{S_{n-1}}{S_n} \Big)

    Half the work of `tilt`, but D loses digits where it is small: for rows that are
    not mild (`log_mean`).

    Args:
      x: distances over temperature, infinite for deleted entries. [..., n]
      share: base probabilities, or one that all entries have which are not deleted.
        [..., n] or [..., 1]
      kappa: ``1 / (whole + 1)`` for every row. [...]
      whole: n.
    """
    r = jnp.maximum(1 - kappa[..., None] * x, 0)
    below = lax.integer_pow(r, whole - 1) if whole > 1 else jnp.sign(r)
    uniform = share.shape[-1] < x.shape[-1]
    if not uniform:
        below = share * below
    sums = row_sums(below, below * r, below * (r * r))
    less, mass, more = (jnp.where(s > 0, s, 1) for s in sums)
    log_mass = jnp.log(share[..., 0] * mass if uniform else mass)
    divergence = whole * jnp.log(more / mass) - log_mass
    slope = (1 - kappa) / kappa**2 * (mass / more - less / mass)
    return divergence, slope
