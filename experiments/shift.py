"""Shift: training and test of different popularity, or of different times.

  python -m experiments.shift --config=experiments/configs/movielens_100k.py --seeds=2

``popularity`` tests every item alike; ``temporal`` (data with timestamps) trains on the
oldest 60 % and tests on the newest 20 %; ``random`` is the reference without shift.
"""

import pathlib
import sys

from drrl_jax import data, training
from experiments import cli, front, plots
from experiments.methods import DEFAULTS
from experiments.study import Row, Study

BASELINE = "softmax"


def run(
    study: Study,
    out: pathlib.Path,
    *,
    seeds: int = 2,
    splits: tuple[str, ...] = ("random", "popularity", "temporal"),
    methods: tuple[str, ...] = tuple(DEFAULTS),
    settings: tuple[str, ...] = (),
    baseline: str = BASELINE,
) -> str:
    """Every method on every split, against one of them.

    Args:
      study: the base config and its data.
      out: folder of the results.
      seeds: runs of each method on each split.
      splits: values of ``data.split``.
      methods: keys of ``experiments.methods.METHODS``, or of the tables in ``settings``.
      settings: tables (.csv) of tuned settings; empty: ``experiments.methods.DEFAULTS``.
      baseline: the method that the others are tested against on every split; without
        the default among them, the table has no tests.
    """
    against = cli.tested_against(baseline, methods, BASELINE)
    monitor = study.config.evaluation.monitor
    chosen = cli.chosen(settings, methods, DEFAULTS, monitor)
    cli.check_names("splits", splits, ("given", *data.SPLITS))
    datasets = {}
    for split in splits:  # all of them, before the first run
        config = study.config.copy_and_resolve_references()
        config.data.split = split
        try:
            datasets[split] = training.load_dataset(config)
        except ValueError as error:
            raise ValueError(f"splits: {split!r} is not to be had: {error}") from None
        print(f"split {split}:", file=sys.stderr)
        front.describe(datasets[split])
    rows: list[Row] = []
    for split, dataset in datasets.items():
        points = [({"split": split, "method": m}, c) for m, c in chosen.items()]
        key = f"split {split}"
        rows += cli.run_points(study, points, seeds, dataset=dataset, dataset_key=key)
    plots.dots(rows, f"test/{monitor}", out / "shift.png", panel="split")
    return cli.write(study, rows, ["split", "method"], out, "shift", baseline=against)


if __name__ == "__main__":
    cli.main(run)
