"""One function from a source to a clean, split data set."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from drrl_jax._names import check_choice
from drrl_jax.data import cleaning as cleaning_lib
from drrl_jax.data.interactions import (
    Dataset,
    Interactions,
    concatenate,
    empty,
    to_csr,
)
from drrl_jax.data.readers import PARTS
from drrl_jax.data.report import CleaningReport
from drrl_jax.data.sources import SOURCES, compact, keep_rated, read_source
from drrl_jax.data.splits import SPLITS, hold_out_validation

VALIDATIONS = ("benchmark", "drrl", "none")


def load(
    source: str = "synthetic",
    path: str | pathlib.Path | None = None,
    *,
    split: str = "given",
    seed: int = 0,
    validation: str = "benchmark",
    cleaning: str | Mapping[str, str] = "clean",
    min_rating: float | None = None,
    core: int = 0,
    **options: Any,
) -> Dataset:
    """Load, clean and split a data set.

    Steps, in this order: read; keep ratings of at least ``min_rating``; where a
    split is to be made: join the parts, clean duplicates, take the k-core, split;
    clean (see ``clean``); where there is no validation part yet, hold one out of train.
    The report has a line for each step that changed anything, and one for users whose
    training items are the whole catalogue, who have no negatives. Validation comes last, so
    the test set does not depend on it; an item whose only training interaction is held
    out stays in the test set.

    Args:
      source: ``"synthetic"`` (made on the spot), ``"files"`` or ``"tfds"``.
      path: for files, a file or directory (see ``read``); for tfds, that or
        ``"movielens/1m"`` and the like (see ``drrl_jax.data.tfds``).
      split: ``"given"`` keeps the source's; or ``"random"`` (80/20 a user),
        ``"leave_one_out"``, ``"temporal"`` (60/20/20), ``"popularity"``.
      seed: of splits and hold-outs (the synthetic set has ``data_seed``).
      validation: the rule of ``hold_out_validation`` where the split has no validation
        part: ``"benchmark"`` or ``"drrl"``; ``"none"`` leaves it empty.
      cleaning: ``"clean"``, ``"keep"``, ``"error"``, or a mapping (see ``clean``).
      min_rating: ratings below count as no interaction.
      core: least number of interactions of each user and item, before a split is made.
      **options: of the source. Synthetic: ``num_users``, ``num_items``,
        ``num_interactions``, ``data_seed``. Files: ``format`` and ``ids`` (see
        ``read``). TFDS: these, ``data_dir`` and ``manual_dir``.

    Returns:
      A ``Dataset``.

    Raises:
      FileNotFoundError: if there is nothing at ``path``.
      ValueError: for unknown names, malformed files, or options that do not fit.

    Example:
      >>> from drrl_jax.data import load
      >>> print(load(num_users=200, num_items=100, num_interactions=4000))
      synthetic: 200 users, 100 items, ...
    """
    check_choice("source", source, SOURCES)
    check_choice("split", split, ("given", *SPLITS))
    check_choice("validation", validation, VALIDATIONS)
    cleaning_lib.resolve_actions(cleaning)
    if core and split == "given":
        raise ValueError(
            f"core must be 0 with split='given', which stays as it is; got {core}."
        )
    raw = read_source(source, path, options)
    if min_rating is not None:
        raw = keep_rated(raw, min_rating)
    report = raw.report
    if split == "given":
        if "train" not in raw.parts:
            raise ValueError(
                f"split='given' needs train and test files; {path} is one unsplit set "
                f"(choose split from {', '.join(SPLITS)})."
            )
    else:
        joint, found = cleaning_lib.clean(
            {"all": concatenate(*raw.parts.values())}, cleaning, kinds=("duplicates",)
        )
        everything, filtered = cleaning_lib.core(joint["all"], core)
        report = report + found + filtered + _lost_times(raw.parts, split)
        raw = compact(dataclasses.replace(raw, parts={"all": everything}))
        train, valid, test = SPLITS[split](raw.parts["all"], seed=seed)
        raw = dataclasses.replace(
            raw, parts={"train": train, "valid": valid, "test": test}
        )
    parts, found = cleaning_lib.clean(
        {name: raw.parts.get(name, empty()) for name in PARTS}, cleaning
    )
    report = report + found
    train, valid, test = (parts[name] for name in PARTS)
    if not len(train):
        raise ValueError(f"train must have interactions; {raw.name} has none.")
    if not len(valid) and validation != "none":
        train, valid = hold_out_validation(train, rule=validation, seed=seed)
        note = f"validation: {len(valid):,} interactions of train ({validation} rule)"
        report = report + CleaningReport(notes=(note,))
    report = report + _without_negatives(train, raw.num_items)
    return Dataset(
        name=raw.name,
        num_users=raw.num_users,
        num_items=raw.num_items,
        train=train,
        valid=valid,
        test=test,
        user_ids=raw.user_ids,
        item_ids=raw.item_ids,
        report=report,
        false_negatives=raw.false_negatives,
    )


def _lost_times(parts: Mapping[str, Interactions], split: str) -> CleaningReport:
    """What a split by time would want and does not get (``temporal`` refuses that)."""
    timed = [name for name, part in parts.items() if part.timestamps is not None]
    if len(timed) == len(parts):
        return CleaningReport()
    notes = []
    if timed:
        notes.append(f"timestamps left out: only {' and '.join(timed)} has any")
    if split == "leave_one_out":
        notes.append("leave_one_out: no timestamps, so a user's order is random")
    return CleaningReport(notes=tuple(notes))


def _without_negatives(train: Interactions, num_items: int) -> CleaningReport:
    counts = np.bincount(train.users)
    if np.max(counts, initial=0) < num_items:
        return CleaningReport()
    distinct = np.diff(to_csr(train, len(counts)).indptr)  # duplicates may be kept
    full = int((distinct == num_items).sum())
    if not full:
        return CleaningReport()
    who = f"{full:,} user{'' if full == 1 else 's'} with every item in train"
    note = f"no negatives: {who}; such rows of a batch count nothing in a loss"
    return CleaningReport(notes=(note,))
