"""Data sets prepared once by TensorFlow Datasets, without TensorFlow.

Two builders: MovieLens, from the official zips, whose SHA-256 is pinned here; and local
files or directories of any format that ``read`` knows (Amazon, Gowalla, Pinterest and
so on, whose licences forbid a mirror). Each split is *one* example that holds whole
arrays, written as array_record: reading back is one copy, where one example an
interaction reads 300 rows a second. Needs the extra ``tfds``.
"""

import dataclasses
import functools
import hashlib
import pathlib
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from drrl_jax._names import check_choice
from drrl_jax.data import readers
from drrl_jax.data.interactions import Interactions
from drrl_jax.data.movielens import (
    MOVIELENS,
    URL,
    read_movielens,
    require_reachable,
)
from drrl_jax.data.sources import name_of

_COLUMNS = {
    "users": np.int32,
    "items": np.int32,
    "timestamps": np.int64,
    "ratings": np.float32,
}
_UNSPLIT = "interactions"  # TFDS keeps the name "all" for itself


def read(
    path: str | pathlib.Path,
    *,
    data_dir: str | pathlib.Path | None = None,
    manual_dir: str | pathlib.Path | None = None,
    format: str = "auto",
    ids: str = "auto",
) -> tuple[str, readers.Files]:
    """Prepare a data set on first use, and read it.

    A local data set is prepared again when its files change: the digest of their
    content is part of its name.

    Args:
      path: ``"movielens/100k"`` (``1m``, ``20m``, ``25m``, ``latest-small``), or a file
        or directory as for ``drrl_jax.data.read``.
      data_dir: where prepared data sets live; TFDS's own default
        (``~/tensorflow_datasets`` or ``TFDS_DATA_DIR``) if ``None``.
      manual_dir: where zips lie that were downloaded by hand;
        ``<data_dir>/downloads/manual`` if ``None``.
      format: of local files.
      ids: of local files.

    Returns:
      The data set's name, and what ``drrl_jax.data.read`` returns.

    Raises:
      ImportError: without ``tensorflow_datasets``.
      ValueError: for an unknown name, or a zip whose checksum differs.
      ConnectionError: within seconds, if a download is needed and there is no internet.

    Example:
      >>> from drrl_jax.data import tfds
      >>> tfds.read("movielens/2m")
      Traceback (most recent call last):
      ValueError: path must be one of ...; got 'movielens/2m'. Did you mean 'movielens/25m'?
    """
    config: dict[str, Any]
    data_dir, manual_dir = (
        where and pathlib.Path(where).expanduser() for where in (data_dir, manual_dir)
    )
    if str(path).startswith("movielens/") and not pathlib.Path(path).exists():
        if (format, ids) != ("auto", "auto"):
            raise ValueError(
                "format and ids are of local files; a download must leave them 'auto';"
                f" got {format!r} and {ids!r}."
            )
        variant = str(path).removeprefix("movielens/")
        check_choice("path", str(path), [f"movielens/{name}" for name in MOVIELENS])
        name, kind, config = f"movielens-{variant}", "movielens", {"name": variant}
        if manual_dir is not None:
            config["source"] = (str(manual_dir),)
    else:
        if manual_dir is not None:
            raise ValueError(
                f"manual_dir is of downloads; with local files it must be None; got"
                f" {str(manual_dir)!r}."
            )
        found = readers.find_parts(path)
        digest = hashlib.sha256(f"{format}/{ids}".encode())
        for part, file in found.items():
            digest.update(part.encode() + file.read_bytes())
        name, kind = name_of(path), "local"
        config = {
            "name": f"{name}-{digest.hexdigest()[:12]}",
            "source": (str(path), format, ids),
        }
    library = _library()
    builder = library.builders[kind](
        config=library.config(**config), data_dir=data_dir, file_format="array_record"
    )
    library.prepare(builder)
    return name, _files(builder)


