"""Benchmarks are programs of their own, with flags of the same names."""

import importlib
import sys
from types import ModuleType

from absl import flags


def load(name: str) -> ModuleType:
    """Imports ``experiments.benchmarks.name``, whatever flags another one defined."""
    path = f"experiments.benchmarks.{name}"
    if path not in sys.modules:
        for owner, defined in list(flags.FLAGS.flags_by_module_dict().items()):
            if owner.startswith("experiments.benchmarks."):
                for flag in list(defined):  # deletion shortens it
                    if flag.name in flags.FLAGS:
                        delattr(flags.FLAGS, flag.name)
    return importlib.import_module(path)
