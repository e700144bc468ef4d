"""Embeddings to scores: positives, sampled negatives, the whole catalogue.

Two routes give the same sampled scores and gradients (to rounding):

* ``"gather"`` fetches one embedding row per sampled negative and, in the backward pass,
  scatter-adds one row per negative;
* ``"dense"`` multiplies the batch by the *whole* item table and picks scalars out of the
  product; its backward pass scatters scalars into a ``[batch, items]`` matrix and
  finishes with one matmul.

On a CPU both go through the batch in blocks whose rows or scores stay in cache, which is
what makes row scatters bearable there. The dense product costs the same for one negative
as for a thousand: it wins where negatives are many and the catalogue is small.
``choose_route`` holds the rule.
"""

import functools
from collections.abc import Mapping
from typing import Literal, get_args

import jax
import jax.numpy as jnp

from drrl_jax._names import check_choice
from drrl_jax.products import (
    contract,
    cores,
    entries_in_flight,
    product,
    weights_for,
    wide_type,
)
from drrl_jax.rows import sum_rows

Route = Literal["gather", "dense"]
Similarity = Literal["cosine", "dot"]

_EPS = 1e-12

# Nanoseconds: an embedding row fetched and scattered back (per 64 floats), a scalar
# picked and scattered back, and a multiply-add of the dense product, forward and
# backward. The CPU's were measured by `python -m experiments.benchmarks.routes
# --processor_time` on one core (Intel Xeon, AVX-512); the others are estimates.
_COST = {
    "cpu": {"row": 49.0, "scalar": 2.2, "madd": 0.024},
    "gpu": {"row": 0.6, "scalar": 0.05, "madd": 0.00006},
    "tpu": {"row": 2.0, "scalar": 2.0, "madd": 0.00003},
}


