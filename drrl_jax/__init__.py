"""Distributionally robust recommender losses in JAX."""

__version__ = "0.1.0"
