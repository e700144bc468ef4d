"""What a backbone is: parameters in, embedding tables out.

Every backbone produces two tables of *raw* embeddings from its parameters (and, for
graph models, the training graph), then maps the rows that a step needs through a
row-wise tower. Scores, losses and data live elsewhere: a backbone sees none of them.
"""

import functools
from typing import Any, NamedTuple

import jax
from flax import linen as nn

from drrl_jax.products import EXACT

# A layer that takes float32 as it is, as all products of this project do.
Dense = functools.partial(nn.Dense, precision=EXACT)


class Tables(NamedTuple):
    """Embedding tables of one forward pass.

    Attributes:
      users: ``[num_users, dim]``.
      items: ``[num_items, dim]``.
      views: what the backbone's own ``auxiliary_loss`` needs (``None`` without one).
    """

    users: jax.Array
    items: jax.Array
    views: Any = None


class Backbone(nn.Module):
    """Interface of all backbones; subclasses define ``tables`` and, if need be, towers.

    Attributes:
      num_users: number of users.
      num_items: number of items.
      dim: embedding dimension.
    """

    num_users: int
    num_items: int
    dim: int = 64

    def tables(self, graph: Any = None, *, train: bool = False) -> Tables:
        """Embedding tables; ``train`` turns on noise and dropout (rng ``"noise"``)."""
        raise NotImplementedError

    def user_tower(self, rows: jax.Array) -> jax.Array:
        """Row-wise map of user embeddings ``[..., dim]``; the identity by default."""
        return rows

    def item_tower(self, rows: jax.Array) -> jax.Array:
        """Row-wise map of item embeddings ``[..., dim]``; the identity by default."""
        return rows

    @property
    def scores_pairs(self) -> bool:
        """Whether `pair_scores` scores; else inner products or cosines of rows do."""
        return type(self).pair_scores is not Backbone.pair_scores

    def pair_scores(self, user_rows: jax.Array, item_rows: jax.Array) -> jax.Array:
        """Scores of (user, item) rows whose leading shapes broadcast, ``[...]``.

        A backbone that overrides this scores every pair by it. By default scores are
        inner products or cosines of what the towers return, and no pair is ever looked
        at one by one.
        """
        raise NotImplementedError

    def auxiliary_loss(
        self,
        tables: Tables,
        users: jax.Array,
        items: jax.Array,
        where: jax.Array | None = None,
    ) -> jax.Array | float:
        """The backbone's own objective on a batch's ids (contrastive terms); 0 here.

        Args:
          tables: what ``tables`` returned in this step.
          users: ``[batch]`` ids.
          items: ``[batch]`` ids of the positives.
          where: ``[batch]``, False for rows that pad the batch.

        Returns:
          A scalar, its weight included.
        """
        del tables, users, items, where
        return 0.0

    def __call__(self, graph: Any = None) -> tuple[jax.Array, jax.Array]:
        """Final embeddings of all users and all items (also what ``init`` runs)."""
        tables = self.tables(graph)
        return self.user_tower(tables.users), self.item_tower(tables.items)
