r"""Ranking metrics of one ranked list a user, as pure functions.

Every metric sees two things: ``hits[..., K]``, whether the item at each of the first
``K`` ranks is relevant, and ``num_relevant[...]``, how many relevant items the user has
in all. With :math:`h_r \in \{0, 1\}` the hit at rank :math:`r` and :math:`n` the number
of relevant items, the definitions equal those of trec_eval and ir-measures for binary
relevance (R@k, nDCG@k, P@k, Success@k, RR@k, AP@k). A list shorter than ``k`` counts as
padded with misses. A user without relevant items gets 0 everywhere; leave such users
out of a mean.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from drrl_jax._names import check_choice
from drrl_jax._numbers import check_count, is_count


def _checked(
    hits: jax.Array, num_relevant: jax.Array, k: int
) -> tuple[jax.Array, jax.Array]:
    """The first ``k`` hits (padded with misses) and the counts, both in float32."""
    hits, num_relevant = jnp.asarray(hits), jnp.asarray(num_relevant)
    check_count("k", k)
    if hits.ndim != num_relevant.ndim + 1 or hits.shape[:-1] != num_relevant.shape:
        raise ValueError(
            "hits must be num_relevant plus a trailing axis of ranks; got hits "
            f"{hits.shape}, num_relevant {num_relevant.shape}."
        )
    hits = hits[..., :k].astype(jnp.float32)
    missing = k - hits.shape[-1]
    if missing:
        hits = jnp.pad(hits, [(0, 0)] * (hits.ndim - 1) + [(0, missing)])
    return hits, num_relevant.astype(jnp.float32)


def _per_relevant(total: jax.Array, num_relevant: jax.Array) -> jax.Array:
    """``total / num_relevant`` with 0 for users without relevant items."""
    return jnp.where(num_relevant > 0, total / jnp.maximum(num_relevant, 1), 0)


def recall_at_k(hits: jax.Array, num_relevant: jax.Array, k: int) -> jax.Array:
    r"""Share of the relevant items found: :math:`\sum_{r \le k} h_r / n`.

    Args:
      hits: ``[..., K]`` relevance of the ranked list, best first.
      num_relevant: ``[...]`` relevant items of each user, in the list or not.
      k: cut-off.

    Returns:
      ``[...]`` float32 in [0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> print(recall_at_k(jnp.array([True, False, True]), jnp.array(4), 3))
      0.5
    """
    hits, num_relevant = _checked(hits, num_relevant, k)
    return _per_relevant(hits.sum(-1), num_relevant)


def ndcg_at_k(hits: jax.Array, num_relevant: jax.Array, k: int) -> jax.Array:
    r"""Discounted gain over that of the ideal list of ``min(k, n)`` hits.

    .. math:: \frac{\sum_{r \le k} h_r / \log_2(r + 1)}
                   {\sum_{r \le \min(k, n)} 1 / \log_2(r + 1)}

    Args and returns as in :func:`recall_at_k`. Source: Järvelin and Kekäläinen, 2002.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{ndcg_at_k(jnp.array([True, False, True]), jnp.array(2), 3):.4f}")
      0.9197
    """
    hits, num_relevant = _checked(hits, num_relevant, k)
    ranks = jnp.arange(1, k + 1, dtype=jnp.float32)
    discounts = 1 / jnp.log2(ranks + 1)
    ideal = jnp.where(ranks <= num_relevant[..., None], discounts, 0).sum(-1)
    gain = (hits * discounts).sum(-1)
    return jnp.where(ideal > 0, gain / jnp.where(ideal > 0, ideal, 1), 0)


def precision_at_k(hits: jax.Array, num_relevant: jax.Array, k: int) -> jax.Array:
    r"""Share of the list that is relevant: :math:`\sum_{r \le k} h_r / k`.

    Args and returns as in :func:`recall_at_k`.

    Example:
      >>> import jax.numpy as jnp
      >>> print(precision_at_k(jnp.array([True, False, True]), jnp.array(9), 4))
      0.5
    """
    hits, _ = _checked(hits, num_relevant, k)
    return hits.sum(-1) / k


def hit_at_k(hits: jax.Array, num_relevant: jax.Array, k: int) -> jax.Array:
    r"""Whether any of the first ``k`` is relevant: :math:`\max_{r \le k} h_r`.

    Args and returns as in :func:`recall_at_k`.

    Example:
      >>> import jax.numpy as jnp
      >>> print(hit_at_k(jnp.array([False, False, True]), jnp.array(1), 2))
      0.0
    """
    hits, _ = _checked(hits, num_relevant, k)
    return hits.max(-1)


def mrr_at_k(hits: jax.Array, num_relevant: jax.Array, k: int) -> jax.Array:
    r"""Reciprocal rank of the first hit, 0 without one: :math:`\max_{r \le k} h_r / r`.

    Args and returns as in :func:`recall_at_k`.

    Example:
      >>> import jax.numpy as jnp
      >>> print(mrr_at_k(jnp.array([False, True, True]), jnp.array(2), 3))
      0.5
    """
    hits, _ = _checked(hits, num_relevant, k)
    return (hits / jnp.arange(1, k + 1, dtype=jnp.float32)).max(-1)


def map_at_k(hits: jax.Array, num_relevant: jax.Array, k: int) -> jax.Array:
    r"""Average precision: :math:`\frac{1}{n} \sum_{r \le k} h_r \cdot P@r`.

    The divisor is the number of relevant items, also where that exceeds ``k``
    (trec_eval's ``map_cut``). Args and returns as in :func:`recall_at_k`.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{map_at_k(jnp.array([True, False, True]), jnp.array(2), 3):.4f}")
      0.8333
    """
    hits, num_relevant = _checked(hits, num_relevant, k)
    precision = hits.cumsum(-1) / jnp.arange(1, k + 1, dtype=jnp.float32)
    return _per_relevant((hits * precision).sum(-1), num_relevant)


Metric = Callable[[jax.Array, jax.Array, int], jax.Array]

METRICS: dict[str, Metric] = {
    "recall": recall_at_k,
    "ndcg": ndcg_at_k,
    "precision": precision_at_k,
    "hit": hit_at_k,
    "mrr": mrr_at_k,
    "map": map_at_k,
}


def check_metrics(ks: Sequence[int], names: Sequence[str], *, where: str = "") -> None:
    """Raises ``ValueError`` at an unknown metric or an impossible cut-off.

    Args:
      ks: cut-offs.
      names: keys of :data:`METRICS`.
      where: what stands before ``ks`` and ``metrics`` in the sentence.
    """
    for name, several in (("ks", ks), ("metrics", names)):
        if isinstance(several, str) or np.ndim(several) != 1 or not len(several):
            raise ValueError(
                f"{where}{name} must be a tuple or list of at least one;"
                f" got {several!r}."
            )
    for k in ks:
        if not is_count(k):
            raise ValueError(f"{where}ks must be positive integers; got {k!r}.")
    for name in names:
        check_choice(f"{where}metrics", name, METRICS)


def ranking_metrics(
    hits: jax.Array,
    num_relevant: jax.Array,
    ks: Sequence[int] = (20,),
    names: Sequence[str] = ("recall", "ndcg"),
) -> dict[str, jax.Array]:
    """Several metrics at several cut-offs from one ranked list.

    Args:
      hits: ``[..., K]`` relevance of the ranked list, best first.
      num_relevant: ``[...]`` relevant items of each user.
      ks: cut-offs.
      names: keys of :data:`METRICS`.

    Returns:
      ``{"recall@20": [...], ...}``, a value for each user.

    Raises:
      ValueError: unknown name, ``k`` < 1, or shapes that do not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> hits = jnp.array([[True, False], [False, False]])
      >>> out = ranking_metrics(hits, jnp.array([2, 1]), ks=(1, 2), names=("recall",))
      >>> {name: value.tolist() for name, value in out.items()}
      {'recall@1': [0.5, 0.0], 'recall@2': [0.5, 0.0]}
    """
    check_metrics(ks, names)
    return {
        f"{name}@{k}": METRICS[name](hits, num_relevant, k)
        for name in names
        for k in ks
    }