def normalise(embeddings: jax.Array) -> jax.Array:
    """Rows scaled to unit length; a zero row stays zero, with a finite gradient.

    Args:
      embeddings: ``[..., dim]``.

    Returns:
      ``[..., dim]``, ``x / max(‖x‖, 1e-6)``.

    Example:
      >>> import jax.numpy as jnp
      >>> normalise(jnp.array([[3.0, 4.0], [0.0, 0.0]])).round(3).tolist()
      [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    # In float16 neither the square of a small row nor the floor exists.
    rows = embeddings.astype(wide_type(embeddings))
    squared = jnp.sum(jnp.square(rows), axis=-1, keepdims=True)
    unit = rows * jax.lax.rsqrt(jnp.maximum(squared, _EPS))
    return unit.astype(embeddings.dtype)


def prepare(embeddings: jax.Array, similarity: Similarity) -> jax.Array:
    """Embeddings such that their inner product is the similarity.

    Args:
      embeddings: ``[..., dim]``.
      similarity: ``"cosine"`` or ``"dot"``.

    Returns:
      ``[..., dim]``.

    Raises:
      ValueError: if ``similarity`` is neither.
    """
    check_choice("similarity", similarity, get_args(Similarity))
    return normalise(embeddings) if similarity == "cosine" else embeddings


def all_but(columns: jax.Array, num_items: int) -> jax.Array:
    """A mask that leaves out some columns of each row.

    Args:
      columns: ``int [batch, width]``; numbers outside ``[0, num_items)`` are padding.
      num_items: columns of the mask.

    Returns:
      ``bool [batch, num_items]``.

    Example:
      >>> import jax.numpy as jnp
      >>> all_but(jnp.array([[1, -1], [0, 2]]), 3).tolist()
      [[True, False, True], [False, True, False]]
    """
    count = columns.shape[0]
    columns = columns.astype(jnp.promote_types(columns.dtype, jnp.int32))
    rows = jnp.arange(count, dtype=columns.dtype)[:, None]
    inside = (columns >= 0) & (columns < num_items)
    if count * num_items > jnp.iinfo(columns.dtype).max:
        mask = jnp.ones((count, num_items), bool)
        columns = jnp.where(inside, columns, num_items)
        return mask.at[rows, columns].set(False, mode="drop")
    # One flat scatter of scalars; the padding writes out of bounds and is dropped.
    flat = jnp.where(inside, rows * num_items + columns, count * num_items)
    mask = jnp.ones((count * num_items,), bool)
    mask = mask.at[flat.reshape(-1)].set(False, mode="drop")
    return mask.reshape(count, num_items)


def catalogue_scores(users: jax.Array, items: jax.Array) -> jax.Array:
    """Scores of every item for each user row: ``[b, dim], [i, dim] -> [b, i]``.

    Products of bfloat16 rows are accumulated, and returned, in float32.
    """
    return product(users, items.T)


def choose_route(
    batch_size: int,
    negatives: int,
    num_items: int,
    dim: int,
    backend: str | None = None,
    cost: Mapping[str, float] | None = None,
) -> Route:
    """The cheaper way to score sampled negatives, by a small cost model.

    Args:
      batch_size: rows a step.
      negatives: sampled negatives a row.
      num_items: size of the catalogue.
      dim: embedding dimension.
      backend: ``"cpu"``, ``"gpu"`` or ``"tpu"``; JAX's default backend if left out.
      cost: nanoseconds of a ``row``, a ``scalar`` and a ``madd``; the measured ones of
        the backend if left out.

    Returns:
      ``"gather"`` or ``"dense"``.

    Example:
      >>> choose_route(1024, 1_000, 3_570, 64, "cpu")
      'dense'
      >>> choose_route(1024, 1, 1_000_000, 64, "cpu")
      'gather'
    """
    if cost is None:
        cost = _COST.get(backend or jax.default_backend(), _COST["gpu"])
    gather = batch_size * negatives * cost["row"] * dim / 64
    dense = batch_size * (
        negatives * cost["scalar"] + 3 * num_items * dim * cost["madd"]
    )
    return "gather" if gather < dense else "dense"


def sampled_scores(
    users: jax.Array, items: jax.Array, sampled: jax.Array, route: Route = "dense"
) -> jax.Array:
    """Scores of sampled items.

    Args:
      users: prepared user rows, ``[batch, dim]``.
      items: prepared item table, ``[num_items, dim]``.
      sampled: item ids inside the catalogue, ``[batch, negatives]``.
      route: ``"gather"`` or ``"dense"``; see the module's docstring.

    Returns:
      ``[batch, negatives]``, accumulated in float32 (float64 rows in float64).

    Example:
      >>> import jax.numpy as jnp
      >>> items = jnp.eye(3)
      >>> sampled_scores(items[:1], items, jnp.array([[0, 2]])).tolist()
      [[1.0, 0.0]]
    """
    check_choice("route", route, get_args(Route))
    users, items, sampled = map(jnp.asarray, (users, items, sampled))
    if not sampled.size:
        return jnp.zeros(sampled.shape, wide_type(users, items))
    if route == "gather":
        return _dots(users, items, sampled)
    return _dense_scores(users, items, sampled)


def _blocks(rows: int, *arrays: jax.Array) -> tuple[jax.Array, ...]:
    return tuple(x.reshape(-1, rows, x.shape[-1]) for x in arrays)


def _equal_parts(batch: int, most: int) -> int:
    """The most rows, at most ``most``, of which a batch is made without a rest."""
    most = max(min(most, batch), 1)
    return next(rows for rows in range(most, 0, -1) if batch % rows == 0)


# Numbers of fetched rows that a CPU works on at a time (experiments/benchmarks/NOTES.md).
# A core's cache has 2^18. Several cores share a fetch, and want enough to share.
_FETCHED, _FETCHED_TOGETHER = 1 << 18, 1 << 20
# XLA shares what is 256 kB and more, also among cores that then wait for each other's
# rows of the table to which all are added.
_ADDED = 1 << 16


def _at_once(shape: tuple[int, ...], dim: int, numbers: int) -> int:
    """Rows of the batch whose items' ``numbers`` are worked on together."""
    batch, negatives = shape
    if jax.default_backend() != "cpu":
        return batch
    return _equal_parts(batch, max(numbers // (negatives * dim), 1))


def _fetched() -> int:
    """Numbers that this machine fetches at a time."""
    return _FETCHED if cores() == 1 else _FETCHED_TOGETHER


# The gather route is three functions, each the others' derivative, so that derivatives
# of every order take the quick way. With c [batch, negatives]:
#   _dots     u, v -> <u_b, v[ids_bn]>           [batch, negatives]
#   _mixtures c, v -> sum_n c_bn v[ids_bn]       [batch, dim]
#   _spread   c, u -> sum_(b, n: ids_bn = i) c_bn u_b    [items, dim]


@jax.custom_vjp
def _dots(rows, table, ids):
    wide = wide_type(rows, table)

    def block(inputs):
        some, picks = inputs
        if jax.default_backend() != "cpu":
            return contract("bd,bnd->bn", some, table[picks])
        # XLA's CPU backend fuses a gather into a product, and not into a contraction;
        # the sum over dim is then one matrix-vector product.
        products = some[:, None].astype(wide) * table[picks]
        ones = jnp.ones((some.shape[1],), wide)
        return (products.reshape(-1, some.shape[1]) @ ones).reshape(picks.shape)

    size = _at_once(ids.shape, rows.shape[1], _fetched())
    return jax.lax.map(block, _blocks(size, rows, ids)).reshape(ids.shape)


@jax.custom_vjp
def _mixtures(weights, table, ids):
    if jax.default_backend() != "cpu":
        picked = table[ids].astype(weights.dtype)
        return contract("bn,bnd->bd", weights, picked)

    def add(sums, inputs):
        weight, picks = inputs
        return sums + weight[:, None] * table[picks], None

    # One fused gather and sum a negative; no fetched row is written down.
    zeros = jnp.zeros((len(ids), table.shape[1]), weights.dtype)
    return jax.lax.scan(add, zeros, (weights.T, ids.T), unroll=4)[0]


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _spread(weights, rows, ids, num_items):
    if jax.default_backend() != "cpu":
        parts = weights[:, :, None] * rows[:, None, :].astype(weights.dtype)
        largest = jnp.abs(rows).max(axis=1, keepdims=True, initial=0)
        return sum_rows(parts, ids, num_items, jnp.abs(weights) * largest)

    def block(table, inputs):
        some, picks, weight = inputs
        parts = weight[:, :, None] * some[:, None, :]
        return table.at[picks].add(parts, mode="promise_in_bounds"), None

    zeros = jnp.zeros((num_items, rows.shape[1]), weights.dtype)
    size = _at_once(ids.shape, rows.shape[1], _ADDED)
    return jax.lax.scan(block, zeros, _blocks(size, rows, ids, weights))[0]


def _dots_backward(residuals, cotangent):
    rows, table, ids = residuals
    to_rows = _mixtures(cotangent, table, ids).astype(rows.dtype)
    to_table = _spread(cotangent, rows, ids, len(table)).astype(table.dtype)
    return to_rows, to_table, None


def _mixtures_backward(residuals, cotangent):
    weights, table, ids = residuals
    to_weights = _dots(cotangent, table, ids).astype(weights.dtype)
    to_table = _spread(weights, cotangent, ids, len(table)).astype(table.dtype)
    return to_weights, to_table, None


def _spread_backward(num_items, residuals, cotangent):
    del num_items
    weights, rows, ids = residuals
    to_weights = _dots(rows, cotangent, ids).astype(weights.dtype)
    to_rows = _mixtures(weights, cotangent, ids).astype(rows.dtype)
    return to_weights, to_rows, None


_dots.defvjp(lambda *inputs: (_dots(*inputs), inputs), _dots_backward)
_mixtures.defvjp(lambda *inputs: (_mixtures(*inputs), inputs), _mixtures_backward)
_spread.defvjp(lambda *inputs: (_spread(*inputs), inputs[:3]), _spread_backward)


def _rows_per_block(batch: int, num_items: int) -> int:
    """Rows of the product that exist at once: on a CPU a part that the cache holds.

    The picks, and above all the scatter of the backward pass, go to random places of
    ``[rows, items]``; a quarter of a batch of 1024 makes a step a quarter faster. The
    product is there four times in the backward pass.
    """
    if jax.default_backend() == "cpu":
        rows = _equal_parts(batch, 256)  # few rows at a time are slower than all
        return rows if rows >= 32 else batch
    most = max(entries_in_flight(0) // num_items, 1)
    return batch if batch <= most else _equal_parts(batch, most)


@jax.custom_vjp
def _dense_scores(users, items, sampled):
    def block(inputs):
        rows, ids = inputs
        return pick(catalogue_scores(rows, items), ids)

    scores = jax.lax.map(
        block, _blocks(_rows_per_block(len(users), len(items)), users, sampled)
    )
    return scores.reshape(sampled.shape)


def _dense_forward(users, items, sampled):
    return _dense_scores(users, items, sampled), (users, items, sampled)


def _dense_backward(residuals, cotangent):
    users, items, sampled = residuals

    def block(to_items, inputs):
        rows, ids, values = inputs
        dense = weights_for(_scatter_rows(ids, values, len(items)), items)
        return to_items + product(dense.T, rows), product(dense, items)

    zeros = jnp.zeros(items.shape, cotangent.dtype)
    inputs = _blocks(_rows_per_block(len(users), len(items)), users, sampled, cotangent)
    to_items, to_users = jax.lax.scan(block, zeros, inputs)
    to_users = to_users.reshape(users.shape).astype(users.dtype)
    return to_users, to_items.astype(items.dtype), None


_dense_scores.defvjp(_dense_forward, _dense_backward)


def pick(scores: jax.Array, sampled: jax.Array) -> jax.Array:
    """``scores[row, sampled[row, j]]``, with a flat scalar scatter as its gradient.

    Args:
      scores: ``[batch, items]``.
      sampled: ``[batch, negatives]`` ids inside the catalogue.

    Returns:
      ``[batch, negatives]``.
    """
    return _pick(scores, sampled, scores.shape[1])


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _pick(scores, sampled, num_items):
    del num_items
    return jnp.take_along_axis(scores, sampled, axis=1, mode="promise_in_bounds")


def _pick_forward(scores, sampled, num_items):
    return _pick(scores, sampled, num_items), sampled


def _pick_backward(num_items, sampled, cotangent):
    return _scatter_rows(sampled, cotangent, num_items), None


_pick.defvjp(_pick_forward, _pick_backward)


def _scatter_rows(ids: jax.Array, values: jax.Array, num_items: int) -> jax.Array:
    """``dense[row, ids[row, j]] += values[row, j]``, as one flat scalar scatter."""
    rows, ids = ids.shape[0], ids.astype(jnp.int32)
    row = jnp.arange(rows, dtype=jnp.int32)[:, None]
    if ids.shape[1] == 1:  # nothing is added to anything
        dense = jnp.zeros((rows, num_items), values.dtype)
        return dense.at[row, ids].set(values, mode="promise_in_bounds")
    if rows * num_items > jnp.iinfo(jnp.int32).max:  # no flat number for each entry
        return jax.vmap(lambda x, i: sum_rows(x, i, num_items))(values, ids)
    flat = (row * num_items + ids).reshape(-1)
    dense = sum_rows(values.reshape(-1), flat, rows * num_items)
    return dense.reshape(rows, num_items)
