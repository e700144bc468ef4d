"""Matrix factorisation: one embedding row a user, one an item."""

from typing import Any

import jax
import jax.numpy as jnp
from flax.linen import initializers

from drrl_jax.models.base import Backbone, Tables


class MF(Backbone):
    """Matrix factorisation (Koren et al., 2009); the other backbones build on its rows.

    Attributes:
      init_scale: standard deviation of the normal initialisation; ``None`` is Xavier
        uniform over the table, what the field's PyTorch codebases use.
      dropout: share of embedding entries set to zero in a training step (the others
        grow by ``1 / (1 - dropout)``); 0 is off.

    Example:
      >>> import jax
      >>> from drrl_jax.models import MF
      >>> model = MF(num_users=3, num_items=5, dim=4)
      >>> users, items = model.apply(model.init(jax.random.key(0)))
      >>> users.shape, items.shape
      ((3, 4), (5, 4))
    """

    init_scale: float | None = None
    dropout: float = 0.0

    def setup(self) -> None:
        """Declares the two tables."""
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1); got {self.dropout!r}.")
        init = (
            initializers.xavier_uniform()
            if self.init_scale is None
            else initializers.normal(self.init_scale)
        )
        self.user_table = self.param("users", init, (self.num_users, self.dim))
        self.item_table = self.param("items", init, (self.num_items, self.dim))

    def rows(self, *, train: bool = False) -> tuple[jax.Array, jax.Array]:
        """The parameter tables, with dropout in training."""
        if not (train and self.dropout):
            return self.user_table, self.item_table
        keep = 1 - self.dropout

        def drop(table: jax.Array) -> jax.Array:
            kept = jax.random.bernoulli(self.make_rng("noise"), keep, table.shape)
            return jnp.where(kept, table / keep, 0)

        return drop(self.user_table), drop(self.item_table)

    def tables(self, graph: Any = None, *, train: bool = False) -> Tables:
        """The two parameter tables themselves."""
        del graph
        return Tables(*self.rows(train=train))
