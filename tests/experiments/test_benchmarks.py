"""Every benchmark still runs: its smallest problem, in a process of its own."""

import pathlib

import numpy as np
import pytest

from tests.experiments.modules import load
from tests.forking import run_module

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = sorted(
    path.stem
    for path in (ROOT / "experiments" / "benchmarks").glob("*.py")
    if path.stem != "__init__"
)


@pytest.mark.parametrize("name", NAMES)
def test_smoke(name):
    done = run_module(f"experiments.benchmarks.{name}", ["--smoke"])
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()


def test_every_loss_is_timed():
    from drrl_jax.losses import LOSSES

    losses = load("losses")
    for name in LOSSES:
        arrays = losses.inputs(name, rows=4, negatives=3)
        assert np.isfinite(losses.step(name)(*arrays)[0]), name
