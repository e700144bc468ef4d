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


def main() -> None:
    """Trains the config's run and its baselines, then prints one table."""
    workdir = pathlib.Path(_WORKDIR.value)
    if workdir.is_file():
        raise ValueError(f"--workdir must be a folder; {workdir} is a file.")
    read = []

    def load(config: config_dict.ConfigDict) -> data.Dataset:
        dataset = training.load_dataset(config)
        read.append(dataset.name)
        front.describe(dataset)
        return dataset

    results = training.run_with_baselines(
        _CONFIG.value, workdir, progress=_PROGRESS.value, load=load
    )
    if not read:
        print("Finished before; the data were not read again.", file=sys.stderr)
    print(report_table.results_table(results))
    print(
        f"\nWritten to {workdir}: results.json, metrics.jsonl, curve.png, tensorboard"
    )


if __name__ == "__main__":
    front.run(main, _CONFIG, "resumes from the last checkpoint")
