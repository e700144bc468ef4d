"""Ways to propagate over the training graph, as ratios from one run.

    python -m experiments.benchmarks.propagation
    python -m experiments.benchmarks.propagation --path=$DRRL_DATA/amazon-beauty
    python -m experiments.benchmarks.propagation --smoke

One step maps both tables, forward, and forward with backward. Compared: the library's
trees of gathers at every width, a reduction over gathered padded chunks (the same tree
written as one gather and a sum), sorted ``segment_sum``, a CSR gather (rows along the
edges, differences of their prefix sums at the row pointers), ``BCOO`` and a dense
product. ``gather`` and ``dense`` are what ``make_graph`` chooses from. Without
``--path``: power-law graphs of the sizes of Beauty, Electronic and ML-1M. All ways take
turns, and the best turn of each counts. Figures are in NOTES.md.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from jax.experimental import sparse

from drrl_jax.models import Graph, make_graph, propagate
from experiments import clock
from experiments.report_table import markdown_table

_PATH = flags.DEFINE_string("path", None, "Data set to read instead of made-up graphs.")
_DIM = flags.DEFINE_integer("dim", 64, "Embedding dimension.")
_REPEATS = flags.DEFINE_integer("repeats", 10, "Turns; the best of each way counts.")
_WAYS = flags.DEFINE_list("ways", [], "Parts of the names of ways; all if left out.")
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


def csr_gather(graph: Graph, users: np.ndarray, items: np.ndarray) -> Step:
    """Rows fetched along the edges of each row; sums are differences of prefix sums."""

    def pointers(ids: np.ndarray, size: int) -> jax.Array:
        return jnp.asarray(np.searchsorted(ids, np.arange(size + 1)))

    order = np.argsort(items, kind="stable")
    of_users = jnp.asarray(items), pointers(users, graph.num_users)
    of_items = jnp.asarray(users[order]), pointers(items[order], graph.num_items)

    def add(table: jax.Array, columns: jax.Array, ends: jax.Array) -> jax.Array:
        sums = jnp.cumsum(table[columns], axis=0)
        sums = jnp.concatenate([jnp.zeros_like(sums[:1]), sums])[ends]
        return sums[1:] - sums[:-1]

    return lambda x, y: (
        graph.user_scale * add(graph.item_scale * y, *of_users),
        graph.item_scale * add(graph.user_scale * x, *of_items),
    )


def with_backward(step: Step) -> Callable:
    """Gradient of the sum of squares of what a step returns."""

    def energy(x: jax.Array, y: jax.Array) -> jax.Array:
        return sum(jnp.sum(jnp.square(out)) for out in step(x, y))

    return jax.grad(energy, (0, 1))


def milliseconds(
    functions: dict[str, Callable], *args: jax.Array, repeats: int
) -> dict[str, float]:
    """The quickest of several turns of each compiled function."""
    compiled = {name: jax.jit(function) for name, function in functions.items()}
    best = dict.fromkeys(functions, np.inf)
    for turn in range(repeats + 1):
        for name, function in compiled.items():
            start = clock.now()
            jax.block_until_ready(function(*args))
            if turn:  # the first one compiles
                best[name] = min(best[name], 1e3 * (clock.now() - start))
    return best


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
    ways["CSR gather by prefix sums"] = csr_gather(gather, users, items)
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
    expected = ways["sorted segment_sum"](x, y)
    parts = _WAYS.value or [""]
    ways = {name: w for name, w in ways.items() if any(part in name for part in parts)}
    for step in ways.values():
        for ours, theirs in zip(step(x, y), expected):
            np.testing.assert_allclose(ours, theirs, atol=1e-3)
    forward = milliseconds(ways, x, y, repeats=repeats)
    gradients = {label: with_backward(step) for label, step in ways.items()}
    both = milliseconds(gradients, x, y, repeats=repeats)
    first = next(iter(ways))
    rows = [
        [
            label,
            f"{forward[label]:.2f}",
            f"{forward[label] / forward[first]:.1f}",
            f"{both[label]:.2f}",
            f"{both[label] / both[first]:.1f}",
        ]
        for label in ways
    ]
    header = ["way", "forward ms", "ratio", "with backward ms", "ratio"]
    print(markdown_table(header, rows), flush=True)


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
