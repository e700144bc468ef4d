r"""The step of each loss over its floor: what the machine needs for it at the least.

  python -m experiments.benchmarks.floor
  python -m experiments.benchmarks.floor --losses=softmax --negatives=64,all

Matrix factorisation with Adam. First the machine: bytes a second of ``x <- s x`` and
``x <- s x + y``, on arrays as large as the tables with their moments and on arrays
beyond any cache, multiply-adds of a matrix product, and exponentials. Then a row a loss
and number of negatives: what ``work`` counts, the floor

    max(bytes / bandwidth, operations / matmul rate, functions / exponential rate),

the measured step, its median, and its ratio to the floor (the machine's rates are its
best ones: load beside the benchmark raises ratios); seconds of the compilation of
the epoch, and the memory by XLA's count (arguments, results and temporaries, donated
buffers once). A floor is a bound for any program, not a prediction of this one.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from drrl_jax import data, training
from drrl_jax.training.epoch import make_epoch
from experiments import clock
from experiments.report_table import markdown_table

_PATH = flags.DEFINE_string("path", "", "Data folder; empty: synthetic, as Beauty.")
_LOSSES = flags.DEFINE_list("losses", [], "Rows of the table; all if left out.")
_NEGATIVES = flags.DEFINE_list("negatives", ["64", "1000", "all"], "Negatives a row.")
_BATCH = flags.DEFINE_integer("batch_size", 1024, "Rows a step.")
_DIM = flags.DEFINE_integer("dim", 64, "Embedding dimension.")
_STEPS = flags.DEFINE_integer("steps", 4, "Steps of a timed call.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Timed calls; the median.")
_SMOKE = flags.DEFINE_bool("smoke", False, "A tiny problem, to see that it runs.")

# name -> (config, exponentials, logarithms and the like that a score costs)
RUNS = {
    "bpr": ({"loss.name": "bpr"}, 2),  # softplus; the derivative shares its exponential
    "softmax": ({"loss.name": "softmax"}, 1),
    "ccl": ({"loss.name": "ccl"}, 0),
    "drrl solved": ({"loss.name": "drrl"}, 2),  # a power, the root being known
    "drrl learned": ({"loss.name": "drrl_dual"}, 2),
    "drrl tempered": ({"loss.name": "drrl_tempered"}, 2),
    "psl": ({"loss.name": "psl"}, 3),  # tanh, and a power
    "sl_at_k": ({"loss.name": "sl_at_k"}, 1),
}


class Work(NamedTuple):
    """What a step must do: bytes moved, multiplications and additions, functions."""

    bytes: int
    operations: int
    functions: int


def work(
    functions: int, batch: int, negatives: int | None, users: int, items: int, dim: int
) -> Work:
    """Counts a step of matrix factorisation with Adam in float32.

    *Bytes.* Adam moves every row of both tables and of their two moments, touched or
    not: a read and a write of three numbers, 24 bytes for each of
    ``(users + items) * dim`` parameters. The rows of the batch are read before that for
    the scores, and their gradient, a sum over the batch, is written and read once: 12
    bytes a number. At most ``batch`` users are touched and ``batch * (1 + negatives)``
    items, and never more than there are. Ids of users and positives are read: 8 bytes a
    row. Scores need not move (they can be recomputed), nor drawn ids (random numbers can
    be made where they are used).

    *Operations.* ``batch * (1 + negatives)`` scores of ``dim`` multiply-adds, and as
    many again for the gradient in the users and for that in the items, two operations
    each; the whole catalogue has the positive among its ``items`` scores. Normalising
    rows, Adam's arithmetic and the loss's own additions are left out.

    *Functions.* Those of the loss's formula, once a negative.

    Args:
      functions: exponentials, logarithms and the like a negative.
      batch: rows.
      negatives: of a row; ``None`` for the whole catalogue.
      users: rows of the user table.
      items: rows of the item table.
      dim: embedding dimension.

    Returns:
      The counts.

    Example:
      >>> work(1, batch=2, negatives=1, users=3, items=4, dim=5)
      Work(bytes=1216, operations=120, functions=2)
    """
    scores = batch * (items if negatives is None else 1 + negatives)
    touched = min(batch, users) + min(scores, items)
    moved = 24 * (users + items) * dim + 12 * touched * dim + 8 * batch
    counted = batch * (items if negatives is None else negatives)
    return Work(moved, 3 * 2 * scores * dim, functions * counted)


class Rates(NamedTuple):
    """What the machine does in a second."""

    near: float  # bytes, on arrays of the tables' size
    far: float  # bytes, on arrays beyond caches
    matmul: float  # multiplications and additions
    functions: float  # exponentials


def _loop(body: Callable, repeats: int) -> Callable:
    # The barrier keeps XLA from merging repetitions into one.
    def step(_, x):
        return jax.lax.optimization_barrier(body(x))

    return jax.jit(lambda x: jax.lax.fori_loop(0, repeats, step, x))


def bandwidth(size: int, rounds: int) -> tuple[float, float]:
    """Bytes a second of an update in place and of a triad on ``size`` bytes in all."""
    repeats = max(2**28 // size, 8)
    one = jnp.ones(size // 4, jnp.float32)
    two = (jnp.ones(size // 8, jnp.float32), jnp.ones(size // 8, jnp.float32))
    scale = _loop(lambda x: 0.999 * x, repeats)
    triad = _loop(lambda xy: (0.999 * xy[0] + xy[1], xy[1]), repeats)
    return (
        2 * size * repeats / clock.times(lambda: scale(one), rounds).min(),
        1.5 * size * repeats / clock.times(lambda: triad(two), rounds).min(),
    )


def measure_rates(size: int, far_size: int, width: int, rounds: int) -> Rates:
    """Measures the machine and prints what it found."""
    near, far = bandwidth(size, rounds), bandwidth(far_size, rounds)
    square = jnp.ones((width, width), jnp.float32) / width
    product = jax.jit(lambda x: x @ x)
    matmul = 2 * width**3 / clock.times(lambda: product(square), rounds).min()

    repeats = max(2**24 // size, 1)
    values = jnp.ones(size // 4, jnp.float32)
    twice = _loop(lambda x: jnp.exp(-jnp.exp(-x)), repeats)
    took = clock.times(lambda: twice(values), rounds).min()
    functions = 2 * repeats * values.size / took
    for name, (scale, triad), bytes_ in (
        ("tables", near, size),
        ("memory", far, far_size),
    ):
        print(
            f"{name}, {bytes_ / 1e6:.0f} MB: update {scale / 1e9:.1f} GB/s,"
            f" triad {triad / 1e9:.1f} GB/s"
        )
    print(
        f"product of {width} x {width} float32: {matmul / 1e9:.0f} Gop/s;"
        f" exponentials: {functions / 1e9:.2f} G/s"
    )
    return Rates(max(near), max(far), matmul, functions)


class Measured(NamedTuple):
    """One configuration, compiled and timed."""

    step: float
    compile: float
    memory: int


def measure(dataset: data.Dataset, changes: dict, negatives: str) -> Measured:
    """Compiles an epoch of a few steps and times it."""
    config = training.default_config()
    config.update_from_flattened_dict(changes)
    config.training.batch_size = _BATCH.value
    config.training.negatives = negatives
    config.model.dim = _DIM.value
    parts = training.build(config, dataset)
    epoch = training.jit_epoch(
        make_epoch(
            parts.objective,
            parts.optimiser,
            parts.sampling,
            num_interactions=min(_STEPS.value * _BATCH.value, len(parts.dataset.train)),
            refresh_steps=10**9,  # statistics of users are no part of a step
        )
    )
    state = parts.init()
    start = clock.now()
    compiled = epoch.lower(state, parts.data, np.uint32(0), {}).compile()
    compile_seconds = clock.now() - start
    memory = compiled.memory_analysis()
    carried = [state]

    def call():
        carried[0], losses = compiled(carried[0], parts.data, np.uint32(0), {})
        return losses

    steps = len(call())
    return Measured(
        float(np.median(clock.times(call, _ROUNDS.value))) / steps,
        compile_seconds,
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        + memory.temp_size_in_bytes
        - memory.alias_size_in_bytes,
    )


def row(dataset: data.Dataset, rates: Rates, name: str, negatives: str) -> list[str]:
    """A line of the table."""
    changes, functions = RUNS[name]
    count = None if negatives == "all" else int(negatives)
    size = (_BATCH.value, count, dataset.num_users, dataset.num_items, _DIM.value)
    needs = work(functions, *size)
    floor = max(
        needs.bytes / max(rates.near, rates.far),
        needs.operations / rates.matmul,
        needs.functions / rates.functions,
    )
    found = measure(dataset, changes, negatives)
    return [
        name,
        negatives,
        f"{needs.bytes / 1e6:.1f}",
        f"{needs.operations / 1e9:.2f}",
        f"{needs.functions / 1e6:.2f}",
        f"{1e3 * floor:.2g}",
        f"{1e3 * found.step:.3g}",
        f"{found.step / floor:.1f}",
        f"{found.compile:.1f}",
        f"{found.memory / 2**20:.1f}",
    ]


def main(_: list[str]) -> None:
    """Prints the machine's rates, then the table."""
    names = clock.rows("losses", _LOSSES.value, RUNS)
    # A cached program would make compilation look free.
    jax.config.update("jax_enable_compilation_cache", False)
    size = {"num_users": 7_068, "num_items": 3_570, "num_interactions": 71_500}
    negatives = _NEGATIVES.value
    far_size, width = 2**28, 2048
    if _SMOKE.value:
        size = {"num_users": 60, "num_items": 50}
        names, negatives, far_size, width = ["drrl tempered"], ["8", "all"], 2**20, 64
    source = "files" if _PATH.value else "synthetic"
    dataset = data.load(
        source, path=_PATH.value or None, **({} if _PATH.value else size)
    )
    print(
        f"{dataset.name}: {dataset.num_users} users, {dataset.num_items} items, batch"
        f" {_BATCH.value}, dim {_DIM.value}, {jax.default_backend()}"
    )
    tables = 12 * (dataset.num_users + dataset.num_items) * _DIM.value
    rates = measure_rates(tables, far_size, width, _ROUNDS.value)
    rows = [row(dataset, rates, name, n) for n in negatives for name in names]
    header = ["loss", "negatives", "MB", "Gop", "M functions", "floor ms", "step ms"]
    print(markdown_table([*header, "ratio", "compile s", "memory MiB"], rows))


if __name__ == "__main__":
    app.run(main)
