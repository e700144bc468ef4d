"""Streaming: train on a window of time, test on the next, slide on, warm-started.

  python -m experiments.streaming --config=experiments/configs/movielens_100k.py \\
      --out=experiments/results/streaming

A test window holds what is new to each user: pairs already trained on are taken out,
and so are users whom no window has trained. The model goes on from window to window,
with a fresh optimiser state.
"""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from drrl_jax import data, training
from experiments import cli
from experiments.noise import METHODS
from experiments.study import Row, Study


def run(
    study: Study,
    out: pathlib.Path,
    *,
    windows: int = 5,
    epochs: int = 5,
    seeds: int = 1,
    methods: tuple[str, ...] = tuple(METHODS),
) -> str:
    """Every method over the windows; the table has their means."""
    datasets = window_datasets(study.dataset, windows)
    rows: list[Row] = []
    for name in methods:
        for seed in range(seeds):
            config = study.config.copy_and_resolve_references()
            config.update_from_flattened_dict({**METHODS[name], "seed": seed})
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
    monitor = f"test/{study.config.evaluation.monitor}"
    cli.plot_lines(rows, "window", monitor, out / "streaming.png")
    return cli.write(study, rows, ["method"], out, "streaming")


def window_datasets(dataset: data.Dataset, windows: int) -> list[data.Dataset]:
    """A data set for each window: trained block, and what is new in the next."""
    everything = data.concatenate(dataset.train, dataset.valid, dataset.test)
    known_users = np.zeros(dataset.num_users, bool)
    seen = np.zeros(0, np.int64)
    found = []
    for train, test in data.prequential_windows(everything, windows):
        known_users[train.users] = True
        pairs = train.users.astype(np.int64) * dataset.num_items + train.items
        seen = np.union1d(seen, pairs)
        pairs = test.users.astype(np.int64) * dataset.num_items + test.items
        new = known_users[test.users] & ~np.isin(pairs, seen)
        nothing = train.select([])
        found.append(
            dataclasses.replace(
                dataset, train=train, valid=nothing, test=test.select(new)
            )
        )
    return found


if __name__ == "__main__":
    cli.main(run)
