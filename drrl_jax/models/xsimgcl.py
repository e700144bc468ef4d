"""XSimGCL: LightGCN with noisy layers and a contrastive term across layers."""

from typing import Any

import jax
import jax.numpy as jnp

from drrl_jax._names import check_choice
from drrl_jax.models.base import Tables
from drrl_jax.models.graph import Graph, propagate
from drrl_jax.models.lightgcn import LightGCN, check_graph, mean_of_layers
from drrl_jax.products import product
from drrl_jax.rows import take_rows

_NOISE = {"uniform": jax.random.uniform, "normal": jax.random.normal}


class XSimGCL(LightGCN):
    r"""XSimGCL (Yu et al., TKDE 2023).

    In training every propagated layer is shifted by noise in its own orthant,

    .. math:: e \leftarrow e + \epsilon \cdot \operatorname{sign}(e) \odot
              \frac{\delta}{\lVert \delta \rVert},
              \qquad \delta \sim U(0, 1)^d,

    and the final embeddings are pulled to those of one layer, for the distinct users
    and the distinct positive items of the batch, by InfoNCE. Evaluation has no noise.

    Attributes:
      layers: number of propagations.
      layer0_averaged: whether the embeddings before propagation are part of the mean
        (not so in the paper).
      noise_scale: :math:`\epsilon`.
      noise: distribution of :math:`\delta`: ``uniform``, as in the paper, or
        ``normal``, whose shifts have mean zero: the code behind the tables of SL@K.
      contrast_repeats: contrast every row of the batch, repeated users and items too,
        as that code does, instead of the distinct ones.
      contrast_layer: the layer contrasted with the mean; 0 is the parameter table,
        1 the first propagated layer, as the published code counts (``l*``).
      contrast_weight: weight of the contrastive term.
      contrast_temperature: its temperature.
      init_scale: as in :class:`MF`.
      dropout: as in :class:`MF`.
    """

    layers: int = 3
    layer0_averaged: bool = False
    noise_scale: float = 0.1
    noise: str = "uniform"
    contrast_repeats: bool = False
    contrast_layer: int = 1
    contrast_weight: float = 0.1
    contrast_temperature: float = 0.1

    def tables(self, graph: Graph | None = None, *, train: bool = False) -> Tables:
        """Embeddings; in training noisy, with the contrasted layer in ``views``."""
        check_graph(self, graph)
        assert graph is not None
        if not 0 <= self.contrast_layer <= self.layers:
            raise ValueError(
                f"contrast_layer must be in [0, layers = {self.layers}]; got "
                f"{self.contrast_layer}."
            )
        check_choice("noise", self.noise, _NOISE)
        for name in ("noise_scale", "contrast_weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(
                    f"{name} must be at least 0; got {getattr(self, name)}."
                )
        if not (tau := self.contrast_temperature) > 0:
            raise ValueError(f"contrast_temperature must be greater than 0; got {tau}.")
        layer = self.rows(train=train)
        layers = [layer]
        for _ in range(self.layers):
            users, items = propagate(graph, *layer)
            layer = (self._shift(users, train), self._shift(items, train))
            layers.append(layer)
        views = layers[self.contrast_layer] if train else None
        return Tables(*mean_of_layers(layers, self.layer0_averaged), views)

    def _shift(self, rows: jax.Array, train: bool) -> jax.Array:
        """Rows moved by ``noise_scale`` within their orthant."""
        if not (train and self.noise_scale):
            return rows
        draw = _NOISE[self.noise]
        noise = draw(self.make_rng("noise"), rows.shape, rows.dtype)
        norm = jnp.linalg.norm(noise, axis=-1, keepdims=True)
        return rows + self.noise_scale * jnp.sign(rows) * noise / (norm + 1e-12)

    def auxiliary_loss(
        self,
        tables: Tables,
        users: jax.Array,
        items: jax.Array,
        where: jax.Array | None = None,
    ) -> jax.Array | float:
        """Weighted InfoNCE of the batch's users plus that of its items."""
        if tables.views is None:
            return 0.0
        user_view, item_view = tables.views

        def term(table: jax.Array, view: jax.Array, ids: jax.Array) -> jax.Array:
            use = where
            if not self.contrast_repeats:
                use = first_occurrences(ids, len(table), where)
            return info_nce(
                take_rows(table, ids),
                take_rows(view, ids),
                temperature=self.contrast_temperature,
                where=use,
            )

        return self.contrast_weight * (
            term(tables.users, user_view, users) + term(tables.items, item_view, items)
        )


def first_occurrences(ids: jax.Array, size: int, where: Any = None) -> jax.Array:
    """True at the first place where each id stands: ``unique`` with a static shape.

    Args:
      ids: ``[batch]`` in ``[0, size)``.
      size: number of possible ids.
      where: ``[batch]`` places to look at, or ``None`` for all.

    Returns:
      ``[batch]`` bool.

    Example:
      >>> import jax.numpy as jnp
      >>> first_occurrences(jnp.array([4, 1, 4]), 5).tolist()
      [True, True, False]
    """
    batch = len(ids)
    places = jnp.arange(batch, dtype=jnp.int32)
    seen = places if where is None else jnp.where(where, places, batch)
    first = jnp.full((size,), batch, jnp.int32).at[ids].min(seen)
    return first[ids] == places


def info_nce(
    anchors: jax.Array,
    views: jax.Array,
    *,
    temperature: float,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""InfoNCE with the other rows of the batch as negatives.

    .. math:: -\frac1n \sum_a \log
              \frac{e^{\cos(z_a, v_a)/\tau}}{\sum_b e^{\cos(z_a, v_b)/\tau}}

    Args:
      anchors: ``[rows, dim]``.
      views: ``[rows, dim]``.
      temperature: :math:`\tau`.
      where: ``[rows]``, True for rows to use, as anchor and as negative.

    Returns:
      The mean over the used rows, a scalar; 0 without any.

    Example:
      >>> import jax.numpy as jnp
      >>> z = jnp.eye(2)
      >>> print(f"{info_nce(z, z, temperature=1.0):.4f}")
      0.3133
    """
    # Same rows as torch.nn.functional.normalize, and a finite gradient at zero.
    anchors, views = _unit(anchors), _unit(views)
    logits = product(anchors, views.T) / temperature
    if where is None:
        where = jnp.ones(len(anchors), bool)
    # The diagonal stays, so that unused rows have a finite softmax too.
    eye = jnp.eye(len(anchors), dtype=bool)
    log_total = jax.nn.logsumexp(logits, axis=-1, where=where[None, :] | eye)
    rows = log_total - jnp.diagonal(logits)
    return jnp.sum(jnp.where(where, rows, 0)) / jnp.maximum(where.sum(), 1)


def _unit(rows: jax.Array) -> jax.Array:
    """Rows of unit length; a zero row stays zero."""
    squared = jnp.sum(jnp.square(rows), axis=-1, keepdims=True)
    return rows * jax.lax.rsqrt(jnp.maximum(squared, 1e-24))
