"""Interactions: sources, cleaning, splits, negative sampling."""

from drrl_jax.data.cleaning import clean, core
from drrl_jax.data.interactions import Csr, Dataset, Interactions, concatenate, to_csr
from drrl_jax.data.loading import load
from drrl_jax.data.negatives import (
    NegativeTable,
    has_negatives,
    negative_table,
    sample_negatives,
    sample_with_false_negatives,
)
from drrl_jax.data.noise import (
    add_false_positives,
    mark_positives,
    replace_with_marked,
)
from drrl_jax.data.popularity import (
    PopularityTable,
    popularity_table,
    sample_by_popularity,
)
from drrl_jax.data.readers import Files, read
from drrl_jax.data.report import CleaningReport, Finding
from drrl_jax.data.splits import SPLITS, hold_out_validation
from drrl_jax.data.synthetic import synthetic
from drrl_jax.data.windows import prequential_windows

__all__ = [
    "SPLITS",
    "CleaningReport",
    "Csr",
    "Dataset",
    "Files",
    "Finding",
    "Interactions",
    "NegativeTable",
    "PopularityTable",
    "add_false_positives",
    "clean",
    "concatenate",
    "core",
    "has_negatives",
    "hold_out_validation",
    "load",
    "mark_positives",
    "negative_table",
    "popularity_table",
    "prequential_windows",
    "read",
    "replace_with_marked",
    "sample_by_popularity",
    "sample_negatives",
    "sample_with_false_negatives",
    "synthetic",
    "to_csr",
]
