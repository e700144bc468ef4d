"""Ways to propagate over the training graph, as ratios from one run.

    python -m experiments.benchmarks.propagation
    python -m experiments.benchmarks.propagation --path=../shared/data/amazon-beauty
    python -m experiments.benchmarks.propagation --smoke

One step maps both tables, forward, and forward with backward. Compared: the library's
trees of gathers at every width, a reduction over gathered padded chunks (the same tree
written as one gather and a sum), sorted ``segment_sum``, ``BCOO`` and a dense product.
The last two of the library (``gather``, ``dense``) are what ``make_graph`` chooses
from. Without ``--path``: power-law graphs of the sizes of Beauty, Electronic and ML-1M.

One run a data set on 2 cores (AMD EPYC) that other work was using too, d = 64, in
milliseconds forward / with backward:

                            Beauty        Electronic          ML-1M
    gather tree          0.7 / 1.2-1.9     2.5 / 3.8       17-20 / 24-40
    sorted segment_sum   2.2 / 4.3          98 / 134         476 / 535
    BCOO                 2.2 / 3.9         104 / 96
    padded, reduced      220 / 194        1206 / 1222       2392 / 2280
    dense product         67 / 156

A dense product breaks even at about a fifth of non-zero entries.
"""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from jax.experimental import sparse

from drrl_jax.models import Graph, make_graph, propagate

_PATH = flags.DEFINE_string("path", None, "Data set to read instead of made-up graphs.")
_DIM = flags.DEFINE_integer("dim", 64, "Embedding dimension.")
_REPEATS = flags.DEFINE_integer("repeats", 10, "Timings; the best counts.")
_SMOKE = flags.DEFINE_bool("smoke", False, "A tiny graph, to see that it runs.")

# Users, items, interactions.
_SHAPES = {
    "Beauty": (7_068, 3_570, 51_455),
    "Electronic": (13_455, 8_360, 182_398),
    "ML-1M": (6_033, 3_123, 665_133),
    "dense 20 %": (2_000, 1_500, 600_000),
}
_MOST_DENSE = 30_000_000  # cells of a dense matrix worth trying

Edges = tuple[np.ndarray, np.ndarray, int, int]
Step = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


def power_law(users: int, items: int, interactions: int, seed: int = 0) -> Edges:
    """Distinct pairs with long-tailed users and items, sorted by user."""
    rng = np.random.default_rng(seed)

    def draw(size: int, count: int, exponent: float) -> np.ndarray:
        weights = 1.0 / np.arange(10, size + 10) ** exponent
        return rng.choice(size, count, p=weights / weights.sum())

    pairs = np.zeros(0, np.int64)
    while len(pairs) < interactions:
        more = draw(users, interactions, 0.5) * items + draw(items, interactions, 0.7)
        pairs = np.unique(np.concatenate([pairs, more]))
    pairs = np.sort(rng.choice(pairs, interactions, replace=False))
    return pairs // items, pairs % items, users, items


def read(path: str) -> Edges:
    """Training interactions of a data set on disk."""
    from drrl_jax import data

    dataset = data.load("files", path)
    train = dataset.train
    return train.users, train.items, dataset.num_users, dataset.num_items


def summed_chunks(graph: Graph) -> Step:
    """The library's tree with each level as one gather and one reduction."""

    def gather(table: jax.Array, levels: tuple[jax.Array, ...]) -> jax.Array:
        for index in levels:
            table = jnp.concatenate([table, jnp.zeros_like(table[:1])])[index].sum(0)
        return table

    return lambda x, y: (
        graph.user_scale * gather(graph.item_scale * y, graph.user_levels),
        graph.item_scale * gather(graph.user_scale * x, graph.item_levels),
    )


