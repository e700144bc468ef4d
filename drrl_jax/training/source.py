"""Where a run's data come from: fields of the config, checked, as arguments of load."""

from typing import Any

from ml_collections import config_dict

from drrl_jax import data
from drrl_jax._names import check_choice
from drrl_jax.data.formats import FORMATS
from drrl_jax.data.movielens import MOVIELENS
from drrl_jax.data.sources import OPTIONS

# Options of one source or another; None is not given.
_KINDS: dict[str, type] = {
    "format": str,
    "ids": str,
    "data_dir": str,
    "manual_dir": str,
    "num_users": int,
    "num_items": int,
    "num_interactions": int,
    "data_seed": int,
}


def source_fields() -> dict[str, Any]:
    """Fields of ``config.data`` that say what is read, with their defaults."""
    optional = config_dict.placeholder
    return {
        "source": "synthetic",
        "path": "",
        "name": optional(str),
        **{name: optional(kind) for name, kind in _KINDS.items()},
    }


def check_source(fields: config_dict.ConfigDict) -> None:
    """Refuses what the source does not take, before anything is read.

    Args:
      fields: ``config.data``.

    Raises:
      ValueError: one sentence that names the field, what is expected and what was given.

    Example:
      >>> from drrl_jax.training import default_config
      >>> config = default_config()
      >>> config.data.format = "ratings"
      >>> check_source(config.data)
      Traceback (most recent call last):
      ...
      ValueError: data.format is not an option of data.source='synthetic', which takes
      data_seed, num_interactions, num_items, num_users.
    """
    source = fields.source
    check_choice("data.source", source, data.loading.SOURCES)
    if source == "synthetic" and fields.path:
        raise ValueError(
            "data.path must be empty for data.source='synthetic' (of a file or a folder"
            f" data.source is 'files'); got {fields.path!r}."
        )
    takes = {*OPTIONS[source], *(("name",) if source == "tfds" else ())}
    for name in ("name", *_KINDS):
        if fields[name] is not None and name not in takes:
            raise ValueError(
                f"data.{name} is not an option of data.source={source!r}, which takes"
                f" {', '.join(sorted(takes))}."
            )
    if fields.format is not None:
        check_choice("data.format", fields.format, ("auto", *FORMATS))
    if fields.ids is not None:
        check_choice("data.ids", fields.ids, ("auto", "integer", "string"))
    if fields.name is not None:
        known = [f"movielens/{variant}" for variant in MOVIELENS]
        check_choice("data.name", fields.name, known)
        for name in ("path", "format", "ids"):
            if fields[name]:
                raise ValueError(
                    f"data.{name} is of local files and data.name of downloads; set one"
                    f" of them, got {fields[name]!r} and {fields.name!r}."
                )
    for name in ("num_users", "num_items", "num_interactions"):
        if fields[name] is not None and fields[name] < 1:
            raise ValueError(f"data.{name} must be at least 1; got {fields[name]!r}.")


def source_arguments(fields: config_dict.ConfigDict) -> dict[str, Any]:
    """``source``, ``path`` and the options that are set, for ``data.load``.

    Example:
      >>> from drrl_jax.training import default_config
      >>> config = default_config()
      >>> config.data.source, config.data.name = "tfds", "movielens/1m"
      >>> config.data.manual_dir = "zips"
      >>> source_arguments(config.data)
      {'source': 'tfds', 'path': 'movielens/1m', 'manual_dir': 'zips'}
    """
    return {
        "source": fields.source,
        "path": fields.name or fields.path or None,
        **{name: fields[name] for name in _KINDS if fields[name] is not None},
    }
