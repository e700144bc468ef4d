"""From parameters and a batch of ids to one number: the only place where all meet.

Data → model → scores → loss, in that order; each stage knows nothing of the next.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from drrl_jax import losses, scores
from drrl_jax.losses.reduce import masked_mean
from drrl_jax.models import Backbone
from drrl_jax.products import contract
from drrl_jax.rows import take_rows
from drrl_jax.training.state import (
    Batch,
    DeviceData,
    catalogue_mask,
    positives_of,
)
from drrl_jax.training.supply import Sources, needs, supply

Params = dict[str, Any]


class Scored(NamedTuple):
    """Scores of a batch, and what else its loss takes.

    Attributes:
      positive: ``[batch]``.
      negative: ``[batch, negatives]``.
      where: negatives to use, ``[batch, negatives]``, or ``None`` for all.
      tables: the backbone's tables in this step.
      squared_norms: of a row's embeddings together, ``[batch]``; right only where the
        objective has a ``batch_regulariser``.
    """

    positive: jax.Array
    negative: jax.Array
    where: jax.Array | None
    tables: Any
    squared_norms: jax.Array


@dataclasses.dataclass(frozen=True)
class Objective:
    """A loss bound to a backbone, a similarity and a threshold mode.

    Attributes:
      model: the backbone.
      loss_name: key of ``losses.LOSSES``.
      hyperparameters: keyword arguments of the loss; numbers.
      mode: DrRL's threshold mode (``solved``, ``learned``, ``user``, ``row``) or None.
      radius: the Rényi radius where thresholds are solved per user.
      similarity: ``"cosine"`` or ``"dot"``.
      route: how sampled negatives are scored; see ``drrl_jax.scores``.
      dtype: of the score product; sums are accumulated in float32.
      batch_regulariser: weight of ``½ Σ‖embeddings of the batch‖² / batch_size``.
      max_positives: most training positives of any user (static).
    """

    model: Backbone
    loss_name: str
    hyperparameters: Mapping[str, Any]
    mode: str | None = None
    radius: float = 0.0
    similarity: scores.Similarity = "cosine"
    route: scores.Route = "dense"
    dtype: Any = jnp.float32
    batch_regulariser: float = 0.0
    max_positives: int = 1

    def __call__(
        self,
        params: Params,
        per_user: Mapping[str, jax.Array],
        data: DeviceData,
        batch: Batch,
        key: jax.Array,
        overrides: Mapping[str, jax.Array] | None = None,
    ) -> jax.Array:
        """Mean loss of a batch, the backbone's own objective included.

        Args:
          params: ``{"model": …}`` and the loss's auxiliary variables.
          per_user: refreshed statistics (``threshold``, ``temperature``, ``quantile``).
          data: the training data, for the graph and the positives.
          batch: ids.
          key: randomness of noise and dropout.
          overrides: traced hyperparameters that replace the static ones (sweeps).

        Returns:
          A scalar.
        """
        if batch.negatives is None and self.loss_name in losses.ROW_LOSSES:
            return self._over_catalogue(params, per_user, data, batch, key, overrides)
        scored = self.score(params, data, batch, key)
        hyper = self.hyper(overrides)
        rows = losses.LOSSES[self.loss_name](
            scored.positive,
            scored.negative,
            where=scored.where,
            log_q=batch.log_q,
            reduce_fn=None,
            **hyper,
            **self._supplied(params, per_user, batch),
        )
        value = masked_mean(rows, batch.valid)
        if self.batch_regulariser:
            penalty = 0.5 * masked_mean(scored.squared_norms, batch.valid)
            value = value + self.batch_regulariser * penalty
        own = self._apply(
            params,
            scored.tables,
            batch.users,
            batch.items,
            batch.valid,
            method="auxiliary_loss",
        )
        return value + own

    def _over_catalogue(self, params, per_user, data, batch, key, overrides):
        """The mean loss with every item a negative, without the score matrix."""
        tables = self._apply(
            params, data.graph, train=True, method="tables", rngs={"noise": key}
        )
        users = self._apply(
            params, take_rows(tables.users, batch.users), method="user_tower"
        )
        items = self._apply(params, tables.items, method="item_tower")
        ready_users, ready_items = self._prepare(users), self._prepare(items)
        paired = take_rows(ready_items, batch.items)
        positive = contract("bd,bd->b", ready_users, paired)
        value = losses.catalogue(
            positive,
            ready_users,
            ready_items,
            loss=self.loss_name,
            exclude=positives_of(data.positives, batch.users, self.max_positives),
            weights=batch.valid / jnp.maximum(jnp.sum(batch.valid), 1),
            **{
                **self.hyper(overrides),
                **self._supplied(params, per_user, batch),
            },
        )
        if self.batch_regulariser:
            squared = jnp.square(users) + jnp.square(take_rows(items, batch.items))
            penalty = 0.5 * masked_mean(jnp.sum(squared, axis=-1), batch.valid)
            value = value + self.batch_regulariser * penalty
        return value + self._apply(
            params,
            tables,
            batch.users,
            batch.items,
            batch.valid,
            method="auxiliary_loss",
        )

    def score(
        self, params: Params, data: DeviceData, batch: Batch, key: jax.Array
    ) -> Scored:
        """Scores of the batch's positives and negatives."""
        tables = self._apply(
            params, data.graph, train=True, method="tables", rngs={"noise": key}
        )
        users = self._apply(
            params, take_rows(tables.users, batch.users), method="user_tower"
        )
        if batch.negatives is not None and batch.negatives.ndim == 1:
            return self._score_pool(params, tables, users, batch)
        if batch.negatives is not None and self._rows_first(batch.negatives):
            ids = jnp.concatenate([batch.items[:, None], batch.negatives], axis=1)
            items = self._apply(
                params, take_rows(tables.items, ids), method="item_tower"
            )
            squared = jnp.sum(jnp.square(items), axis=-1)
            if self.pairwise:
                both = self._apply(params, users[:, None], items, method="pair_scores")
            else:
                ready = self._prepare(users), self._prepare(items)
                both = contract("bd,bnd->bn", *ready)
            positive, negative, where = both[:, 0], both[:, 1:], batch.where
            squared = squared.sum(axis=1)
        else:
            items = self._apply(params, tables.items, method="item_tower")
            ready = self._prepare(users), self._prepare(items)
            norms = jnp.sum(jnp.square(items), axis=-1)
            if batch.negatives is None:
                negative = scores.catalogue_scores(*ready)
                positive = scores.pick(negative, batch.items[:, None])[:, 0]
                where = self.catalogue_mask(data, batch.users)
                squared = take_rows(norms, batch.items)
            else:
                ids = jnp.concatenate([batch.items[:, None], batch.negatives], axis=1)
                both = scores.sampled_scores(*ready, ids, self.route)
                positive, negative, where = both[:, 0], both[:, 1:], batch.where
                squared = (
                    take_rows(norms, ids).sum(axis=1)
                    if self.batch_regulariser
                    else norms[:1]
                )
        squared = squared + jnp.sum(jnp.square(users), axis=-1)
        return Scored(positive, negative, where, tables, squared)

    def _score_pool(self, params, tables, users, batch: Batch) -> Scored:
        """Scores against negatives that the rows share: one small product."""
        assert batch.negatives is not None
        ids = jnp.concatenate([batch.items, batch.negatives])
        items = self._apply(params, take_rows(tables.items, ids), method="item_tower")
        ready_users, ready_items = self._prepare(users), self._prepare(items)
        rows = len(batch.items)
        positive = contract("bd,bd->b", ready_users, ready_items[:rows])
        negative = scores.catalogue_scores(ready_users, ready_items[rows:])
        norms = jnp.sum(jnp.square(items), axis=-1)
        # The pool is in the batch once, not once a row.
        squared = norms[:rows] + jnp.sum(norms[rows:]) / rows
        squared = squared + jnp.sum(jnp.square(users), axis=-1)
        return Scored(positive, negative, batch.where, tables, squared)

    def _rows_first(self, negatives: jax.Array) -> bool:
        """Whether to fetch raw rows and prepare those, not the whole table."""
        if self.pairwise:
            return True
        drawn = negatives.shape[0] * (1 + negatives.shape[1])
        return self.route == "gather" and drawn < self.model.num_items

    @property
    def pairwise(self) -> bool:
        """Whether the backbone scores pairs by itself (NeuMF), not by inner products."""
        return self.model.scores_pairs

    def pair_block(self, inputs: tuple, users: jax.Array) -> jax.Array:
        """Scores of all items for a block of users, for backbones that score pairs.

        Args:
          inputs: ``(params, user embeddings, item embeddings)``.
          users: ids, ``[block]``.
        """
        params, user_rows, item_rows = inputs
        return self._apply(
            params, user_rows[users][:, None], item_rows, method="pair_scores"
        )

    def embeddings(
        self, params: Params, data: DeviceData
    ) -> tuple[jax.Array, jax.Array]:
        """Prepared embeddings of all users and items, for ranking."""
        users, items = self._apply(params, data.graph)
        if self.pairwise:
            return users, items
        # Not in ``dtype``: rounding would decide between the best items.
        users, items = (scores.prepare(x, self.similarity) for x in (users, items))
        return users, items

    def _apply(self, params: Params, *args, **kwargs):
        return self.model.apply(params.get("model", {}), *args, **kwargs)

    def _prepare(self, rows: jax.Array) -> jax.Array:
        return scores.prepare(rows, self.similarity).astype(self.dtype)

    def hyper(self, overrides: Mapping[str, jax.Array] | None) -> dict[str, Any]:
        """What the loss takes; overrides may hold a budget or a rate that it does not."""
        merged = {**self.hyperparameters, **(overrides or {})}
        return {
            name: value for name, value in merged.items() if needs(self.loss_name, name)
        }

    def _supplied(self, params, per_user, batch) -> dict[str, Any]:
        """What the loss needs beyond scores: thresholds, quantiles, variables."""
        if self.loss_name == "drrl_tempered" and self.mode == "user":
            return {"temperature": per_user["temperature"][batch.users]}
        sources = Sources(
            params, per_user, batch, self.mode, self.route, self.max_positives
        )
        return supply(self.loss_name, sources)

    def catalogue_mask(self, data: DeviceData, users: jax.Array) -> jax.Array:
        """True where an item is not a training positive: ``bool [users, num_items]``."""
        return catalogue_mask(
            data.positives, users, self.model.num_items, self.max_positives
        )
