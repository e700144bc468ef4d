"""The one hint that error messages about names share."""

import difflib
from collections.abc import Iterable
from typing import Any


def nearest(value: Any, valid: Iterable[Any]) -> str:
    """``" Did you mean 'x'?"`` for the closest valid name, or an empty string."""
    close = difflib.get_close_matches(str(value), [str(v) for v in valid], n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
