"""Backbones in Flax Linen: embeddings out, nothing else in."""

from drrl_jax.models.base import Backbone, Tables
from drrl_jax.models.graph import Graph, make_graph, mean_of_items, propagate
from drrl_jax.models.lightgcn import LightGCN
from drrl_jax.models.mf import MF, initialiser_of
from drrl_jax.models.ncf import NCF
from drrl_jax.models.registry import GRAPH_MODELS, MODELS, build
from drrl_jax.models.simplex import SimpleX
from drrl_jax.models.xsimgcl import XSimGCL, info_nce

__all__ = [
    "GRAPH_MODELS",
    "MF",
    "MODELS",
    "NCF",
    "Backbone",
    "Graph",
    "LightGCN",
    "SimpleX",
    "Tables",
    "XSimGCL",
    "build",
    "info_nce",
    "initialiser_of",
    "make_graph",
    "mean_of_items",
    "propagate",
]
