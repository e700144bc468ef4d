"""Embeddings to scores: positives, sampled negatives, the whole catalogue.

Two routes give the same sampled scores and gradients (to rounding):

* ``"gather"`` fetches one embedding row per sampled negative and, in the backward pass,
  scatter-adds one row per negative;
* ``"dense"`` multiplies the batch by the *whole* item table and picks scalars out of the
  product; its backward pass scatters scalars into a ``[batch, items]`` matrix and
  finishes with one matmul.

Wide-row scatters are slow on every backend and very slow on CPU, matmuls are what
the hardware is built for, so the dense route wins until the catalogue is far larger
than the number of negatives. ``choose_route`` holds the rule.
"""

import functools
from typing import Literal

import jax
import jax.numpy as jnp

Route = Literal["gather", "dense"]
Similarity = Literal["cosine", "dot"]

_EPS = 1e-12

# Nanoseconds, estimates that no benchmark has checked yet: an embedding row fetched and
# scattered back (per 64 floats), a scalar picked and scattered back, and a multiply-add
# of the dense product, forward and backward.
_COST = {
    "cpu": {"row": 320.0, "scalar": 12.0, "madd": 0.012},
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


def pair_scores(users: jax.Array, items: jax.Array) -> jax.Array:
    """Inner products of aligned rows: ``[..., dim], [..., dim] -> [...]``."""
    return jnp.einsum("...d,...d->...", users, items)


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
) -> Route:
    """The cheaper way to score sampled negatives, by a small cost model.

    Args:
      batch_size: rows a step.
      negatives: sampled negatives a row.
      num_items: size of the catalogue.
      dim: embedding dimension.
      backend: ``"cpu"``, ``"gpu"`` or ``"tpu"``; JAX's default backend if left out.

    Returns:
      ``"gather"`` or ``"dense"``.

    Example:
      >>> choose_route(1024, 64, 3_570, 64, "cpu")
      'dense'
      >>> choose_route(1024, 1, 1_000_000, 64, "cpu")
      'gather'
    """
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
      sampled: item ids, ``[batch, negatives]``.
      route: see the module's docstring.

    Returns:
      ``[batch, negatives]``.

    Example:
      >>> import jax.numpy as jnp
      >>> items = jnp.eye(3)
      >>> sampled_scores(items[:1], items, jnp.array([[0, 2]])).tolist()
      [[1.0, 0.0]]
    """
    if route == "gather":
        return jnp.einsum("bd,bnd->bn", users, items[sampled])
    return pick(catalogue_scores(users, items), sampled)


def pick(scores: jax.Array, sampled: jax.Array) -> jax.Array:
    """``scores[row, sampled[row, j]]``, with a flat scalar scatter as its gradient.

    Args:
      scores: ``[batch, items]``.
      sampled: ``[batch, negatives]`` ids inside the catalogue.

    Returns:
      ``[batch, negatives]``.
    """
    return _pick(scores, sampled, scores.shape[1], scores.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _pick(scores, sampled, num_items, dtype):
    del num_items, dtype
    return jnp.take_along_axis(scores, sampled, axis=1, mode="promise_in_bounds")


def _pick_forward(scores, sampled, num_items, dtype):
    return _pick(scores, sampled, num_items, dtype), sampled


def _pick_backward(num_items, dtype, sampled, cotangent):
    rows = sampled.shape[0]
    flat = jnp.arange(rows, dtype=sampled.dtype)[:, None] * num_items + sampled
    dense = jnp.zeros((rows * num_items,), dtype)
    dense = dense.at[flat.reshape(-1)].add(
        cotangent.reshape(-1).astype(dtype), mode="promise_in_bounds"
    )
    return dense.reshape(rows, num_items), None


_pick.defvjp(_pick_forward, _pick_backward)
