"""One function from a source to a clean, split data set."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from drrl_jax.data import cleaning as cleaning_lib
from drrl_jax.data import readers
from drrl_jax.data.interactions import Dataset, Interactions, concatenate, empty
from drrl_jax.data.report import CleaningReport
from drrl_jax.data.splits import SPLITS, hold_out_validation
from drrl_jax.data.synthetic import synthetic

SOURCES = ("synthetic", "files", "tfds")
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
    format: str = "auto",
    ids: str = "auto",
    **options: Any,
) -> Dataset:
    """Load, clean and split a data set.

    Steps, in this order: read; keep ratings of at least ``min_rating``; where a
    split is to be made: join the parts, clean duplicates, take the k-core, split;
    clean (see ``clean``); where there is no validation part yet, hold one out of train.
    The report has a line for each step that changed anything. Validation comes last, so
    the test set does not depend on it; an item whose only training interaction is held
    out stays in the test set.

    Args:
      source: ``"synthetic"`` (made on the spot), ``"files"`` or ``"tfds"``.
      path: for files, a file or directory (see ``read``); for tfds, the name of a
        data set (see ``drrl_jax.data.tfds``).
      split: ``"given"`` keeps the source's; or ``"random"`` (80/20 a user),
        ``"leave_one_out"``, ``"temporal"`` (60/20/20), ``"popularity"``.
      seed: of splits and hold-outs (the synthetic set has ``data_seed``).
      validation: the rule of ``hold_out_validation`` where the split has no validation
        part: ``"benchmark"`` or ``"drrl"``; ``"none"`` leaves it empty.
      cleaning: ``"clean"``, ``"keep"``, ``"error"``, or a mapping (see ``clean``).
      min_rating: ratings below count as no interaction.
      core: least number of interactions of each user and item, before a split is made.
      format: of files, normally detected.
      ids: of files, ``"auto"``, ``"integer"`` or ``"string"``.
      **options: for the source: ``num_users``, ``data_seed`` … of ``synthetic``;
        ``data_dir`` … of tfds.

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
    _check("source", source, SOURCES)
    _check("split", split, ("given", *SPLITS))
    _check("validation", validation, VALIDATIONS)
    cleaning_lib.resolve_actions(cleaning)
    if core and split == "given":
        raise ValueError(
            f"core must be 0 with split='given', which stays as it is; got {core}."
        )
    raw = _read(source, path, format, ids, min_rating, options)
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
        report = report + found + filtered
        raw = _compact(dataclasses.replace(raw, parts={"all": everything}))
        train, valid, test = SPLITS[split](raw.parts["all"], seed=seed)
        raw = dataclasses.replace(
            raw, parts={"train": train, "valid": valid, "test": test}
        )
    parts, found = cleaning_lib.clean(
        {name: raw.parts.get(name, empty()) for name in readers.PARTS}, cleaning
    )
    report = report + found
    train, valid, test = (parts[name] for name in readers.PARTS)
    if not len(train):
        raise ValueError(f"train must have interactions; {raw.name} has none.")
    if not len(valid) and validation != "none":
        train, valid = hold_out_validation(train, rule=validation, seed=seed)
        note = f"validation: {len(valid):,} interactions of train ({validation} rule)"
        report = report + CleaningReport(notes=(note,))
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


@dataclasses.dataclass(frozen=True)
class Raw:
    """What a source gives: parts under dense ids, not yet cleaned or split."""

    name: str
    num_users: int
    num_items: int
    parts: dict[str, Interactions]
    user_ids: np.ndarray | None = None
    item_ids: np.ndarray | None = None
    report: CleaningReport = dataclasses.field(default_factory=CleaningReport)
    false_negatives: Interactions | None = None


def _read(
    source: str,
    path: str | pathlib.Path | None,
    format: str,
    ids: str,
    min_rating: float | None,
    options: dict[str, Any],
) -> Raw:
    if source == "synthetic":
        if path is not None:
            raise ValueError(f"path must be None for source='synthetic'; got {path!r}.")
        if min_rating is not None:
            raise ValueError(
                f"min_rating must be None for source='synthetic'; got {min_rating}."
            )
        data = synthetic(**_known(options, _SYNTHETIC_OPTIONS, source))
        return Raw(
            data.name,
            data.num_users,
            data.num_items,
            {"train": data.train, "valid": data.valid, "test": data.test},
            false_negatives=data.false_negatives,
        )
    if path is None:
        raise ValueError(f"path must be given for source={source!r}; got None.")
    _known(options, (), source)
    files = readers.read(path, format=format, ids=ids, min_rating=min_rating)
    name = pathlib.Path(path).expanduser().absolute().name
    return Raw(
        name.removesuffix(".gz").split(".")[0] or name,
        len(files.user_ids),
        len(files.item_ids),
        files.parts,
        files.user_ids,
        files.item_ids,
        CleaningReport(notes=files.notes),
    )


_SYNTHETIC_OPTIONS = ("num_users", "num_items", "num_interactions", "data_seed")


def _known(
    options: dict[str, Any], names: tuple[str, ...], source: str
) -> dict[str, Any]:
    for name in options:
        if name not in names:
            allowed = ", ".join(names) or "none"
            raise ValueError(
                f"options of source={source!r} are {allowed}; got {name!r}."
            )
    return {("seed" if k == "data_seed" else k): v for k, v in options.items()}


def _compact(raw: Raw) -> Raw:
    """Close the gaps that a filter left among the ids."""
    pairs = raw.parts["all"]
    users = np.flatnonzero(np.bincount(pairs.users))
    items = np.flatnonzero(np.bincount(pairs.items))
    if len(users) == raw.num_users and len(items) == raw.num_items:
        return raw
    user_ids = np.arange(raw.num_users) if raw.user_ids is None else raw.user_ids
    item_ids = np.arange(raw.num_items) if raw.item_ids is None else raw.item_ids
    hidden = raw.false_negatives
    if hidden is not None:
        kept = np.isin(hidden.users, users) & np.isin(hidden.items, items)
        hidden = _renumber(hidden.select(kept), users, items)
    return dataclasses.replace(
        raw,
        num_users=len(users),
        num_items=len(items),
        parts={"all": _renumber(pairs, users, items)},
        user_ids=user_ids[users],
        item_ids=item_ids[items],
        false_negatives=hidden,
    )


def _renumber(
    pairs: Interactions, users: np.ndarray, items: np.ndarray
) -> Interactions:
    return dataclasses.replace(
        pairs,
        users=np.searchsorted(users, pairs.users),
        items=np.searchsorted(items, pairs.items),
    )


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}.")
