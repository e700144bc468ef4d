"""How a loss per row becomes one number."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from drrl_jax._numbers import wide


def masked_mean(
    values: ArrayLike,
    where: ArrayLike | None = None,
    axis: int | tuple[int, ...] | None = None,
) -> jax.Array:
    r"""The mean of the entries that ``where`` keeps: 0, with gradient 0, if none.

    .. math:: \frac{\sum_i w_i x_i}{\max(1, \sum_i w_i)}, \quad w_i \in \{0, 1\}

    A masked entry never reaches the sum, so it may hold NaN or infinity.

    Args:
      values: ``[...]``.
      where: ``[...]`` booleans, True = use; ``None`` uses every entry.
      axis: the axes to reduce; ``None`` is all of them.

    Returns:
      The mean over ``axis``, in the type of ``values`` (a float for integers).

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import masked_mean
      >>> values, where = jnp.array([1.0, 2.0, jnp.nan]), jnp.array([True, True, False])
      >>> float(masked_mean(values, where)), float(masked_mean(values, where & False))
      (1.5, 0.0)
    """
    values = jnp.asarray(values)
    if where is None:
        where = jnp.ones(values.shape, bool)
    where = jnp.broadcast_to(jnp.asarray(where, bool), values.shape)
    # A count above 256 has no place in bfloat16, a sum above 65,504 none in float16.
    floating = jnp.issubdtype(values.dtype, jnp.floating)
    out = values.dtype if floating else jnp.dtype(jnp.result_type(float))
    accumulated = wide(out)
    count = jnp.sum(where, axis=axis, dtype=accumulated)
    total = jnp.sum(jnp.where(where, values, 0), axis=axis, dtype=accumulated)
    return (total / jnp.maximum(count, 1)).astype(out)
