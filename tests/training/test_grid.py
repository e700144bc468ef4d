"""A grid of settings equals as many runs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drrl_jax import training
from drrl_jax.training import grid as grid_lib
from tests.training.helpers import tiny_config, tiny_dataset


@pytest.mark.parametrize(
    ("seeds", "cores", "shared_ids"),
    [(None, 1, 1 << 26), (None, 2, 1 << 26), (None, 5, 0), ([3, 4, 5], 2, 1 << 26)],
)
def test_grid_in_turn_equals_separate_runs(seeds, cores, shared_ids, monkeypatch):
    """Whatever the cores that settings are shared among, and what they share."""
    monkeypatch.setattr(grid_lib, "cores", lambda: cores)
    monkeypatch.setattr(grid_lib, "_SHARED_IDS", shared_ids)
    check_grid(seeds, side_by_side=False)


@pytest.mark.parametrize("seeds", [None, [3, 4, 5]])
def test_grid_side_by_side_equals_separate_runs(seeds):
    check_grid(seeds, side_by_side=True)


def check_grid(seeds, side_by_side):
    overrides = {"gamma": [1.2, 2.0, 1.5], "temperature": [0.2, 0.4, 0.3]}
    parts = training.build(tiny_config(), tiny_dataset())
    grid = training.train_grid(
        parts, overrides, seeds=seeds, epochs=2, side_by_side=side_by_side
    )
    assert grid.losses.shape == (2, 3)
    epoch = training.jit_epoch(parts.epoch)
    for setting in range(3):
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
        training.train_grid(parts, {"gamma": [1.0], "temperature": [0.1, 0.2]})
    with pytest.raises(ValueError, match="got 'margin'"):
        training.train_grid(parts, {"margin": [1.0]})
    with pytest.raises(ValueError, match="setting 1: loss.temperature must .* got -1"):
        training.train_grid(parts, {"temperature": [0.1, -1.0]})
    with pytest.raises(ValueError, match="setting 0: training.learning_rate must"):
        training.train_grid(parts, {"learning_rate": [-0.1, 0.1]})
    with pytest.raises(ValueError, match="setting 1: seed must lie .* got -1"):
        training.train_grid(parts, {}, seeds=[0, -1])
    assert parts.config == tiny_config()
    assert training.train_grid(parts, {"gamma": [1, 2]}, epochs=0).losses.shape == (
        0,
        2,
    )


@pytest.mark.parametrize(
    ("loss", "name", "value", "sentence"),
    [
        ("llpauc", "alpha", 2.0, "alpha must be at most 1; got 2.0"),
        ("drrl_dual", "gamma", 1.0, "gamma must be above 1"),
        ("drrl_dual", "epsilon", -0.5, "epsilon must be at least 0; got -0.5"),
    ],
)
def test_grid_refuses_what_the_loss_of_a_run_would(loss, name, value, sentence):
    parts = training.build(tiny_config(loss__name=loss), tiny_dataset())
    with pytest.raises(ValueError, match=f"setting 0: {sentence}"):
        training.train_grid(parts, {name: [value]})


@pytest.mark.parametrize(
    ("changes", "overrides"),
    [
        (
            {
                "training__weight_decay": 1e-3,
                "training__schedule": "cosine",
                "training__optimiser": "sparse_adam",
                "loss__name": "softmax",
            },
            {"training.learning_rate": [0.003, 0.03], "loss.temperature": [0.1, 0.3]},
        ),
        ({"loss__name": "llpauc"}, {"training.learning_rate": [0.003, 0.03]}),
        (
            {"loss__name": "drrl", "loss__threshold_mode": "user"},
            {"loss.radius": [0.1, 0.8], "loss.gamma": [1.2, 2.0]},
        ),
    ],
    ids=["rate and temperature", "rate of llpauc", "budget"],
)
def test_grid_equals_runs_of_as_many_configs(changes, overrides):
    """Each setting is what a run of its own config is: rates and budgets included."""
    parts = training.build(tiny_config(**changes), tiny_dataset())
    names = {field.split(".")[1]: values for field, values in overrides.items()}
    grid = training.train_grid(parts, names, epochs=1, side_by_side=True)
    for setting in range(2):
        own = {field.replace(".", "__"): v[setting] for field, v in overrides.items()}
        alone = training.build(tiny_config(**{**changes, **own}), tiny_dataset())
        epoch = training.jit_epoch(alone.epoch)
        state, losses = epoch(alone.init(), alone.data, np.uint32(0), {})
        np.testing.assert_allclose(grid.losses[0, setting], losses.mean(), rtol=1e-4)
        got, want = grid.state(setting).params, state.params
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want)):
            np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("side_by_side", [True, False])
@pytest.mark.parametrize(("what", "value"), [("loss", jnp.nan), ("params", 1e20)])
def test_grid_names_settings_that_left_the_numbers(what, value, side_by_side):
    parts = training.build(tiny_config(training__epochs=1), tiny_dataset())
    epoch = parts.epoch

    def breaks(state, data, seed, changes, drawn=None):
        state, losses = epoch(state, data, seed, changes, drawn)
        bad = changes["temperature"] > 0.25
        if what == "loss":
            return state, jnp.where(bad, value, losses)
        factor = jnp.where(bad, value, 1.0)
        broken = jax.tree.map(lambda leaf: leaf * factor, state.params)
        return state._replace(params=broken), losses

    parts = dataclasses.replace(parts, epoch=breaks)
    settings = {"temperature": [0.2, 0.3, 0.25, 0.4]}
    with pytest.warns(UserWarning, match=r"setting 1, 3 left the finite numbers"):
        training.train_grid(parts, settings, side_by_side=side_by_side)


def test_grid_refuses_two_names_of_one_budget():
    parts = training.build(
        tiny_config(loss__name="drrl", loss__threshold_mode="user"), tiny_dataset()
    )
    with pytest.raises(ValueError, match="two names of one thing"):
        training.train_grid(parts, {"radius": [1.0], "weight": [2.0]})


@pytest.mark.parametrize(
    ("changes", "overrides"),
    [
        ({"loss__name": "drrl_dual"}, {"gamma": 1.2}),
        ({"loss__name": "drrl_dual", "loss__radius": 0.7}, {"gamma": 1.2}),
        ({"loss__name": "drrl_dual", "loss__weight": 1.5}, {"gamma": 1.2}),
        ({"loss__name": "drrl", "loss__threshold_mode": "learned"}, {"gamma": 1.2}),
        ({"loss__name": "drrl", "loss__threshold_mode": "user"}, {"weight": 1.5}),
        ({"loss__name": "drrl", "loss__threshold_mode": "user"}, {"radius": 0.3}),
        ({"loss__name": "drrl"}, {"weight": 1.5}),
        ({"loss__name": "drrl", "loss__weight": 1.5}, {"gamma": 1.2}),
        (
            {"loss__name": "drrl_tempered", "loss__threshold_mode": "user"},
            {"radius": 0.3, "gamma": 1.2},
        ),
        (
            {"loss__name": "drrl_tempered", "loss__threshold_mode": "user"},
            {"weight": 1.5},
        ),
    ],
    ids=lambda value: ",".join(f"{k.split('__')[-1]}={v}" for k, v in value.items()),
)
def test_budgets_follow_as_they_do_in_a_config(changes, overrides):
    parts = training.build(tiny_config(**changes), tiny_dataset())
    own = {f"loss__{name}": value for name, value in overrides.items()}
    alone = training.build(tiny_config(**{**changes, **own}), tiny_dataset()).objective
    traced = {name: np.float32([value]) for name, value in overrides.items()}
    found = grid_lib._with_budget(parts, traced)
    np.testing.assert_allclose(found["radius"], [alone.radius], rtol=1e-5)
    if "weight" in alone.hyperparameters:
        weight = alone.hyperparameters["weight"]
        np.testing.assert_allclose(found["weight"], [weight], rtol=1e-5)


def test_settings_without_a_budget_are_left_alone():
    parts = training.build(tiny_config(), tiny_dataset())
    assert set(grid_lib._with_budget(parts, {"gamma": np.ones(2)})) == {"gamma"}


def test_choices_are_no_settings_of_a_grid():
    parts = training.build(tiny_config(loss__name="softmax"), tiny_dataset())
    with pytest.raises(ValueError, match="are temperature; got 'include_positive'"):
        training.train_grid(parts, {"include_positive": [0.0, 1.0]})
