"""Milliseconds a step by size of the catalogue: row-sparse against dense Adam.

  python -m experiments.benchmarks.sparse

Matrix factorisation on random interactions, the batch and the negatives fixed. The
last column is each optimiser's step over its own step at the smallest catalogue.
"""

import time

import jax
import numpy as np
from absl import app, flags

from drrl_jax import data, training
from experiments.report_table import markdown_table

_ITEMS = flags.DEFINE_list("items", ["10000", "100000", "1000000"], "Catalogues.")
_USERS = flags.DEFINE_integer("users", 2_000, "Users.")
_BATCH = flags.DEFINE_integer("batch_size", 256, "Rows a step.")
_NEGATIVES = flags.DEFINE_integer("negatives", 16, "Negatives a row.")
_DIM = flags.DEFINE_integer("dim", 32, "Embedding dimension.")
_STEPS = flags.DEFINE_integer("steps", 20, "Steps of the timed epoch.")
_SMOKE = flags.DEFINE_bool("smoke", False, "A tiny problem, to see that it runs.")


def step_seconds(optimiser: str, num_items: int, batch: int, steps: int) -> float:
    """Seconds a step: the best of two epochs after one that compiles."""
    rng = np.random.default_rng(0)
    count = batch * steps
    users, items = (
        rng.integers(0, _USERS.value, count),
        rng.integers(0, num_items, count),
    )
    train = data.Interactions(users, items)
    # Nobody is ranked; a pair that is not in train is to be had all the same.
    free = np.setdiff1d(np.arange(num_items), items[users == users[0]])[:1]
    held = data.Interactions(users[:1], free)
    dataset = data.Dataset(
        name="random",
        num_users=_USERS.value,
        num_items=num_items,
        train=train,
        valid=held.select([]),
        test=held,
    )
    config = training.default_config()
    config.training.batch_size = batch
    config.training.negatives = str(_NEGATIVES.value)
    config.training.optimiser = optimiser
    config.training.route = "gather"
    config.model.dim = _DIM.value
    parts = training.build(config, dataset)
    epoch = training.jit_epoch(parts.epoch)
    state, best = parts.init(), np.inf
    for turn in range(3):
        start = time.perf_counter()
        state, losses = epoch(state, parts.data, np.uint32(0), {})
        jax.block_until_ready((state, losses))
        if turn:
            best = min(best, time.perf_counter() - start)
    return best / steps


def main(_: list[str]) -> None:
    """Prints the table."""
    sizes, batch, steps = [int(n) for n in _ITEMS.value], _BATCH.value, _STEPS.value
    if _SMOKE.value:
        sizes, batch, steps = [50, 100], 16, 2
    rows = []
    for optimiser in ("sparse_adam", "adam"):
        first = None
        for size in sizes:
            seconds = step_seconds(optimiser, size, batch, steps)
            first = first or seconds
            rows.append(
                [optimiser, str(size), f"{1e3 * seconds:.2f}", f"{seconds / first:.2f}"]
            )
    print(markdown_table(["optimiser", "items", "ms a step", "growth"], rows))


if __name__ == "__main__":
    app.run(main)
