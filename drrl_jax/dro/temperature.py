"""The dual objective at a given temperature: one formula for every order."""

import functools
import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from drrl_jax._numbers import is_number
from drrl_jax.dro.candidates import (
    Candidates,
    candidates,
    output_dtype,
    rows,
    working_dtype,
)
from drrl_jax.dro.equation import bounds
from drrl_jax.dro.order import check_radius, kappa_of, whole_power
from drrl_jax.dro.tilt import exp_power, is_mild, log_mean, powers_of


def value_at_temperature(
    values: ArrayLike,
    temperature: ArrayLike,
    *,
    gamma: ArrayLike,
    radius: ArrayLike = 0.0,
    probs: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    r"""The dual objective of the worst case at a temperature, solved or given.

    .. math::
        F + \frac{\tau}{\kappa} \left( e^{\kappa(\eta + \log m)} - 1 \right), \qquad
        m = \sum_j q_j \left(1 - \kappa \frac{F - f_j}{\tau}\right)_+^{1/\kappa}

    with :math:`F = \max_j f_j` and :math:`\kappa = (\gamma-1)/\gamma`. It is the dual
    :math:`c\,(\sum q (f-\beta)_+^k)^{1/k} + \beta` at the threshold
    :math:`\beta = F - \tau/\kappa`, which moves with the row. At ``gamma = 1`` it is
    :math:`\tau (\eta + \log \sum q e^{f/\tau})`, a log-mean-exp; at infinity the
    conditional value at risk over a relative margin. Its minimum over the temperature
    is `worst_case_mean`, so at every temperature it bounds that from above.

    Args:
      values: scores f. [..., n]
      temperature: tau, in the units of ``values``; 0, and in float32 less than 1e-19,
        gives the maximum, with a derivative of 0 in the temperature. One number, or one
        a row. [...]
      gamma: the order of the ball, in ``[1, inf]``; broadcasts over rows.
      radius: the radius eta in nats, at least 0; broadcasts over rows.
      probs: base weights q, normalised over the used entries; uniform if ``None``.
      where: the entries to use; a masked one behaves as if deleted.

    Returns:
      The value, 0 for a row with nothing to use, in the type of ``values``. [...]
      Differentiable in everything but ``where``.

    Raises:
      ValueError: for shapes that do not broadcast, or a plain number ``gamma < 1``,
        ``radius < 0``, or a ``temperature`` below 0 or infinite.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.dro import value_at_temperature
      >>> f = jnp.array([0.1, 0.5, 0.9])
      >>> [round(float(value_at_temperature(f, 0.5, gamma=g)), 4) for g in (1, 2)]
      [0.6015, 0.5831]
    """
    check_radius(radius)
    if is_number(temperature) and not 0 <= temperature < math.inf:
        raise ValueError(
            f"temperature must be at least 0 and finite; got {temperature}."
        )
    kappa = kappa_of(gamma, working_dtype(values))
    return _at_temperature(
        values, temperature, kappa, radius, probs, where, whole=whole_power(gamma)
    )


@functools.partial(jax.jit, static_argnames="whole")
def _at_temperature(
    values: ArrayLike,
    temperature: ArrayLike,
    kappa: Array,
    radius: ArrayLike,
    probs: ArrayLike | None,
    where: ArrayLike | None,
    *,
    whole: int | None,
) -> Array:
    """`value_at_temperature`, compiled also where the caller is not."""
    row = candidates(values, probs, where)
    value = dual_value(
        row,
        rows(temperature, "temperature", row.distance),
        rows(kappa, "gamma", row.distance),
        rows(radius, "radius", row.distance),
        whole,
    )
    return value.astype(output_dtype(values))


def dual_value(
    row: Candidates, temperature: Array, kappa: Array, eta: Array, whole: int | None
) -> Array:
    """`value_at_temperature` on `Candidates` and one number a row of the others."""
    # The derivative of a quotient by a smaller number is not finite.
    some = temperature > bounds(temperature.dtype)[0]
    tau = jnp.where(some, temperature, 1)
    eta = jnp.where(some, eta, 0)
    growth = dual_growth(
        row.distance / tau[..., None],
        row.moved / tau,
        row.probs,
        is_mild(row.range, tau),
        kappa,
        eta,
        whole,
    )
    # A row with nothing to use has value 0, its radius notwithstanding.
    return row.best + jnp.where(some & row.some, tau * growth, 0)


@functools.partial(jax.custom_jvp, nondiff_argnums=(6,))
def dual_growth(
    x: Array,
    moved: Array,
    probs: Array,
    mild: Array,
    kappa: Array,
    eta: Array,
    whole: int | None,
) -> Array:
    """How many temperatures above its best score the dual objective of a row is.

    Args:
      x: distances over temperature. [..., n]
      moved: by what all of a row's have grown: 0, for its derivative, which is known from
        a sum in the same pass and would be the sum of another array. [...]
      probs: as of `log_mean`.
      mild: as of `log_mean`.
      kappa: the reciprocal of the conjugate exponent. [...]
      eta: the radius. [...]
      whole: as of `powers_of`.
    """
    return _growth(x + moved[..., None], probs, mild, kappa, eta, whole)[0]


def dual_sums(
    x: Array, probs: Array, mild: Array, kappa: Array, whole: int | None
) -> tuple[Array, Array, Array]:
    """``r ** (k - 1)``, its mean, 1 in empty rows, and the logarithm of that of ``r ** k``.

    Args:
      x, probs, mild, kappa, whole: as of `dual_growth`.
    """
    powers, _ = powers_of(x, kappa, whole, lower=False)
    lower, _ = powers_of(x, kappa, whole, lower=True)
    log_m, mass = log_mean(powers, probs, mild, probs * lower.values)
    return lower.values, jnp.where(mass > 0, mass, 1), log_m


def _growth(
    x: Array, probs: Array, mild: Array, kappa: Array, eta: Array, whole: int | None
) -> tuple[Array, Array]:
    """`dual_growth`, and its derivative in ``moved``."""
    _, mass, log_m = dual_sums(x, probs, mild, kappa, whole)
    slope = -jnp.exp(jnp.log(mass) + kappa * eta - (1 - kappa) * log_m)
    return exp_power(eta + log_m, kappa), slope


def _growth_jvp(whole, primals, tangents):
    x, moved, probs, mild, kappa, eta = primals
    dx, dmoved, dprobs, _, dkappa, deta = tangents
    at = {"x": x + moved[..., None], "probs": probs, "kappa": kappa, "eta": eta}
    by = {"x": dx, "probs": dprobs, "kappa": dkappa, "eta": deta}
    by = {k: v for k, v in by.items() if not isinstance(v, SymbolicZero)}

    def of(some: dict[str, Array]) -> tuple[Array, Array]:
        return _growth(**{**at, **some}, mild=mild, whole=whole)

    (growth, slope), (tangent, _) = jax.jvp(of, ({k: at[k] for k in by},), (by,))
    if not isinstance(dmoved, SymbolicZero):
        tangent += slope * dmoved
    return growth, tangent


# A pass over the scores is saved for each argument that nothing is differentiated in.
dual_growth.defjvp(_growth_jvp, symbolic_zeros=True)
