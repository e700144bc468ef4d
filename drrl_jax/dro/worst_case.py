"""The worst case of a mean over a Renyi ball around the base distribution."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from drrl_jax.dro.candidates import (
    Candidates,
    candidates,
    output_dtype,
    rows,
    working_dtype,
)
from drrl_jax.dro.equation import Form, Rows, bounds, light, tilt_at
from drrl_jax.dro.order import check_radius, kappa_of, whole_power
from drrl_jax.dro.solve import budget_root
from drrl_jax.dro.temperature import dual_sums, dual_value
from drrl_jax.dro.tilt import entropy_curvature, exp_power, is_mild


class WorstCase(NamedTuple):
    """The worst-case distribution of every row, and what solved it.

    Attributes:
      value: the worst-case mean. [...]
      weights: the worst-case distribution, 0 where masked. [..., n]
      threshold: the dual's minimiser, ``max - temperature / kappa`` with ``kappa =
        (gamma - 1) / gamma``; weights vanish below it. At order 1
        minus infinity, or the best score where the temperature is 0. [...]
      temperature: ``kappa`` times the distance of the threshold from the maximum, in
        the units of the scores; 0 where the radius admits all weight on the best
        scores. Never infinite: at radius 0 it is the row's range over the type's
        epsilon, where the weights are the base probabilities to rounding (only float16
        cannot hold that). [...]
      num_steps: evaluations of the budget that the solver made, 0 for a row with
        nothing to solve. int32 [...]
    """

    value: Array
    weights: Array
    threshold: Array
    temperature: Array
    num_steps: Array


def worst_case(
    values: ArrayLike,
    *,
    gamma: ArrayLike,
    radius: ArrayLike,
    probs: ArrayLike | None = None,
    where: ArrayLike | None = None,
    init: ArrayLike | None = None,
) -> WorstCase:
    r"""The distribution in a Renyi ball that has the largest mean score.

    .. math::
        V = \max_p \Big\{ \sum_j p_j f_j : D_\gamma(p \| q) \le \eta \Big\}
          = \min_\beta \; c\,\Big(\sum_j q_j (f_j - \beta)_+^k\Big)^{1/k} + \beta

    with :math:`k = \gamma / (\gamma - 1)` and :math:`c = e^{\eta / k}`. The maximiser
    is :math:`p_j \propto q_j (f_j - \beta)_+^{k-1}`, at order 1 a softmax, and the
    minimiser is where it has exhausted the radius. That equation is solved for the
    temperature by safeguarded Newton, one pass over the scores a step: typically two
    to four at orders up to 2. At higher orders scores enter the support in jumps,
    which take more (up to about 15); at order infinity (conditional value at risk) the
    score at the threshold holds the fraction of weight that is left. At plain orders
    1 + 1/n (2, 1.5, 1.25, ...; n up to 10) the powers are products, and a solution takes
    half the time.

    The value is within 2e-5 of the optimum, in units of the row's range, and the
    divergence of the weights within 1e-4 of the radius in float32, and within a
    fiftieth of a small radius, down to 1e-6; in float64 both are within 1e-10 at orders
    up to 2 and about 1e-5 above, where scores enter in jumps.
    With ``probs`` in which the best score is rare, below some 1e-4, and a radius that
    reaches for it, float32 cannot tell the threshold from the second best score at
    orders up to 2: the value holds, the divergence of the weights may miss the radius by
    1e-3 and, at 1e-7, by a tenth. float64 has it right.

    Everything is differentiable in ``values``, ``gamma``, ``radius`` and ``probs``, to
    second order: the value by the envelope theorem, the rest by the implicit function
    theorem. Use ``jax.lax.stop_gradient`` on weights meant as constants. At order
    infinity the weights are piecewise constant in the scores. At radius 0 the
    derivative in the radius is infinite at finite orders; a large finite number stands
    for it. At order infinity it is wrong for radii below the tolerance of the solver.

    Args:
      values: scores f, finite where used, and those of a row within 1e18 of each other
        (in float32): mask by ``where``, not by a huge negative score. [..., n]
      gamma: the order, in ``[1, inf]``; a number, or one a row. [...]
      radius: the radius eta in nats, at least 0; a number, or one a row. [...]
      probs: base weights q, at least 0, normalised over the used entries; uniform if
        ``None``. Entries of weight 0 are deleted. Broadcasts to ``values``.
      where: the entries to use; a masked one behaves as if deleted, whatever it holds.
        A row with nothing to use has value 0, weights 0 and no gradient.
      init: the temperature to start from, such as that of the previous solve of the
        same rows. Where it is not positive and finite the default guess is used. It
        changes the number of steps, and the result by rounding only. [...]

    Returns:
      A `WorstCase`, in the type of ``values`` (computed in float32 at least).

    Raises:
      ValueError: for shapes that do not broadcast, or a plain number ``gamma < 1`` or
        ``radius < 0``. Traced values are not checked.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.dro import worst_case
      >>> result = worst_case(jnp.array([0.1, 0.5, 0.9]), gamma=2.0, radius=0.1)
      >>> round(float(result.value), 4), [round(float(p), 4) for p in result.weights]
      (0.6059, [0.2009, 0.3333, 0.4657])
      >>> round(float(result.threshold), 4), round(float(result.temperature), 4)
      (-0.5071, 0.7035)
    """
    check_radius(radius)
    kappa = kappa_of(gamma, working_dtype(values))
    return _worst_case(
        values, kappa, radius, probs, where, init, whole=whole_power(gamma)
    )


@functools.partial(jax.jit, static_argnames="whole")
def _worst_case(
    values: ArrayLike,
    kappa: Array,
    radius: ArrayLike,
    probs: ArrayLike | None,
    where: ArrayLike | None,
    init: ArrayLike | None,
    *,
    whole: int | None,
) -> WorstCase:
    """`worst_case`, compiled once a shape also where the caller is not."""
    row = candidates(values, probs, where)
    dtype = row.distance.dtype
    kappa = rows(kappa, "gamma", row.distance)
    eta = rows(radius, "radius", row.distance)
    start = None if init is None else rows(init, "init", row.distance)

    # From here on all is computed from what the solver sees: distances in units of the
    # row's range, perhaps in one array.
    form = Form(whole, probs is None)
    scale = jnp.where(row.range > 0, row.range, 1)
    distance, base = light(row.distance / scale[..., None], row.probs, row.share, form)
    ties = (base > 0) & (distance <= 0)
    largest = lax.stop_gradient(-jnp.log(row.tied))
    equation = Rows(distance, base, kappa, eta, largest)

    # Two ends need no solving: all weight on the best, and none moved at all.
    eps = jnp.finfo(dtype).eps
    low, high = bounds(dtype)
    spent = lax.stop_gradient(eta >= largest * (1 - 4 * eps))
    active = lax.stop_gradient(eta > eps**2) & ~spent
    if start is not None:
        usable = jnp.isfinite(start) & (start > 0)
        start = jnp.where(usable, jnp.clip(start / scale, low, high), 0)
    root = budget_root(equation, start, active, form)
    tau = jnp.where(active, root.tau, high)

    x = distance * (1 / tau)[..., None]
    powers, mass, log_m = dual_sums(x, base, is_mild(1, tau), kappa, whole)
    growth = exp_power(eta + log_m, kappa)
    if root.edge is not None:
        at = tilt_at(equation, tau, whole, root.edge)
        powers, mass = at.powers, at.mass
    at_best = jnp.where(ties, base / row.tied[..., None], 0)
    inner = base * powers / mass[..., None]
    weights = jnp.where(spent[..., None], at_best, inner)
    # Of what is returned only the temperature, a distance from the best score itself,
    # moves with that score.
    best = lax.stop_gradient(row.best)
    temperature = jnp.where(spent, 0, scale * tau)
    value = best + jnp.where(row.some & ~spent, scale * tau * growth, 0)
    held = row._replace(best=best)
    value = envelope(value, held, weights, temperature, kappa, eta, whole)
    finite = kappa > 0
    below = jnp.where(finite, temperature / jnp.where(finite, kappa, 1), jnp.inf)
    below = best - jnp.where(temperature > 0, below, 0)
    threshold = jnp.where(spent, row.best, below)
    out = output_dtype(values)
    return WorstCase(
        value.astype(out),
        weights.astype(out),
        threshold.astype(out),
        (temperature + jnp.where(spent, 0, kappa * row.moved)).astype(out),
        root.steps,
    )


def worst_case_mean(
    values: ArrayLike,
    *,
    gamma: ArrayLike,
    radius: ArrayLike,
    probs: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    r"""The largest mean score of a distribution in a Renyi ball: `worst_case`'s value.

    Its gradients are the envelope's: :math:`\partial V / \partial f_j = p_j` and
    :math:`\partial V / \partial \eta = \tau m / m_1` with :math:`m = \sum q r^k` and
    :math:`m_1 = \sum q r^{k-1}`. The radius falls as the order rises for the same
    distribution, so :math:`\partial V / \partial \gamma \le 0`. Under ``jit`` a first
    derivative costs one pass more than the value; second derivatives use the implicit
    function theorem.

    Args:
      values: scores f, finite where used. [..., n]
      gamma: the order, in ``[1, inf]``; a number, or one a row. [...]
      radius: the radius eta in nats, at least 0; a number, or one a row. [...]
      probs: base weights q, normalised over the used entries; uniform if ``None``.
      where: the entries to use; a masked one behaves as if deleted.

    Returns:
      The worst-case mean, between the mean and the maximum; 0 for a row with nothing
      to use. [...]

    Raises:
      ValueError: as `worst_case`.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from drrl_jax.dro import worst_case_mean
      >>> f = jnp.array([0.1, 0.5, 0.9])
      >>> values = [worst_case_mean(f, gamma=2.0, radius=r) for r in (0, 0.1, 5)]
      >>> [round(float(v), 4) for v in values]
      [0.5, 0.6059, 0.9]
      >>> slope = jax.grad(lambda g: worst_case_mean(f, gamma=g, radius=0.1))(2.0)
      >>> round(float(slope), 4)
      -0.0231
    """
    return worst_case(
        values, gamma=gamma, radius=radius, probs=probs, where=where
    ).value


@functools.partial(jax.custom_jvp, nondiff_argnums=(6,))
def envelope(
    value: Array,
    row: Candidates,
    weights: Array,
    temperature: Array,
    kappa: Array,
    eta: Array,
    whole: int | None,
) -> Array:
    """The dual objective at its minimum, ``value``, with the envelope's tangents.

    The weights and the temperature depend on everything else: their tangents drop out
    at first order, and carry the second. So does that of the value, which is what
    `dual_value` of the other arguments is.
    """
    del row, weights, temperature, kappa, eta, whole
    return lax.stop_gradient(value)


def _envelope_jvp(whole, primals, tangents):
    value, row, weights, temperature, kappa, eta = primals
    _, drow, _, _, dkappa, deta = tangents

    def of(probs: Array) -> Array:
        return dual_value(row._replace(probs=probs), temperature, kappa, eta, whole)

    partial = jnp.zeros_like(value)
    if not isinstance(drow.probs, SymbolicZero):
        partial = jax.jvp(of, (row.probs,), (drow.probs,))[1]
    if not (isinstance(dkappa, SymbolicZero) and isinstance(deta, SymbolicZero)):
        by_kappa, by_eta = _ball_slopes(row, weights, temperature, kappa)
        partial += by_kappa * _dense(dkappa) + by_eta * _dense(deta)
    moved = jnp.sum(weights * _dense(drow.distance), axis=-1)
    return value, partial + _dense(drow.best) - moved


def _ball_slopes(
    row: Candidates, weights: Array, temperature: Array, kappa: Array
) -> tuple[Array, Array]:
    r"""The derivatives of the worst case in kappa and in the radius.

    .. math::
        \frac{\partial V}{\partial \eta} = T = \sum_j p_j (\tau - \kappa d_j), \qquad
        \frac{\partial V}{\partial \kappa}
            = -T \frac{\partial D_\kappa(p \| q)}{\partial \kappa}
            = -\frac{1}{T} \sum_j p_j (d_j - \bar d)^2 \,
              h\Big(\kappa \frac{d_j - \bar d}{T}\Big)

    with :math:`d_j` the distance from the best score, :math:`\bar d` its mean under p
    and :math:`h(z) = ((1-z) \log(1-z) + z) / z^2`. They are the Lagrangian's at the
    weights and so as exact as these. The dual's derivative at a fixed temperature is
    not: it moves the threshold, at which at high orders, where scores enter in jumps,
    the solution is stationary to rounding only on one side.
    """
    tau = temperature[..., None]
    margin = jnp.where(weights > 0, tau - kappa[..., None] * row.distance, 0)
    by_eta = jnp.sum(weights * jnp.maximum(margin, 0), axis=-1)
    some = by_eta > 0
    scale = jnp.where(some, by_eta, 1)
    mean = jnp.sum(weights * row.distance, axis=-1)
    off = jnp.where(weights > 0, row.distance - mean[..., None], 0)
    curved = entropy_curvature(kappa[..., None] * off / scale[..., None])
    spread = jnp.sum(weights * off**2 * curved, axis=-1)
    return jnp.where(some, -spread / scale, 0), by_eta


def _dense(tangent: Array | SymbolicZero) -> Array:
    if isinstance(tangent, SymbolicZero):
        return jnp.zeros(tangent.shape, tangent.dtype)
    return tangent


# A pass over the scores is saved for each argument that nothing is differentiated in.
envelope.defjvp(_envelope_jvp, symbolic_zeros=True)
