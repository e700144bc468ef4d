"""Whole-state checkpoints by Orbax: atomic, two kept, refused when foreign."""

import json
import pathlib
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp


class CheckpointError(RuntimeError):
    """A checkpoint that cannot serve this run."""


class Checkpointer:
    """Saves and restores ``(arrays, record)``, a pytree and a JSON-able dict, by epoch.

    Orbax writes into a temporary folder and renames it, so a run killed at any moment
    leaves only whole checkpoints. Saving is synchronous: what ``save`` has returned from
    is on disk.

    Args:
      directory: folder of the checkpoints; made if missing.
    """

    def __init__(self, directory: pathlib.Path):
        self.directory = pathlib.Path(directory).absolute()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=2, enable_async_checkpointing=False
        )
        self._manager = ocp.CheckpointManager(self.directory, options=options)

    @property
    def latest(self) -> int | None:
        """Epoch of the newest whole checkpoint; ``None`` without one."""
        return self._manager.latest_step()

    def save(self, epoch: int, arrays: Any, record: dict[str, Any]) -> None:
        """Writes one checkpoint; an ``OSError`` (disk full) keeps the one before it."""
        try:
            self._manager.save(
                epoch,
                args=ocp.args.Composite(
                    arrays=ocp.args.StandardSave(jax.tree.map(np.asarray, arrays)),
                    record=ocp.args.JsonSave(record),
                ),
                force=True,
            )
        except (OSError, ValueError) as error:
            # A file that went while it was written was taken by a run beside this one.
            cure = "Free some space"
            if isinstance(error, FileNotFoundError):
                cure = "Let no other run write there"
            raise CheckpointError(
                f"The checkpoint of epoch {epoch} could not be written to"
                f" {self.directory} ({_first_line(error)}); the one before it, if any,"
                f" is whole. {cure} and run the same command to resume."
            ) from error

    def restore(self, like: Any) -> tuple[Any, dict[str, Any]]:
        """The newest checkpoint.

        Args:
          like: a tree of the shapes and dtypes that the run expects.

        Returns:
          ``(arrays, record)``.

        Raises:
          CheckpointError: if it is unreadable or of another shape.
        """
        epoch = self.latest
        if epoch is None:
            raise CheckpointError(f"There is no checkpoint in {self.directory}.")
        try:
            target = jax.tree.map(
                lambda leaf: jax.ShapeDtypeStruct(
                    np.shape(leaf), np.asarray(leaf).dtype
                ),
                like,
            )
            restored = self._manager.restore(
                epoch,
                args=ocp.args.Composite(
                    arrays=ocp.args.StandardRestore(target),
                    record=ocp.args.JsonRestore(),
                ),
            )
        except Exception as error:  # Orbax, TensorStore and JSON raise many kinds.
            raise CheckpointError(
                f"The checkpoint of epoch {epoch} in {self.directory} cannot be read as"
                f" this run's state ({_first_line(error)}). Delete the folder"
                f" {self.directory / str(epoch)} to fall back to the one before it, or"
                " choose another --workdir."
            ) from error
        arrays = restored["arrays"]
        for path, leaf in jax.tree_util.tree_leaves_with_path(arrays):
            expected = _at(target, path)
            if np.shape(leaf) != expected.shape:
                raise CheckpointError(
                    f"The checkpoint in {self.directory} is of another run:"
                    f" {jax.tree_util.keystr(path)} should have shape"
                    f" {expected.shape}; got {np.shape(leaf)}."
                )
        return arrays, restored["record"]

    def close(self) -> None:
        """Releases Orbax's resources."""
        self._manager.close()


def _at(tree: Any, path: Any) -> Any:
    return dict(jax.tree_util.tree_leaves_with_path(tree))[path]


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__


def claim_workdir(workdir: pathlib.Path, config: dict[str, Any]) -> None:
    """Writes ``config.json`` on the first run; refuses a folder of another config.

    Args:
      workdir: the run's folder.
      config: JSON-able config.

    Raises:
      ValueError: names up to three fields that differ, with both values.
    """
    if check_workdir(workdir, config):
        return
    path = workdir / "config.json"
    workdir.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    temporary.replace(path)


def check_workdir(workdir: pathlib.Path, config: dict[str, Any]) -> bool:
    """Whether the folder holds a run of this config already; writes nothing.

    Args:
      workdir: the run's folder.
      config: JSON-able config.

    Raises:
      ValueError: names up to three fields that differ, with both values.
    """
    path = workdir / "config.json"
    if not path.exists():
        return False
    try:
        before = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: expected JSON; got {error}.") from None
    old, new = flatten(before), flatten(json.loads(json.dumps(config)))
    # What stands beside a run changes nothing in it.
    fields = sorted({*old, *new} - {"baselines"})
    different = [k for k in fields if old.get(k) != new.get(k)]
    if different:
        shown = "; ".join(
            f"{k} is {old.get(k)!r} there and {new.get(k)!r} here"
            for k in different[:3]
        )
        more = f" (and {len(different) - 3} more)" if len(different) > 3 else ""
        raise ValueError(
            f"The workdir {workdir} holds a run of another config: {shown}{more}."
            " Choose another --workdir, or delete that one."
        )
    return True


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}} -> {"a.b": 1}``."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat
