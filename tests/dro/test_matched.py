"""At a given temperature the worst case is that of the radius that comes with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drrl_jax import dro

INF = float("inf")
ORDERS = (1.0, 1.1, 1.5, 2.0, 5.0, 50.0, INF)
SCORES = np.random.default_rng(0).normal(scale=0.3, size=(5, 40))
PROBS = np.random.default_rng(1).dirichlet(np.ones(40), size=5)


@pytest.mark.parametrize("gamma", ORDERS)
def test_it_is_the_solution_of_the_ball_of_its_radius(gamma):
    with jax.enable_x64(True):
        for probs in (None, PROBS):
            found = dro.worst_case_at_temperature(SCORES, 0.3, gamma=gamma, probs=probs)
            solve = dro.worst_case(
                SCORES, gamma=gamma, radius=found.radius, probs=probs
            )
            np.testing.assert_allclose(found.value, solve.value, atol=1e-9)
            np.testing.assert_allclose(found.weights, solve.weights, atol=1e-7)
            base = np.full((5, 40), 1 / 40) if probs is None else probs
            spent = dro.renyi_divergence(found.weights, base, gamma)
            np.testing.assert_allclose(found.radius, spent, atol=1e-9)
            mean = (found.weights * SCORES).sum(-1)
            np.testing.assert_allclose(found.value, mean, atol=1e-12)


@pytest.mark.parametrize("gamma", ORDERS)
def test_gradient_is_the_weights(gamma):
    scores = jnp.asarray(SCORES, jnp.float32)

    def value(scores):
        return dro.worst_case_at_temperature(scores, 0.3, gamma=gamma).value.sum()

    weights = dro.worst_case_at_temperature(scores, 0.3, gamma=gamma).weights
    np.testing.assert_allclose(jax.jit(jax.grad(value))(scores), weights, atol=2e-6)


def test_gradient_in_the_order_is_at_a_fixed_radius():
    with jax.enable_x64(True):
        radius = dro.worst_case_at_temperature(SCORES, 0.3, gamma=2.0).radius

        @jax.jit
        def held(gamma):
            return dro.worst_case_mean(SCORES, gamma=gamma, radius=radius).sum()

        @jax.jit
        def matched(gamma):
            return dro.worst_case_at_temperature(SCORES, 0.3, gamma=gamma).value.sum()

        slope = jax.grad(matched)(2.0)
        np.testing.assert_allclose(slope, jax.grad(held)(2.0), rtol=1e-7)
        numeric = (held(2 + 1e-4) - held(2 - 1e-4)) / 2e-4
        np.testing.assert_allclose(slope, numeric, rtol=1e-6)


def test_second_order_is_the_derivative_of_the_weights():
    with jax.enable_x64(True):

        def value(scores):
            return dro.worst_case_at_temperature(scores, 0.5, gamma=1.5).value

        scores = SCORES[0]
        hessian = jax.jit(jax.hessian(value))(scores)

        def weights(scores):
            return dro.worst_case_at_temperature(scores, 0.5, gamma=1.5).weights

        expected = jax.jit(jax.jacobian(weights))(scores)
        np.testing.assert_allclose(hessian, expected, atol=1e-9)


@pytest.mark.parametrize("gamma", ORDERS)
def test_edges_are_finite(gamma):
    rows = jnp.array([[0.2, 0.2, 0.2], [1e30, 0.0, -1e30], [0.1, jnp.nan, jnp.inf]])
    where = jnp.array([[True] * 3, [True] * 3, [False] * 3])

    def value(rows):
        found = dro.worst_case_at_temperature(rows, 0.3, gamma=gamma, where=where)
        return found.value.sum(), found

    both = jax.jit(jax.value_and_grad(value, has_aux=True))
    (_, found), gradient = both(rows)
    for leaf in (*found, gradient):
        assert jnp.all(jnp.isfinite(leaf))
    np.testing.assert_allclose(found.value[jnp.array([0, 2])], [0.2, 0], atol=1e-6)
    np.testing.assert_allclose(found.radius[0], 0, atol=1e-6)
    np.testing.assert_allclose(found.radius[1], np.log(3), rtol=1e-6)
    assert jnp.all(gradient[2] == 0)


def test_errors_are_static():
    with pytest.raises(ValueError, match="greater than 0 and finite; got 0"):
        dro.worst_case_at_temperature(jnp.ones(3), 0, gamma=2.0)
    with pytest.raises(ValueError, match="gamma"):
        dro.worst_case_at_temperature(jnp.ones(3), 0.1, gamma=0.5)


def test_the_temperature_is_a_constant():
    @jax.jit
    @jax.jacobian
    def slopes(temperature):
        return dro.worst_case_at_temperature(
            jnp.array([0.1, 0.5, 0.9]), temperature, gamma=1.7
        )

    for slope in slopes(0.5):
        assert not slope.any()
