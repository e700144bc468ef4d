"""Both routes and both shapes of the dense one give the scores of a plain product."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drrl_jax import scores


def _inputs(batch: int, dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(0), 3)
    users = jax.random.normal(keys[0], (batch, 8)).astype(dtype)
    items = jax.random.normal(keys[1], (30, 8)).astype(dtype)
    sampled = jax.random.randint(keys[2], (batch, 40), 0, 30)  # repeats in every row
    return users, items, sampled


@pytest.mark.parametrize("batch", [1, 7, 256, 512])
@pytest.mark.parametrize("route", ["dense", "gather"])
def test_scores_and_gradients_are_those_of_the_plain_product(batch, route):
    users, items, sampled = _inputs(batch)

    def total(function):
        def value(users, items):
            return jnp.sum(jnp.sin(function(users, items)))

        return jax.value_and_grad(value, argnums=(0, 1))(users, items)

    plain = total(lambda u, i: jnp.take_along_axis(u @ i.T, sampled, axis=1))
    found = jax.jit(
        lambda: total(lambda u, i: scores.sampled_scores(u, i, sampled, route))
    )()
    for expected, actual in zip(jax.tree.leaves(plain), jax.tree.leaves(found)):
        np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-4)


def test_second_derivatives_pass_through_the_dense_route():
    users, items, sampled = _inputs(256)

    def curvature(function):
        def norm(items):
            slope = jax.grad(lambda u: jnp.sum(jnp.sin(function(u, items))))(users)
            return jnp.sum(slope**2)

        return jax.grad(norm)(items)

    plain = curvature(lambda u, i: jnp.take_along_axis(u @ i.T, sampled, axis=1))
    found = curvature(lambda u, i: scores.sampled_scores(u, i, sampled))
    np.testing.assert_allclose(found, plain, rtol=1e-3, atol=2e-2)


def test_bfloat16_rows_are_accumulated_in_float32():
    users, items, sampled = _inputs(256, jnp.bfloat16)
    for route in ("dense", "gather"):
        found = scores.sampled_scores(users, items, sampled, route)
        assert found.dtype == jnp.float32
    gradient = jax.grad(lambda u: scores.sampled_scores(u, items, sampled).sum())(users)
    assert gradient.dtype == jnp.bfloat16
    exact = jnp.sum(items.astype(jnp.float32)[sampled], axis=1)
    np.testing.assert_allclose(gradient.astype(jnp.float32), exact, rtol=2e-2, atol=0.1)
