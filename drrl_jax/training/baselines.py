"""A run beside its baselines, so that a number never stands alone."""

import copy
import pathlib
from typing import Any

from ml_collections import config_dict

from drrl_jax import data as data_lib
from drrl_jax import evaluation
from drrl_jax.training import config as config_lib
from drrl_jax.training.build import evaluation_splits, load_dataset
from drrl_jax.training.loop import run

# What each trained baseline changes in the config; everything else stays equal.
BASELINES: dict[str, dict[str, Any]] = {
    "bpr": {"loss.name": "bpr", "training.learning_rate": 1e-3},
    "softmax": {"loss.name": "softmax", "loss.temperature": 0.2},
}


def popularity(
    config: config_dict.ConfigDict, dataset: data_lib.Dataset
) -> dict[str, float]:
    """Test metrics of ranking every user by the items' training counts."""
    _, split = evaluation_splits(config, dataset)
    return evaluation.evaluate_item_scores(
        evaluation.popularity_scores(dataset.train.items, dataset.num_items),
        split,
        ks=tuple(config.evaluation.ks),
        metrics=tuple(config.evaluation.metrics),
    )


def run_with_baselines(
    config: config_dict.ConfigDict,
    workdir: str | pathlib.Path | None = None,
    *,
    progress: bool = True,
) -> dict[str, dict[str, Any]]:
    """``{name: results}`` of the config's baselines and, last, of the run itself.

    Args:
      config: ``config.baselines`` names ``popularity`` and keys of ``BASELINES``.
      workdir: folder of the main run; baselines go to ``workdir/baselines/NAME``.
      progress: show progress bars.

    Raises:
      ValueError: for unknown baselines, and whatever ``run`` raises.
    """
    for name in config.baselines:
        config_lib.choice("baselines", name, ("popularity", *BASELINES))
    config_lib.validate(config)
    dataset = load_dataset(config)
    results: dict[str, dict[str, Any]] = {}
    for name in config.baselines:
        if name == "popularity":
            results[name] = {"test": popularity(config, dataset), "seconds": 0.0}
            continue
        below = None if workdir is None else pathlib.Path(workdir) / "baselines" / name
        results[name] = run(
            baseline_config(config, name), below, dataset=dataset, progress=progress
        )
    label = f"{config.loss.name} ({config.model.name})"
    results[label] = run(config, workdir, dataset=dataset, progress=progress)
    return results


def baseline_config(
    config: config_dict.ConfigDict, name: str
) -> config_dict.ConfigDict:
    """The config of a trained baseline: the run's own, with the baseline's loss."""
    changed = copy.deepcopy(config)
    changed.baselines = ()
    defaults = config_lib.default_config()
    for field, value in defaults.loss.items():
        changed.loss[field] = value
    changed.model.similarity = "auto"
    changed.update_from_flattened_dict(BASELINES[name])
    if changed.training.negatives == "all" and name == "bpr":
        changed.training.negatives = "1"
    return changed
