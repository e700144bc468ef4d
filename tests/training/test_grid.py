"""A grid of settings equals as many runs."""

import jax
import numpy as np
import pytest

from drrl_jax import training
from drrl_jax.training.grid import train_grid
from tests.training.helpers import tiny_config, tiny_dataset


@pytest.mark.parametrize("seeds", [None, [3, 4]])
def test_grid_equals_separate_runs(seeds):
    overrides = {"gamma": [1.2, 2.0], "temperature": [0.2, 0.4]}
    parts = training.build(tiny_config(), tiny_dataset())
    grid = train_grid(parts, overrides, seeds=seeds, epochs=2)
    assert grid.losses.shape == (2, 2)
    epoch = training.jit_epoch(parts.epoch)
    for setting in range(2):
        seed = parts.config.seed if seeds is None else seeds[setting]
        state = parts.init(seed)
        own = {name: np.float32(values[setting]) for name, values in overrides.items()}
        for _ in range(2):
            state, losses = epoch(state, parts.data, np.uint32(seed), own)
        np.testing.assert_allclose(grid.losses[-1, setting], losses.mean(), rtol=1e-4)
        got, want = grid.state(setting).params, state.params
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want)):
            np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-3)
        assert int(grid.state(setting).step) == int(state.step)


def test_grid_refuses_what_does_not_fit():
    parts = training.build(tiny_config(), tiny_dataset())
    with pytest.raises(ValueError, match="one length"):
        train_grid(parts, {"gamma": [1.0], "temperature": [0.1, 0.2]})
    with pytest.raises(ValueError, match="got 'margin'"):
        train_grid(parts, {"margin": [1.0]})
