"""The worst case of a mean over a Renyi ball around the base distribution."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from drrl_jax.dro.candidates import Candidates, candidates, output_dtype, rows
from drrl_jax.dro.equation import Rows, bounds, first_guess, tilt_at
from drrl_jax.dro.order import check_radius, kappa_of
from drrl_jax.dro.solve import budget_root
from drrl_jax.dro.temperature import dual_value


class WorstCase(NamedTuple):
    """The worst-case distribution of every row, and what solved it.

    Attributes:
      value: the worst-case mean. [...]
      weights: the worst-case distribution, 0 where masked. [..., n]
      threshold: the dual's threshold beta = max - temperature / kappa, the score at
        which the weights vanish; minus infinity at order 1. [...]
      temperature: tau, in the units of the scores; 0 where the radius admits all the
        weight on the best scores. [...]
      num_steps: evaluations of the budget that the solver made. int32 [...]
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
    """See the module."""
    check_radius(radius)
    row = candidates(values, probs, where)
    shape, dtype = row.distance.shape, row.distance.dtype
    kappa = rows(kappa_of(gamma, dtype), "gamma", shape, dtype)
    eta = rows(radius, "radius", shape, dtype)
    start = None if init is None else rows(init, "init", shape, dtype)
    scale = lax.stop_gradient(jnp.max(row.distance, axis=-1))
    scale = jnp.where(scale > 0, scale, 1)
    best = jnp.sum(jnp.where(row.distance <= 0, row.probs, 0), axis=-1)
    largest = lax.stop_gradient(-jnp.log(jnp.where(best > 0, best, 1)))
    eps = jnp.finfo(dtype).eps
    active = lax.stop_gradient((eta < largest * (1 - 4 * eps)) & (eta > eps**2))
    full = lax.stop_gradient(eta >= largest * (1 - 4 * eps))
    equation = Rows(row.distance / scale[..., None], row.probs, kappa, eta, largest)
    low, high = bounds(dtype)
    guess = first_guess(equation)
    if start is not None:
        usable = jnp.isfinite(start) & (start > 0)
        given = jnp.where(usable, start, 1) / scale
        guess = jnp.where(usable, jnp.clip(given, low, high), guess)
    root = budget_root(equation, lax.stop_gradient(guess), active)
    tau = jnp.where(active, root.tau, high)
    at = tilt_at(equation, tau, root.edge)
    tied = row.probs * (row.distance <= 0) / jnp.where(best > 0, best, 1)[..., None]
    weights = row.probs * at.powers / at.mass[..., None]
    weights = jnp.where(full[..., None], tied, weights)
    temperature = jnp.where(full, 0, scale * tau)
    value = _value(row, weights, temperature, kappa, eta)
    finite = kappa > 0
    below = jnp.where(finite, temperature / jnp.where(finite, kappa, 1), jnp.inf)
    threshold = row.best - jnp.where(temperature > 0, below, 0)
    out = output_dtype(values)
    return WorstCase(
        value.astype(out),
        weights.astype(out),
        threshold.astype(out),
        temperature.astype(out),
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
    """See `worst_case`."""
    return worst_case(
        values, gamma=gamma, radius=radius, probs=probs, where=where
    ).value


@jax.custom_jvp
def _value(row: Candidates, weights, temperature, kappa, eta) -> Array:
    return dual_value(row, temperature, kappa, eta)


@_value.defjvp
def _value_jvp(primals, tangents):
    row, weights, temperature, kappa, eta = primals
    drow, _, _, dkappa, deta = tangents
    held = (row.probs, kappa, eta)

    def of(probs, kappa, eta):
        return dual_value(row._replace(probs=probs), temperature, kappa, eta)

    value, other = jax.jvp(of, held, (drow.probs, dkappa, deta))
    return value, drow.best + other - jnp.sum(weights * drow.distance, axis=-1)
