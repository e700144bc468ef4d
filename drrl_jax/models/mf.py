"""Matrix factorisation: one embedding row a user, one an item."""

from typing import Any

from flax.linen import initializers

from drrl_jax.models.base import Backbone, Tables


class MF(Backbone):
    """Matrix factorisation (Koren et al., 2009).

    Attributes:
      init_scale: standard deviation of the normal initialisation; ``None`` is Xavier
        uniform over the table, what the field's PyTorch codebases use.

    Example:
      >>> import jax
      >>> from drrl_jax.models import MF
      >>> model = MF(num_users=3, num_items=5, dim=4)
      >>> users, items = model.apply(model.init(jax.random.key(0)))
      >>> users.shape, items.shape
      ((3, 4), (5, 4))
    """

    init_scale: float | None = None

    def setup(self) -> None:
        init = (
            initializers.xavier_uniform()
            if self.init_scale is None
            else initializers.normal(self.init_scale)
        )
        self.user_table = self.param("users", init, (self.num_users, self.dim))
        self.item_table = self.param("items", init, (self.num_items, self.dim))

    def tables(self, graph: Any = None, *, train: bool = False) -> Tables:
        """The two parameter tables themselves."""
        del graph, train
        return Tables(self.user_table, self.item_table)
