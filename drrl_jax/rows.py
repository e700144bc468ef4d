"""Rows of a table fetched by id, and rows summed by id: each the other's derivative.

On a GPU many threads add to one row at once, in an order that no two runs share, so sums
of floats differ in their last bits from run to run. Sums of integers do not. There each
number is made an integer in units that the sum of its row's sizes sets, and those are
summed: the same bits in every run, about as exact as a sum of floats. XLA's own switch
for it, ``--xla_gpu_deterministic_ops``, adds row after row, which makes a training step
over twenty times as long (experiments/benchmarks/NOTES.md). Derivatives of both are
reverse-mode only there.
"""

import functools
import math

import jax
import jax.numpy as jnp

from drrl_jax._numbers import wide


def take_rows(table: jax.Array, ids: jax.Array) -> jax.Array:
    """``table[ids]``, whose gradient has the same bits in every run.

    Args:
      table: ``[num_rows, ...]``.
      ids: ``int [...]`` inside ``[0, num_rows)``.

    Returns:
      ``[*ids.shape, *table.shape[1:]]``.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> table, ids = jnp.array([[1.0], [2.0], [3.0]]), jnp.array([2, 0, 2])
      >>> take_rows(table, ids)[:, 0].tolist()
      [3.0, 1.0, 3.0]
      >>> jax.grad(lambda t: take_rows(t, ids).sum())(table)[:, 0].tolist()
      [1.0, 0.0, 2.0]
    """
    if not jnp.issubdtype(table.dtype, jnp.floating):
        return table[ids]
    if not _ordered():
        return _take(table, ids, table.shape[0])
    return table.astype(wide(table.dtype))[ids].astype(table.dtype)


def sum_rows(
    values: jax.Array, ids: jax.Array, num_rows: int, bound: jax.Array | None = None
) -> jax.Array:
    r"""Sums of the rows of each id: :math:`y_i = \sum_{t:\, ids_t = i} x_t`.

    Args:
      values: floating, ``[*ids.shape, ...]``.
      ids: ``int [...]`` inside ``[0, num_rows)``.
      num_rows: rows of the result.
      bound: what the summands of each id do not exceed in size, ``[*ids.shape]``, where
        that is cheaper to find than the largest of ``values``; a constant.

    Returns:
      ``[num_rows, ...]``, the same bits in every run.

    Example:
      >>> import jax.numpy as jnp
      >>> sum_rows(jnp.array([0.5, 1.0, 2.0]), jnp.array([1, 0, 1]), 3).tolist()
      [1.0, 2.5, 0.0]
    """
    if _ordered():
        summands = values.astype(wide(values.dtype))
        zeros = jnp.zeros((num_rows, *values.shape[ids.ndim :]), summands.dtype)
        sums = zeros.at[ids].add(summands, mode="promise_in_bounds")
        return sums.astype(values.dtype)
    return _sum(values, ids, bound, num_rows)


def _ordered() -> bool:
    """Whether the backend adds to a row in one order, whatever its threads do."""
    return jax.default_backend() != "gpu"


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _take(table, ids, num_rows):
    del num_rows
    return table[ids]


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _sum(values, ids, bound, num_rows):
    return integer_sum(values, ids, num_rows, bound)


_take.defvjp(
    lambda table, ids, n: (table[ids], ids),
    lambda n, ids, cotangent: (_sum(cotangent, ids, None, n), None),
)
_sum.defvjp(
    lambda values, ids, bound, n: (_sum(values, ids, bound, n), ids),
    lambda n, ids, cotangent: (_take(cotangent, ids, n), None, None),
)


def integer_sum(
    values: jax.Array, ids: jax.Array, num_rows: int, bound: jax.Array | None = None
) -> jax.Array:
    r"""``sum_rows`` by sums of integers, on any backend; not to be differentiated.

    The summands of an id are rounded to whole units, of which all of them together,
    taken at their bounds, fill half an integer at least. With int32 a unit is ``2^-30``
    of the sum of sizes at most, and each of ``c`` summands is off by half of one: the
    sum by some ``c^(1/2) 2^-31`` of the sum of sizes, as a sum of floats is by ``2^-24``.
    Rows with nothing above 2⁻⁹⁵ lose digits.

    Args:
      values, ids, num_rows, bound: as in ``sum_rows``.
    """
    dtype = values.dtype
    values = values.astype(wide(dtype))
    info = jnp.finfo(values.dtype)
    word, room = (jnp.int32, 31) if info.bits == 32 else (jnp.int64, 63)
    if bound is None:
        axes = tuple(range(ids.ndim, values.ndim))
        bound = jnp.max(jnp.abs(values), axis=axes, initial=0)
    trailing = values.shape[ids.ndim :]
    flat, ids = values.reshape(ids.size, math.prod(trailing)), ids.reshape(-1)

    # The bits of a float that is not negative order as the float does.
    bound = bound.astype(values.dtype).reshape(-1)
    bound = jnp.where(jnp.isnan(bound), jnp.inf, bound)
    size = jax.lax.bitcast_convert_type(bound, word)
    zeros = jnp.zeros((num_rows,), word)
    size = zeros.at[ids].max(size, mode="promise_in_bounds")
    infinity = jax.lax.bitcast_convert_type(jnp.array(jnp.inf, values.dtype), word)
    finite = size < infinity
    # The scale of a smaller row would not be a number.
    exponent = jnp.maximum((size >> info.nmant) + info.minexp, info.minexp + room)

    def power(n: jax.Array) -> jax.Array:
        """2^n for n within the exponents of normal numbers."""
        biased = (n - info.minexp + 1).astype(word) << info.nmant
        return jax.lax.bitcast_convert_type(biased, values.dtype)

    # Units in which all summands would fit if they were of one id and of the largest
    # size; then as many times finer as the sum of the bounds leaves room for.
    first = room - 1 - ids.size.bit_length()
    scale = jnp.where(finite, power(first - exponent), 0)[ids]
    units = jnp.ceil(jnp.where(scale > 0, bound, 0) * scale).astype(word)
    units = zeros.at[ids].add(units, mode="promise_in_bounds")
    bits = jnp.minimum(first + jax.lax.clz(units) - (info.bits - room), room - 1)
    scale = jnp.where(finite, power(bits - exponent), 0)[ids][:, None]
    whole = jnp.round(jnp.where(scale > 0, flat, 0) * scale).astype(word)
    sums = jnp.zeros((num_rows, flat.shape[1]), word)
    sums = sums.at[ids].add(whole, mode="promise_in_bounds").astype(values.dtype)
    total = jnp.where(finite[:, None], sums * power(exponent - bits)[:, None], jnp.nan)
    return total.reshape(num_rows, *trailing).astype(dtype)
