"""Names that a user gives: checked, and with a hint at the nearest valid one."""

import difflib
from collections.abc import Hashable, Iterable
from typing import Any


def nearest(value: Any, valid: Iterable[Any]) -> str:
    """``" Did you mean 'x'?"`` for the closest valid name, or an empty string."""
    close = difflib.get_close_matches(str(value), [str(v) for v in valid], n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def check_choice(field: str, value: Any, valid: Iterable[Any]) -> None:
    """Raises unless ``value`` is one of ``valid``; names the nearest.

    Example:
      >>> check_choice("activation", "tan", ("tanh", "relu"))
      Traceback (most recent call last):
      ...
      ValueError: activation must be one of tanh, relu; got 'tan'. Did you mean 'tanh'?
    """
    valid = list(valid)
    # What has no hash is no name; an array would be compared entry by entry.
    if not isinstance(value, Hashable) or value not in valid:
        names = ", ".join(map(str, valid))
        raise ValueError(
            f"{field} must be one of {names}; got {value!r}.{nearest(value, valid)}"
        )
