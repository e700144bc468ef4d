"""Every benchmark still runs: its smallest problem, in a process of its own."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.experiments.modules import load

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = sorted(
    path.stem
    for path in (ROOT / "experiments" / "benchmarks").glob("*.py")
    if path.stem != "__init__"
)


@pytest.mark.parametrize("name", NAMES)
def test_smoke(name):
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.benchmarks.{name}", "--smoke"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()


def test_every_loss_is_timed():
    from drrl_jax.losses import LOSSES

    losses = load("losses")
    for name in LOSSES:
        arrays = losses.inputs(name, rows=4, negatives=3)
        assert np.isfinite(losses.step(name)(*arrays)[0]), name
