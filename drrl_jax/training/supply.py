"""What a loss takes beyond scores and hyperparameters, by the name of the argument.

A loss says by its signature what it needs: one with a ``quantile`` gets its users'
quantiles, whatever it is called. The names of losses are not known here.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from drrl_jax import losses, models, scores
from drrl_jax.rows import take_rows
from drrl_jax.training.state import Batch


class Sources(NamedTuple):
    """Where arguments come from in one step.

    Attributes:
      params: all parameters, auxiliary variables among them.
      per_user: refreshed statistics, each ``[num_users]``.
      batch: ids of the step.
      mode: the threshold mode in force, or ``None``.
      route: how sampled negatives are scored.
      max_positives: most training positives of any user.
    """

    params: Mapping[str, Any]
    per_user: Mapping[str, jax.Array]
    batch: Batch
    mode: str | None
    route: scores.Route
    max_positives: int


def _threshold(of: Sources) -> jax.Array:
    table = of.params if of.mode == "learned" else of.per_user
    return take_rows(table["threshold"], of.batch.users)


def _quantile(of: Sources) -> jax.Array:
    return of.per_user["quantile"][of.batch.users]


def _users(of: Sources) -> jax.Array:
    # Padding rows belong to nobody: each is a group of its own.
    users = of.batch.users
    nobody = -1 - jnp.arange(users.shape[0], dtype=users.dtype)
    return jnp.where(of.batch.valid, users, nobody)


def _hardness(of: Sources) -> jax.Array:
    """Cosines of the negatives by the adversary's own embeddings."""
    adversary, negatives = of.params["adversary"], of.batch.negatives
    assert negatives is not None
    rivals = scores.normalise(take_rows(adversary["users"], of.batch.users))
    if negatives.ndim == 1:
        items = scores.normalise(take_rows(adversary["items"], negatives))
        return scores.catalogue_scores(rivals, items)
    items = scores.normalise(adversary["items"])
    return scores.sampled_scores(rivals, items, negatives, of.route)


SUPPLIERS: dict[str, Callable[[Sources], Any]] = {
    "threshold": _threshold,
    "quantile": _quantile,
    "users": _users,
    # An epoch has a user's positive once: no batch has more rows of a user.
    "group_size": lambda of: of.max_positives,
    "hardness": _hardness,
    "variables": lambda of: of.params["llpauc"],
}

# Arguments of a loss that are not hyperparameters.
SUPPLIED = frozenset(("where", "reduce_fn", "log_q", *SUPPLIERS))


def needs(loss_name: str, argument: str) -> bool:
    """Whether a loss takes an argument.

    Example:
      >>> needs("sl_at_k", "quantile"), needs("softmax", "quantile")
      (True, False)
    """
    return argument in inspect.signature(losses.LOSSES[loss_name]).parameters


def supply(loss_name: str, of: Sources) -> dict[str, Any]:
    """The arguments of a loss that are in ``SUPPLIERS``."""
    return {
        name: give(of) for name, give in SUPPLIERS.items() if needs(loss_name, name)
    }


def trained_variables(
    loss_name: str, model: models.Backbone, key: jax.Array
) -> dict[str, Any]:
    """Variables that are trained beside the model for a loss, as they start."""
    found: dict[str, Any] = {}
    if needs(loss_name, "hardness"):
        # Rows of length √dim: the adversary's small rate turns their cosines slowly.
        adversary = models.MF(
            model.num_users,
            model.num_items,
            model.dim,
            initialiser="normal",
            init_scale=1.0,
        )
        found["adversary"] = adversary.init(key)["params"]
    if needs(loss_name, "variables"):
        found["llpauc"] = losses.llpauc_variables()
    return found
