"""Functions of rows in one kernel of a GPU, whose registers hold a row from first to last.

A pass over rows takes a GPU less time than starting it does, and before every turn of a
loop of passes the processor waits to read the loop's condition. Here each program holds
a few rows, does all that there is to do with them, and turns their loops by itself,
until these rows are done. What is done is what other machines do: the same functions.
"""

import contextlib
import contextvars
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from drrl_jax._numbers import is_cut

# Where it runs, as JAX names it.
PLATFORM = "cuda"
# The longest row that the registers of one program hold, some of it in memory beside.
MAX_WIDTH = 2**16
# Entries of several short rows in a program.
_ENTRIES = 512

_WITHIN = contextvars.ContextVar("within", default=False)


def suits(rows: Array, most: int = MAX_WIDTH) -> bool:
    """Whether rows of this shape and type are for `map_rows`, on the machine at hand.

    Args:
      rows: [..., n]
      most: the longest that n may be.
    """
    return (
        jax.default_backend() == "gpu"
        and rows.dtype == jnp.float32
        and rows.shape[-1] <= most
        and math.prod(rows.shape) > 0
        and _whole_on_a_device(rows)
        and _triton_runs()
    )


def _whole_on_a_device(x: Array) -> bool:
    """Whether no array may be cut where XLA, which cannot cut a kernel, must gather it."""
    mesh = jax.sharding.get_abstract_mesh()
    alone = jax.device_count() == 1 or (not mesh.empty and mesh.are_all_axes_manual)
    return alone and not is_cut(x)


@functools.cache
def _triton_runs() -> bool:
    """Whether this JAX has Pallas for Triton, and the GPU is one that it is for."""
    try:
        from jax.experimental.pallas import triton  # noqa: F401
    except ImportError:
        return False
    # A number of NVIDIA's, such as 9.0; AMD names an architecture.
    capability = getattr(jax.local_devices()[0], "compute_capability", "")
    return capability[:1].isdigit() and float(capability) >= 8


def choose(
    in_kernel: Callable[..., Any],
    passes: Callable[..., Any],
    rows: Array,
    *operands: Any,
    most: int = MAX_WIDTH,
) -> Any:
    """Of two functions of ``operands`` the first where ``rows`` suit a kernel.

    Args:
      in_kernel: calls `map_rows`.
      passes: gives the same without.
      rows: [..., n]
      *operands: of both.
      most: see `suits`.
    """
    if not suits(rows, most):
        return passes(*operands)
    # A machine with a GPU may yet run this on its processor.
    return lax.platform_dependent(*operands, default=passes, **{PLATFORM: in_kernel})


def within() -> bool:
    """Whether what is traced now is the inside of a kernel."""
    return _WITHIN.get()


def any_of(marks: Array, axis: int | None = None) -> Array:
    """``jnp.any``, within a kernel, which has no "or" over its rows, by a count."""
    if within():
        return jnp.sum(marks, axis=axis, dtype=jnp.int32) > 0
    return jnp.any(marks, axis=axis)


@contextlib.contextmanager
def _traced_within() -> Iterator[None]:
    token = _WITHIN.set(True)
    try:
        yield
    finally:
        _WITHIN.reset(token)


def map_rows(
    function: Callable[..., Any],
    wide: Sequence[Array],
    thin: Sequence[Array],
    like: Any,
    *,
    fill: Sequence[float] = (),
    per_thread: int = 16,
    name: str = "rows",
    interpret: bool = False,
) -> Any:
    """``function(inside, *wide, *thin)`` in one kernel, for a block of rows at a time.

    Args:
      function: of ``inside``, bool ``[block, padded]``, which entries there are, and of
        the arrays' blocks, whose sizes are powers of two; returns blocks of ``like``.
      wide: arrays over the rows' entries, whole numbers or floats. [rows, n]
      thin: arrays over rows. [rows]
      like: a tree of arrays that results are like, of whichever shape of the two.
      fill: what each wide array holds where there is no entry; 0 if left out. Thin
        arrays hold 0.5 there, which is a fair value of any number of a row.
      per_thread: entries a thread: many threads hide what others wait for, few have
        less to wait for in a sum.
      name: of the kernel, for profiles.
      interpret: whether to run on a CPU, as tests do.

    Returns:
      A tree like ``like``.

    Example:
      >>> import jax.numpy as jnp
      >>> rows, sums = jnp.ones((3, 5)), jnp.zeros(3)
      >>> def add(inside, x):
      ...     return jnp.sum(jnp.where(inside, x, 0), axis=-1)
      >>> map_rows(add, [rows], [], sums, interpret=True).tolist()
      [5.0, 5.0, 5.0]
    """
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import triton

    total, width = wide[0].shape
    padded = pl.next_power_of_2(width)
    block = min(max(1, _ENTRIES // padded), pl.next_power_of_2(total))
    ins = [*wide, *thin]
    others = [*fill, *[0] * (len(wide) - len(fill)), *[0.5] * len(thin)]
    outs, tree = jax.tree.flatten(like)

    def program(*refs) -> None:
        first = pl.program_id(0) * block

        def inside(shape: tuple[int, ...]) -> Array:
            rows = first + lax.broadcasted_iota(jnp.int32, shape, 0) < total
            if len(shape) == 1:
                return rows
            return rows & (lax.broadcasted_iota(jnp.int32, shape, 1) < width)

        blocks = [
            triton.load(ref, mask=inside(ref.shape), other=other)
            for ref, other in zip(refs, others)
        ]
        with _traced_within():
            found = function(inside((block, padded)), *blocks)
        for ref, x in zip(refs[len(ins) :], jax.tree.leaves(found), strict=True):
            triton.store(ref, x, mask=inside(ref.shape))

    def spec(x: Array) -> pl.BlockSpec:
        if x.ndim == 1:
            return pl.BlockSpec((block,), lambda i: (i,))
        return pl.BlockSpec((block, padded), lambda i: (i, 0))

    warps = min(max(1, block * padded // (32 * per_thread)), 32)
    found = pl.pallas_call(
        program,
        [_shape_of(x) for x in outs],
        grid=(pl.cdiv(total, block),),
        in_specs=[spec(x) for x in ins],
        out_specs=[spec(x) for x in outs],
        compiler_params=triton.CompilerParams(num_warps=warps, num_stages=1),
        interpret=interpret,
        name=name,
    )(*ins)
    return jax.tree.unflatten(tree, found)


def _shape_of(x: Array) -> jax.ShapeDtypeStruct:
    """Its shape and type, and the axes of a mesh along which `shard_map` cuts it."""
    kind = jax.typeof(x)
    # Called otherwise before JAX 0.10.2.
    name = "manual_axis_type" if hasattr(kind, "manual_axis_type") else "vma"
    return jax.ShapeDtypeStruct(x.shape, x.dtype, **{name: getattr(kind, name)})
