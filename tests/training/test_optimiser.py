"""The rules of the optimiser, against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drrl_jax import losses
from drrl_jax.training import optimiser
from tests.training.helpers import tiny_config

RATE = 0.1


def config_of(**training):
    changes = {f"training__{name}": value for name, value in training.items()}
    return tiny_config(training__learning_rate=RATE, training__epochs=5, **changes)


def rates(steps, **training):
    schedule = optimiser.learning_rate(config_of(**training), 100)
    return [float(schedule(step)) for step in steps]


def test_rates_by_step():
    assert rates([0, 50, 99]) == pytest.approx([RATE] * 3)
    cosine = [RATE * (1 + np.cos(np.pi * t / 100)) / 2 for t in (0, 25, 100)]
    assert rates([0, 25, 100], schedule="cosine") == pytest.approx(cosine, abs=1e-7)
    warm = [0, RATE / 2, RATE, RATE]
    assert rates([0, 5, 10, 90], warmup_steps=10) == pytest.approx(warm)
    # The cosine begins where the warm-up ends, and is done when the run is.
    both = rates([5, 10, 55, 100], warmup_steps=10, schedule="cosine")
    assert both == pytest.approx([RATE / 2, RATE, RATE / 2, 0], abs=1e-7)


def moved(gradient, start=2.0, **training):
    """The change of one number after one step of the model's rule."""
    rule = optimiser.make_optimiser(config_of(**training), 20)
    params = {"model": {"w": jnp.array([start])}}
    gradients = {"model": {"w": jnp.array([gradient])}}
    updates, _ = rule.update(gradients, rule.init(params), params)
    return float(updates["model"]["w"][0])


def test_the_first_step_of_each_rule():
    # Adam's first step is the rate, whatever the gradient's size.
    assert moved(0.5) == pytest.approx(-RATE, rel=1e-5)
    # Adagrad's sum of squares starts at .1.
    adagrad = -RATE * 0.5 / np.sqrt(0.1 + 0.25)
    assert moved(0.5, optimiser="adagrad") == pytest.approx(adagrad, rel=1e-5)
    # Clipped to a norm of .2 before the rule sees it.
    clipped = -RATE * 0.2 / np.sqrt(0.1 + 0.04)
    found = moved(0.5, optimiser="adagrad", clip_norm=0.2)
    assert found == pytest.approx(clipped, rel=1e-5)


def test_decay_goes_through_the_rule_or_beside_it():
    # Coupled: part of the gradient, so Adam's first step is the rate, and turns.
    coupled = moved(-0.5, weight_decay=1.0, weight_decay_mode="coupled")
    assert coupled == pytest.approx(-RATE, rel=1e-5)
    # Decoupled: rate times decay times weight on top of Adam's step.
    beside = moved(-0.5, weight_decay=1.0, weight_decay_mode="decoupled")
    assert beside == pytest.approx(RATE - RATE * 2.0, rel=1e-5)
    # By the batch the loss has it, and the rule does not.
    batch = moved(-0.5, weight_decay=1.0, weight_decay_mode="batch")
    assert batch == pytest.approx(RATE, rel=1e-5)


def test_a_rate_may_be_given_to_an_update():
    rule = optimiser.make_optimiser(config_of(), 20)
    params = {"model": {"w": jnp.ones(3)}}
    updates, _ = rule.update(
        params, rule.init(params), params, learning_rate=jnp.float32(0.03)
    )
    np.testing.assert_allclose(updates["model"]["w"], -0.03 * np.ones(3), rtol=1e-5)


def test_thresholds_have_a_rate_of_their_own():
    config = config_of()
    config.loss.threshold_learning_rate = 0.02
    rule = optimiser.make_optimiser(config, 20)
    params = {"model": {"w": jnp.ones(2)}, "threshold": jnp.zeros(4)}
    gradients = jax.tree.map(lambda leaf: jnp.full_like(leaf, 3.0), params)
    updates, _ = rule.update(gradients, rule.init(params), params)
    np.testing.assert_allclose(updates["threshold"], -0.06 * np.ones(4), rtol=1e-6)


@pytest.mark.parametrize(("own", "wanted"), [(0.02, 0.02), (None, 0.03)])
def test_a_rate_given_to_an_update_leaves_the_auxiliary_variables_theirs(own, wanted):
    config = tiny_config(
        training__learning_rate=RATE,
        loss__name="llpauc",
        loss__auxiliary_learning_rate=own,
    )
    rule = optimiser.make_optimiser(config, 20)
    params = {"model": {"w": jnp.ones(3)}, "llpauc": losses.llpauc_variables()}
    gradients = jax.tree.map(jnp.ones_like, params)
    rate = jnp.float32(0.03)
    updates, _ = rule.update(gradients, rule.init(params), params, learning_rate=rate)
    np.testing.assert_allclose(updates["model"]["w"], -0.03 * np.ones(3), rtol=1e-5)
    assert float(updates["llpauc"]["a"]) == pytest.approx(-wanted, rel=1e-5)
