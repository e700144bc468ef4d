r"""Propagation over the training graph: the sparse product of graph backbones.

With :math:`R` the binary users × items matrix of training interactions and
:math:`D_u, D_i` the diagonal matrices of its row and column sums, one step is

.. math:: (X_u, X_i) \mapsto (\hat A X_i,\; \hat A^\top X_u), \qquad
          \hat A = D_u^{-1/2} R\, D_i^{-1/2}.

The product is self-adjoint: its transpose maps cotangents by the very same formula, so
the backward pass is :func:`propagate` again and nothing is ever scattered. That matters
because row-wise scatters are serial on CPU and, on GPU, atomic (not reproducible).

Sums over neighbours are trees of gathers. The neighbours of every node are cut into
chunks of ``width``; a level adds up one chunk a row, ``width`` whole rows at a time (an
elementwise loop that vectorises over the embedding), and the next level adds up the
chunks of a node, until one row a node is left. Padding reads a row of zeros. Weights
never meet edges: tables are scaled by :math:`D^{-1/2}` before and after.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from drrl_jax._names import check_choice
from drrl_jax._numbers import check_ids
from drrl_jax.products import product

Method = Literal["auto", "gather", "dense"]

# Chunk widths to choose from and the cost of writing one row of a level, in gathered
# rows; and the share of non-zero entries above which a dense product is quicker.
# Measured by experiments/benchmarks/propagation.py.
_WIDTHS = (4, 8, 16)
_WRITE_COST = 3.0
_DENSE_DENSITY = 0.2


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Graph:
    """A normalised bipartite training graph; a pytree, made by :func:`make_graph`.

    Attributes:
      user_levels: index arrays ``[width, rows]`` that sum the items of each user.
      item_levels: index arrays ``[width, rows]`` that sum the users of each item.
      user_scale: ``[num_users, 1]``, one over the root of the degree, 0 for degree 0.
      item_scale: ``[num_items, 1]``, likewise.
      dense: ``[num_users, num_items]`` binary matrix in place of levels, or ``None``.
    """

    user_levels: tuple[jax.Array, ...]
    item_levels: tuple[jax.Array, ...]
    user_scale: jax.Array
    item_scale: jax.Array
    dense: jax.Array | None = None

    @property
    def num_users(self) -> int:
        """Number of users."""
        return self.user_scale.shape[0]

    @property
    def num_items(self) -> int:
        """Number of items."""
        return self.item_scale.shape[0]


def make_graph(
    users: np.ndarray,
    items: np.ndarray,
    *,
    num_users: int,
    num_items: int,
    method: Method = "auto",
    width: int | None = None,
) -> Graph:
    """Builds the normalised graph of the training interactions, on the host, once.

    Args:
      users: ``[interactions]`` user ids; a pair that occurs twice counts once.
      items: ``[interactions]`` item ids.
      num_users: number of users; those without interactions get zeros.
      num_items: number of items; likewise.
      method: ``"gather"`` (memory in proportion to the interactions), ``"dense"``, or
        ``"auto"``: dense from a fifth of all pairs on, gather below.
      width: neighbours summed at a time, 2 at least; chosen for each side by default.

    Returns:
      The graph, for :func:`propagate`.

    Raises:
      ValueError: ids out of range, arrays of different lengths, unknown method, a width
        of less than 2.

    Example:
      >>> import numpy as np
      >>> graph = make_graph(
      ...     np.array([0, 0, 1]), np.array([0, 1, 1]), num_users=2, num_items=3
      ... )
      >>> graph.item_scale[:, 0].round(3).tolist()
      [1.0, 0.7070000171661377, 0.0]
    """
    users, items = np.asarray(users), np.asarray(items)
    if users.ndim != 1 or users.shape != items.shape:
        raise ValueError(
            "users and items must be vectors of one length; got "
            f"{users.shape} and {items.shape}."
        )
    check_ids("users", users, num_users)
    check_ids("items", items, num_items)
    if width is not None and width < 2:
        raise ValueError(f"width must be at least 2; got {width}.")
    users, items = users.astype(np.int64), items.astype(np.int64)
    users, items = np.divmod(np.unique(users * num_items + items), num_items)
    check_choice("method", method, ("auto", "gather", "dense"))
    if method == "auto":
        dense = len(users) > _DENSE_DENSITY * num_users * num_items
        method = "dense" if dense else "gather"
    matrix = None
    user_levels: tuple[jax.Array, ...] = ()
    item_levels: tuple[jax.Array, ...] = ()
    if method == "dense":
        matrix = jnp.zeros((num_users, num_items), jnp.float32).at[users, items].set(1)
    else:
        user_levels = _levels(users, items, num_users, num_items, width)
        item_levels = _levels(items, users, num_items, num_users, width)
    return Graph(
        user_levels,
        item_levels,
        _scale(users, num_users),
        _scale(items, num_items),
        matrix,
    )


def _scale(ids: np.ndarray, size: int) -> jax.Array:
    """``[size, 1]``: one over the root of the degree, 0 where that is 0."""
    degree = np.bincount(ids, minlength=size)
    scale = np.where(degree > 0, 1 / np.sqrt(np.maximum(degree, 1)), 0)
    return jnp.asarray(scale[:, None], jnp.float32)


def _levels(
    rows: np.ndarray, columns: np.ndarray, size: int, sources: int, width: int | None
) -> tuple[jax.Array, ...]:
    """The tree of gathers that sums ``table[columns]`` by row."""
    order = np.argsort(rows, kind="stable")
    rows, columns = rows[order], columns[order]
    if width is None:
        degree = np.bincount(rows, minlength=size)
        width = min(_WIDTHS, key=lambda w: _cost(degree, w))
    levels = []
    while True:
        degree = np.bincount(rows, minlength=size)
        taken = max(min(width, int(np.max(degree, initial=0))), 1)
        chunks = np.maximum(-(-degree // taken), 1)
        start = np.cumsum(chunks) - chunks
        place = np.arange(len(rows)) - (np.cumsum(degree) - degree)[rows]
        index = np.full((taken, int(chunks.sum())), sources, np.int32)
        index[place % taken, start[rows] + place // taken] = columns
        levels.append(jnp.asarray(index))
        if chunks.max(initial=1) == 1:
            return tuple(levels)
        rows = np.repeat(np.arange(size), chunks)
        columns = np.arange(len(rows))
        sources = len(rows)


def _cost(degree: np.ndarray, width: int) -> float:
    """Rows gathered and, dearer, rows written by the tree of a given width."""
    cost = 0.0
    while True:
        taken = max(min(width, int(np.max(degree, initial=0))), 1)
        degree = np.maximum(-(-degree // taken), 1)
        cost += float(degree.sum()) * (taken + _WRITE_COST)
        if degree.max(initial=1) == 1:
            return cost


def _sum_neighbours(table: jax.Array, levels: tuple[jax.Array, ...]) -> jax.Array:
    """``table`` summed over the neighbours of each row."""
    for index in levels:
        padded = jnp.concatenate([table, jnp.zeros_like(table[:1])])
        # One fused loop over whole rows: unrolled on purpose, a reduction over a
        # gathered axis is 20 to 50 times slower on CPU.
        table = padded.at[index[0]].get(mode="promise_in_bounds")
        for chunk in index[1:]:
            table = table + padded.at[chunk].get(mode="promise_in_bounds")
    return table


@jax.custom_vjp
def propagate(
    graph: Graph, users: jax.Array, items: jax.Array
) -> tuple[jax.Array, jax.Array]:
    r"""One step over the symmetric normalised graph.

    .. math:: u' = \sum_{i \in N(u)} \frac{x_i}{\sqrt{|N(u)||N(i)|}}, \qquad
              i' = \sum_{u \in N(i)} \frac{x_u}{\sqrt{|N(u)||N(i)|}}

    Args:
      graph: the training graph.
      users: ``[num_users, dim]``.
      items: ``[num_items, dim]``.

    Returns:
      New users ``[num_users, dim]`` (summed over items) and items (over users). Sums
      are taken in float32; reverse-mode differentiable to any order.

    Source: He et al., LightGCN, SIGIR 2020, equation 3.

    Example:
      >>> import jax.numpy as jnp, numpy as np
      >>> graph = make_graph(
      ...     np.array([0, 0, 1]), np.array([0, 1, 1]), num_users=2, num_items=2
      ... )
      >>> users, items = propagate(graph, jnp.ones((2, 1)), jnp.ones((2, 1)))
      >>> users.round(3)[:, 0].tolist()
      [1.2070000171661377, 0.7070000171661377]
    """
    scaled_users = graph.user_scale * users.astype(jnp.float32)
    scaled_items = graph.item_scale * items.astype(jnp.float32)
    if graph.dense is not None:
        user_sums = product(graph.dense, scaled_items)
        item_sums = product(graph.dense.T, scaled_users)
    else:
        user_sums = _sum_neighbours(scaled_items, graph.user_levels)
        item_sums = _sum_neighbours(scaled_users, graph.item_levels)
    return (
        (graph.user_scale * user_sums).astype(users.dtype),
        (graph.item_scale * item_sums).astype(items.dtype),
    )


def _forward(
    graph: Graph, users: jax.Array, items: jax.Array
) -> tuple[tuple[jax.Array, jax.Array], Graph]:
    """Forward pass; the graph is all that the backward pass needs."""
    return propagate(graph, users, items), graph


def _backward(
    graph: Graph, cotangents: tuple[jax.Array, jax.Array]
) -> tuple[None, jax.Array, jax.Array]:
    """The transposed product, which is the product itself."""
    users, items = propagate(graph, *cotangents)
    return None, users, items


propagate.defvjp(_forward, _backward)


def mean_of_items(graph: Graph, items: jax.Array) -> jax.Array:
    r"""The mean row of each user's items, as one propagation.

    .. math:: u' = \frac{1}{|N(u)|} \sum_{i \in N(u)} x_i

    Args:
      graph: the training graph.
      items: ``[num_items, dim]``.

    Returns:
      ``[num_users, dim]``; zeros for a user without items.

    Example:
      >>> import jax.numpy as jnp, numpy as np
      >>> graph = make_graph(
      ...     np.array([0, 0, 1]), np.array([0, 1, 1]), num_users=2, num_items=2
      ... )
      >>> means = mean_of_items(graph, jnp.array([[1.0], [3.0]]))
      >>> [f"{mean:.2f}" for mean in means[:, 0]]
      ['2.00', '3.00']
    """
    # Undo the scale of the items, which the mean does not have; one that nobody has had
    # is in no mean.
    inverse = jnp.where(
        graph.item_scale > 0,
        1 / jnp.where(graph.item_scale > 0, graph.item_scale, 1),
        0,
    )
    nobody = jnp.zeros((graph.num_users, items.shape[1]), items.dtype)
    sums, _ = propagate(graph, nobody, (inverse * items).astype(items.dtype))
    return (graph.user_scale * sums).astype(items.dtype)
