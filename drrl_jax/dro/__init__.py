"""The worst case of a mean over a Renyi ball, its dual, and its gradients."""

from drrl_jax.dro.divergences import renyi_divergence
from drrl_jax.dro.dual import dual
from drrl_jax.dro.matched import MatchedCase, worst_case_at_temperature
from drrl_jax.dro.order import radius_from_weight, weight_from_radius
from drrl_jax.dro.temperature import value_at_temperature
from drrl_jax.dro.worst_case import WorstCase, worst_case, worst_case_mean

__all__ = [
    "MatchedCase",
    "WorstCase",
    "dual",
    "radius_from_weight",
    "renyi_divergence",
    "value_at_temperature",
    "weight_from_radius",
    "worst_case",
    "worst_case_at_temperature",
    "worst_case_mean",
]
