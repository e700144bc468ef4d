"""Trains one recommender and prints how it ranks.

With no arguments: DrRL on a synthetic set, offline, beside popularity and BPR.

  python -m experiments.train
  python -m experiments.train --config=experiments/configs/beauty.py \\
      --config.loss.name=softmax --config.loss.temperature=.2 --workdir=runs/sl

Every field of the config is a flag: --config.section.field=value; docs/configuration.md
lists fields and defaults. A value that a field does not take is refused with those that
it does. The same command resumes a run that was interrupted, and only prints the results
of a finished one.
"""

import pathlib
import sys

from absl import flags
from ml_collections import config_dict

from drrl_jax import data, training
from experiments import front, report_table

_CONFIG = front.define_config()
_WORKDIR = flags.DEFINE_string(
    "workdir", "runs/quickstart", "Folder for checkpoints, metrics and results."
)
_PROGRESS = flags.DEFINE_bool("progress", True, "Show a progress bar.")
_read: list[str] = []  # data sets


def main() -> None:
    """Trains the config's run and its baselines, then prints one table."""
    workdir = pathlib.Path(_WORKDIR.value)
    if workdir.is_file():
        raise ValueError(f"--workdir must be a folder; {workdir} is a file.")
    results = training.run_with_baselines(
        _CONFIG.value, workdir, progress=_PROGRESS.value, load=_load
    )
    if not _read:
        print("Finished before; the data were not read again.", file=sys.stderr)
    print(report_table.results_table(results))
    print(
        f"\nWritten to {workdir}: results.json, metrics.jsonl, curve.png, tensorboard"
    )


def _load(config: config_dict.ConfigDict) -> data.Dataset:
    """Reads the data, and says on stderr what they are and what was done to them."""
    dataset = training.load_dataset(config)
    _read.append(dataset.name)
    print(dataset, file=sys.stderr)
    for line in (*dataset.report.notes, *map(str, dataset.report.findings)):
        print(f"  {line}", file=sys.stderr)
    return dataset


if __name__ == "__main__":
    front.run(main, _CONFIG, "resumes from the last checkpoint")
