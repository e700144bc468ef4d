r"""The costs behind ``scores.choose_route``, measured, and the choices they lead to.

  python -m experiments.benchmarks.routes

Value and gradient of sampled scores are timed by both routes over a grid of negatives
and catalogues. The costs that fit the times best (least squares of relative errors) are
what ``_COST`` in ``drrl_jax/scores.py`` should hold for this backend: nanoseconds of an
embedding row fetched and scattered back (for 64 numbers), of a scalar picked and
scattered back, of a multiply-add of the dense product. The table has the times of both
routes, the faster one, what ``choose_route`` takes with the costs in the file and with
the fitted ones, and what its choice costs over the faster.
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from drrl_jax import scores
from experiments import clock
from experiments.report_table import markdown_table

_BATCH = flags.DEFINE_integer("batch_size", 1024, "Rows a step.")
_DIM = flags.DEFINE_integer("dim", 64, "Embedding dimension.")
_NEGATIVES = flags.DEFINE_list(
    "negatives", ["1", "16", "64", "256"], "Negatives a row."
)
_ITEMS = flags.DEFINE_list("items", ["1000", "4000", "16000", "64000"], "Catalogues.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Timed calls; the median.")
_SMOKE = flags.DEFINE_bool("smoke", False, "A tiny problem, to see that it runs.")

Times = dict[tuple[int, int], dict[str, float]]


def seconds(
    route: scores.Route, batch: int, negatives: int, num_items: int, dim: int
) -> float:
    """Median seconds of value and gradient of one batch's sampled scores."""
    keys = jax.random.split(jax.random.key(0), 3)
    users = jax.random.normal(keys[0], (batch, dim))
    items = jax.random.normal(keys[1], (num_items, dim))
    ids = jax.random.randint(keys[2], (batch, negatives), 0, num_items)

    # Ids are an argument: constants would be folded at compile time.
    def total(users, items, ids):
        return jnp.sum(jnp.square(scores.sampled_scores(users, items, ids, route)))

    step = jax.jit(jax.value_and_grad(total, argnums=(0, 1)))
    taken = clock.times(lambda: step(users, items, ids), _ROUNDS.value)
    return float(np.median(taken))


def fit(times: Times, batch: int, dim: int) -> dict[str, float]:
    """The costs, in nanoseconds, that explain the times with least relative error.

    Args:
      times: seconds of each route by (negatives, items).
      batch: rows.
      dim: embedding dimension.

    Returns:
      ``row``, ``scalar`` and ``madd``, as in ``_COST``; none is negative.

    Example:
      >>> times = {
      ...     (n, i): {"gather": 4e-9 * n * 5, "dense": 4e-9 * (2 * n + 3 * i * 64 / 8)}
      ...     for n in (1, 10) for i in (10, 100)
      ... }
      >>> {name: round(cost, 6) for name, cost in fit(times, batch=4, dim=64).items()}
      {'row': 5.0, 'scalar': 2.0, 'madd': 0.125}
    """
    import scipy.optimize

    def solve(route: str, counts: list[list[float]]) -> np.ndarray:
        measured = 1e9 * np.array([pair[route] for pair in times.values()])
        relative = np.array(counts) / measured[:, None]
        return scipy.optimize.nnls(relative, np.ones(len(measured)))[0]

    (row,) = solve("gather", [[batch * n * dim / 64] for n, _ in times])
    scalar, madd = solve(
        "dense", [[batch * n, 3.0 * batch * i * dim] for n, i in times]
    )
    return {"row": float(row), "scalar": float(scalar), "madd": float(madd)}


def choices(times: Times, fitted: dict[str, float], batch: int, dim: int) -> list[Any]:
    """Lines of the table."""
    rows = []
    for (negatives, num_items), pair in times.items():
        faster = min(pair, key=lambda route: pair[route])
        size = (batch, negatives, num_items, dim)
        now = scores.choose_route(*size)
        then = scores.choose_route(*size, cost=fitted)
        rows.append(
            [
                str(negatives),
                str(num_items),
                *(f"{1e3 * pair[route]:.3g}" for route in ("gather", "dense")),
                faster,
                now,
                then,
                f"{pair[now] / pair[faster]:.2f}",
                f"{pair[then] / pair[faster]:.2f}",
            ]
        )
    return rows


def main(_: list[str]) -> None:
    """Prints the fitted costs and the table."""
    batch, dim = _BATCH.value, _DIM.value
    negatives = [int(n) for n in _NEGATIVES.value]
    items = [int(n) for n in _ITEMS.value]
    if _SMOKE.value:
        batch, dim, negatives, items = 16, 8, [1, 4], [20, 200]
    times: Times = {
        (n, i): {
            route: seconds(route, batch, n, i, dim) for route in ("gather", "dense")
        }
        for n, i in itertools.product(negatives, items)
    }
    fitted = fit(times, batch, dim)
    print(f"batch {batch}, dim {dim}, {jax.default_backend()}; fitted costs in ns:")
    print({name: float(f"{cost:.3g}") for name, cost in fitted.items()})
    header = ["negatives", "items", "gather ms", "dense ms", "faster"]
    header += ["chosen", "chosen by the fit", "over the faster", "of the fit"]
    print(markdown_table(header, choices(times, fitted, batch, dim)))


if __name__ == "__main__":
    app.run(main)
