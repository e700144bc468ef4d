"""The text formats of interaction files, and how one is told from another.

| name | looks like | ids |
|---|---|---|
| ``pairs`` | ``user item`` a line | integers or strings |
| ``adjacency`` | ``user item item …`` a line, one line a user | integers or strings |
| ``table`` | tab or comma separated, with a header that names the columns | the same |
| ``ratings`` | ``user item rating [timestamp]``: tabs, commas or blanks | the same |
| ``atomic`` | RecBole: header such as ``user_id:token rating:float`` | anything |
| ``movielens`` | ``user::item::rating::timestamp`` | integers or strings |
"""

import csv
import dataclasses
import re

from drrl_jax._names import check_choice

FORMATS = ("pairs", "adjacency", "table", "ratings", "atomic", "movielens")
_POSITIONAL = ("user", "item", "rating", "timestamp")
_SUFFIX = "(_?(proc|raw)?_?(id|idx|index|key|name|token))?"
_ROLES = {
    "user": rf"user{_SUFFIX}|uid|reviewer_?id",
    "item": rf"(item|movie|product|business|location){_SUFFIX}|iid|(parent_)?asin|isbn",
    "rating": r"(book_)?ratings?|score|overall|stars",
    "timestamp": r"timestamps?|time|ts|unix_?review_?time",
}


@dataclasses.dataclass(frozen=True)
class Format:
    """How to cut a line into columns.

    Attributes:
      name: one of ``FORMATS``.
      separator: between columns; ``None`` is any run of blanks.
      columns: the role of each column (``""`` to skip it); for ``adjacency`` the item
        column repeats.
      header: whether the first line names the columns.
      left_out: names of the columns that play no role.
    """

    name: str
    separator: str | None
    columns: tuple[str, ...]
    header: bool = False
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        """``ratings (user, item, rating)``, for the report of what was read."""
        return f"{self.name} ({', '.join(column for column in self.columns if column)})"

    @property
    def example(self) -> str:
        """What a line should look like, for error messages."""
        if self.name == "adjacency":
            return "'user item item …'"
        names = [column or "…" for column in self.columns]
        joint = {None: " ", "\t": "<tab>"}.get(self.separator, self.separator)
        return f"{str(joint).join(names)!r} ({len(names)} fields)"


def cut(line: str, separator: str | None, *, strict: bool = False) -> list[str]:
    """The fields of a line, without the blanks and the pair of quotes around them.

    Between commas a field in double quotes may hold commas, and quotes written twice. A
    quote that has no partner belongs to its field.

    Args:
      line: without its end.
      separator: between columns; ``None`` is any run of blanks.
      strict: whether double quotes between commas must open and close in the line.

    Returns:
      The fields.

    Raises:
      csv.Error: if ``strict``, for double quotes that do not.

    Example:
      >>> from drrl_jax.data.formats import cut
      >>> cut('"Smith, Ann",154', ","), cut("Dogs'\t 'Cats'", "\t")
      (['Smith, Ann', '154'], ["Dogs'", 'Cats'])
    """
    if separator == "," and '"' in line:
        fields = next(csv.reader([line], skipinitialspace=True, strict=strict))
        return [_unquoted(field.strip(), "'") for field in fields]
    return [_unquoted(field.strip()) for field in line.split(separator)]


def _unquoted(field: str, marks: str = "\"'") -> str:
    quoted = len(field) > 1 and field[0] == field[-1] and field[0] in marks
    return field[1:-1].strip() if quoted else field


def detect(lines: list[str], where: str = "the file") -> Format:
    """Tell the format from the first lines of a file.

    ``::`` means MovieLens; ``name:token`` in the first line means a RecBole atomic
    file; a first line that names a user and an item column is a header; tabs or commas
    without one hold user, item, rating, timestamp in this order. What is left is
    separated by blanks. There an adjacency file has one line a user, so where a user
    starts two lines of the sample, every line is taken to have as many fields as most
    lines have (at a tie, as the first); where none does, lines of two fields throughout
    are pairs, and anything else is adjacency. A file in which every user has one line
    of one item means the same in both readings.

    Args:
      lines: first non-empty lines (a few hundred will do).
      where: how errors name the file.

    Returns:
      The ``Format``.

    Raises:
      ValueError: if the lines fit none.

    Example:
      >>> from drrl_jax.data.formats import detect
      >>> [detect(s).name for s in (["0 5", "0 6"], ["0 5 6", "1 7"], ["1::2::3::4"])]
      ['pairs', 'adjacency', 'movielens']
    """
    first = lines[0]
    if re.match(r'\s*(\{\s*["}]|\[\s*[\[{"])', first):
        raise ValueError(
            f"{where}:1: expected a user and an item in columns, got JSON in"
            f" {first[:60]!r}."
        )
    if "::" in first:
        return _positional("movielens", "::", first, where)
    separator = next((s for s in ("\t", ",") if s in first), None)
    fields = cut(first, separator)
    if re.search(r":(token|float)", first):
        return _named("atomic", separator, [f.split(":")[0] for f in fields], where)
    if _is_header(fields):
        return _named("table", separator, fields, where)
    _refuse_unknown_header(lines, separator, where)
    if separator is None:
        _refuse_title(lines, where)
    else:
        _refuse_lists(lines, separator, where)
        name = "pairs" if len(fields) == 2 else "ratings"
        return _positional(name, separator, first, where)
    for mark in ";|":
        if all(mark in line for line in lines):
            raise ValueError(
                f"{where}:1: expected fields separated by tabs, commas, '::' or blanks,"
                f" got {mark!r} between them in {first[:60]!r}."
            )
    return _blank_separated(lines)


