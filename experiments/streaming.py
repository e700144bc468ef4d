"""Streaming: train on a window of time, test on the next, slide on, warm-started.

  python -m experiments.streaming --config=experiments/configs/movielens_100k.py \\
      --out=experiments/results/streaming

A test window holds what is new to each user: pairs already trained on are taken out,
and so are users whom no window has trained. Positives of all windows so far are neither
drawn as negatives nor ranked. The model goes on from window to window, with a fresh
optimiser state.
"""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from drrl_jax import data, training
from experiments import cli
from experiments.methods import DEFAULTS
from experiments.study import Row, Study


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
    """Every method over the windows; the table has their means.

    Args:
      study: the base config and data with timestamps.
      out: folder of the results.
      windows: windows of time that are trained on, each tested on the next.
      epochs: passes over each window.
      seeds: runs of each method.
      methods: keys of ``experiments.methods.METHODS``, or of the tables in ``settings``.
      settings: tables (.csv) of tuned settings; empty: ``experiments.methods.DEFAULTS``.
    """
    monitor = study.config.evaluation.monitor
    chosen = cli.chosen(settings, methods, DEFAULTS, monitor)
    datasets = window_datasets(study.dataset, windows)
    rows: list[Row] = []
    for name, changes in chosen.items():
        for seed in range(seeds):
            config = study.config.copy_and_resolve_references()
            config.update_from_flattened_dict({**changes, "seed": seed})
            config.baselines = ()
            params = None
            for t, dataset in enumerate(datasets):
                parts = training.build(config, dataset)
                state = parts.init()
                if params is not None:
                    state = state._replace(params=params)
                epoch = training.jit_epoch(parts.epoch)
                for _ in range(epochs):
                    # Another window, other negatives: the seed names the window too.
                    key = jnp.asarray(seed * windows + t, jnp.uint32)
                    state, _ = epoch(state, parts.data, key, {})
                params = jax.tree.map(jnp.copy, state.params)
                found = training.evaluate_state(parts, params, parts.test_split)
                labels = {"method": name, "window": t + 1, "seed": seed}
                rows.append(labels | {f"test/{k}": v for k, v in found.items()})
    cli.plot_lines(rows, "window", f"test/{monitor}", out / "streaming.png")
    return cli.write(study, rows, ["method"], out, "streaming")


def window_datasets(dataset: data.Dataset, windows: int) -> list[data.Dataset]:
    """A data set for each window: the block, and what is new in the next one.

    Blocks before are ``history``. A pair that an earlier block had already is dropped.
    """
    everything = data.concatenate(dataset.train, dataset.valid, dataset.test)
    seen = everything.select([])
    found = []
    for train, test in data.prequential_windows(everything, windows):
        train = train.select(~_among(train, seen, dataset.num_items))
        known = data.concatenate(seen, train)
        new = np.isin(test.users, known.users) & ~_among(test, known, dataset.num_items)
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


def _among(
    pairs: data.Interactions, others: data.Interactions, num_items: int
) -> np.ndarray:
    """True for each pair that the others have too."""
    codes = (
        part.users.astype(np.int64) * num_items + part.items for part in (pairs, others)
    )
    return np.isin(*codes)


if __name__ == "__main__":
    cli.main(run)
