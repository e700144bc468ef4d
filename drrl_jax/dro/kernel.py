"""The solution of many rows in one kernel of a GPU, by the solvers of all machines.

A pass over rows takes a GPU less time than starting it does, and before every turn of a
loop of passes the processor waits to read the loop's condition. Here each program holds
a few rows in its registers and turns their loop by itself, until these rows are done.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

from drrl_jax._numbers import is_cut
from drrl_jax.dro.equation import Edge, Form, Root, Rows

# Where it runs, as JAX names it.
PLATFORM = "cuda"
# The longest row that the registers of one program hold.
MAX_WIDTH = 2**16
# Entries of several short rows in a program, and entries a thread: few threads have
# little to wait for in a sum, many hide what the others wait for.
_ENTRIES = 512
_PER_THREAD = 16


def suits(row: Rows) -> bool:
    """Whether rows of this shape and type are for `solve`, on the machine at hand."""
    shape = row.distance.shape
    return (
        jax.default_backend() == "gpu"
        and row.distance.dtype == jnp.float32
        and shape[-1] <= MAX_WIDTH
        and math.prod(shape) > 0
        and _whole_on_a_device(row.distance)
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


def solve(
    solver: Callable[[Rows, Array | None, Array], Root],
    row: Rows,
    start: Array | None,
    active: Array,
    form: Form,
    *,
    interpret: bool = False,
) -> Root:
    """What ``solver`` returns for rows that are `light`, a few at a time.

    Args:
      solver: solves rows, from ``start`` where given, which are active.
      row: see above, of any leading axes.
      start: see ``solver``. [...]
      active: rows to solve; the others have some finite result. [...]
      form: of the rows.
      interpret: whether to run on a CPU, as tests do.
    """
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import triton

    shape, width = row.kappa.shape, row.distance.shape[-1]
    total = math.prod(shape)
    padded = pl.next_power_of_2(width)
    block = min(max(1, _ENTRIES // padded), pl.next_power_of_2(total))
    # Inactive rows have no radius, and arrays of flags no place in a kernel.
    radius = jnp.where(active, row.radius, 0)
    wide = [row.distance] if form.uniform else [row.distance, row.probs]
    thin = [row.kappa, radius, row.largest] + ([] if start is None else [start])

    def program(*refs) -> None:
        ins, outs = refs[: len(wide) + len(thin)], refs[len(wide) + len(thin) :]
        first = pl.program_id(0) * block

        def inside(shape: tuple[int, ...]) -> Array:
            rows = first + lax.broadcasted_iota(jnp.int32, shape, 0) < total
            if len(shape) == 1:
                return rows
            return rows & (lax.broadcasted_iota(jnp.int32, shape, 1) < width)

        def load(ref, other: float) -> Array:
            return triton.load(ref, mask=inside(ref.shape), other=other)

        distance = load(ins[0], math.inf if form.uniform else 0)
        if form.uniform:
            count = jnp.sum(
                distance < math.inf, axis=-1, keepdims=True, dtype=jnp.int32
            )
            probs = 1 / jnp.maximum(count, 1).astype(distance.dtype)
        else:
            probs = load(ins[1], 0)
        kappa, radius, largest, *start = (load(ref, 0.5) for ref in ins[len(wide) :])
        active = radius > 0
        radius = jnp.where(active, radius, 1)
        here = Rows(distance, probs, kappa, radius, largest)
        root = solver(here, start[0] if start else None, active)
        for ref, value in zip(outs, jax.tree.leaves(root), strict=True):
            triton.store(ref, value, mask=inside(ref.shape))

    def specs(arrays: list[Array]) -> list:
        return [
            pl.BlockSpec((block,), lambda i: (i,))
            if x.ndim == 1
            else pl.BlockSpec((block, padded), lambda i: (i, 0))
            for x in arrays
        ]

    ins = [x.reshape(total, width) for x in wide] + [x.reshape(total) for x in thin]
    edge = None if form.whole is not None else Edge(row.kappa, row.kappa)
    like = Root(row.kappa, edge, jnp.zeros_like(row.kappa, jnp.int32))
    outs, tree = jax.tree.flatten(jax.tree.map(lambda x: x.reshape(total), like))
    warps = min(max(1, block * padded // (32 * _PER_THREAD)), 32)
    found = pl.pallas_call(
        program,
        [_shape_of(x) for x in outs],
        grid=(pl.cdiv(total, block),),
        in_specs=specs(ins),
        out_specs=specs(outs),
        compiler_params=triton.CompilerParams(num_warps=warps, num_stages=1),
        interpret=interpret,
        name="worst_case",
    )(*ins)
    return jax.tree.unflatten(tree, [x.reshape(shape) for x in found])


def _shape_of(x: Array) -> jax.ShapeDtypeStruct:
    """Its shape and type, and the axes of a mesh along which `shard_map` cuts it."""
    kind = jax.typeof(x)
    # Called otherwise before JAX 0.10.2.
    name = "manual_axis_type" if hasattr(kind, "manual_axis_type") else "vma"
    return jax.ShapeDtypeStruct(x.shape, x.dtype, **{name: getattr(kind, name)})
