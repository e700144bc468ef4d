"""Milliseconds of every loss, value and gradient, as ratios to the softmax loss.

  python -m experiments.benchmarks.losses
  taskset -c 0 python -m experiments.benchmarks.losses --processor_time --losses=drrl

Scores of 1,024 rows with 64 and with 1,000 negatives, random as cosines are; the gradient
is in both kinds of scores. Hyperparameters are each loss's own defaults. All losses take
turns, and the best turn of each counts. ``drrl`` solves its threshold in every row;
``drrl_dual`` and ``drrl_tempered`` are given theirs.
"""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from drrl_jax import losses
from experiments import clock
from experiments.report_table import markdown_table

_ROWS = flags.DEFINE_integer("rows", 1024, "Rows.")
_NEGATIVES = flags.DEFINE_list("negatives", ["64", "1000"], "Negatives a row.")
_LOSSES = flags.DEFINE_list("losses", [], "Losses beside softmax; all if left out.")
_ROUNDS = flags.DEFINE_integer("rounds", 20, "Turns; the best of each loss counts.")
_SMOKE = flags.DEFINE_bool("smoke", False, "A tiny problem, to see that it runs.")

# What a loss needs besides scores, by argument name: made from the shape of the scores.
EXTRA: dict[str, Callable[[np.random.Generator, int, int], Any]] = {
    "threshold": lambda rng, rows, _: rng.uniform(-0.3, 0.3, rows).astype("float32"),
    "quantile": lambda rng, rows, _: rng.uniform(0.1, 0.4, rows).astype("float32"),
    "hardness": lambda rng, *shape: rng.normal(size=shape).astype("float32"),
    "users": lambda rng, rows, _: rng.integers(0, rows, rows).astype("int32"),
    "variables": lambda *_: losses.llpauc_variables(),
}


def step(name: str) -> Callable:
    """Value and gradient of a loss in its scores, a function of arrays only."""

    def loss(scores: tuple[jax.Array, jax.Array], extra: dict[str, Any]) -> jax.Array:
        return losses.LOSSES[name](*scores, **extra)

    return jax.jit(jax.value_and_grad(loss))


def inputs(name: str, rows: int, negatives: int) -> tuple[Any, dict[str, Any]]:
    """Scores in the range of cosines, and what else the loss asks for."""
    rng = np.random.default_rng(0)
    scores = (rng.uniform(-0.1, 0.9, rows), rng.uniform(-0.9, 0.9, (rows, negatives)))
    asked = inspect.signature(losses.LOSSES[name]).parameters
    extra = {key: EXTRA[key](rng, rows, negatives) for key in EXTRA if key in asked}
    pos, neg = (jnp.asarray(x, jnp.float32) for x in scores)
    return (pos, neg), jax.tree.map(jnp.asarray, extra)


def best_milliseconds(
    names: list[str], rows: int, negatives: int, rounds: int
) -> dict[str, float]:
    """The best of ``rounds`` turns of each loss, after one that compiles."""
    steps = {name: (step(name), inputs(name, rows, negatives)) for name in names}
    best = dict.fromkeys(names, np.inf)
    for turn in range(rounds + 1):
        for name, (function, arrays) in steps.items():
            start = clock.now()
            jax.block_until_ready(function(*arrays))
            if turn:
                best[name] = min(best[name], 1e3 * (clock.now() - start))
    return best


def main(_: list[str]) -> None:
    """Prints the table."""
    rows, sizes = _ROWS.value, [int(size) for size in _NEGATIVES.value]
    names, rounds = _LOSSES.value or list(losses.LOSSES), _ROUNDS.value
    if _SMOKE.value:
        rows, sizes, rounds = 8, [5], 1
    names = ["softmax", *(name for name in names if name != "softmax")]
    found = {size: best_milliseconds(names, rows, size, rounds) for size in sizes}
    header = ["loss"]
    for size in sizes:
        header += [f"ms, N={size}", "of softmax"]
    table = []
    for name in names:
        cells = [name]
        for best in found.values():
            cells += [f"{best[name]:.2f}", f"{best[name] / best['softmax']:.1f}"]
        table.append(cells)
    print(f"{rows} rows, value and gradient, {jax.default_backend()}")
    print(markdown_table(header, table))


if __name__ == "__main__":
    app.run(main)
