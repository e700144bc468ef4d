"""Products that take float32 numbers as they are, and how many scores to hold at a time.

By default a GPU rounds float32 to 10 bits before it multiplies and a TPU to 7, enough to
swap the best items of a ranking. Every product of this library goes through here and
rounds nothing; who wants that speed has ``training.dtype=bfloat16``.
"""

import functools
import os

import jax
import jax.numpy as jnp

from drrl_jax._numbers import wide

EXACT = jax.lax.Precision.HIGHEST
"""The precision of all products, for layers that make their own."""

# What fills an accelerator (`python -m experiments.benchmarks.catalogue`; the TPU's is an
# estimate). 2²⁶ float32 entries are 256 MB.
_IN_FLIGHT = {"gpu": 1 << 26, "tpu": 1 << 25}


def wide_type(*arrays: jax.Array) -> jnp.dtype:
    """The type that products are accumulated in: float32, of float64 inputs float64."""
    # Widened first: of wide types no promotion asks for leave.
    return functools.reduce(jnp.promote_types, (wide(x.dtype) for x in arrays))


def product(a: jax.Array, b: jax.Array) -> jax.Array:
    """The matrix product ``a @ b``, accumulated and returned in float32 at least.

    Args:
      a: ``[..., m, k]``.
      b: ``[..., k, n]``.

    Returns:
      ``[..., m, n]``.

    Example:
      >>> import jax.numpy as jnp
      >>> product(jnp.ones((1, 2), jnp.bfloat16), jnp.ones((2, 1), jnp.bfloat16))
      Array([[2.]], dtype=float32)
    """
    return jnp.matmul(a, b, preferred_element_type=wide_type(a, b), precision=EXACT)


def contract(subscripts: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """``einsum`` of two arrays, accumulated and returned in float32 at least.

    Args:
      subscripts: as of ``jnp.einsum``.
      a: the first array.
      b: the second array.

    Returns:
      The sums of products that the subscripts say.

    Example:
      >>> import jax.numpy as jnp
      >>> contract("bd,bd->b", jnp.ones((1, 2)), jnp.ones((1, 2))).tolist()
      [2.0]
    """
    dtype = wide_type(a, b)
    return jnp.einsum(subscripts, a, b, preferred_element_type=dtype, precision=EXACT)


def weights_for(weights: jax.Array, rows: jax.Array) -> jax.Array:
    """Weights in the type of the rows that they multiply, so that one product does.

    Not in float16: the gradient of a mean over a batch and a catalogue is smaller than
    its least number, and would be zero.

    Example:
      >>> import jax.numpy as jnp
      >>> small = jnp.array([1e-9])
      >>> [weights_for(small, jnp.ones(1, t)).dtype.name for t in ("bfloat16", "float16")]
      ['bfloat16', 'float32']
    """
    return weights if rows.dtype == jnp.float16 else weights.astype(rows.dtype)


@functools.cache
def cores() -> int:
    """Processor cores that this program may use."""
    mine = getattr(os, "sched_getaffinity", None)
    return len(mine(0)) if mine else os.cpu_count() or 1


def entries_in_flight(cpu: int) -> int:
    """Entries of a score matrix to hold at a time, on the backend that JAX works on.

    Args:
      cpu: what fits a processor's cache, which depends on what else is read there.

    Returns:
      ``cpu`` on a processor, else what fills an accelerator.

    Example:
      >>> entries_in_flight(1 << 20)
      1048576
    """
    backend = jax.default_backend()
    return cpu if backend == "cpu" else _IN_FLIGHT.get(backend, _IN_FLIGHT["gpu"])
