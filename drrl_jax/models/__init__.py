"""Backbones in Flax Linen: embeddings out, nothing else in."""

from drrl_jax.models.base import Backbone, Tables
from drrl_jax.models.mf import MF

MODELS: dict[str, type[Backbone]] = {"mf": MF}

__all__ = ["MF", "MODELS", "Backbone", "Tables"]