def named_format(name: str, lines: list[str], where: str = "the file") -> Format:
    """The format that the caller names, its separator and columns from the first line.

    Raises:
      ValueError: if the name is unknown or the first line cannot be that format.

    Example:
      >>> from drrl_jax.data.formats import named_format
      >>> named_format("ratings", ["7 8 5.0"]).columns
      ('user', 'item', 'rating')
    """
    check_choice("format", name, FORMATS)
    first = lines[0]
    separator = next((s for s in ("::", "\t", ",") if s in first), None)
    if name == "adjacency":
        return Format(name, separator if separator == "," else None, ("user", "item"))
    if name == "pairs":
        return Format(name, separator, ("user", "item"))
    if name in ("atomic", "table"):
        fields = [field.split(":")[0] for field in cut(first, separator)]
        return _named(name, separator, fields, where)
    return _positional(name, separator, first, where)


def _refuse_unknown_header(lines: list[str], separator: str | None, where: str) -> None:
    """Refuses a line of words above lines of numbers, which would become a user."""
    words = cut(lines[0], separator)
    below = [cut(line, separator)[:2] for line in lines[1:]]
    numbers = all(len(pair) == 2 and all(map(str.isdigit, pair)) for pair in below)
    if below and numbers and not any(c.isdigit() for word in words for c in word):
        raise ValueError(
            f"{where}:1: expected a user and an item, or a header with columns such as"
            f" user_id and item_id, got {lines[0][:60]!r} above lines of numbers;"
            " format= names a format that has no header."
        )


def _refuse_title(lines: list[str], where: str) -> None:
    """Refuses a first line without the tabs or commas that most others have."""
    first, below = lines[0].lstrip(), lines[1:]
    if not first or not below:
        return
    for mark, name in (("\t", "tabs"), (",", "commas")):
        alike = sum(mark in line for line in below)
        # Blanks and tabs may stand for each other, where as many fields come of it.
        blanks = mark == "\t" and len(first.split()) == len(below[-1].split())
        if 2 * alike > len(below) and (first[0] in "#%" or not blanks):
            raise ValueError(
                f"{where}:1: expected fields separated by {name}, as in the lines below,"
                f" got {first[:60]!r}; delete a title or comment above the data."
            )


def _refuse_lists(lines: list[str], separator: str, where: str) -> None:
    """Refuses lists of items between tabs or commas, which would become ratings.

    One line a user, and lines of several lengths or third columns that go on with items:
    more kinds than a scale of ratings has, many of them in the second column too.
    """
    lines = [line.rstrip(f"{separator} ") for line in lines]
    rows = [cut(line, separator) for line in lines]
    again = len({row[0] for row in rows}) < len(rows)
    if again or len(rows) < 2 or max(map(len, rows)) < 3 or any("" in r for r in rows):
        return
    third = [row[2] for row in rows if len(row) > 2]
    kinds, items = set(third), {row[1] for row in rows if len(row) > 1}
    goes_on = all(field.isdigit() for field in third) and len(kinds) > 10
    goes_on = goes_on and sum(field in items for field in third) > len(third) / 4
    if goes_on or len({len(row) for row in rows}) > 1:
        raise ValueError(
            f"{where}:1: expected 2 to 4 fields (user, item, rating, timestamp) in every"
            " line; one line a user, as here, looks like a list of items:"
            " format=adjacency reads it so, format=ratings as ratings."
        )


def _role(field: str) -> str:
    """The role that a column of this name plays, or ``""``."""
    for role, pattern in _ROLES.items():
        if re.fullmatch(pattern, re.sub("[ -]", "_", field.lower())):
            return role
    return ""


def _is_header(fields: list[str]) -> bool:
    """Whether fields name columns; one of the two that must be there suffices."""
    roles = [_role(field) for field in fields]
    return "user" in roles or "item" in roles


def _named(name: str, separator: str | None, fields: list[str], where: str) -> Format:
    # Of two columns of a role an id is meant rather than a name, which people share;
    # of two alike the first.
    roles = [_role(field) for field in fields]
    chosen: dict[str, int] = {}
    for column in sorted(
        range(len(fields)), key=lambda c: fields[c][-4:].lower() == "name"
    ):
        chosen.setdefault(roles[column], column)
    columns = [
        role if chosen[role] == column else "" for column, role in enumerate(roles)
    ]
    if not {"user", "item"} <= set(columns):
        raise ValueError(
            f"{where}:1: expected a header that names a user and an item column, such as "
            f"user_id and item_id; got {fields}."
        )
    left_out = tuple(
        field or f"column {number} without a name"
        for number, (field, column) in enumerate(zip(fields, columns), 1)
        if not column
    )
    return Format(name, separator, tuple(columns), True, left_out)


def _positional(name: str, separator: str | None, first: str, where: str) -> Format:
    count = len(cut(first, separator))
    if not 2 <= count <= 4:
        raise ValueError(
            f"{where}:1: expected 2 to 4 fields (user, item, rating, timestamp) or a "
            f"header that names them, got {count} fields in {first[:60]!r}."
        )
    return Format(name, separator, _POSITIONAL[:count])


def _blank_separated(lines: list[str]) -> Format:
    counts = [len(line.split()) for line in lines]
    users = [line.split()[0] for line in lines]
    usual = max(set(counts), key=lambda c: (counts.count(c), c == counts[0]))
    if len(set(users)) < len(users) and 2 <= usual <= 4:
        return Format("pairs" if usual == 2 else "ratings", None, _POSITIONAL[:usual])
    pairs = all(count == 2 for count in counts)
    return Format("pairs" if pairs else "adjacency", None, ("user", "item"))
