"""The front of a command line: config and flags, and failures as one sentence."""

import os
import pathlib
import re
import sys
from collections.abc import Callable

import jax
from absl import app, flags, logging
from ml_collections import config_flags

from drrl_jax import data, training

QUICKSTART = pathlib.Path(__file__).parent / "configs" / "quickstart.py"


def define_config() -> flags.FlagHolder:
    """The flag ``--config``, with a flag for each of its fields."""
    try:  # the overrides of the default config are looked up here, before parsing
        return config_flags.DEFINE_config_file("config", str(QUICKSTART))
    except (AttributeError, KeyError) as error:
        sys.exit(f"error: {sentence(error)}")


def run(main: Callable[[], None], config: flags.FlagHolder, resume: str) -> None:
    """Runs a program whose expected failures end in a sentence and an exit code.

    Args:
      main: the program; the flags are parsed and the config is checked before it.
      config: what ``define_config`` returned.
      resume: what the same command does after Ctrl-C.
    """

    def start(argv: list[str]) -> None:
        if len(argv) > 1:
            raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
        # Orbax reports every file it touches; the progress bar says what matters.
        logging.set_verbosity(logging.WARNING)
        training.enable_compilation_cache()
        training.validate(config.value)  # before the seconds that a device takes
        _require_device()
        main()

    def parse(argv: list[str]) -> list[str]:
        try:
            rest = flags.FLAGS(argv)
            config.value.lock()  # a file that failed to load raises only when used
            return rest
        except Exception as error:  # ml_collections raises many kinds
            sys.exit(f"error: {sentence(error)}")

    try:
        app.run(start, flags_parser=parse)
    except (*training.EXPECTED_ERRORS, OSError, ImportError) as error:
        hint = ""
        if "../shared/data" in str(error) and "DRRL_DATA" not in os.environ:
            hint = " DRRL_DATA, which names the folder of the data sets, is not set."
        sys.exit(f"error: {sentence(error)}{hint}")
    except KeyboardInterrupt:
        print(f"\nInterrupted. The same command {resume}.", file=sys.stderr)
        sys.exit(130)


def describe(dataset: data.Dataset) -> None:
    """Says on stderr what the data are and what was done to them."""
    print(dataset, file=sys.stderr)
    for line in (*dataset.report.notes, *map(str, dataset.report.findings)):
        print(f"  {line}", file=sys.stderr)


def sentence(error: BaseException) -> str:
    """What went wrong, in one line."""
    text = str(error.args[0]) if isinstance(error, LookupError) else str(error)
    text = text.replace("\\n", "\n").replace("\\'", "'")
    near = re.search(r'Did you mean "(.*)" instead of "(.*)"', text)
    if near:
        return f"the config has no field {near[2]!r}; did you mean {near[1]!r}?"
    return " ".join(text.split())


def _require_device() -> None:
    try:
        jax.devices()
    except (RuntimeError, AssertionError):
        wanted = jax.config.jax_platforms
        sys.exit(
            f"error: JAX finds no device for JAX_PLATFORMS={wanted}; install its"
            " plugin (for NVIDIA: pip install -e '.[cuda]') or unset the variable."
        )
