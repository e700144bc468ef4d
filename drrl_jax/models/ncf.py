"""Neural collaborative filtering: MLP towers, or NeuMF's scoring of pairs."""

from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from flax import linen as nn

from drrl_jax._names import check_choice
from drrl_jax.models.base import Dense
from drrl_jax.models.mf import MF

Scoring = Literal["towers", "neumf"]


class NCF(MF):
    r"""Neural collaborative filtering (He et al., WWW 2017), in two forms.

    ``"towers"``: a multi-layer perceptron a side with a residual to the embedding,
    :math:`e + \mathrm{MLP}(e)`, scored by cosine or inner product like every other
    backbone, so that catalogue-wide losses and rankings stay one matrix product.

    ``"neumf"``: NeuMF's scoring of (user, item) pairs by :meth:`pair_scores`. A row
    holds two embeddings of ``dim / 2``: one for the generalised matrix factorisation,
    one for the MLP,

    .. math:: s = w^\top [\, g_u \odot g_i \,;\, \mathrm{MLP}([m_u; m_i]) \,].

    Attributes:
      hidden: widths between the embedding and the output of the MLP.
      scoring: ``"towers"`` or ``"neumf"``.
      init_scale: of the embeddings, as in :class:`MF`.
      dropout: of the embeddings, as in :class:`MF`.

    Example:
      >>> import jax
      >>> from drrl_jax.models import NCF
      >>> model = NCF(num_users=3, num_items=5, dim=4)
      >>> users, items = model.apply(model.init(jax.random.key(0)))
      >>> users.shape, items.shape
      ((3, 4), (5, 4))
    """

    hidden: tuple[int, ...] = (32, 16, 8)
    scoring: Scoring = "towers"

    def setup(self) -> None:
        """Declares the tables and the layers."""
        super().setup()
        if self.scoring == "towers":
            widths = (*self.hidden, self.dim)
            self.user_layers = [Dense(width) for width in widths]
            self.item_layers = [Dense(width) for width in widths]
        elif self.scoring == "neumf":
            if self.dim % 2 or not self.hidden:
                raise ValueError(
                    "scoring='neumf' needs an even dim and a hidden layer; got dim "
                    f"{self.dim}, hidden {self.hidden}."
                )
            # [m_u; m_i] W = m_u W_u + m_i W_i: the first layer costs a row, not a pair.
            self.first_user = Dense(self.hidden[0])
            self.first_item = Dense(self.hidden[0], use_bias=False)
            self.pair_layers = [Dense(width) for width in self.hidden[1:]]
            self.output = Dense(1, use_bias=False)
        else:
            check_choice("scoring", self.scoring, get_args(Scoring))

    def user_tower(self, rows: jax.Array) -> jax.Array:
        """Residual MLP of user rows (identity under ``"neumf"``)."""
        return rows if self.scores_pairs else _residual(self.user_layers, rows)

    def item_tower(self, rows: jax.Array) -> jax.Array:
        """Residual MLP of item rows (identity under ``"neumf"``)."""
        return rows if self.scores_pairs else _residual(self.item_layers, rows)

    @property
    def scores_pairs(self) -> bool:
        """Whether pairs are scored, as NeuMF does."""
        return self.scoring == "neumf"

    def pair_scores(self, user_rows: jax.Array, item_rows: jax.Array) -> jax.Array:
        """NeuMF's scores of broadcasting rows, ``[...]``; towers have none."""
        if not self.scores_pairs:
            return super().pair_scores(user_rows, item_rows)
        user_gmf, user_mlp = jnp.split(user_rows, 2, axis=-1)
        item_gmf, item_mlp = jnp.split(item_rows, 2, axis=-1)
        hidden = nn.relu(self.first_user(user_mlp) + self.first_item(item_mlp))
        for layer in self.pair_layers:
            hidden = nn.relu(layer(hidden))
        return self.output(jnp.concatenate([user_gmf * item_gmf, hidden], -1))[..., 0]

    def __call__(self, graph: Any = None) -> tuple[jax.Array, jax.Array]:
        """Final embeddings of all users and all items (also what ``init`` runs)."""
        users, items = super().__call__(graph)
        if self.is_initializing() and self.scores_pairs:
            self.pair_scores(users[:1], items[:1])
        return users, items


def _residual(layers: list[nn.Dense], rows: jax.Array) -> jax.Array:
    """``rows`` plus an MLP of them, ReLU between layers."""
    hidden = rows
    for number, layer in enumerate(layers):
        hidden = layer(hidden if number == 0 else nn.relu(hidden))
    return rows + hidden
