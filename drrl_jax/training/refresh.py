"""Per-user statistics that the whole catalogue determines, refreshed now and then."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from drrl_jax import dro, scores
from drrl_jax.dro.order import kappa_of
from drrl_jax.evaluation import top_k as best_items
from drrl_jax.training.objective import Objective, Params
from drrl_jax.training.state import DeviceData


def refresh(
    objective: Objective,
    params: Params,
    per_user: Mapping[str, jax.Array],
    data: DeviceData,
    overrides: Mapping[str, jax.Array] | None = None,
    block: int = 64,
    top_k: int = 20,
) -> dict[str, jax.Array]:
    """Per-user statistics solved on the whole catalogue, blocks of users at a time.

    For the DrRL losses in mode ``user``: the exact worst case over all items that
    are not the user's training positives, warm-started from the last temperature.
    For SL@K and DrRL@K: the user's ``top_k``-th highest score over the catalogue.

    Returns:
      ``{statistic: [num_users]}`` with the keys of ``per_user``.
    """
    hyper = objective.hyper(overrides)
    radius = (overrides or {}).get("radius", objective.radius)
    users, items = objective.embeddings(params, data)
    num_users = objective.model.num_users
    blocks = -(-num_users // block)
    ids = jnp.minimum(jnp.arange(blocks * block), num_users - 1)

    def one_block(block_ids):
        if objective.pairwise:
            product = objective.pair_block((params, users, items), block_ids)
        else:
            product = scores.catalogue_scores(users[block_ids], items)
        product = product.astype(jnp.float32)
        if "quantile" in per_user:
            # Not the last column: for a slice XLA's CPU backend sorts whole rows,
            # which takes 250 times as long.
            return {"quantile": best_items(product, top_k)[0].min(axis=-1)}
        solution = dro.worst_case(
            product,
            gamma=hyper["gamma"],
            radius=radius,
            where=objective.catalogue_mask(data, block_ids),
            init=per_user["temperature"][block_ids],
        )
        # At radius 0 it is minus infinity: far below all scores the dual is their mean
        # as nearly, and in float32 nearer. How far is a matter of the temperature, which
        # is `depth * kappa` ranges of the scores: near order 1 thresholds lie deep.
        least = product.min(axis=-1)
        kappa = jnp.maximum(kappa_of(hyper["gamma"], product.dtype), 1e-6)
        depth = jnp.maximum(1e3, 10 / kappa)
        deep = least - depth * (product.max(axis=-1) - least)
        return {
            "threshold": jnp.maximum(solution.threshold, deep),
            "temperature": solution.temperature,
        }

    fresh = jax.lax.map(one_block, ids.reshape(blocks, block))
    return {name: fresh[name].reshape(-1)[:num_users] for name in per_user}
