"""Matrix factorisation: one embedding row a user, one an item."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax.linen import initializers

from drrl_jax._names import check_choice
from drrl_jax.models.base import Backbone, Tables

# By name: of a scale, or of none.
_SCALED: dict[str, Callable[[float], Any]] = {
    "normal": initializers.normal,
    "uniform": lambda scale: (
        lambda key, shape: jax.random.uniform(key, shape, minval=-scale, maxval=scale)
    ),
}
_UNSCALED: dict[str, Callable[[], Any]] = {
    "xavier": initializers.xavier_uniform,
    "xavier_normal": initializers.xavier_normal,
}
INITIALISERS = ("auto", *_UNSCALED, *_SCALED)


def initialiser_of(name: str, scale: float | None) -> Any:
    """A Flax initialiser of embedding tables.

    Args:
      name: ``xavier`` and ``xavier_normal`` take their spread from the table's shape;
        ``normal`` has the standard deviation ``scale``; ``uniform`` lies within
        ``±scale``; ``auto`` is ``normal`` where a scale is given, else ``xavier``.
      scale: ``None`` is 0.1 where one is needed.

    Raises:
      ValueError: unknown name, a scale that is not taken, or one not above 0.

    Example:
      >>> import jax
      >>> table = initialiser_of("uniform", 0.5)(jax.random.key(0), (1000, 2))
      >>> bool(abs(table).max() < 0.5), bool(table.min() < -0.4 < 0.4 < table.max())
      (True, True)
    """
    check_choice("initialiser", name, INITIALISERS)
    if scale is not None and not scale > 0:
        raise ValueError(f"init_scale must be greater than 0; got {scale!r}.")
    if name == "auto":
        name = "xavier" if scale is None else "normal"
    if name in _UNSCALED:
        if scale is not None:
            raise ValueError(
                f"initialiser {name!r} takes no init_scale; got {scale!r}."
            )
        return _UNSCALED[name]()
    return _SCALED[name](0.1 if scale is None else scale)


class MF(Backbone):
    """Matrix factorisation (Koren et al., 2009); the other backbones build on its rows.

    Attributes:
      initialiser: of the tables, by name (:func:`initialiser_of`). By default Xavier
        uniform over the table, or normal where a scale is given. The scale is a rate:
        cosines turn by a step over a row's length, .1 under Xavier for some thousand
        items, 8 under ``normal`` of scale 1.
      init_scale: standard deviation of the normal initialisation, half the width of
        the uniform one.
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

    initialiser: str = "auto"
    init_scale: float | None = None
    dropout: float = 0.0

    def setup(self) -> None:
        """Declares the two tables."""
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1); got {self.dropout!r}.")
        init = initialiser_of(self.initialiser, self.init_scale)
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
