"""The value at a temperature, and its derivatives, against the formula as it is written."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drrl_jax import dro


def plain(values, temperature, gamma, radius):
    """``F + (tau / kappa) (exp(kappa (eta + log m)) - 1)``, differentiated by JAX."""
    kappa = (gamma - 1) / gamma
    best = jnp.max(values)
    r = jnp.maximum(1 - kappa * (best - values) / temperature, 0)
    inside = r > 0
    power = jnp.where(inside, jnp.where(inside, r, 1) ** (1 / kappa), 0)
    growth = jnp.exp(kappa * (radius + jnp.log(jnp.mean(power)))) - 1
    return best + temperature / kappa * growth


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("gamma", [1.2, 1.25, 1.4, 1.5, 2.0])
@pytest.mark.parametrize("temperature", [0.15, 0.6, 40.0])
def test_derivatives_to_second_order(gamma, temperature):
    """In the scores, of which the best one moves all distances, and in all else."""
    values = jnp.asarray(np.random.default_rng(0).normal(size=9)) * 0.3
    at = (values, jnp.float64(temperature), jnp.float64(0.2))

    def ours(values, temperature, radius):
        return dro.value_at_temperature(values, temperature, gamma=gamma, radius=radius)

    def theirs(values, temperature, radius):
        return plain(values, temperature, gamma, radius)

    every = (0, 1, 2)
    np.testing.assert_allclose(ours(*at), theirs(*at), rtol=1e-10)
    for take in (jax.grad, jax.hessian):
        found, want = (jax.jit(take(f, every))(*at) for f in (ours, theirs))
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(want)):
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)


def test_a_mask_is_a_deletion_to_second_order():
    rng = np.random.default_rng(1)
    values, where = jnp.asarray(rng.normal(size=12)), rng.random(12) < 0.6

    def masked(values):
        return dro.value_at_temperature(values, 0.5, gamma=1.5, where=where)

    def deleted(values):
        return dro.value_at_temperature(values[where], 0.5, gamma=1.5)

    for take in (jax.grad, jax.hessian):
        np.testing.assert_allclose(
            take(masked)(values), take(deleted)(values), atol=1e-12
        )
