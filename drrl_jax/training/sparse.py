r"""Row-sparse updates: a step touches the embedding rows of its batch and no other.

Dense Adam moves every row of a table at every step, whether its gradient is zero or
not, so a step's cost grows with the catalogue. Here the ids of a batch are made
unique, their rows (of the tables and of the optimiser's state) are gathered into small
tables, the loss is differentiated and any elementwise Optax rule applied to those, and
the rows are put back in place.

The semantics differ from the dense rule's, as in every "lazy" optimiser: a row that is
not in the batch keeps its momentum instead of moving on it, its moments do not decay,
and weight decay does not reach it; bias corrections count
all steps. With Adagrad (and
SGD) without decay there is no difference: a zero gradient changes nothing. A row that
occurs more than once in a batch gets the sum of its gradients, once. The state has the
layout of the dense rule's.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from drrl_jax import scores
from drrl_jax.training.objective import Objective, Params
from drrl_jax.training.optimiser import of_row_sums, rate_override
from drrl_jax.training.state import Batch, DeviceData


def unique_rows(ids: jax.Array, num_rows: int) -> tuple[jax.Array, jax.Array]:
    """The distinct ids, padded, and where each id has gone.

    Args:
      ids: ``int [...]`` inside ``[0, num_rows)``; ``num_rows`` itself is padding, and
        goes to the padding or, where there is none, to any row.
      num_rows: size of the table.

    Returns:
      ``rows``, ascending, ``int32 [min(ids.size, num_rows)]``, padded by ``num_rows``;
      and ``places``, of the shape of ``ids``, with ``rows[places] == ids``.

    Example:
      >>> import jax.numpy as jnp
      >>> rows, places = unique_rows(jnp.array([[4, 2], [4, 9]]), 10)
      >>> rows.tolist(), places.tolist()
      ([2, 4, 9, 10], [[1, 0], [1, 2]])
    """
    size = min(ids.size, num_rows)
    rows, places = jnp.unique(ids, return_inverse=True, size=size, fill_value=num_rows)
    places = jnp.minimum(places.reshape(ids.shape), size - 1)
    return rows.astype(jnp.int32), places.astype(jnp.int32)


def take(tree: Any, rows: dict[str, jax.Array]) -> Any:
    """The rows of every embedding table in a tree; other leaves as they are."""

    def leaf(path, x):
        name = _table(path)
        return x if name is None else x.at[rows[name]].get(mode="clip")

    return jax.tree_util.tree_map_with_path(leaf, tree)


def put(tree: Any, small: Any, rows: dict[str, jax.Array]) -> Any:
    """The tree with its rows replaced by those of ``small``; padding is dropped."""

    def leaf(path, x, new):
        name = _table(path)
        if name is None:
            return new
        return x.at[rows[name]].set(
            new, mode="drop", unique_indices=True, indices_are_sorted=True
        )

    return jax.tree_util.tree_map_with_path(leaf, tree, small)


def _table(path) -> str | None:
    """``users`` or ``items`` for a table of the model, in parameters or a state."""
    keys = [part.key for part in path if isinstance(part, jax.tree_util.DictKey)]
    inside = "model" in keys and keys[-1] in ("users", "items")
    return keys[-1] if inside else None


def sparse_step(
    objective: Objective,
    optimiser: optax.GradientTransformationExtraArgs,
    params: Params,
    opt_state: optax.OptState,
    per_user: dict[str, jax.Array],
    data: DeviceData,
    batch: Batch,
    key: jax.Array,
    overrides: Any,
) -> tuple[jax.Array, Params, optax.OptState]:
    """One step of matrix factorisation on the rows of its batch.

    Args:
      objective: bound to an ``MF`` backbone.
      optimiser: an elementwise rule over all parameters.
      params: parameters.
      opt_state: the rule's state, as of ``optimiser.init(params)``.
      per_user: refreshed statistics.
      data: training data.
      batch: ids, with sampled negatives.
      key: randomness of the model.
      overrides: traced hyperparameters.

    Returns:
      The loss, the parameters and the state.
    """
    model = objective.model
    assert batch.negatives is not None
    ids = jnp.concatenate([batch.items[:, None], batch.negatives], axis=1)
    # What fills the last batch is of no row: it must not move on its momentum either.
    ids = jnp.where(batch.valid[:, None], ids, model.num_items)
    users = jnp.where(batch.valid, batch.users, model.num_users)
    item_rows, item_places = unique_rows(ids, model.num_items)
    user_rows, user_places = unique_rows(users, model.num_users)
    rows = {"users": user_rows, "items": item_rows}
    small_model = model.clone(num_users=len(user_rows), num_items=len(item_rows))
    route = scores.choose_route(
        len(batch.users), batch.negatives.shape[1], len(item_rows), model.dim
    )
    small = dataclasses.replace(objective, model=small_model, route=route)
    small_batch = batch._replace(
        users=user_places, items=item_places[:, 0], negatives=item_places[:, 1:]
    )

    def per_batch_user(tree):
        return jax.tree.map(lambda x: x.at[user_rows].get(mode="clip"), tree)

    def loss_of(small_params):
        # Thresholds are one number a user: a dense vector costs nothing.
        seen = dict(small_params)
        if "threshold" in seen:
            seen["threshold"] = per_batch_user(seen["threshold"])
        return small(seen, per_batch_user(per_user), data, small_batch, key, overrides)

    small_params, small_state = take(params, rows), take(opt_state, rows)
    loss, gradients = jax.value_and_grad(loss_of)(small_params)
    updates, small_state = optimiser.update(
        of_row_sums(gradients, batch.valid.sum()),
        small_state,
        small_params,
        **rate_override(overrides),
    )
    small_params = optax.apply_updates(small_params, updates)
    return loss, put(params, small_params, rows), put(opt_state, small_state, rows)
