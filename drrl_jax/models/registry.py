"""The table of backbones and how to make one by name."""

import dataclasses
from typing import Any

from drrl_jax._names import check_choice, nearest
from drrl_jax.models.base import Backbone
from drrl_jax.models.lightgcn import LightGCN
from drrl_jax.models.mf import MF
from drrl_jax.models.ncf import NCF
from drrl_jax.models.simplex import SimpleX
from drrl_jax.models.xsimgcl import XSimGCL

MODELS: dict[str, type[Backbone]] = {
    "mf": MF,
    "ncf": NCF,
    "lightgcn": LightGCN,
    "xsimgcl": XSimGCL,
    "simplex": SimpleX,
}

GRAPH_MODELS = frozenset({"lightgcn", "xsimgcl", "simplex"})
"""Backbones whose ``tables`` need the training graph."""

_NOT_HYPERPARAMETERS = {"num_users", "num_items", "name", "parent"}


def build(
    name: str, num_users: int, num_items: int, **hyperparameters: Any
) -> Backbone:
    """A backbone by name.

    Args:
      name: key of :data:`MODELS`.
      num_users: number of users.
      num_items: number of items.
      **hyperparameters: attributes of the backbone, such as ``dim`` and ``layers``.

    Returns:
      The module.

    Raises:
      ValueError: unknown name or hyperparameter; the nearest valid one is named.

    Example:
      >>> model = build("lightgcn", 10, 20, dim=8, layers=3)
      >>> type(model).__name__, model.layers
      ('LightGCN', 3)
    """
    check_choice("model", name, MODELS)
    fields = {f.name for f in dataclasses.fields(MODELS[name])} - _NOT_HYPERPARAMETERS
    for key in hyperparameters:
        if key not in fields:
            raise ValueError(
                f"{name} takes {', '.join(sorted(fields))}; got {key!r}."
                f"{nearest(key, fields)}"
            )
    return MODELS[name](num_users, num_items, **hyperparameters)
