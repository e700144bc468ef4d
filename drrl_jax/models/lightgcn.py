"""LightGCN: embeddings averaged over the layers of a linear propagation."""

import jax

from drrl_jax.models.base import Tables
from drrl_jax.models.graph import Graph, propagate
from drrl_jax.models.mf import MF


class LightGCN(MF):
    r"""LightGCN (He et al., SIGIR 2020).

    .. math:: E = \frac{1}{K + 1} \sum_{k=0}^{K} \hat A^k E^{(0)}

    Attributes:
      layers: :math:`K`, the number of propagations.
      layer0_averaged: whether :math:`E^{(0)}` is part of the mean.
      init_scale: as in :class:`MF`; the authors use 0.1.
      dropout: as in :class:`MF`, on :math:`E^{(0)}`.

    Example:
      >>> import jax, numpy as np
      >>> from drrl_jax.models import LightGCN, make_graph
      >>> graph = make_graph(
      ...     np.array([0, 1]), np.array([1, 1]), num_users=2, num_items=3
      ... )
      >>> model = LightGCN(num_users=2, num_items=3, dim=4, layers=2)
      >>> users, items = model.apply(model.init(jax.random.key(0), graph), graph)
      >>> users.shape, items.shape
      ((2, 4), (3, 4))
    """

    layers: int = 2
    layer0_averaged: bool = True

    def tables(self, graph: Graph | None = None, *, train: bool = False) -> Tables:
        """Averaged embeddings of all users and items."""
        check_graph(self, graph)
        assert graph is not None
        layer = self.rows(train=train)
        layers = [layer]
        for _ in range(self.layers):
            layer = propagate(graph, *layer)
            layers.append(layer)
        return Tables(*mean_of_layers(layers, self.layer0_averaged))


def check_graph(model: MF, graph: Graph | None) -> None:
    """Raises ``ValueError`` where graph and model do not fit."""
    name = type(model).__name__
    if graph is None:
        raise ValueError(f"{name} needs the training graph; got None (see make_graph).")
    expected = (model.num_users, model.num_items)
    if (graph.num_users, graph.num_items) != expected:
        raise ValueError(
            f"{name} needs a graph of {expected} users and items; got "
            f"({graph.num_users}, {graph.num_items})."
        )
    if getattr(model, "layers", 1) < 1:
        raise ValueError(f"layers must be 1 or more; got {model.layers}.")


def mean_of_layers(
    layers: list[tuple[jax.Array, jax.Array]], layer0_averaged: bool
) -> tuple[jax.Array, jax.Array]:
    """Mean of users and of items over the layers, the first one left out if asked."""
    used = layers if layer0_averaged else layers[1:]
    users, items = (sum(side[1:], start=side[0]) for side in zip(*used))
    return users / len(used), items / len(used)
