"""Where interactions come from, before cleaning and splitting."""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from drrl_jax.data import readers
from drrl_jax.data.interactions import Interactions
from drrl_jax.data.report import CleaningReport
from drrl_jax.data.synthetic import synthetic

SOURCES = ("synthetic", "files", "tfds")
# What each source takes beyond a path.
OPTIONS = {
    "synthetic": ("num_users", "num_items", "num_interactions", "data_seed"),
    "files": ("format", "ids"),
    "tfds": ("format", "ids", "data_dir", "manual_dir"),
}


@dataclasses.dataclass(frozen=True)
class Raw:
    """What a source gives: parts under dense ids, not yet cleaned or split.

    Attributes:
      name: of the data set.
      num_users: users in the catalogue.
      num_items: items in the catalogue.
      parts: ``{"train": …, "valid": …, "test": …}``, or ``{"all": …}`` where no split
        is given.
      user_ids: original id of each dense id.
      item_ids: original id of each dense id.
      report: what reading left out.
      false_negatives: hidden positives, of synthetic data.
    """

    name: str
    num_users: int
    num_items: int
    parts: dict[str, Interactions]
    user_ids: np.ndarray | None = None
    item_ids: np.ndarray | None = None
    report: CleaningReport = dataclasses.field(default_factory=CleaningReport)
    false_negatives: Interactions | None = None


def read_source(
    source: str, path: str | pathlib.Path | None, options: dict[str, Any]
) -> Raw:
    """Read a source.

    Args:
      source: one of ``SOURCES``.
      path: what the source is to read; ``None`` for ``"synthetic"``.
      options: of this source alone, see ``load``.

    Raises:
      ValueError: for an option that the source does not have, or a path that is missing
        or superfluous.

    Example:
      >>> from drrl_jax.data.sources import read_source
      >>> raw = read_source("synthetic", None, {"num_users": 50, "num_items": 100})
      >>> raw.num_users, sorted(raw.parts)
      (50, ['test', 'train', 'valid'])
    """
    for name in options:
        if name not in OPTIONS[source]:
            raise ValueError(
                f"options of source={source!r} are {', '.join(OPTIONS[source])}; "
                f"got {name!r}."
            )
    if source == "synthetic":
        if path is not None:
            raise ValueError(f"path must be None for source='synthetic'; got {path!r}.")
        arguments = dict(options)
        seed = arguments.pop("data_seed", 0)
        data = synthetic(**arguments, seed=seed)
        return Raw(
            data.name,
            data.num_users,
            data.num_items,
            {"train": data.train, "valid": data.valid, "test": data.test},
            false_negatives=data.false_negatives,
        )
    if path is None:
        example = "movielens/100k" if source == "tfds" else "a file or a folder"
        raise ValueError(
            f"path must be given for source={source!r}, such as {example}; got None."
        )
    if source == "tfds":
        from drrl_jax.data import tfds  # an optional extra

        return from_files(*tfds.read(path, **options))
    return from_files(name_of(path), readers.read(path, **options))


def from_files(name: str, files: readers.Files) -> Raw:
    """Files under a name.

    Example:
      >>> from drrl_jax.data.parsing import parse
      >>> from drrl_jax.data.readers import densify
      >>> from drrl_jax.data.sources import from_files
      >>> from_files("two", densify({"all": parse(b"3 4\\n5 6", "two")})).num_items
      2
    """
    return Raw(
        name,
        len(files.user_ids),
        len(files.item_ids),
        files.parts,
        files.user_ids,
        files.item_ids,
        CleaningReport(notes=(files.found,) if files.found else ()),
    )


def name_of(path: str | pathlib.Path) -> str:
    """A data set's name from its path: the last part, without suffixes.

    Example:
      >>> from drrl_jax.data.sources import name_of
      >>> name_of("data/ml-100k.inter.gz")
      'ml-100k'
    """
    path = pathlib.Path(path).expanduser().absolute()
    return path.name if path.is_dir() else path.name.split(".")[0] or path.name


def keep_rated(raw: Raw, min_rating: float) -> Raw:
    """Leave out interactions rated below ``min_rating``, and ids that go with them.

    Raises:
      ValueError: if a part has no ratings, or nothing is rated so high.

    Example:
      >>> from drrl_jax.data import Interactions
      >>> from drrl_jax.data.sources import Raw, keep_rated
      >>> pairs = Interactions([0, 1], [0, 1], ratings=[2, 4])
      >>> raw = keep_rated(Raw("two", 2, 2, {"all": pairs}), 3)
      >>> raw.num_items, raw.item_ids.tolist(), str(raw.report)
      (1, [1], 'ratings of at least 3: 1 of 2 interactions')
    """
    parts = {}
    for name, part in raw.parts.items():
        if part.ratings is None and len(part):
            raise ValueError(
                f"min_rating={min_rating} needs ratings; {raw.name} ({name}) has none."
            )
        rated = part.ratings
        parts[name] = part if rated is None else part.select(rated >= min_rating)
    before = sum(map(len, raw.parts.values()))
    after = sum(map(len, parts.values()))
    if not after:
        raise ValueError(
            f"min_rating must leave interactions; {min_rating} is above all ratings of "
            f"{raw.name}."
        )
    note = f"ratings of at least {min_rating:g}: {after:,} of {before:,} interactions"
    report = raw.report + CleaningReport(notes=(note,))
    return compact(dataclasses.replace(raw, parts=parts, report=report))


def compact(raw: Raw) -> Raw:
    """Close the gaps that a filter left among the ids.

    Example:
      >>> from drrl_jax.data import Interactions
      >>> from drrl_jax.data.sources import Raw, compact
      >>> raw = compact(Raw("gap", 9, 3, {"all": Interactions([4, 8], [2, 2])}))
      >>> raw.parts["all"].users.tolist(), raw.user_ids.tolist(), raw.item_ids.tolist()
      ([0, 1], [4, 8], [2])
    """
    users = _present([p.users for p in raw.parts.values()], raw.num_users)
    items = _present([p.items for p in raw.parts.values()], raw.num_items)
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
        parts={k: _renumber(part, users, items) for k, part in raw.parts.items()},
        user_ids=user_ids[users],
        item_ids=item_ids[items],
        false_negatives=hidden,
    )


def _present(ids: list[np.ndarray], size: int) -> np.ndarray:
    return np.flatnonzero(np.bincount(np.concatenate(ids), minlength=size))


def _renumber(
    pairs: Interactions, users: np.ndarray, items: np.ndarray
) -> Interactions:
    return dataclasses.replace(
        pairs,
        users=np.searchsorted(users, pairs.users),
        items=np.searchsorted(items, pairs.items),
    )
