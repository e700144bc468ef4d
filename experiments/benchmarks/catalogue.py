"""A full-catalogue step by loss, against a full softmax cross-entropy of Optax.

  python -m experiments.benchmarks.catalogue

A step is value and gradient in the user rows and the item table. "catalogue" is
``losses.catalogue`` (blocks of rows, no score matrix), "dense" the same loss on the
whole score matrix, and the yardstick Optax's softmax cross-entropy with integer labels
on the same scores. All ratios come from one run, turn by turn; temporaries are XLA's
own count for the compiled step.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import app, flags

from drrl_jax import losses
from experiments.report_table import markdown_table

_BATCH = flags.DEFINE_integer("batch_size", 1024, "Rows.")
_ITEMS = flags.DEFINE_integer("items", 3_570, "Items (default: as Beauty).")
_DIM = flags.DEFINE_integer("dim", 64, "Embedding dimension.")
_SEEN = flags.DEFINE_integer("seen", 8, "Positives of a user, which are left out.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Turns; the best of each side counts.")
_BLOCKS = flags.DEFINE_list("blocks", ["0"], "Rows a block; 0 is the default.")
_SMOKE = flags.DEFINE_bool("smoke", False, "A tiny problem, to see that it runs.")

RUNS = {
    "softmax": {"temperature": 0.2},
    "ccl": {"margin": 0.3, "negative_weight": 5.0},
    "psl": {"temperature": 0.1, "score_temperature": 2.0},
    "drrl_tempered": {"gamma": 1.5, "temperature": 0.3},
    "drrl_dual": {"gamma": 1.5, "weight": 2.0, "threshold": jnp.float32(0.0)},
    "drrl": {"gamma": 1.5, "radius": 1.0},
}


def problem(batch: int, num_items: int, dim: int, seen: int):
    """Unit rows with the spread of trained ones, positives, and columns left out."""
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(batch, dim)), rng.normal(size=(num_items, dim))
    users /= np.linalg.norm(users, axis=1, keepdims=True)
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    exclude = rng.integers(0, num_items, (batch, seen))
    arrays = (users.astype(np.float32), items.astype(np.float32))
    return *map(jnp.asarray, arrays), jnp.asarray(exclude, jnp.int32)


def steps(name: str, hyper: dict, block: int | None):
    """The step of ``catalogue`` and the step on the dense score matrix."""

    # Ids are arguments: constants would be folded for seconds at compile time.
    def blocked(users, items, exclude):
        positive = jnp.sum(users * items[exclude[:, 0]], axis=-1)
        return losses.catalogue(
            positive, users, items, loss=name, exclude=exclude, block=block, **hyper
        )

    def dense(users, items, exclude):
        scores = users @ items.T
        rows = jnp.arange(len(users))[:, None]
        where = jnp.ones(scores.shape, bool).at[rows, exclude].set(False)
        positive = jnp.sum(users * items[exclude[:, 0]], axis=-1)
        return losses.LOSSES[name](positive, scores, where=where, **hyper)

    return blocked, dense


def cross_entropy():
    """Optax's full softmax cross-entropy at the same shapes."""

    def step(users, items, exclude):
        scores = users @ items.T / 0.2
        rows = optax.softmax_cross_entropy_with_integer_labels(scores, exclude[:, 0])
        return rows.mean()

    return step


def main(_: list[str]) -> None:
    """Prints the table."""
    # All sides alike: `catalogue` takes float32 as it is.
    jax.config.update("jax_default_matmul_precision", "highest")
    shape = (_BATCH.value, _ITEMS.value, _DIM.value, _SEEN.value)
    runs, rounds, blocks = RUNS, _ROUNDS.value, [int(b) for b in _BLOCKS.value]
    if _SMOKE.value:
        shape, rounds = (16, 40, 8, 3), 1
        runs = {name: RUNS[name] for name in ("softmax", "drrl")}
    users, items, exclude = problem(*shape)
    functions = {("optax cross-entropy", "", 0): cross_entropy()}
    for name, hyper in runs.items():
        for block in blocks:
            blocked, dense = steps(name, hyper, block or None)
            functions[name, "catalogue", block] = blocked
        functions[name, "dense", 0] = dense
    compiled, compile_seconds = {}, {}
    for key, function in functions.items():
        start = time.perf_counter()
        gradient = jax.jit(jax.value_and_grad(function, (0, 1)))
        compiled[key] = gradient.lower(users, items, exclude).compile()
        compile_seconds[key] = time.perf_counter() - start
        jax.block_until_ready(compiled[key](users, items, exclude))
    # A GPU is told of the next step before it has made the last. On a CPU a step follows
    # some of its own kind, as in an epoch: the first has pages and caches of another's.
    calls, turns = (1, 4) if jax.default_backend() == "cpu" else (20, 1)
    best = dict.fromkeys(compiled, np.inf)
    for _ in range(rounds):
        for key, step in compiled.items():
            for _ in range(turns):
                start = time.perf_counter()
                for _ in range(calls):
                    out = step(users, items, exclude)
                jax.block_until_ready(out)
                best[key] = min(best[key], (time.perf_counter() - start) / calls)
    yardstick = best["optax cross-entropy", "", 0]
    rows = []
    for (name, way, block), seconds in best.items():
        memory = compiled[name, way, block].memory_analysis()
        rows.append(
            [
                name,
                f"{way} {block or ''}".strip(),
                f"{1e3 * seconds:.3g}",
                f"{seconds / yardstick:.2f}",
                f"{memory.temp_size_in_bytes / 2**20:.1f}",
                f"{compile_seconds[name, way, block]:.1f}",
            ]
        )
    print(
        f"{shape[0]} rows x {shape[1]} items, dim {shape[2]}, {jax.default_backend()}"
    )
    header = ["loss", "way", "ms", "of cross-entropy", "temporaries MiB", "compile s"]
    print(markdown_table(header, rows))


if __name__ == "__main__":
    app.run(main)
