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
import math
from collections.abc import Mapping
from typing import Literal

import jax
import jax.numpy as jnp

Route = Literal["gather", "dense"]
Similarity = Literal["cosine", "dot"]

_EPS = 1e-12

# Nanoseconds: an embedding row fetched and scattered back (per 64 floats), a scalar
# picked and scattered back, and a multiply-add of the dense product, forward and
# backward. The CPU's were measured by `python -m experiments.benchmarks.routes
# --processor_time` on one core (AMD EPYC, AVX-512); the others are estimates.
_COST = {
    "cpu": {"row": 76.0, "scalar": 1.2, "madd": 0.028},
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
    squared = jnp.sum(jnp.square(embeddings), axis=-1, keepdims=True)
    return embeddings * jax.lax.rsqrt(jnp.maximum(squared, _EPS))


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
    if similarity == "cosine":
        return normalise(embeddings)
    if similarity == "dot":
        return embeddings
    raise ValueError(f"similarity must be 'cosine' or 'dot'; got {similarity!r}.")


def catalogue_scores(users: jax.Array, items: jax.Array) -> jax.Array:
    """Scores of every item for each user row: ``[b, dim], [i, dim] -> [b, i]``.

    Products of bfloat16 rows are accumulated, and returned, in float32.
    """
    return jnp.matmul(users, items.T, preferred_element_type=jnp.float32)


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
      route: see the module's docstring.

    Returns:
      ``[batch, negatives]``, accumulated in float32.

    Example:
      >>> import jax.numpy as jnp
      >>> items = jnp.eye(3)
      >>> sampled_scores(items[:1], items, jnp.array([[0, 2]])).tolist()
      [[1.0, 0.0]]
    """
    if route == "gather":
        return _gather_scores(users, items, sampled)
    return _dense_scores(users, items, sampled)


def _blocks(rows: int, *arrays: jax.Array) -> tuple[jax.Array, ...]:
    return tuple(x.reshape(-1, rows, x.shape[-1]) for x in arrays)


def _gathered_at_once(shape: tuple[int, ...], dim: int) -> int:
    """Rows of the batch whose items are fetched at once: on a CPU 1 MB, as a cache has.

    Fetching all 64 items of 1024 rows takes four to five times as long; what fits the
    last cache in whole (4 MB) is quickest undivided. See benchmarks/routes.py.
    """
    batch, negatives = shape
    numbers = batch * negatives * dim
    if jax.default_backend() != "cpu" or numbers <= 1 << 20:
        return batch
    most = max((1 << 18) // (negatives * dim), 1)
    return math.gcd(batch, 1 << (most.bit_length() - 1))


@jax.custom_vjp
def _gather_scores(users, items, sampled):
    def block(inputs):
        rows, ids = inputs
        return jnp.einsum(
            "bd,bnd->bn", rows, items[ids], preferred_element_type=jnp.float32
        )

    rows = _gathered_at_once(sampled.shape, users.shape[1])
    scores = jax.lax.map(block, _blocks(rows, users, sampled))
    return scores.reshape(sampled.shape)


def _gather_forward(users, items, sampled):
    return _gather_scores(users, items, sampled), (users, items, sampled)


def _gather_backward(residuals, cotangent):
    users, items, sampled = residuals

    def block(to_items, inputs):
        rows, ids, values = inputs
        to_rows = jnp.einsum("bn,bnd->bd", values, items[ids].astype(values.dtype))
        parts = values[:, :, None] * rows[:, None, :]
        to_items = to_items.at[ids].add(parts, mode="promise_in_bounds")
        return to_items, to_rows

    zeros = jnp.zeros(items.shape, cotangent.dtype)
    rows = _gathered_at_once(sampled.shape, users.shape[1])
    inputs = _blocks(rows, users, sampled, cotangent)
    to_items, to_users = jax.lax.scan(block, zeros, inputs)
    to_users = to_users.reshape(users.shape).astype(users.dtype)
    return to_users, to_items.astype(items.dtype), None


_gather_scores.defvjp(_gather_forward, _gather_backward)


def _rows_per_block(batch: int) -> int:
    """Rows of the product that exist at once: on a CPU a part that the cache holds.

    The picks, and above all the scatter of the backward pass, go to random places of
    ``[rows, items]``; a quarter of a batch of 1024 makes a step a quarter faster.
    """
    return 256 if jax.default_backend() == "cpu" and batch % 256 == 0 else batch


@jax.custom_vjp
def _dense_scores(users, items, sampled):
    def block(inputs):
        rows, ids = inputs
        return pick(catalogue_scores(rows, items), ids)

    scores = jax.lax.map(block, _blocks(_rows_per_block(len(users)), users, sampled))
    return scores.reshape(sampled.shape)


def _dense_forward(users, items, sampled):
    return _dense_scores(users, items, sampled), (users, items, sampled)


def _dense_backward(residuals, cotangent):
    users, items, sampled = residuals

    def block(to_items, inputs):
        rows, ids, values = inputs
        dense = _scatter_rows(ids, values, len(items)).astype(items.dtype)
        to_rows = jnp.matmul(dense, items, preferred_element_type=jnp.float32)
        part = jnp.matmul(dense.T, rows, preferred_element_type=jnp.float32)
        return to_items + part, to_rows

    zeros = jnp.zeros(items.shape, cotangent.dtype)
    inputs = _blocks(_rows_per_block(len(users)), users, sampled, cotangent)
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
    rows = ids.shape[0]
    flat = jnp.arange(rows, dtype=ids.dtype)[:, None] * num_items + ids
    dense = jnp.zeros((rows * num_items,), values.dtype)
    dense = dense.at[flat.reshape(-1)].add(values.reshape(-1), mode="promise_in_bounds")
    return dense.reshape(rows, num_items)
