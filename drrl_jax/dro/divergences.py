"""The Renyi divergence between two distributions."""

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from drrl_jax._numbers import check_scores, wide
from drrl_jax.dro.candidates import output_dtype, rows
from drrl_jax.dro.order import kappa_of


def renyi_divergence(p: ArrayLike, q: ArrayLike, gamma: ArrayLike) -> Array:
    r"""The Renyi divergence :math:`D_\gamma(p\|q)` in nats.

    .. math::
        D_\gamma(p\|q) = \frac{1}{\gamma-1} \log \sum_j q_j (p_j / q_j)^\gamma

    with its limits: Kullback-Leibler at order 1, :math:`\max_j \log(p_j/q_j)` at
    order infinity. Source: van Erven and Harremoes (2014), Renyi divergence and
    Kullback-Leibler divergence.

    The sum is taken as a tilted mean, :math:`\sum_j p_j (p_j/q_j)^{\gamma-1}`, around
    the largest ratio, so that a large order does not overflow, and for orders close to
    1 around the mean of the log ratios, so that they do not cancel.

    Args:
      p: a distribution, summing to 1 over the last axis, which derivatives leave so.
        [..., n]
      q: the base distribution; broadcasts with ``p``. Where ``q`` is 0 and ``p`` is
        not, the divergence is infinite. In float32 XLA takes a number below 1e-38 for 0.
        [..., n]
      gamma: the order, in ``[1, inf]``; a number, or one a row. [...]

    Returns:
      The divergence, at least 0 up to rounding. [...] Within 1e-4 of order 1 it is
        linear in the order: its second derivative in gamma is lost there.

    Raises:
      ValueError: for a plain number ``gamma < 1``, or shapes that do not broadcast.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.dro import renyi_divergence
      >>> p, q = jnp.array([0.5, 0.5]), jnp.array([0.25, 0.75])
      >>> [round(float(renyi_divergence(p, q, g)), 4) for g in (1, 2, jnp.inf)]
      [0.1438, 0.2877, 0.6931]
    """
    for name, weights in (("p", p), ("q", q)):
        check_scores(name, weights)
    given = jnp.promote_types(output_dtype(p), output_dtype(q))
    dtype = wide(given)
    try:
        p, q = jnp.broadcast_arrays(jnp.asarray(p, dtype), jnp.asarray(q, dtype))
    except ValueError as error:
        raise ValueError(
            f"p and q must broadcast; got p {jnp.shape(p)}, q {jnp.shape(q)}."
        ) from error
    if not p.ndim:
        raise ValueError("p or q must be [..., n]; got two numbers.")
    kappa = rows(kappa_of(gamma, dtype), "gamma", p)
    held = p > 0
    both = held & (q > 0)
    logs = _log_ratio(jnp.where(both, p, 1), jnp.where(both, q, 1))
    top = jnp.max(logs, axis=-1, initial=-jnp.inf, where=both)
    top = jnp.where(jnp.isfinite(top), top, 0)
    # gamma - 1 = kappa / (1 - kappa); its reciprocal is 0 at order infinity, where
    # only the largest ratio counts, and any finite stand-in for the power serves.
    eps = jnp.finfo(dtype).eps
    gap = kappa / jnp.maximum(1 - kappa, eps)
    small = gap < jnp.sqrt(eps)
    power = jnp.where(small, 1, gap)
    mass = jnp.where(both, p, 0)
    # Of sum 1, whatever rounding says: so all branches have one derivative.
    whole = jnp.sum(mass, axis=-1)
    mass = mass / jnp.where(whole > 0, whole, 1)[..., None]
    shifted = power[..., None] * (logs - top[..., None])
    total = jnp.sum(mass * jnp.exp(shifted), axis=-1)
    total = jnp.where(total > 0, total, 1)
    high = top + jnp.where(kappa < 1, jnp.log(total) / power, 0)
    # D is the Kullback-Leibler divergence plus gap / 2 times the variance of logs.
    low = jnp.sum(mass * logs, axis=-1)
    spread = jnp.sum(mass * (logs - low[..., None]) ** 2, axis=-1)
    # A mild tilt is centred on the mean, where nothing cancels.
    centred = power[..., None] * (logs - low[..., None])
    mild = jnp.max(jnp.abs(centred), axis=-1, initial=0.0, where=both) <= 0.5
    tilted = jnp.expm1(jnp.where(mild[..., None], centred, 0))
    near = low + jnp.log1p(jnp.sum(mass * tilted, axis=-1)) / power
    value = jnp.where(small, low + gap * spread / 2, jnp.where(mild, near, high))
    value = jnp.where(jnp.any(held & (q <= 0), axis=-1), jnp.inf, value)
    return value.astype(given)


def _log_ratio(p: Array, q: Array) -> Array:
    """``log(p / q)`` of numbers above 0, whose quotient may leave the type.

    Of a quotient near 1 by division, where logarithms would cancel, with both in units
    of q: the square of a small q, by which a derivative divides, is 0.
    """
    near = (p < 1024 * q) & (q < 1024 * p)
    unit = lax.stop_gradient(jnp.where(near, q, 1))
    ratio = (jnp.where(near, p, 1) / unit) / (jnp.where(near, q, 1) / unit)
    return jnp.where(near, jnp.log(ratio), jnp.log(p) - jnp.log(q))
