"""From the text of a file to columns: in bulk where it is regular, else by line."""

import csv
import dataclasses
import warnings

import numpy as np

from drrl_jax._names import check_choice
from drrl_jax.data.formats import Format, cut, detect, named_format

_DIGIT, _DOT, _BLANK, _NEWLINE = 1, 2, 3, 4
_SAMPLE = 1000  # lines that the detection looks at


@dataclasses.dataclass(frozen=True)
class Columns:
    """One file's columns, ids still as in the file (``int64`` or strings)."""

    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray | None = None
    timestamps: np.ndarray | None = None
    layout: Format | None = None

    def __len__(self) -> int:
        return len(self.users)


def parse(
    text: bytes, where: str, *, format: str = "auto", ids: str = "auto"
) -> Columns:
    """Columns of a file's text.

    Args:
      text: the whole file, decompressed.
      where: its path, for errors.
      format: one of ``FORMATS``, or ``"auto"`` to detect it.
      ids: ``"integer"``, ``"string"``, or ``"auto"``: as the first line's (in RecBole's
        atomic files, whose ids are tokens: integers if all are).

    Returns:
      The ``Columns``.

    Raises:
      ValueError: on an empty file, on text that is not UTF-8, and on the first
        malformed line, named as ``path:line: expected …, got …``.

    Example:
      >>> from drrl_jax.data.parsing import parse
      >>> parse(b"0 4 5\\n1 6\\n", "train.txt").items.tolist()
      [4, 5, 6]
      >>> parse(b"0 4\\n0\\n", "train.txt")
      Traceback (most recent call last):
      ValueError: train.txt:2: expected 'user item' (2 fields), got 1 field in '0'.
    """
    check_choice("ids", ids, ("auto", "integer", "string"))
    text = _plain(text)
    head = _head(text, where)
    if format == "auto":
        layout = detect(head, where)
    else:
        layout = named_format(format, head, where)
    if format == "auto" and layout.name == "adjacency":
        _one_line_a_user(text, where)
    columns = None if ids == "string" else _parse_bulk(text, layout)
    if columns is None:
        columns = _parse_lines(_decode(text, where), layout, where, ids)
    if not len(columns):
        raise ValueError(f"{where}: expected interactions, got none after the header.")
    return dataclasses.replace(columns, layout=layout)


def layout_of(text: bytes, where: str) -> Format:
    """The format that is detected for a file's text."""
    return detect(_head(_plain(text), where), where)


def _plain(text: bytes) -> bytes:
    """Without the byte-order mark, and with lines that end as here."""
    text = text.removeprefix(b"\xef\xbb\xbf")
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _one_line_a_user(text: bytes, where: str) -> None:
    """Refuses what was taken for adjacency by its first lines, and is not."""
    first: dict[bytes, int] = {}
    for number, line in enumerate(text.split(b"\n"), start=1):
        user = line.split(None, 1)[:1]
        if user and first.setdefault(user[0], number) != number:
            raise ValueError(
                f"{where}:{number}: expected one line a user (adjacency, as the first"
                f" lines look), got user {user[0].decode(errors='replace')!r} of line"
                f" {first[user[0]]} again; format= names another format."
            )


def _decode(text: bytes, where: str) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{where}:{line}: expected UTF-8 text, got byte {text[error.start]:#04x}."
        ) from None


def _head(text: bytes, where: str) -> list[str]:
    """The first non-empty lines."""
    end = -1
    for _ in range(_SAMPLE):
        following = text.find(b"\n", end + 1)
        if following < 0:
            end = len(text)
            break
        end = following
    lines = [line for line in _decode(text[:end], where).split("\n") if line.strip()]
    if not lines:
        raise ValueError(f"{where}: expected interactions, got an empty file.")
    return lines


def _parse_bulk(text: bytes, layout: Format) -> Columns | None:
    """All lines at once if every one is regular and every id an integer, else None."""
    if layout.header:
        text = text.lstrip(b"\n").partition(b"\n")[2]
    text += b"\n"
    separator = (layout.separator or " ").encode()
    if layout.separator is not None:
        if any(blank in text for blank in (b" ", b"\t") if blank != separator):
            return None
        empty = (separator * 2, separator + b"\n", b"\n" + separator)
        if text.startswith(separator) or any(field in text for field in empty):
            return None  # which the other parser names
        text = text.replace(separator, b" ")
    # ids are checked as digits; only ratings and timestamps may have a point
    kinds = np.zeros(256, np.uint8)
    kinds[list(b"0123456789")] = _DIGIT
    kinds[list(b" \t")] = _BLANK
    kinds[ord("\n")] = _NEWLINE
    if len(layout.columns) > 2:
        kinds[ord(".")] = _DOT
    kind = kinds[np.frombuffer(text, np.uint8)]
    if not kind.all():
        return None
    inside = kind <= _DOT
    starts = np.flatnonzero(inside & ~np.concatenate([[False], inside[:-1]]))
    ends = np.flatnonzero(inside & ~np.concatenate([inside[1:], [False]])) + 1
    zeros = np.frombuffer(text, np.uint8)[starts] == ord("0")
    if np.any(ends - starts > 15) or np.any(
        zeros & (ends - starts > 1) & (kind[np.minimum(starts + 1, len(kind) - 1)] == 1)
    ):
        return None  # beyond float64's integers, or ids such as 007
    fields = np.diff(
        np.searchsorted(starts, np.flatnonzero(kind == _NEWLINE)), prepend=0
    )
    fields = fields[fields > 0]  # blank lines
    try:  # NumPy before 2.4 only warns, and returns what it read
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            numbers = np.fromstring(text, np.float64, sep=" ")
    except (DeprecationWarning, ValueError):
        return None
    if len(numbers) != len(starts):
        return None
    if layout.name == "adjacency":
        first = np.zeros(len(numbers), bool)
        first[np.cumsum(fields) - fields] = True
        values = numbers.astype(np.int64)
        return Columns(np.repeat(values[first], fields - 1), values[~first])
    if np.any(fields != len(layout.columns)):
        return None
    if "timestamp" in layout.columns:
        stamps = numbers[layout.columns.index("timestamp") :: len(layout.columns)]
        if np.any(stamps != np.floor(stamps)):
            return None  # which the other parser names
    point = np.searchsorted(starts, np.flatnonzero(kind == _DOT), "right") - 1
    columns = np.array(layout.columns)[np.unique(point % len(layout.columns))]
    if np.isin(columns, ("user", "item")).any():
        return None  # 1.0 is text, as it is where the other parser reads it
    table = dict(zip(layout.columns, numbers.reshape(len(fields), -1).T, strict=True))
    return Columns(
        table["user"].astype(np.int64),
        table["item"].astype(np.int64),
        table["rating"].astype(np.float32) if "rating" in table else None,
        table["timestamp"].astype(np.int64) if "timestamp" in table else None,
    )


