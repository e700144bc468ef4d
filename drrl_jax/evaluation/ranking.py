"""Full-ranking evaluation on the device.

Every candidate item is scored for every user with a test item; nothing is sampled. A
block of users at a time goes through four steps, one compiled program for all blocks:
scores, exclusions written by index, an exact top-k, and a binary search of the listed
items in the truth. Scores are compared in float32, in which whole numbers above 2^24 may
tie; ties go to the lower item index.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from drrl_jax._numbers import as_ids, check_count
from drrl_jax.evaluation.metrics import check_metrics, ranking_metrics
from drrl_jax.evaluation.plan import EvaluationPlan
from drrl_jax.evaluation.selection import select
from drrl_jax.products import product

Scorer = Callable[[Any, jax.Array], jax.Array]


class Ranking(NamedTuple):
    """Ranked lists of the evaluated users, in the order of ``plan.user_ids``.

    Attributes:
      items: ``[evaluated users, k]`` best first.
      scores: ``[evaluated users, k]``; -inf where candidates ran out.
      hits: ``[evaluated users, k]`` bool.
    """

    items: jax.Array
    scores: jax.Array
    hits: jax.Array


def _relevant(plan: EvaluationPlan, users: jax.Array, items: jax.Array) -> jax.Array:
    """Whether each of ``items [rows, k]`` is in the truth of ``users [rows]``."""
    low = jnp.broadcast_to(plan.indptr[users][:, None], items.shape)
    end = plan.indptr[users + 1][:, None]
    high = jnp.broadcast_to(end, items.shape)
    last = len(plan.indices) - 1
    # The first entry that is not below the item lies in [low, high].
    for _ in range(plan.max_relevant.bit_length()):
        middle = (low + high) // 2
        below = (low < high) & (plan.indices[jnp.minimum(middle, last)] < items)
        low, high = jnp.where(below, middle + 1, low), jnp.where(below, high, middle)
    return (low < end) & (plan.indices[jnp.minimum(low, last)] == items)


def _exclude(
    scores: jax.Array, plan: EvaluationPlan, first: jax.Array, last: jax.Array
) -> jax.Array:
    """Scores with -inf at the exclusions ``first … last - 1`` of the plan."""
    total, size = len(plan.rows), plan.chunk
    if not total:
        return scores

    def one_chunk(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        at, scores = state
        start = jnp.minimum(at, total - size)  # the last one begins in the one before
        rows, items = (
            jax.lax.dynamic_slice_in_dim(x, start, size)
            for x in (plan.rows, plan.items)
        )
        place = start + jnp.arange(size)
        rows = jnp.where((place >= at) & (place < last), rows, len(scores))
        return at + size, scores.at[rows, items].set(-jnp.inf, mode="drop")

    if plan.one_chunk:  # without a loop, whose state XLA copies
        return one_chunk((first, scores))[1]
    return jax.lax.while_loop(
        lambda state: state[0] < last, one_chunk, (first, scores)
    )[1]


@functools.partial(jax.jit, static_argnames=("scorer", "k"))
def _rank(
    scorer: Scorer, inputs: Any, plan: EvaluationPlan, k: int
) -> tuple[Ranking, jax.Array]:
    """:func:`rank` without its checks, and whether a score is NaN."""

    def one_block(
        block: tuple[jax.Array, jax.Array, jax.Array],
    ) -> tuple[Ranking, jax.Array]:
        users, first, last = block
        scores = scorer(inputs, users).astype(jnp.float32)
        scores = jnp.where(scores == 0, 0, scores)  # XLA's -0 loses the tie with 0
        if scores.shape != (len(users), plan.num_items):
            raise ValueError(
                f"scorer must return ({len(users)}, {plan.num_items}) scores; got "
                f"{scores.shape}."
            )
        if plan.masked is not None:
            scores = jnp.where(plan.masked, -jnp.inf, scores)
        scores = _exclude(scores, plan, first, last)
        values, best, lost = select(scores, k)
        hits = _relevant(plan, users, best) & (values > -jnp.inf)
        return Ranking(best, values, hits), lost

    ends = plan.starts[:-1], plan.starts[1:]
    blocks, lost = jax.lax.map(one_block, (plan.users, *ends))
    ranking = Ranking(*(x.reshape(-1, k)[plan.position] for x in blocks))
    return ranking, lost.any()


def rank(scorer: Scorer, inputs: Any, plan: EvaluationPlan, k: int) -> Ranking:
    """Ranked lists of the users of a plan.

    Args:
      scorer: ``scorer(inputs, users [block]) -> [block, num_items]``, a function that
        lives as long as the program (it is a key of the compilation cache).
      inputs: arrays for ``scorer``, any pytree.
      plan: users, candidates and truth.
      k: length of the lists; ``num_items`` if that is smaller.

    Returns:
      The lists.

    Raises:
      FloatingPointError: a score is NaN.
    """
    check_count("k", k)
    ranking, lost = _rank(scorer, inputs, plan, min(k, plan.num_items))
    if bool(lost):
        raise FloatingPointError("scores must be numbers; some user has a NaN score.")
    return ranking


def inner_products(inputs: tuple[jax.Array, jax.Array], users: jax.Array) -> jax.Array:
    """The scorer of ``inputs = (user embeddings, item embeddings)``."""
    user_emb, item_emb = inputs
    return product(user_emb[users], item_emb.T)


@functools.partial(jax.jit, static_argnames=("ks", "metrics"))
def _metrics(
    hits: jax.Array,
    num_relevant: jax.Array,
    ks: tuple[int, ...],
    metrics: tuple[str, ...],
) -> dict[str, jax.Array]:
    """:func:`ranking_metrics`, compiled."""
    return ranking_metrics(hits, num_relevant, ks, metrics)


def evaluate_scorer(
    scorer: Scorer,
    inputs: Any,
    plan: EvaluationPlan,
    *,
    ks: Sequence[int] = (20,),
    metrics: Sequence[str] = ("recall", "ndcg"),
    per_user: bool = False,
) -> dict[str, Any]:
    """Ranking metrics of a model that scores whole rows of the catalogue itself.

    Args:
      scorer: as in :func:`rank`.
      inputs: arrays for ``scorer``.
      plan: users, candidates and truth.
      ks: cut-offs, all from one ranking.
      metrics: names in :data:`drrl_jax.evaluation.METRICS`.
      per_user: return the values of each user instead of the means.

    Returns:
      ``{"recall@20": …}``: Python floats, means over the users with a test item, summed
      in float64 over users (never a mean of batch means); or with ``per_user`` float32
      arrays in the order of ``plan.user_ids``.

    Raises:
      ValueError: unknown metric or impossible cut-off.
      FloatingPointError: a score is NaN.
    """
    check_metrics(ks, metrics)
    ks, metrics = tuple(int(k) for k in ks), tuple(metrics)
    ranking = rank(scorer, inputs, plan, max(ks))
    values = jax.device_get(_metrics(ranking.hits, plan.num_relevant, ks, metrics))
    # jit returns dictionaries in sorted order; the caller's order reads better.
    values = {f"{m}@{k}": values[f"{m}@{k}"] for m in metrics for k in ks}
    if per_user:
        return values
    return {name: float(v.mean(dtype=np.float64)) for name, v in values.items()}


def evaluate(
    user_emb: jax.Array,
    item_emb: jax.Array,
    plan: EvaluationPlan,
    *,
    ks: Sequence[int] = (20,),
    metrics: Sequence[str] = ("recall", "ndcg"),
    per_user: bool = False,
) -> dict[str, Any]:
    """Full-ranking metrics of embeddings under inner-product scores.

    Args:
      user_emb: ``[num_users, dim]``. The caller normalises for cosine scores.
      item_emb: ``[num_items, dim]``.
      plan: users, candidates and truth.
      ks: cut-offs, all from one ranking.
      metrics: names in :data:`drrl_jax.evaluation.METRICS`.
      per_user: return the values of each user instead of the means.

    Returns:
      As :func:`evaluate_scorer`.

    Raises:
      ValueError: shapes that do not fit the plan, unknown metric, impossible cut-off.
      FloatingPointError: a score is NaN.

    Example:
      >>> import jax.numpy as jnp, numpy as np
      >>> from drrl_jax.data.interactions import Csr
      >>> truth = Csr(indptr=np.array([0, 1, 2]), indices=np.array([2, 0]))
      >>> train = Csr(indptr=np.array([0, 1, 1]), indices=np.array([0]))
      >>> plan = EvaluationPlan.build(truth, num_items=3, exclude=train)
      >>> users, items = jnp.array([[1.0], [-1.0]]), jnp.array([[3.0], [1.0], [2.0]])
      >>> evaluate(users, items, plan, ks=(1, 3), metrics=("recall",))
      {'recall@1': 0.5, 'recall@3': 1.0}
    """
    users, items = user_emb.shape, item_emb.shape
    if len(users) != 2 or users != (plan.num_users, items[-1]):
        raise ValueError(
            f"user_emb must be ({plan.num_users}, dim) with the dim of item_emb; got "
            f"user_emb {users}, item_emb {items}."
        )
    if items != (plan.num_items, users[-1]):
        raise ValueError(f"item_emb must be ({plan.num_items}, dim); got {items}.")
    return evaluate_scorer(
        inner_products,
        (user_emb, item_emb),
        plan,
        ks=ks,
        metrics=metrics,
        per_user=per_user,
    )


def _same_for_all(item_scores: jax.Array, users: jax.Array) -> jax.Array:
    """One score an item, whoever the user."""
    return jnp.broadcast_to(item_scores, (len(users), len(item_scores)))


def evaluate_item_scores(
    item_scores: jax.Array,
    plan: EvaluationPlan,
    *,
    ks: Sequence[int] = (20,),
    metrics: Sequence[str] = ("recall", "ndcg"),
    per_user: bool = False,
) -> dict[str, Any]:
    """Metrics of one ranking for everybody, such as :func:`popularity_scores`.

    Args:
      item_scores: ``[num_items]``.
      plan: users, candidates and truth.
      ks: cut-offs, all from one ranking.
      metrics: names in :data:`drrl_jax.evaluation.METRICS`.
      per_user: return the values of each user instead of the means.

    Returns:
      As :func:`evaluate_scorer`.

    Example:
      >>> import numpy as np
      >>> from drrl_jax.data.interactions import Csr
      >>> truth = Csr(indptr=np.array([0, 1]), indices=np.array([1]))
      >>> plan = EvaluationPlan.build(truth, num_items=3)
      >>> scores = popularity_scores(np.array([1, 1, 2]), num_items=3)
      >>> evaluate_item_scores(scores, plan, ks=(1,))
      {'recall@1': 1.0, 'ndcg@1': 1.0}
    """
    item_scores = jnp.asarray(item_scores)
    if item_scores.shape != (plan.num_items,):
        raise ValueError(
            f"item_scores must be one an item, ({plan.num_items},); got"
            f" {item_scores.shape}. evaluate_scorer takes scores of users and items."
        )
    return evaluate_scorer(
        _same_for_all,
        item_scores,
        plan,
        ks=ks,
        metrics=metrics,
        per_user=per_user,
    )


def popularity_scores(items: np.ndarray, num_items: int) -> jax.Array:
    """How often each item occurs among the training interactions.

    Args:
      items: ``[interactions]`` item ids.
      num_items: length of the result.

    Returns:
      ``[num_items]`` float32 counts.

    Raises:
      ValueError: an id out of range.

    Example:
      >>> import numpy as np
      >>> popularity_scores(np.array([2, 0, 2]), num_items=4).tolist()
      [1.0, 0.0, 2.0, 0.0]
    """
    counts = np.bincount(as_ids("items", items, num_items), minlength=num_items)
    return jnp.asarray(counts, jnp.float32)
