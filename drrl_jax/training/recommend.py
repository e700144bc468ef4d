"""What a trained model would show its users."""

from collections.abc import Sequence

import numpy as np

from drrl_jax import data as data_lib
from drrl_jax import evaluation
from drrl_jax._numbers import as_ids, check_count
from drrl_jax.training.build import Parts
from drrl_jax.training.state import TrainState


def recommend(
    parts: Parts,
    state: TrainState,
    users: Sequence[int] | np.ndarray | None = None,
    *,
    k: int = 20,
) -> np.ndarray:
    """The best items of each user among those of neither train nor validation.

    Args:
      parts: what ``build`` or ``load_best`` returned.
      state: of the same run.
      users: dense ids, ``[n]``; all users by default.
      k: items a user.

    Returns:
      Dense item ids, ``int32 [n, k]``, best first, equal scores by lower id; -1 after
      the last item of a user who has fewer than ``k`` left. ``parts.dataset.item_ids``
      are those of the files.

    Raises:
      ValueError: for ids that are no users, or a ``k`` below 1.
      FloatingPointError: a score is NaN.

    Example:
      >>> from drrl_jax import training
      >>> config = training.default_config()
      >>> config.model.dim = 8
      >>> parts = training.build(config)
      >>> recommend(parts, parts.init(), [0, 7], k=3).shape
      (2, 3)
    """
    check_count("k", k)
    dataset = parts.dataset
    if users is None:
        users = np.arange(dataset.num_users)
    ids = as_ids("users", users, dataset.num_users).reshape(-1)
    best = np.full((len(ids), k), -1, np.int32)
    if not len(ids):
        return best
    # A plan ranks for the users of its truth; what the truth holds is of no matter here.
    # Filled up to a power of two, so that few programs serve all numbers of users.
    wanted = np.unique(ids)
    others = np.setdiff1d(np.arange(dataset.num_users), wanted)
    wanted = np.append(
        wanted, others[: (1 << (len(wanted) - 1).bit_length()) - len(wanted)]
    )
    ranked = data_lib.Interactions(wanted, np.zeros(len(wanted)))
    plan = evaluation.EvaluationPlan.build(
        data_lib.to_csr(ranked, dataset.num_users),
        num_items=dataset.num_items,
        exclude=[
            parts.data.positives,
            data_lib.to_csr(dataset.valid, dataset.num_users),
        ],
    )
    inputs = parts.scorer_inputs(state.params, parts.embed(state.params, parts.data))
    ranking = evaluation.rank(parts.scorer, inputs, plan, k)
    items = np.where(np.isneginf(ranking.scores), -1, ranking.items)
    best[:, : items.shape[1]] = items[np.searchsorted(plan.user_ids, ids)]
    return best