def _parse_lines(text: str, layout: Format, where: str, ids: str) -> Columns:
    """Line by line: for string ids, and to name the line that is malformed."""
    cells: dict[str, list[str]] = {role: [] for role in layout.columns}
    numbers: list[int] = []
    width = len(layout.columns)
    seen_header = not layout.header
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if not seen_header:
            seen_header = True
            continue
        try:
            fields = cut(line, layout.separator, strict=True)
        except csv.Error:
            raise ValueError(
                f"{where}:{number}: expected double quotes that open and close around a"
                f" field, got {line[:60]!r}."
            ) from None
        lists = layout.name == "adjacency"
        if not all(fields) or (len(fields) != width and not lists):
            raise ValueError(
                f"{where}:{number}: expected {layout.example}, got {_fields(fields)} "
                f"in {line[:60]!r}."
            )
        if lists:
            cells["user"] += fields[:1] * (len(fields) - 1)
            cells["item"] += fields[1:]
            numbers += [number] * (len(fields) - 1)
            continue
        for role, field in zip(layout.columns, fields):
            cells[role].append(field)
        numbers.append(number)
    if not numbers:
        return Columns(np.zeros(0, np.int64), np.zeros(0, np.int64))

    def values(role: str, kind: type) -> np.ndarray | None:
        if role not in cells:
            return None
        return _numbers(cells[role], numbers, where, role, kind)

    return Columns(
        _ids(cells["user"], numbers, where, "user", ids, layout),
        _ids(cells["item"], numbers, where, "item", ids, layout),
        values("rating", float),
        values("timestamp", int),
    )


def _fields(fields: list[str]) -> str:
    blank = fields.count("")
    count = f"{len(fields)} field{'s' * (len(fields) != 1)}"
    return count + (f", {blank} of them empty," if blank else "")


def _ids(
    cells: list[str],
    lines: list[int],
    where: str,
    role: str,
    ids: str,
    layout: Format,
) -> np.ndarray:
    """Integers or strings, as asked, or as the first line has them."""
    if ids == "auto" and layout.name == "atomic":
        ids = "integer" if all(map(_is_integer, cells)) else "string"
    elif ids == "auto":
        ids = "integer" if _is_integer(cells[0]) else "string"
    if ids == "string":
        return np.array(cells)
    for cell, line in zip(cells, lines):
        if not _is_integer(cell):
            raise ValueError(
                f"{where}:{line}: expected an integer {role} id, got {cell[:60]!r} "
                "(ids='string' reads any text)."
            )
    return np.array(cells, np.int64)


def _is_integer(cell: str) -> bool:
    """A non-negative integer that its own digits spell: 7, not 007, -1 or 7.0."""
    return (
        cell.isascii()
        and cell.isdigit()
        and (cell[0] != "0" or cell == "0")
        and (len(cell) < 19 or int(cell) < 2**63)
    )


def _numbers(
    cells: list[str], lines: list[int], where: str, role: str, kind: type
) -> np.ndarray:
    try:
        values = np.array(cells, np.float64)
        bad = np.flatnonzero(~np.isfinite(values))
    except ValueError:
        bad = np.array([i for i, cell in enumerate(cells) if not _is_number(cell)])
    if len(bad):
        raise ValueError(
            f"{where}:{lines[bad[0]]}: expected a number as {role}, "
            f"got {cells[bad[0]][:60]!r}."
        )
    if kind is float:
        with np.errstate(over="ignore"):
            narrow = values.astype(np.float32)
        out = np.flatnonzero(~np.isfinite(narrow))
        if len(out):
            raise ValueError(
                f"{where}:{lines[out[0]]}: expected a {role} that float32 holds, got"
                f" {cells[out[0]]!r}."
            )
        return narrow
    if len(cut := np.flatnonzero(values != np.floor(values))):
        raise ValueError(
            f"{where}:{lines[cut[0]]}: expected a whole number as {role}, got"
            f" {cells[cut[0]]!r}; in a finer unit none is lost."
        )
    # Not from the floats, which end at 2^53: nanoseconds have 19 digits.
    whole = [int(c) if c.lstrip("+-").isdecimal() else int(float(c)) for c in cells]
    for number, line, cell in zip(whole, lines, cells):
        if not -(2**63) <= number < 2**63:
            raise ValueError(
                f"{where}:{line}: expected a {role} of at most 63 bits, got {cell!r}."
            )
    return np.array(whole, np.int64)


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False
