"""Every benchmark still runs: its smallest problem, in a process of its own."""

import pathlib

import jax.numpy as jnp
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


@pytest.mark.parametrize("name", ["softmax", "drrl_tempered"])
def test_both_sides_of_the_catalogue_benchmark_are_one_loss(name):
    catalogue = load("catalogue")
    arrays = catalogue.problem(6, 20, 4, 3)
    blocked, dense = catalogue.steps(name, catalogue.RUNS[name], None)
    np.testing.assert_allclose(blocked(*arrays), dense(*arrays), rtol=1e-5)


def test_the_yardstick_is_the_cross_entropy_of_the_first_positive():
    catalogue = load("catalogue")
    users, items, exclude = catalogue.problem(6, 20, 4, 3)
    logits = np.asarray(users @ items.T) / 0.2
    own = np.take_along_axis(logits, np.asarray(exclude[:, :1]), 1)[:, 0]
    want = np.mean(np.log(np.exp(logits).sum(1)) - own)
    found = catalogue.cross_entropy()(users, items, exclude)
    np.testing.assert_allclose(found, jnp.float32(want), rtol=1e-5)
