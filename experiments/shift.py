"""Shift: training and test of different popularity, or of different times.

  python -m experiments.shift --config=experiments/configs/movielens_100k.py \\
      --seeds=2 --out=experiments/results/shift

``popularity`` tests every item alike; ``temporal`` (data with timestamps) trains on the
oldest 60 % and tests on the newest 20 %; ``random`` is the reference without shift.
"""

import pathlib

from drrl_jax import training
from experiments import cli
from experiments.noise import METHODS
from experiments.study import Row, Study


def run(
    study: Study,
    out: pathlib.Path,
    *,
    seeds: int = 2,
    splits: tuple[str, ...] = ("random", "popularity", "temporal"),
    methods: tuple[str, ...] = tuple(METHODS),
) -> str:
    """Every method on every split, against softmax."""
    rows: list[Row] = []
    for split in splits:
        config = study.config.copy_and_resolve_references()
        config.data.split = split
        dataset = training.load_dataset(config)
        settings = [({"split": split, "method": m}, METHODS[m]) for m in methods]
        key = f"split {split}"
        rows += cli.run_points(study, settings, seeds, dataset=dataset, dataset_key=key)
    baseline = "softmax" if "softmax" in methods else None
    return cli.write(study, rows, ["split", "method"], out, "shift", baseline=baseline)


if __name__ == "__main__":
    cli.main(run)
