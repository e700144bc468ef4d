"""Streaming: train on a window of time, test on the next, slide on, warm-started.

  python -m experiments.streaming --config=experiments/configs/movielens_100k.py

A test window holds what is new to each user: pairs already trained on are taken out,
and so are users whom no window has trained. Positives of all windows so far are neither
drawn as negatives nor ranked. The model goes on from window to window, with a fresh
optimiser state. ``streaming.csv`` has a row a window; the table has means over the
windows, with tests paired by user and window against softmax.
"""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from ml_collections import config_dict

from drrl_jax import data, evaluation, training
from drrl_jax.data.cleaning import shared
from experiments import cli, plots
from experiments import study as study_lib
from experiments.methods import DEFAULTS
from experiments.study import Row, Study

BASELINE = "softmax"


def run(
    study: Study,
    out: pathlib.Path,
    *,
    windows: int = 5,
    epochs: int = 5,
    seeds: int = 1,
    methods: tuple[str, ...] = tuple(DEFAULTS),
    settings: tuple[str, ...] = (),
) -> str:
    """Every method over the windows.

    Args:
      study: the base config and data with timestamps.
      out: folder of the results.
      windows: windows of time that are trained on, each tested on the next.
      epochs: passes over each window, in place of the config's; none is stopped early,
        there being no validation.
      seeds: runs of each method.
      methods: keys of ``experiments.methods.METHODS``, or of the tables in ``settings``.
      settings: tables (.csv) of tuned settings; empty: ``experiments.methods.DEFAULTS``.
    """
    monitor = study.config.evaluation.monitor
    chosen = cli.chosen(settings, methods, DEFAULTS, monitor)
    study.check(chosen.values())
    datasets = window_datasets(study.dataset, windows)
    rows: list[Row] = []
    of_users: dict[str, list[list[np.ndarray]]] = {name: [] for name in chosen}
    for name, changes in chosen.items():
        for seed in range(seeds):
            found = _stream(study, datasets, changes, seed, epochs)
            of_users[name].append([values[monitor] for values in found])
            rows += [
                {"method": name, "window": t + 1, "seed": seed}
                | {f"test/{k}": float(v.mean()) for k, v in values.items()}
                for t, values in enumerate(found)
            ]
    study_lib.write_rows(rows, out / "streaming.csv")
    plots.lines(rows, "window", f"test/{monitor}", out / "streaming.png")
    return _table(rows, of_users, f"test/{monitor}", out)


def _stream(
    study: Study, datasets: list[data.Dataset], changes: Row, seed: int, epochs: int
) -> list[dict[str, np.ndarray]]:
    """Each user's metrics, window by window; a stream run before is read again."""
    changes = {**changes, "seed": seed, "training.epochs": epochs}
    config = study.configured(changes)

    def make() -> study_lib.Made:
        windows = tqdm.tqdm(
            _follow(config, datasets, seed),
            total=len(datasets),
            desc=f"{config.loss.name}, seed {seed}",
            unit="window",
            disable=not study.progress,
        )
        return {}, {
            f"{t}/{name}": values
            for t, found in enumerate(windows)
            for name, values in found.items()
        }

    row = study.keep(config, changes, {}, make, f" over {len(datasets)} windows")
    found: list[dict[str, np.ndarray]] = [{} for _ in datasets]
    for name, values in study.arrays(row).items():
        t, metric = name.split("/", 1)
        found[int(t)][metric] = values
    return found


def _follow(
    config: Any, datasets: list[data.Dataset], seed: int
) -> Iterator[dict[str, np.ndarray]]:
    """Trains on window after window; each user's metrics on the one that follows."""
    params = None
    for t, dataset in enumerate(datasets):
        parts = training.build(config, dataset)
        state = parts.init()
        if params is not None:
            state = state._replace(params=params)
        epoch = training.jit_epoch(parts.epoch)
        for _ in range(config.training.epochs):
            # Another window, other negatives: the seed names the window too.
            key = jnp.asarray(seed * len(datasets) + t, jnp.uint32)
            state, _ = epoch(state, parts.data, key, {})
        params = jax.tree.map(jnp.copy, state.params)
        found = training.evaluate_state(parts, params, parts.test_split, per_user=True)
        yield {name: np.asarray(values) for name, values in found.items()}


def _table(
    rows: list[Row],
    of_users: dict[str, list[list[np.ndarray]]],
    monitor: str,
    out: pathlib.Path,
) -> str:
    """Means over the windows, spread over seeds; tests paired by user and window."""
    metrics = [column for column in rows[0] if column.startswith("test/")]
    runs = study_lib.summarise(rows, ["method", "seed"], metrics)
    lines = {s["method"]: s for s in study_lib.summarise(runs, ["method"], metrics)}
    values = {
        name: np.concatenate([np.mean(window, axis=0) for window in zip(*of_seeds)])
        for name, of_seeds in of_users.items()
    }
    header = ["method", *(metric.removeprefix("test/") for metric in metrics)]
    body = [
        [name, *(study_lib.plus_minus(line, metric) for metric in metrics)]
        for name, line in lines.items()
    ]
    if BASELINE in values and len(values) > 1:
        base = values.pop(BASELINE)
        tests = evaluation.compare(base, values)
        header += cli.comparison_header(BASELINE)
        by_seed = study_lib.significance_by_seed(runs, BASELINE, monitor)
        for row in body:
            name, reference = row[0], lines[BASELINE][monitor]
            row += (
                cli.comparison_cells(
                    lines[name][monitor], reference, tests[name], by_seed[name]
                )
                if name in tests
                else ["-"] * 3
            )
    return study_lib.write_table(
        header, body, out / "streaming", cli.command("streaming")
    )


def load_stream(config: config_dict.ConfigDict) -> data.Dataset:
    """All events: a random split's cleaning takes out what is unseen in its train."""
    return training.load_dataset(
        config,
        cleaning=dict.fromkeys(("duplicates", "leaks"), config.data.cleaning)
        | {"unseen": "keep"},
    )


def window_datasets(dataset: data.Dataset, windows: int) -> list[data.Dataset]:
    """A data set for each window: the block, and what is new in the next one.

    Blocks before are ``history``. A pair that an earlier block had already is dropped.
    """
    everything = data.concatenate(dataset.train, dataset.valid, dataset.test)
    seen = everything.select([])
    found = []
    for train, test in data.prequential_windows(everything, windows):
        train = train.select(~shared(train, seen))
        known = data.concatenate(seen, train)
        new = np.isin(test.users, known.users) & ~shared(test, known)
        found.append(
            dataclasses.replace(
                dataset,
                train=train,
                valid=train.select([]),
                test=test.select(new),
                history=seen,
            )
        )
        seen = known
    return found


if __name__ == "__main__":
    cli.main(run, load=load_stream)
