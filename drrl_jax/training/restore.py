"""A run of the past, with its best parameters in place."""

import json
import pathlib

import jax
import jax.numpy as jnp

from drrl_jax import data as data_lib
from drrl_jax.training.build import Parts, build
from drrl_jax.training.checkpoint import Checkpointer
from drrl_jax.training.config import default_config
from drrl_jax.training.loop import check_data
from drrl_jax.training.state import TrainState


def load_best(
    workdir: str | pathlib.Path, *, dataset: data_lib.Dataset | None = None
) -> tuple[Parts, TrainState]:
    """Reads the best checkpoint of a run, finished or not, from its folder.

    A run of no epochs has none.

    Args:
      workdir: the run's folder.
      dataset: its data, if not what its config names.

    Returns:
      What ``build`` made of its config, and its state with the best parameters:
      ``parts.objective.embeddings(state.params, parts.data)`` are those of all users
      and items, and products of them the scores (but of NeuMF, which scores pairs by
      itself); ``recommend`` takes both.

    Raises:
      ValueError: for a folder without a run, or other data than the run's.
      CheckpointError: if the checkpoint cannot be read.

    Example:
      >>> import tempfile
      >>> from drrl_jax import training
      >>> config = training.default_config()
      >>> config.training.epochs, config.model.dim = 1, 8
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     _ = training.run(config, folder, progress=False)
      ...     parts, state = training.load_best(folder)
      >>> users, items = parts.objective.embeddings(state.params, parts.data)
      >>> users.shape, items.shape
      ((1500, 8), (1000, 8))
    """
    workdir = pathlib.Path(workdir)
    path = workdir / "config.json"
    if not path.exists() or not (workdir / "checkpoints").is_dir():
        raise ValueError(
            f"{workdir} must hold a run; got no config.json or checkpoint."
        )
    kept = json.loads(path.read_text())
    if "learn_order" in kept:
        raise ValueError(
            f"{workdir} holds a run of learn_order, whose groups it does not: make the same"
            " parts and fit them there, which reads the checkpoint."
        )
    config = default_config()
    config.update(kept)
    parts = build(config, dataset)
    state = parts.init()
    checkpointer = Checkpointer(workdir / "checkpoints")
    try:
        like = state, (state.params, state.per_user)
        (state, (params, per_user)), record = checkpointer.restore(like)
    finally:
        checkpointer.close()
    check_data(workdir, record["dataset"], parts.dataset)
    state = state._replace(params=params, per_user=per_user)
    return parts, jax.tree.map(jnp.asarray, state)