def _files(builder: Any) -> readers.Files:
    """Arrays back from a prepared builder."""
    parts, ids = {}, {}
    for split in builder.info.splits:
        (example,) = builder.as_data_source(split=split)
        columns = {
            name: np.asarray(example[name])
            if example["present"][row]  # a column that the source lacks is empty
            else None
            for row, name in enumerate(_COLUMNS)
        }
        part = Interactions(*columns.values())  # type: ignore[arg-type]
        parts["all" if split == _UNSPLIT else split] = part
        for side in ("user_ids", "item_ids"):
            if len(example[side]):
                text = bytes(np.asarray(example[side])).decode()
                ids[side] = np.array(text.split("\n"))
                if example["integer_ids"][int(side == "item_ids")]:
                    ids[side] = ids[side].astype(np.int64)
    return readers.Files(parts, ids["user_ids"], ids["item_ids"])


def _examples(files: readers.Files) -> dict[str, dict[str, np.ndarray]]:
    """One example a part; the first also carries the original ids."""
    examples: dict[str, dict[str, np.ndarray]] = {}
    for part, data in files.parts.items():
        columns = {name: getattr(data, name) for name in _COLUMNS}
        first = not examples
        examples[_UNSPLIT if part == "all" else part] = {
            **{
                name: np.zeros(0, dtype) if columns[name] is None else columns[name]
                for name, dtype in _COLUMNS.items()
            },
            "present": np.array([value is not None for value in columns.values()]),
            "user_ids": _encode(files.user_ids if first else None),
            "item_ids": _encode(files.item_ids if first else None),
            "integer_ids": np.array(
                [side.dtype.kind in "iu" for side in (files.user_ids, files.item_ids)]
            ),
        }
    return examples


def _encode(ids: np.ndarray | None) -> np.ndarray:
    text = "" if ids is None else "\n".join(map(str, ids.tolist()))
    return np.frombuffer(text.encode(), np.uint8)


@functools.cache
def _library() -> types.SimpleNamespace:
    """The builders; made on first use, since ``tensorflow_datasets`` is optional."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            "source='tfds' needs the extra: pip install 'drrl_jax[tfds]' "
            f"({error}); source='files' reads the same files without it."
        ) from None

    @dataclasses.dataclass(kw_only=True)
    class Config(tfds.core.BuilderConfig):
        source: tuple[str, ...] = ()  # what the builder reads

    class Builder(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = pathlib.Path(__file__).parent

        def _info(self) -> Any:
            def array(dtype: Any, size: int | None = None) -> Any:
                return tfds.features.Tensor(shape=(size,), dtype=dtype)

            features = {name: array(dtype) for name, dtype in _COLUMNS.items()}
            features |= {"user_ids": array(np.uint8), "item_ids": array(np.uint8)}
            features |= {
                "present": array(np.bool_, 4),
                "integer_ids": array(np.bool_, 2),
            }
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(features),
                disable_shuffling=True,
            )

        def _generate_examples(self, example: dict) -> Iterator[tuple[int, dict]]:
            yield 0, example

        def _split_generators(self, manager: Any) -> dict[str, Any]:
            return {
                split: self._generate_examples(example)
                for split, example in _examples(self._read(manager)).items()
            }

    with tfds.core.registered.skip_registration():

        class DrrlMovielens(Builder):
            def _read(self, manager: Any) -> readers.Files:
                variant = self.builder_config.name
                url = URL.format(variant)
                default = pathlib.Path(self.data_dir).parents[2] / "downloads/manual"
                folder = pathlib.Path(*(self.builder_config.source or (default,)))
                archive = folder / f"ml-{variant}.zip"
                if not archive.is_file():
                    require_reachable(
                        url,
                        f"Without internet, put the file at {archive}, or choose "
                        "data.source=synthetic or files.",
                    )
                    archive = pathlib.Path(manager.download(url))
                return read_movielens(archive, variant)

        class DrrlLocal(Builder):
            def _read(self, manager: Any) -> readers.Files:
                path, format, ids = self.builder_config.source
                return readers.read(path, format=format, ids=ids)

    def prepare(builder: Any) -> None:
        settings = tfds.download.DownloadConfig(try_download_gcs=False)
        builder.download_and_prepare(
            file_format="array_record", download_config=settings
        )

    return types.SimpleNamespace(
        builders={"movielens": DrrlMovielens, "local": DrrlLocal},
        config=Config,
        prepare=prepare,
    )