def segment_sums(graph: Graph, users: np.ndarray, items: np.ndarray) -> Step:
    """Rows fetched along edges and added up by a sorted scatter, both ways."""
    order = np.argsort(items, kind="stable")
    by_user = jnp.asarray(users), jnp.asarray(items)
    by_item = jnp.asarray(users[order]), jnp.asarray(items[order])

    def add(rows: jax.Array, ids: jax.Array, size: int) -> jax.Array:
        return jax.ops.segment_sum(rows, ids, size, indices_are_sorted=True)

    return lambda x, y: (
        graph.user_scale
        * add((graph.item_scale * y)[by_user[1]], by_user[0], graph.num_users),
        graph.item_scale
        * add((graph.user_scale * x)[by_item[0]], by_item[1], graph.num_items),
    )


def bcoo(graph: Graph, users: np.ndarray, items: np.ndarray) -> Step:
    """Products with a ``BCOO`` matrix and its transpose."""
    matrix = sparse.BCOO(
        (jnp.ones(len(users)), jnp.stack([jnp.asarray(users), jnp.asarray(items)], 1)),
        shape=(graph.num_users, graph.num_items),
        indices_sorted=True,
        unique_indices=True,
    )
    return lambda x, y: (
        graph.user_scale * (matrix @ (graph.item_scale * y)),
        graph.item_scale * (matrix.T @ (graph.user_scale * x)),
    )


def milliseconds(function: Callable, *args: jax.Array, repeats: int) -> float:
    """The quickest of several calls of a compiled function."""
    compiled = jax.jit(function)
    jax.block_until_ready(compiled(*args))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*args))
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def compare(name: str, edges: Edges, dim: int, repeats: int) -> None:
    """Prints the table of one graph."""
    users, items, num_users, num_items = edges
    size = {"num_users": num_users, "num_items": num_items}
    chosen = make_graph(users, items, **size)
    gather = make_graph(users, items, **size, method="gather")
    ways: dict[str, Step] = {
        "drrl_jax, as chosen": lambda x, y: propagate(chosen, x, y)
    }
    for width in (4, 8, 16):
        graph = make_graph(users, items, **size, method="gather", width=width)
        ways[f"gather tree, width {width}"] = lambda x, y, g=graph: propagate(g, x, y)
    ways["padded gather, reduced"] = summed_chunks(gather)
    ways["sorted segment_sum"] = segment_sums(gather, users, items)
    ways["BCOO"] = bcoo(gather, users, items)
    if num_users * num_items <= _MOST_DENSE:
        dense = make_graph(users, items, **size, method="dense")
        ways["dense product"] = lambda x, y: propagate(dense, x, y)

    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.normal(size=(num_users, dim)), jnp.float32)
    y = jnp.asarray(rng.normal(size=(num_items, dim)), jnp.float32)
    density = len(users) / (num_users * num_items)
    print(
        f"\n{name}: {num_users} users, {num_items} items, {len(users)} interactions "
        f"({100 * density:.2f} %), dim {dim}, {jax.default_backend()}; chosen: "
        f"{'dense' if chosen.dense is not None else 'gather'}"
    )
    print(f"{'':<26}{'forward':>12}{'ratio':>8}{'with backward':>16}{'ratio':>8}")
    expected = ways["sorted segment_sum"](x, y)
    base = None
    for label, step in ways.items():
        for ours, theirs in zip(step(x, y), expected):
            np.testing.assert_allclose(ours, theirs, atol=1e-3)

        def energy(x, y, step=step):
            return sum(jnp.sum(jnp.square(out)) for out in step(x, y))

        forward = milliseconds(step, x, y, repeats=repeats)
        both = milliseconds(jax.grad(energy, (0, 1)), x, y, repeats=repeats)
        base = base or (forward, both)
        print(
            f"{label:<26}{forward:>9.2f} ms{forward / base[0]:>8.1f}"
            f"{both:>13.2f} ms{both / base[1]:>8.1f}",
            flush=True,
        )


def main(_: list[str]) -> None:
    """One table a graph."""
    if _SMOKE.value:
        compare("smoke", power_law(60, 40, 300), dim=8, repeats=1)
    elif _PATH.value:
        compare(_PATH.value, read(_PATH.value), _DIM.value, _REPEATS.value)
    else:
        for name, shape in _SHAPES.items():
            compare(name, power_law(*shape), _DIM.value, _REPEATS.value)


if __name__ == "__main__":
    app.run(main)
