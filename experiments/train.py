"""Trains one recommender and prints how it ranks.

With no arguments: DrRL on a synthetic set, offline, beside popularity and BPR.

  python -m experiments.train
  python -m experiments.train --config=experiments/configs/beauty.py \\
      --config.loss.name=softmax --config.loss.temperature=.2 --workdir=runs/sl

Every field of the config is a flag: --config.section.field=value; the fields, their
defaults and what they mean are in drrl_jax/training/config.py and README.md. The same
command resumes a run that was interrupted, and only prints the results of a finished one.
"""

import pathlib
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from drrl_jax import training
from experiments import report_table

_CONFIG = config_flags.DEFINE_config_file(
    "config", str(pathlib.Path(__file__).parent / "configs" / "quickstart.py")
)
_WORKDIR = flags.DEFINE_string(
    "workdir", "runs/quickstart", "Folder for checkpoints, metrics and results."
)
_PROGRESS = flags.DEFINE_bool("progress", True, "Show a progress bar.")


def main(argv: list[str]) -> None:
    """Trains the config's run and its baselines, then prints one table."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
    # Orbax reports every file it touches; the progress bar says what matters.
    logging.set_verbosity(logging.WARNING)
    training.enable_compilation_cache()
    workdir = pathlib.Path(_WORKDIR.value)
    results = training.run_with_baselines(
        _CONFIG.value, workdir, progress=_PROGRESS.value
    )
    print(report_table.results_table(results))
    print(
        f"\nWritten to {workdir}: results.json, metrics.jsonl, curve.png, tensorboard"
    )


def entry() -> None:
    """Turns expected failures into one sentence and an exit code."""
    try:
        app.run(main)
    except training.EXPECTED_ERRORS as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. The same command resumes from the last checkpoint.")


if __name__ == "__main__":
    entry()
