"""The budget equation of every row, and what its solvers share."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from drrl_jax.dro.sums import row_sums
from drrl_jax.dro.tilt import Stated, Tilt, is_mild, tilt


class Rows(NamedTuple):
    """The budget equation of rows whose distances are scaled to a largest of 1.

    Between the functions of this package rows are `light` where their form has it.
    """

    distance: Array  # [..., n]
    probs: Array  # [..., n]
    kappa: Array  # [...]
    radius: Array  # [...]
    largest: Array  # [...] the largest budget, log(1 / q(best))


class Form(NamedTuple):
    """What is known of an equation before tracing, which saves work.

    Attributes:
      whole: ``k - 1`` where that is a small whole number (`order.whole_power`).
      uniform: whether all base probabilities of a row that are not 0 are the same.
    """

    whole: int | None
    uniform: bool

    @property
    def lightens(self) -> bool:
        """Whether `light` makes something of rows: elsewhere it would save little."""
        return self.uniform and self.whole is not None


def light(
    distance: Array, probs: Array, share: Array, form: Form
) -> tuple[Array, Array]:
    """Distances and probabilities of uniform rows of whole powers in one array, not two.

    Entries that are deleted are `far` away, and the probability is what the others have,
    [..., 1]. Those of other forms are as they were.
    """
    if not form.lightens:
        return distance, probs
    return jnp.where(probs > 0, distance, far(distance.dtype)), share[..., None]


def full(distance: Array, probs: Array, form: Form) -> tuple[Array, Array]:
    """What `light` made these of, or these if it made nothing."""
    if not form.lightens:
        return distance, probs
    used = distance < far(distance.dtype)
    return jnp.where(used, distance, 0), jnp.where(used, probs, 0)


def far(dtype: jnp.dtype) -> float:
    """The distance of deleted entries, outside the support at every temperature.

    Not infinity, which times a cotangent of 0 would be NaN.
    """
    return 1 / bounds(dtype)[0]


class Edge(NamedTuple):
    """A statement of what happens at the threshold, where rounding cannot tell.

    Attributes:
      score: the distance of scores at the threshold; negative for no statement. [...]
      share: their power ``r ** (k - 1)``; that of scores further away is 0. [...]
    """

    score: Array
    share: Array

    def stated(self, distance: Array, kappa: Array) -> Stated:
        """What is stated of the power of each entry."""
        score, share = self.score[..., None], self.share[..., None]
        # A float below another is nearer by half its epsilon at least: at order infinity
        # what is nearer than the threshold has its whole weight.
        order = lax.stop_gradient(kappa)[..., None]
        steps = (1 - order) / jnp.maximum(order, 1e-3)
        least = jnp.maximum(share, (jnp.finfo(kappa.dtype).eps / 2) ** steps)
        beyond = jnp.where((score >= 0) & (distance > score), 0.0, -1.0)
        nearer = (score >= 0) & (distance < score)
        return Stated(
            jnp.where(distance == score, share, beyond), jnp.where(nearer, least, 0)
        )


class Root(NamedTuple):
    """A solution of the budget equation.

    Attributes:
      tau: the temperature, in units of the row's range. [...]
      edge: what the temperature does not resolve; ``None`` if it resolves all, as up
        to order 2. [...]
      steps: evaluations of the budget. int32 [...]
    """

    tau: Array
    edge: Edge | None
    steps: Array


def tilt_at(row: Rows, tau: Array, whole: int | None, edge: Edge | None = None) -> Tilt:
    """The tilted distribution at a temperature in units of the row's range."""
    x = row.distance * (1 / tau)[..., None]
    stated = None if edge is None else edge.stated(row.distance, row.kappa)
    return tilt(x, row.probs, row.kappa, is_mild(1, tau), stated, whole)


def reach(share: Array, kappa: Array) -> Array:
    """The r of a power ``r ** (k - 1)``: its ``gamma - 1``-th power, 0 at infinity."""
    info = jnp.finfo(kappa.dtype)
    order = kappa / jnp.maximum(1 - kappa, info.eps)
    r = jnp.exp(order * jnp.log(jnp.maximum(share, info.tiny)))
    # Not left to a huge order: of a share that is nearly 1 something would remain.
    return jnp.where(kappa < 1, r, 0)


def point_of(score: Array, share: Array, kappa: Array) -> Array:
    """The threshold's distance at which a score has a share; inverts the power."""
    return score / jnp.maximum(1 - reach(share, kappa), jnp.finfo(kappa.dtype).eps)


def bounds(dtype: jnp.dtype) -> tuple[float, float]:
    """The least and the greatest temperature, in units of a row's range."""
    info = jnp.finfo(dtype)
    return math.sqrt(info.tiny), 1 / float(info.eps)


def budget_tolerance(radius: Array) -> Array:
    """How close the budget must come to the radius: 3e-5 in float32.

    Of a small radius a fraction: within an absolute tolerance any guess would do.
    """
    eps = jnp.finfo(radius.dtype).eps
    return jnp.minimum(256 * eps * jnp.minimum(1, 0.1 + radius), radius / 64)


def target_logit(row: Rows, active: Array) -> Array:
    """The logit of the radius as a fraction of the largest budget."""
    radius = jnp.where(active, row.radius, 1)
    rest = jnp.where(active, row.largest - row.radius, 1)
    return jnp.log(radius) - jnp.log(rest)


def first_guess(row: Rows, form: Form) -> Array:
    """The temperature of a row whose scores were normal, in units of its range.

    With the threshold t standard deviations below the mean, small radii have
    ``t = sqrt((1 - kappa) / (2 radius)) / kappa`` and order infinity has the quantile;
    in between, above order 2, a fit to the solution on a normal density.
    """
    distance, probs = full(row.distance, row.probs, form)
    mean, square = row_sums(probs * distance, probs * distance**2)
    variance = jnp.maximum(square - mean**2, 0)
    share = jnp.minimum(row.radius / jnp.maximum(row.largest, 1e-6), 0.999)
    odds = row.radius / (1 - share)
    odds = jnp.maximum(odds, jnp.finfo(odds.dtype).eps ** 2)
    width = jnp.sqrt((1 - row.kappa) / 2)
    small = width / jnp.sqrt(odds)
    held = jnp.clip(-jnp.expm1(-row.radius), 1e-6, 1 - 1e-6)
    # The normal quantile of 1 - held: SciPy's `ndtri` has no sharded rows in JAX.
    quantile = math.sqrt(2) * lax.erf_inv(1 - 2 * held)
    steep = small * width / (width + 0.93 * row.kappa) + row.kappa * quantile
    steep = jnp.where(small > 2 * row.kappa, jnp.maximum(steep, small), steep)
    spread = jnp.where(row.kappa > 0.5, steep, small)
    tau = row.kappa * mean + jnp.sqrt(variance) * spread
    low, high = bounds(row.distance.dtype)
    return jnp.clip(tau, low, high)
