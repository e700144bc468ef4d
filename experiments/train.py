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
import re
import sys

import jax
from absl import app, flags, logging
from ml_collections import config_dict, config_flags

from drrl_jax import data, training
from experiments import report_table


def _sentence(error: BaseException) -> str:
    text = str(error.args[0]) if isinstance(error, LookupError) else str(error)
    text = text.replace("\\n", "\n").replace("\\'", "'")
    near = re.search(r'Did you mean "(.*)" instead of "(.*)"', text)
    if near:
        return f"the config has no field {near[2]!r}; did you mean {near[1]!r}?"
    return " ".join(text.split())


def _define_config() -> flags.FlagHolder:
    default = pathlib.Path(__file__).parent / "configs" / "quickstart.py"
    try:  # the overrides of the default config are looked up here, before parsing
        return config_flags.DEFINE_config_file("config", str(default))
    except (AttributeError, KeyError) as error:
        sys.exit(f"error: {_sentence(error)}")


_CONFIG = _define_config()
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
    training.validate(_CONFIG.value)  # before the seconds that a device takes to start
    _require_device()
    workdir = pathlib.Path(_WORKDIR.value)
    results = training.run_with_baselines(
        _CONFIG.value, workdir, progress=_PROGRESS.value, load=_load
    )
    print(report_table.results_table(results))
    print(
        f"\nWritten to {workdir}: results.json, metrics.jsonl, curve.png, tensorboard"
    )


def _load(config: config_dict.ConfigDict) -> data.Dataset:
    """Reads the data, and says on stderr what they are and what was done to them."""
    dataset = training.load_dataset(config)
    print(dataset, file=sys.stderr)
    for line in (*dataset.report.notes, *map(str, dataset.report.findings)):
        print(f"  {line}", file=sys.stderr)
    return dataset


def _require_device() -> None:
    try:
        jax.devices()
    except (RuntimeError, AssertionError):
        wanted = jax.config.jax_platforms
        sys.exit(
            f"error: JAX finds no device for JAX_PLATFORMS={wanted}; install its"
            " plugin (for NVIDIA: pip install -e '.[cuda]') or unset the variable."
        )


def _parse(argv: list[str]) -> list[str]:
    """Flags and config; whatever is wrong with them is one sentence."""
    try:
        rest = flags.FLAGS(argv)
        _CONFIG.value.lock()  # a config file that failed to load raises only when used
        return rest
    except Exception as error:  # ml_collections raises many kinds
        sys.exit(f"error: {_sentence(error)}")


def entry() -> None:
    """Turns expected failures into one sentence and an exit code."""
    try:
        app.run(main, flags_parser=_parse)
    except (*training.EXPECTED_ERRORS, OSError, ImportError) as error:
        sys.exit(f"error: {_sentence(error)}")
    except KeyboardInterrupt:
        print(
            "\nInterrupted. The same command resumes from the last checkpoint.",
            file=sys.stderr,
        )
        sys.exit(130)


if __name__ == "__main__":
    entry()
