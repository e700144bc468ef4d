"""What the library calls data: arrays of (user, item) pairs, and how they came here."""

import dataclasses
import functools
import zlib
from typing import Any, NamedTuple

import numpy as np

from drrl_jax._numbers import check_ids, check_whole
from drrl_jax.data.report import CleaningReport


@dataclasses.dataclass(frozen=True)
class Interactions:
    """Observed (user, item) pairs in coordinate form; row order carries no meaning.

    Attributes:
      users: dense user ids, ``int32[n]``.
      items: dense item ids, ``int32[n]``.
      timestamps: seconds since the epoch (whatever the file counts), ``int64[n]``.
      ratings: explicit ratings, ``float32[n]``.

    Raises:
      ValueError: if the arrays are not one-dimensional and of one length, or ids or
        timestamps are no whole numbers of their types.

    Example:
      >>> from drrl_jax.data import Interactions
      >>> pairs = Interactions([0, 0, 1], [2, 1, 2])
      >>> len(pairs), pairs.users.dtype.name, pairs.select([0, 2]).items.tolist()
      (3, 'int32', [2, 2])
    """

    users: np.ndarray
    items: np.ndarray
    timestamps: np.ndarray | None = None
    ratings: np.ndarray | None = None

    def __post_init__(self) -> None:
        kinds = {
            "users": np.int32,
            "items": np.int32,
            "timestamps": np.int64,
            "ratings": np.float32,
        }
        for name, dtype in kinds.items():
            value = getattr(self, name)
            if value is None and name in ("timestamps", "ratings"):
                continue
            array = np.asarray(value)
            if dtype == np.int32:
                check_whole(name, array, 0, 2**31)
            elif dtype == np.int64:
                check_whole(name, array, -(2**63), 2**63)
            array = array.astype(dtype, copy=False)
            if array.ndim != 1 or array.shape != np.shape(self.users):
                raise ValueError(
                    f"{name} must be one-dimensional and as long as users; "
                    f"got {array.shape}, users {np.shape(self.users)}."
                )
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.users)

    def select(self, rows: Any) -> "Interactions":
        """The rows of an index array or a Boolean mask, in that order."""
        rows = np.asarray(rows)
        if rows.dtype != bool:
            check_whole("rows", rows, -len(self), max(len(self), 1))
            rows = rows.astype(np.int64)  # an empty list arrives as floats
        return Interactions(
            self.users[rows],
            self.items[rows],
            None if self.timestamps is None else self.timestamps[rows],
            None if self.ratings is None else self.ratings[rows],
        )


def concatenate(*parts: Interactions) -> Interactions:
    """Rows of all parts; a column that one non-empty part lacks is left out.

    Example:
      >>> from drrl_jax.data import Interactions, concatenate
      >>> concatenate(Interactions([0], [1]), Interactions([2], [3])).users.tolist()
      [0, 2]
    """
    filled = [p for p in parts if len(p)] or list(parts[:1])

    def column(name: str) -> np.ndarray | None:
        values = [getattr(part, name) for part in filled]
        return None if any(v is None for v in values) else np.concatenate(values)

    if not filled:
        return empty()
    return Interactions(*(column(f.name) for f in dataclasses.fields(Interactions)))  # type: ignore[arg-type]


def empty() -> Interactions:
    """No interactions.

    Example:
      >>> from drrl_jax.data.interactions import empty
      >>> len(empty())
      0
    """
    return Interactions(np.zeros(0, np.int32), np.zeros(0, np.int32))


class Csr(NamedTuple):
    """Interactions grouped by user (compressed sparse rows), for NumPy or JAX.

    Attributes:
      indptr: ``int32[rows + 1]``; row ``u`` is ``indices[indptr[u]:indptr[u + 1]]``.
      indices: ``int32[nnz]``, ascending and distinct within each row.
    """

    indptr: Any
    indices: Any


