"""Files and directories of interactions: found, read, given dense ids."""

import dataclasses
import gzip
import pathlib
import re
import zlib
from collections.abc import Mapping

import numpy as np

from drrl_jax.data.interactions import Interactions
from drrl_jax.data.parsing import Columns, layout_of, parse

PARTS = ("train", "valid", "test")
_SUFFIXES = (".txt", ".tsv", ".csv", ".inter", ".dat", ".data")
_NAMES = {
    "train": r"train|training",
    "valid": r"valid|val|validate|validation|dev",
    "test": r"test|testing",
}
_UNSPLIT = r".*\.inter|ratings\.(dat|csv)|u\.data|interactions\..*"


@dataclasses.dataclass(frozen=True)
class Files:
    """Interactions read from files, under dense ids.

    Attributes:
      parts: ``{"train": …, "valid": …, "test": …}`` as given, or ``{"all": …}``.
      user_ids: original id of each dense user id, ascending.
      item_ids: original id of each dense item id, ascending.
      found: how the files were read and what was left out, in words.
    """

    parts: dict[str, Interactions]
    user_ids: np.ndarray
    item_ids: np.ndarray
    found: str = ""


def read(
    path: str | pathlib.Path,
    *,
    format: str = "auto",
    ids: str = "auto",
) -> Files:
    """Read a file, or a directory with ``train``/``valid``/``test`` files or one file.

    Original ids are mapped to dense ids in ascending order over all parts, so files
    whose ids are dense already keep them. Who has no interaction in any part has no id:
    the line of a user without items, in an adjacency file, is read as nothing.

    Args:
      path: a file of any format of ``drrl_jax.data.formats``, maybe ``.gz``, or a
        directory of such files.
      format: the format of every file, or ``"auto"``.
      ids: ``"integer"``, ``"string"`` or ``"auto"``, see ``parse``.

    Returns:
      ``Files``.

    Raises:
      FileNotFoundError: if there is nothing at ``path``.
      ValueError: if no or too many files fit, or a file is malformed.

    Example:
      >>> import pathlib, tempfile
      >>> from drrl_jax.data import read
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = pathlib.Path(folder) / "ratings.dat"
      ...     _ = path.write_text("7::30::5::978300760\\n9::10::2::978302109\\n")
      ...     files = read(path)
      >>> files.parts["all"].items.tolist(), files.item_ids.tolist()
      ([1, 0], [10, 30])
      >>> files.found
      'read as movielens (user, item, rating, timestamp)'
    """
    found = find_parts(path)
    texts = {part: (read_bytes(file), str(file)) for part, file in found.items()}
    formats = dict.fromkeys(texts, format)
    if format == "auto" and len(texts) > 1:
        names = {part: layout_of(*text).name for part, text in texts.items()}
        if "ratings" in names.values():
            # One line a user, as in a test part of last items, looks like adjacency.
            lists = [part for part, name in names.items() if name == "adjacency"]
            formats |= dict.fromkeys(lists, "ratings")
        _check_alike(path, names)
    columns = {
        part: parse(*text, format=formats[part], ids=ids)
        for part, text in texts.items()
    }
    others = {f.name for f in _candidates(path)} - {f.name for f in found.values()}
    return dataclasses.replace(densify(columns), found=_told(columns, sorted(others)))


def _told(columns: Mapping[str, Columns], others: list[str]) -> str:
    """How the parts were read, which columns were not, and which files were not."""
    by_part = {part: str(c.layout) for part, c in columns.items()}
    if len(set(by_part.values())) == 1:
        told = f"read as {next(iter(by_part.values()))}"
    else:
        told = ", ".join(f"{part} read as {name}" for part, name in by_part.items())
    layouts = [c.layout for c in columns.values() if c.layout is not None]
    unused = dict.fromkeys(name for layout in layouts for name in layout.left_out)
    if unused:
        told += f"; columns left out: {', '.join(unused)}"
    return told + (f"; files left out: {', '.join(others)}" if others else "")


def _check_alike(path: str | pathlib.Path, names: dict[str, str]) -> None:
    """Refuses parts whose columns need not be the same: some named, some not.

    A list of items a line beside the same pairs one by one is what it looks like; a
    line without names beside a header that has them, or beside ``::``, may be anything.
    """
    plain = {"pairs", "adjacency", "ratings"}
    if len(set(names.values())) > 1 and not set(names.values()) <= plain:
        found = ", ".join(f"{part} {name!r}" for part, name in names.items())
        raise ValueError(
            f"{path}: expected parts of one format; got {found}. Give all the same"
            " columns and header, or name the format of all by format=."
        )


def read_bytes(path: pathlib.Path) -> bytes:
    """The file's bytes, decompressed if it is gzip (told by content, not by name).

    Raises:
      ValueError: if the gzip stream is damaged.

    Example:
      >>> import gzip, pathlib, tempfile
      >>> from drrl_jax.data.readers import read_bytes
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = pathlib.Path(folder) / "a.txt.gz"
      ...     _ = path.write_bytes(gzip.compress(b"0 1"))
      ...     read_bytes(path)
      b'0 1'
    """
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            return gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(
                f"{path}: expected a whole gzip file, got a damaged one ({error})."
            ) from None
    if content[:4] == b"PK\x03\x04":
        raise ValueError(f"{path}: expected text or gzip, got a zip; unpack it first.")
    return content


