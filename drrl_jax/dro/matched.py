"""The worst case whose temperature is given: the radius follows."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from drrl_jax._numbers import is_number
from drrl_jax.dro.candidates import (
    candidates,
    output_dtype,
    rows,
    working_dtype,
)
from drrl_jax.dro.order import kappa_of, whole_power
from drrl_jax.dro.temperature import dual_value
from drrl_jax.dro.tilt import is_mild, tilt
from drrl_jax.dro.worst_case import envelope


class MatchedCase(NamedTuple):
    """The worst case of every row at a given temperature.

    Attributes:
      value: the worst-case mean over the ball of ``radius``. [...]
      weights: the worst-case distribution, 0 where masked. [..., n]
      radius: the divergence of the weights from the base, the ball that has them. [...]
    """

    value: Array
    weights: Array
    radius: Array


def worst_case_at_temperature(
    values: ArrayLike,
    temperature: ArrayLike,
    *,
    gamma: ArrayLike,
    probs: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> MatchedCase:
    r"""The worst case of the ball for which a temperature is the solution.

    .. math::
        p_j \propto q_j \left(1 - \kappa \frac{F - f_j}{\tau}\right)_+^{1/\kappa - 1},
        \qquad \eta = D_\gamma(p \| q), \qquad V = \sum_j p_j f_j
          = \max_{p'} \Big\{ \sum_j p'_j f_j : D_\gamma(p' \| q) \le \eta \Big\}

    with :math:`F = \max_j f_j` and :math:`\kappa = (\gamma-1)/\gamma`. Every
    :math:`\tau > 0` is the solution of `worst_case` at one radius, so nothing has to
    be solved: one pass. Rows whose scores spread get a large radius, rows of equal
    scores radius 0, where `worst_case` gives every row the same.

    The value's gradient in ``values`` is the weights and that in ``gamma`` is at a
    fixed radius (the envelope theorem); the radius and the temperature are constants.

    Args:
      values: scores f, finite where used. [..., n]
      temperature: tau > 0, in the units of ``values``; a number, or one a row. [...]
      gamma: the order, in ``[1, inf]``; a number, or one a row. [...]
      probs: base weights q, normalised over the used entries; uniform if ``None``.
      where: the entries to use; a masked one behaves as if deleted.

    Returns:
      A `MatchedCase`, in the type of ``values``; 0 for a row with nothing to use.

    Raises:
      ValueError: for shapes that do not broadcast, or a plain number ``gamma < 1`` or
        ``temperature`` that is not above 0 and finite.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.dro import worst_case, worst_case_at_temperature
      >>> f = jnp.array([0.1, 0.5, 0.9])
      >>> matched = worst_case_at_temperature(f, 0.5, gamma=2.0)
      >>> round(float(matched.value), 4), round(float(matched.radius), 4)
      (0.6778, 0.2595)
      >>> solved = worst_case(f, gamma=2.0, radius=matched.radius)
      >>> round(float(solved.value), 4), round(float(solved.temperature), 4)
      (0.6778, 0.5)
    """
    if is_number(temperature) and not 0 < temperature < math.inf:
        raise ValueError(
            f"temperature must be greater than 0 and finite; got {temperature}."
        )
    kappa = kappa_of(gamma, working_dtype(values))
    return _at_temperature(
        values, temperature, kappa, probs, where, whole=whole_power(gamma)
    )


@functools.partial(jax.jit, static_argnames="whole")
def _at_temperature(
    values: ArrayLike,
    temperature: ArrayLike,
    kappa: Array,
    probs: ArrayLike | None,
    where: ArrayLike | None,
    *,
    whole: int | None,
) -> MatchedCase:
    """`worst_case_at_temperature`, compiled also where the caller is not."""
    row = candidates(values, probs, where)
    tau = lax.stop_gradient(rows(temperature, "temperature", row.distance))
    kappa = rows(kappa, "gamma", row.distance)
    at = tilt(
        (row.distance + row.moved[..., None]) / tau[..., None],
        row.probs,
        kappa,
        is_mild(row.range, tau),
        whole=whole,
    )
    weights = jnp.where(row.used, row.probs * at.powers / at.mass[..., None], 0)
    radius = lax.stop_gradient(jnp.where(row.some, jnp.maximum(at.divergence, 0), 0))
    # The value needs no derivative of where distances are measured from.
    held = row._replace(best=lax.stop_gradient(row.best))
    value = dual_value(held, tau, kappa, radius, whole)
    value = envelope(value, held, weights, tau, kappa, radius, whole)
    out = output_dtype(values)
    return MatchedCase(value.astype(out), weights.astype(out), radius.astype(out))
