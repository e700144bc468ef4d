"""What a trained model would show its users."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from drrl_jax import data as data_lib
from drrl_jax import evaluation, scores
from drrl_jax._numbers import check_ids
from drrl_jax.evaluation.metrics import check_cut_off
from drrl_jax.training.build import Parts
from drrl_jax.training.state import TrainState

_BLOCK = 256  # users whose scores of the whole catalogue are held at a time


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

    Example:
      >>> from drrl_jax import training
      >>> config = training.default_config()
      >>> config.model.dim = 8
      >>> parts = training.build(config)
      >>> recommend(parts, parts.init(), [0, 7], k=3).shape
      (2, 3)
    """
    check_cut_off(k)
    dataset = parts.dataset
    if users is None:
        users = np.arange(dataset.num_users)
    ids = np.asarray(users).reshape(-1)
    check_ids("users", ids, dataset.num_users)
    seen = data_lib.to_csr(
        data_lib.concatenate(dataset.known, dataset.valid), dataset.num_users
    )
    embedded = parts.objective.embeddings(state.params, parts.data)
    best = np.full((len(ids), k), -1, np.int32)
    for start in range(0, len(ids), _BLOCK):
        block = ids[start : start + _BLOCK]
        if parts.pair_scorer is None:
            found = scores.catalogue_scores(embedded[0][block], embedded[1])
        else:
            found = parts.pair_scorer((state.params, *embedded), block)
        ranked = np.array(found, np.float32)
        for row, user in zip(ranked, block):
            row[seen.indices[seen.indptr[user] : seen.indptr[user + 1]]] = -np.inf
        values, items = evaluation.top_k(jnp.asarray(ranked), min(k, dataset.num_items))
        best[start : start + _BLOCK, : items.shape[1]] = np.where(
            np.isneginf(values), -1, items
        )
    return best