def find_parts(path: str | pathlib.Path) -> dict[str, pathlib.Path]:
    """Which file holds which part: ``{"train": …, "test": …}`` or ``{"all": …}``.

    In a directory, files named for ``train``, ``valid`` (``val``, ``validate``,
    ``validation``, ``dev``) and ``test``, alone or set off by ``.``, ``_`` or ``-``, are
    a split, where a file ``eval`` is ``valid`` if no other is; else
    it must hold one file of interactions (``*.inter``, ``ratings.dat``,
    ``ratings.csv``, ``u.data``, ``interactions.*``, or whatever text file is alone).

    Raises:
      FileNotFoundError: if there is nothing at ``path``.
      ValueError: if no file, or more than one, could be meant.

    Example:
      >>> import pathlib, tempfile
      >>> from drrl_jax.data.readers import find_parts
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     for name in ("train_data.txt", "test.txt.gz", "summary.txt"):
      ...         _ = (pathlib.Path(folder) / name).write_text("0 1")
      ...     {part: file.name for part, file in find_parts(folder).items()}
      {'train': 'train_data.txt', 'test': 'test.txt.gz'}
    """
    path = pathlib.Path(path).expanduser()
    if path.is_file():
        return {"all": path}
    if not path.is_dir():
        raise FileNotFoundError(
            f"expected a file or directory of interactions at {path}, got nothing there"
            f" (the nearest that exists is {_nearest(path)})."
        )
    files = _candidates(path)
    parts: dict[str, pathlib.Path] = {}
    for part, names in _NAMES.items():
        pattern = rf"(.*[._-])?({names})([._-].*)?"
        fits = [f for f in files if re.fullmatch(pattern, _stem(f))]
        if part == "valid" and not fits:  # else it may be anything of an evaluation
            fits = [f for f in files if _stem(f) == "eval"]
        if fits:
            parts[part] = _only(fits, path, f"one {part} file")
    if parts:
        if {"train", "test"} <= set(parts):
            return parts
        missing = ({"train", "test"} - set(parts)).pop()
        raise ValueError(
            f"{path}: expected a {missing} file beside {_names(parts.values())}, "
            f"got only {_names(files)}."
        )
    known = [f for f in files if re.fullmatch(_UNSPLIT, f.name.removesuffix(".gz"))]
    return {"all": _only(known or files, path, "train and test files, or one file")}


def densify(columns: Mapping[str, Columns]) -> Files:
    """Replace original ids by their rank among all ids of all parts.

    Example:
      >>> import numpy as np
      >>> from drrl_jax.data.parsing import Columns
      >>> from drrl_jax.data.readers import densify
      >>> files = densify({"all": Columns(np.array(["b", "a"]), np.array([7, 7]))})
      >>> files.parts["all"].users.tolist(), files.user_ids.tolist()
      ([1, 0], ['a', 'b'])
    """
    sizes = np.cumsum([len(c) for c in columns.values()])[:-1]
    user_ids, users = _rank([c.users for c in columns.values()])
    item_ids, items = _rank([c.items for c in columns.values()])
    parts = {
        part: Interactions(u, i, c.timestamps, c.ratings)
        for (part, c), u, i in zip(
            columns.items(), np.split(users, sizes), np.split(items, sizes)
        )
    }
    return Files(parts, user_ids, item_ids)


def _rank(arrays: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Distinct values, ascending, and where each value stands among them."""
    if any(a.dtype.kind == "U" for a in arrays):
        arrays = [a.astype(str) for a in arrays]
    values = np.concatenate(arrays)
    whole = values.dtype.kind == "i" and len(values) > 0
    if whole and values.min() >= 0 and values.max() < 4 * len(values):
        # ids that are nearly dense need no sort
        present = np.zeros(values.max() + 1, bool)
        present[values] = True
        return np.flatnonzero(present), (np.cumsum(present) - 1)[values]
    return np.unique(values, return_inverse=True)


def _candidates(path: str | pathlib.Path) -> list[pathlib.Path]:
    """The files of a folder that can be interactions; of a file none beside it."""
    path = pathlib.Path(path).expanduser()
    files = sorted(path.iterdir()) if path.is_dir() else []
    return [file for file in files if file.is_file() and _stem(file)]


def _stem(file: pathlib.Path) -> str:
    """Lower-case name without suffixes, or ``""`` if it cannot be interactions."""
    name = file.name.lower().removesuffix(".gz")
    for suffix in _SUFFIXES:
        if name.endswith(suffix) and not re.match(r"readme|summary|\.", name):
            return name.removesuffix(suffix)
    return ""


def _only(files: list[pathlib.Path], path: pathlib.Path, what: str) -> pathlib.Path:
    if len(files) == 1:
        return files[0]
    got = _names(files) if files else "none ending in " + ", ".join(_SUFFIXES)
    raise ValueError(f"{path}: expected {what}, got {got}.")


def _names(files) -> str:
    return ", ".join(file.name for file in files)


def _nearest(path: pathlib.Path) -> pathlib.Path:
    return next(p for p in path.absolute().parents if p.exists())
