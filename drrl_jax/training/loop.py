"""The host's side of training: epochs, checks, early stopping, checkpoints, records."""

import contextlib
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from ml_collections import config_dict

from drrl_jax import data as data_lib
from drrl_jax import evaluation
from drrl_jax.training.build import Parts, build
from drrl_jax.training.checkpoint import Checkpointer, check_workdir, claim_workdir
from drrl_jax.training.epoch import jit_epoch
from drrl_jax.training.interrupt import deferred_interrupt
from drrl_jax.training.progress import (
    check_finite,
    check_finite_parameters,
    new_record,
    patience_spent,
    update_best,
)
from drrl_jax.training.records import Records
from drrl_jax.training.state import TrainState
from drrl_jax.training.validation import validate


def run(
    config: config_dict.ConfigDict,
    workdir: str | pathlib.Path | None = None,
    *,
    dataset: data_lib.Dataset | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Trains, validates, tests; with a ``workdir`` records everything and can resume.

    Args:
      config: a tree of ``default_config``'s shape.
      workdir: folder for config, checkpoints, metrics and results; ``None`` writes no
        file.
      dataset: data to use instead of what ``config.data`` names.
      progress: show a progress bar on stderr.

    Returns:
      ``{"test": {…}, "valid": {…}, "best_epoch": …, "seconds": …, "config": {…}, …}``.

    Raises:
      ValueError: for impossible configs, bad data, or a workdir of another config or,
        where data are read or given, of other data.
      NonFiniteLossError: if the loss or a parameter leaves the finite numbers; names
        the step, or the epoch and the parameter.
      CheckpointError: if a checkpoint cannot be read or written.

    Example:
      >>> from drrl_jax import training
      >>> config = training.default_config()
      >>> config.training.epochs = 1
      >>> results = training.run(config, progress=False)
      >>> sorted(results["test"])
      ['ndcg@20', 'recall@20']
    """
    validate(config)
    if workdir is not None:
        workdir = pathlib.Path(workdir)
        done = finished(config, workdir)
        if done is not None:
            if dataset is not None:
                check_data(workdir, done["dataset"].get("fingerprint"), dataset)
            return done
    parts = build(config, dataset)
    if workdir is not None:
        # Before fit claims the folder: neither a path that was mistyped once may own it,
        # nor a model or a loss that refuses its options, which it does while traced.
        _trace(parts)
    return fit(parts, workdir, progress=progress)[1]


def _trace(parts: Parts) -> None:
    """Traces the start and an epoch, of which nothing is computed."""
    seed = jnp.asarray(parts.config.seed, jnp.uint32)
    state = jax.eval_shape(parts.init)
    jax.eval_shape(jit_epoch(parts.epoch), state, parts.data, seed, {})


def finished(
    config: config_dict.ConfigDict, workdir: str | pathlib.Path
) -> dict[str, Any] | None:
    """The results of a run that ended in this folder, or ``None``.

    Reads no data and builds no model.

    Args:
      config: the run's config.
      workdir: the run's folder.

    Raises:
      ValueError: for a workdir of another config.
    """
    workdir = pathlib.Path(workdir)
    path = workdir / "results.json"
    mine = check_workdir(workdir, _plain(config))
    if not mine or not path.exists():
        return None
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(
            f"{path} must hold the results of a run ({error}); delete it to have it"
            " written again."
        ) from None


def fit(
    parts: Parts,
    workdir: str | pathlib.Path | None = None,
    *,
    progress: bool = True,
    watch: Callable[[int, TrainState], None] | None = None,
) -> tuple[TrainState, dict[str, Any]]:
    """Drives a built run to its end; see ``run``.

    Args:
      parts: what ``build`` returns.
      workdir: as in ``run``.
      progress: as in ``run``.
      watch: called as ``watch(epoch, state)`` after every epoch; it must not keep the
        state's arrays, which the next epoch overwrites.

    Returns:
      The state with the best parameters in place, and the results.

    Raises:
      ValueError: for a workdir of another config or of other data.
      NonFiniteLossError: as in ``run``.
      CheckpointError: as in ``run``.
    """
    config = parts.config
    if workdir is not None:
        workdir = pathlib.Path(workdir)
        claim_workdir(workdir, {**_plain(config), **parts.extra_config})
    training = config.training
    epoch_fn = jit_epoch(parts.epoch)
    seed = jnp.asarray(config.seed, jnp.uint32)
    # A separate copy of the best: the epoch donates the state that it is given.
    state = parts.init()
    best = _copy((state.params, state.per_user))
    record = new_record(parts.dataset.fingerprint)
    checkpointer = None
    if workdir is not None:
        checkpointer = Checkpointer(workdir / "checkpoints")
        if checkpointer.latest is not None:
            (state, best), kept = checkpointer.restore((state, best))
            record |= kept
            state, best = _on_device((state, best))
            check_data(workdir, record["dataset"], parts.dataset)
    records = Records(workdir, record["history"])
    started = time.perf_counter() - record["seconds"]
    bar = tqdm.tqdm(
        total=training.epochs,
        initial=record["epoch"],
        desc=f"{config.loss.name}/{config.model.name}",
        unit="epoch",
        disable=not progress,
        dynamic_ncols=True,
    )
    stopped = patience_spent(config, record)
    interrupt = contextlib.ExitStack()
    try:
        check_interrupt = interrupt.enter_context(deferred_interrupt())
        while record["epoch"] < training.epochs and not stopped:
            check_interrupt()
            state, device_losses = epoch_fn(state, parts.data, seed, {})
            step_losses = np.asarray(device_losses)
            record["epoch"] += 1
            check_finite(step_losses, record["epoch"], checkpointer)
            bar.update()
            if watch is not None:
                watch(record["epoch"], state)
            last = record["epoch"] == training.epochs
            if record["epoch"] % training.eval_every == 0 or last:
                check_finite_parameters(state.params, record["epoch"], checkpointer)
                line = {"epoch": record["epoch"], "loss": float(step_losses.mean())}
                line |= _check(parts, state, record)
                if record["best_epoch"] == record["epoch"]:
                    best = _copy((state.params, state.per_user))
                record["seconds"] = time.perf_counter() - started
                line["seconds"] = round(record["seconds"], 3)
                record["history"].append(line)
                if checkpointer is not None:
                    checkpointer.save(record["epoch"], (state, best), record)
                records.append(line)
                bar.set_postfix(
                    {
                        "loss": f"{line['loss']:.4f}",
                        config.evaluation.monitor: f"{record['best_score']:.4f}",
                        "best": record["best_epoch"],
                    }
                )
                stopped = patience_spent(config, record)
        check_interrupt()  # one that came in the last epoch
    finally:
        interrupt.close()
        bar.close()
        if checkpointer is not None:
            checkpointer.close()
    params, per_user = best
    state = state._replace(params=params, per_user=per_user)
    test = evaluate_state(parts, params, parts.test_split)
    record["seconds"] = time.perf_counter() - started
    results = _results(parts, test, record)
    records.finish(results)
    return state, results


def _check(parts: Parts, state: TrainState, record: dict[str, Any]) -> dict[str, float]:
    """Ranks the validation split and notes in the record whether it is the best yet."""
    if parts.valid_split is None:  # nothing to choose by: the last epoch is the result
        record["best_epoch"] = record["epoch"]
        return {}
    scores = evaluate_state(parts, state.params, parts.valid_split)
    update_best(parts.config, record, scores)
    if record["best_epoch"] == record["epoch"]:
        record["valid"] = scores
    return {f"valid/{name}": value for name, value in scores.items()}


def _plain(config: config_dict.ConfigDict) -> dict[str, Any]:
    """The config as it stands in files: what JSON makes of it."""
    return dict(json.loads(config.to_json_best_effort()))


def _results(
    parts: Parts, test: dict[str, float], record: dict[str, Any]
) -> dict[str, Any]:
    """What ``run`` returns and ``results.json`` holds."""
    dataset = parts.dataset
    return {
        "test": test,
        "valid": record["valid"],
        "best_epoch": record["best_epoch"],
        "epochs": record["epoch"],
        "seconds": round(record["seconds"], 3),
        "dataset": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "num_users": dataset.num_users,
            "num_items": dataset.num_items,
            "train": len(dataset.train),
            "valid": len(dataset.valid),
            "test": len(dataset.test),
        },
        "config": _plain(parts.config),
    }


def evaluate_state(
    parts: Parts,
    params: dict[str, Any],
    split: evaluation.EvaluationPlan,
    **options: Any,
) -> Any:
    """Ranks a split with the given parameters.

    Args:
      parts: what ``build`` returned.
      params: as in the state of its run.
      split: ``parts.valid_split``, ``parts.test_split`` or another plan.
      **options: of ``evaluation.evaluate_scorer``; ``ks`` and ``metrics`` are the
        config's by default.

    Returns:
      What ``evaluation.evaluate_scorer`` returns.
    """
    inputs = parts.scorer_inputs(params, parts.embed(params, parts.data))
    options.setdefault("ks", tuple(parts.config.evaluation.ks))
    options.setdefault("metrics", tuple(parts.config.evaluation.metrics))
    return evaluation.evaluate_scorer(parts.scorer, inputs, split, **options)


def check_data(
    workdir: pathlib.Path, fingerprint: str, dataset: data_lib.Dataset
) -> None:
    """Refuses to take results or a checkpoint of other data for one's own."""
    if fingerprint != dataset.fingerprint:
        raise ValueError(
            f"The workdir {workdir} holds a run on other data: their fingerprint is"
            f" {fingerprint!r} there and {dataset.fingerprint!r} here. Choose another"
            " --workdir, or delete that one."
        )


def _copy(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), tree)


def _on_device(tree: Any) -> Any:
    return jax.tree.map(jnp.asarray, tree)