def to_csr(interactions: Interactions, num_rows: int) -> Csr:
    """Group interactions by user; a pair that occurs twice is kept once.

    Args:
      interactions: ``n`` pairs.
      num_rows: number of users, at least ``max(users) + 1``.

    Returns:
      A ``Csr`` of NumPy arrays with ``num_rows`` rows.

    Raises:
      ValueError: if a user id is outside ``[0, num_rows)``.

    Example:
      >>> from drrl_jax.data import Interactions, to_csr
      >>> csr = to_csr(Interactions([2, 0, 0, 0], [1, 5, 3, 5]), num_rows=3)
      >>> csr.indptr.tolist(), csr.indices.tolist()
      ([0, 2, 2, 3], [3, 5, 1])
    """
    users = interactions.users
    check_ids("user ids", users, num_rows)
    # Not np.unique: from NumPy 2.3 it hashes, and these keys are its worst case.
    keys = np.sort(pair_keys(interactions))
    keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)]]
    counts = np.bincount(keys >> 32, minlength=num_rows)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return Csr(indptr, (keys & 0xFFFFFFFF).astype(np.int32))


def pair_keys(interactions: Interactions) -> np.ndarray:
    """One ``int64`` a pair, ordered by user, then item: ``user · 2³² + item``.

    Example:
      >>> from drrl_jax.data import Interactions
      >>> from drrl_jax.data.interactions import pair_keys
      >>> (pair_keys(Interactions([0, 1], [7, 0])) == [7, 2**32]).all()
      np.True_
    """
    return (interactions.users.astype(np.int64) << 32) | interactions.items


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set ready for training: dense ids, three disjoint parts, a report.

    Attributes:
      name: what results are filed under.
      num_users: users in the catalogue, whether or not they have interactions.
      num_items: items in the catalogue; every one is a candidate for ranking.
      train: training positives.
      valid: validation positives (possibly none).
      test: test positives (possibly none).
      user_ids: ``[num_users]`` original id of each dense id; ``None`` if the same.
      item_ids: ``[num_items]`` original id of each dense id; ``None`` if the same.
      report: what was found and done on the way here.
      false_negatives: true positives hidden from every part (synthetic data only).
      history: positives from before the training part, disjoint from all parts
        (streams): not trained on, yet neither negatives nor candidates.

    Example:
      >>> from drrl_jax.data import Dataset, Interactions
      >>> pairs = Interactions([0, 1], [1, 0])
      >>> print(Dataset("tiny", 2, 2, pairs, pairs.select([]), pairs.select([])))
      tiny: 2 users, 2 items, 2 train, 0 valid, 0 test interactions
    """

    name: str
    num_users: int
    num_items: int
    train: Interactions
    valid: Interactions
    test: Interactions
    user_ids: np.ndarray | None = None
    item_ids: np.ndarray | None = None
    report: CleaningReport = dataclasses.field(default_factory=CleaningReport)
    false_negatives: Interactions | None = None
    history: Interactions | None = None

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.num_users:,} users, {self.num_items:,} items, "
            f"{len(self.train):,} train, {len(self.valid):,} valid, "
            f"{len(self.test):,} test interactions"
        )

    @property
    def known(self) -> Interactions:
        """The training positives and the history, never negatives nor candidates."""
        if self.history is None:
            return self.train
        return concatenate(self.train, self.history)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that change with the sizes, the pairs or the split.

        Example:
          >>> from drrl_jax.data import Dataset, Interactions
          >>> pairs, none = Interactions([0, 1], [1, 0]), Interactions([], [])
          >>> Dataset("a", 2, 2, pairs, none, none).fingerprint
          'b9a3b3b6'
        """
        checksum = zlib.crc32(f"{self.num_users} {self.num_items}".encode())
        parts = (self.train, self.valid, self.test, self.history or empty())
        for part in parts:
            checksum = zlib.crc32(f"{len(part)}".encode(), checksum)
            for column in (part.users, part.items):
                checksum = zlib.crc32(column.tobytes(), checksum)
        return f"{checksum:08x}"

    @property
    def popularity(self) -> np.ndarray:
        """Training interactions of each item, ``int32[num_items]``."""
        return np.bincount(self.train.items, minlength=self.num_items).astype(np.int32)
