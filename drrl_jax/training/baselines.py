"""A run beside its baselines, so that a number never stands alone."""

import copy
import pathlib
from collections.abc import Callable
from typing import Any

from ml_collections import config_dict

from drrl_jax import data as data_lib
from drrl_jax import evaluation
from drrl_jax._names import check_choice
from drrl_jax.training import config as config_lib
from drrl_jax.training.build import check_fit, evaluation_splits, load_dataset
from drrl_jax.training.loop import finished, run
from drrl_jax.training.validation import validate

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
    load: Callable[[config_dict.ConfigDict], data_lib.Dataset] = load_dataset,
) -> dict[str, dict[str, Any]]:
    """``{name: results}`` of the config's baselines and, last, of the run itself.

    The data are read once, and not at all where every run has ended before.

    Args:
      config: ``config.baselines`` names ``popularity`` and keys of ``BASELINES``.
      workdir: folder of the main run; baselines go to ``workdir/baselines/NAME``.
      progress: show progress bars.
      load: reads the data that the config names.

    Raises:
      ValueError: for unknown baselines, and whatever ``run`` raises.
    """
    names = [name for name in config.baselines if name]  # --config.baselines= is none
    for name in names:
        check_choice("baselines", name, ("popularity", *BASELINES))
    validate(config)
    root = None if workdir is None else pathlib.Path(workdir)
    runs = {
        name: (baseline_config(config, name), root and root / "baselines" / name)
        for name in names
        if name != "popularity"
    }
    runs[f"{config.loss.name} ({config.model.name})"] = (config, root)
    # Folders of other configs are refused first; those of other data by `run`.
    ended = {
        name: found
        for name, (changed, folder) in runs.items()
        if folder and (found := finished(changed, folder))
    }
    if len(ended) == len(runs) and "popularity" not in names:
        return ended
    dataset = load(config)
    check_fit(config, dataset)
    results: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys([*names, *runs]):
        if name == "popularity":
            results[name] = {"test": popularity(config, dataset), "seconds": 0.0}
            continue
        changed, folder = runs[name]
        results[name] = run(changed, folder, dataset=dataset, progress=progress)
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
