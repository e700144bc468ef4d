"""Distributionally robust recommender losses in JAX.

The layers, lowest first: ``dro`` (worst cases over Rényi balls), ``rows`` (a table's rows
by id), ``scores`` (embeddings to scores), ``losses`` (scores to numbers), ``data``,
``models`` (ids to embeddings), ``evaluation``, and ``training`` on top. Imports run one
way.
"""

from drrl_jax import data, dro, evaluation, losses, models, scores, training

__version__ = "0.1.0"

__all__ = ["data", "dro", "evaluation", "losses", "models", "scores", "training"]
