"""What the configs of real data sets share: where the data lie."""

import os
import pathlib

from drrl_jax import training


def data_path(name: str) -> str:
    """Folder of a data set under $DRRL_DATA (default ../shared/data)."""
    return str(pathlib.Path(os.environ.get("DRRL_DATA", "../shared/data")) / name)


def benchmark_config(name: str):
    """The published benchmark protocol: N=1000, 200 epochs, no early stopping."""
    config = training.default_config()
    config.data.source = "files"
    config.data.path = data_path(name)
    config.evaluation.protocol = "benchmark"
    config.training.negatives = "1000"
    config.training.epochs = 200
    config.training.patience = 0
    return config


def drrl_config(name: str):
    """The DrRL authors' protocol: a check every 5 epochs, 5 checks of patience."""
    config = training.default_config()
    config.data.source = "files"
    config.data.path = data_path(name)
    config.evaluation.protocol = "drrl"
    config.training.epochs = 200
    return config
