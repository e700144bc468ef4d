"""The best items of a row of scores."""

import jax
import jax.numpy as jnp

# Two-stage selection needs catalogues this many times longer than the list to pay off,
# and groups of this many items: measured by experiments/benchmarks/evaluation.py.
_TWO_STAGE_RATIO = 128
_GROUP = 16


def top_k(scores: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """Exactly ``jax.lax.top_k``, faster on CPU for catalogues much longer than ``k``.

    The largest score of each group of consecutive items is found first (a vectorised
    maximum); the ``k`` items can only be in the ``k`` groups with the largest maxima,
    so the serial selection sees ``num_items / 16`` and then ``16 k`` numbers. Ties go to
    the lower index: equal maxima prefer the lower group, and the chosen groups are put
    back in order before the second selection.

    Args:
      scores: ``[rows, items]``. Infinity and the type's largest number count as equal
        where not all of them find a place.
      k: how many.

    Returns:
      Values and int32 indices, ``[rows, k]``, best first.

    Example:
      >>> import jax.numpy as jnp
      >>> values, items = top_k(jnp.array([[1.0, 3.0, 2.0, 3.0]]), 3)
      >>> values.tolist(), items.tolist()
      ([[3.0, 3.0, 2.0]], [[1, 3, 2]])
    """
    return select(scores, k)[:2]


def select(scores: jax.Array, k: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`top_k`, and whether a score is NaN.

    In a list a NaN stands first or last, by its sign, which programs do not agree on.
    """
    scores = jnp.asarray(scores)
    if scores.ndim != 2:
        raise ValueError(f"scores must be [rows, num_items]; got {scores.shape}.")
    rows, num_items = scores.shape
    one_stage = jax.default_backend() != "cpu" or scores.dtype == bool
    if one_stage or num_items < _TWO_STAGE_RATIO * k:
        return *jax.lax.top_k(scores, k), jnp.isnan(scores).any(axis=0).any()
    # The last group may be short: padding it would copy all scores.
    whole = num_items // _GROUP * _GROUP
    shown, lowest = scores, -jnp.inf
    if jnp.issubdtype(scores.dtype, jnp.integer):
        lowest = jnp.iinfo(scores.dtype).min
    else:
        # A maximum may pass a NaN over. As infinity, which no score is shown as, it is
        # among the candidates.
        finite = jnp.minimum(scores, jnp.finfo(scores.dtype).max)
        shown = jnp.where(jnp.isnan(scores), jnp.inf, finite)
    best = shown[:, :whole].reshape(rows, -1, _GROUP).max(-1)
    if whole < num_items:
        rest = shown[:, whole:].max(-1, keepdims=True)
        best = jnp.concatenate([best, rest], axis=1)
    _, chosen = jax.lax.top_k(best, k)
    places = jnp.sort(chosen, -1)[:, :, None] * _GROUP + jnp.arange(_GROUP)
    places = places.reshape(rows, k * _GROUP)
    candidates = jnp.take_along_axis(
        scores, places, axis=1, mode="fill", fill_value=lowest
    )
    values, order = jax.lax.top_k(candidates, k)
    lost = jnp.isnan(candidates).any(axis=0).any()
    return values, jnp.take_along_axis(places, order, axis=1), lost
