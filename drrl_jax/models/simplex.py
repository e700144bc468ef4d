"""SimpleX: a user is an embedding mixed with the mean of the items it has had."""

from drrl_jax.models.base import Dense, Tables
from drrl_jax.models.graph import Graph, mean_of_items
from drrl_jax.models.lightgcn import check_graph
from drrl_jax.models.mf import MF


class SimpleX(MF):
    r"""SimpleX's behaviour aggregation (Mao et al., CIKM 2021), by average pooling.

    .. math:: h_u = g\, e_u + (1 - g)\, V \frac{1}{|N(u)|} \sum_{i \in N(u)} e_i

    with :math:`N(u)` all training items of the user and V one matrix for all users.
    The paper's loss is ``ccl`` on cosines; here any loss serves.

    Attributes:
      user_weight: :math:`g \in [0, 1]`; 1 is matrix factorisation.
      init_scale: as in :class:`MF`.
      dropout: as in :class:`MF`, on both tables before the mean.

    Example:
      >>> import jax, numpy as np
      >>> from drrl_jax.models import SimpleX, make_graph
      >>> graph = make_graph(
      ...     np.array([0, 1]), np.array([1, 1]), num_users=2, num_items=3
      ... )
      >>> model = SimpleX(num_users=2, num_items=3, dim=4)
      >>> users, items = model.apply(model.init(jax.random.key(0), graph), graph)
      >>> users.shape, items.shape
      ((2, 4), (3, 4))
    """

    user_weight: float = 0.5

    def setup(self) -> None:
        """Declares the tables and the matrix V."""
        super().setup()
        if not 0 <= self.user_weight <= 1:
            raise ValueError(
                f"user_weight must be in [0, 1]; got {self.user_weight!r}."
            )
        self.projection = Dense(self.dim, use_bias=False)

    def tables(self, graph: Graph | None = None, *, train: bool = False) -> Tables:
        """Mixed users and the item table itself."""
        check_graph(self, graph)
        assert graph is not None
        users, items = self.rows(train=train)
        history = self.projection(mean_of_items(graph, items))
        return Tables(
            self.user_weight * users + (1 - self.user_weight) * history, items
        )
