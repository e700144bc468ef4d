"""Sums of several terms of a row in one pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drrl_jax import dro
from drrl_jax.dro.sums import row_extent, row_sum_of, row_sums


@pytest.mark.parametrize("width", [1, 7, 8, 9, 64, 275, 1000])
def test_sums_are_numpys(width):
    rng = np.random.default_rng(width)
    x = rng.normal(size=(3, 2, width)).astype(np.float32)
    found = jax.jit(lambda x: row_sums(x, x * x, jnp.exp(x)))(x)
    wide = x.astype(np.float64)
    for got, term in zip(found, (wide, wide**2, np.exp(wide))):
        assert got.shape == (3, 2)
        np.testing.assert_allclose(got, term.sum(-1), rtol=1e-5, atol=1e-4)


def test_derivatives_are_those_of_a_sum():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 19)), jnp.float32)

    def value(x):
        one, two = row_sums(x**2, jnp.sin(x))
        return jnp.sum(one * two)

    def plain(x):
        return jnp.sum(jnp.sum(x**2, -1) * jnp.sum(jnp.sin(x), -1))

    np.testing.assert_allclose(jax.grad(value)(x), jax.grad(plain)(x), rtol=1e-4)
    v = jnp.ones_like(x)
    second = jax.jvp(jax.grad(value), (x,), (v,))[1]
    np.testing.assert_allclose(
        second, jax.jvp(jax.grad(plain), (x,), (v,))[1], rtol=1e-3, atol=1e-3
    )
    mapped = jax.vmap(lambda row: row_sums(row, row**2))(x)
    for a, b in zip(mapped, row_sums(x, x**2)):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_base_weights_whose_sum_leaves_float32():
    values = jnp.array([0.1, 0.5, 0.9, 0.3])
    small = jnp.array([1.0, 2.0, 0.5, 0.0])

    def solve(probs):
        return dro.worst_case(values, gamma=1.5, radius=0.2, probs=probs)

    want = solve(small)
    found, tangent = jax.jvp(solve, (1.5e38 * small,), (1.5e38 * small,))
    np.testing.assert_allclose(found.value, want.value, rtol=1e-6)
    np.testing.assert_allclose(found.weights, want.weights, atol=1e-6)
    np.testing.assert_allclose(
        tangent.value, 0, atol=1e-5
    )  # their scale is of no matter


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("width", [1, 7, 8, 9, 275])
def test_the_extent_of_rows(width, backend, monkeypatch):
    monkeypatch.setattr("jax.default_backend", lambda: backend)
    rng = np.random.default_rng(width)
    x = rng.integers(-2, 3, (3, 2, width)).astype(np.float32)
    used = rng.random(x.shape) < 0.7
    used[0, 0] = False
    weights = np.where(used, rng.random(x.shape).astype(np.float32), 0)
    found = row_extent(weights, x, used)
    np.testing.assert_allclose(found.total, weights.sum(-1), rtol=1e-5)
    above, below = np.where(used, x, -np.inf), np.where(used, x, np.inf)
    np.testing.assert_array_equal(found.best, above.max(-1))
    np.testing.assert_array_equal(found.least, below.min(-1))
    tied = np.where(used & (x == above.max(-1, keepdims=True)), weights, 0)
    np.testing.assert_allclose(found.tied, tied.sum(-1), rtol=1e-5)


def test_ties_share_the_derivative_of_a_maximum():
    x = jnp.zeros((2, 20)).at[0, jnp.array([1, 2, 9])].set(3.0).at[1, 19].set(1.0)
    every = jnp.ones_like(x, bool)

    def best(x, used=every):
        return jnp.sum(row_extent(jnp.ones_like(x), x, used).best)

    want = jax.grad(lambda x: x.max(-1).sum())(x)
    np.testing.assert_allclose(jax.grad(best)(x), want, rtol=1e-6)
    assert jnp.all(jnp.isfinite(jax.grad(best)(x, ~every)))
    # By their weights, of which the total and the tied ones have the usual derivatives.
    weights = jnp.ones_like(x).at[0, 1].set(2.0)
    found = jax.grad(lambda x: row_extent(weights, x, every).best[0])(x)[0]
    np.testing.assert_allclose(found[jnp.array([1, 2, 9, 0])], [0.5, 0.25, 0.25, 0])
    by_weights = jax.jacrev(lambda w: row_extent(w, x, every)[::3])(weights)
    np.testing.assert_array_equal(by_weights[0][0, 0], jnp.ones(20))
    np.testing.assert_array_equal(by_weights[1][0, 0], x[0] == 3)
    least = jax.grad(lambda x: jnp.sum(row_extent(weights, x, every).least))(x)
    np.testing.assert_array_equal(least, 0)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_a_sum_of_either(backend, monkeypatch):
    a, b = np.random.default_rng(0).normal(size=(2, 3, 20)).astype(np.float32)
    first = jnp.array([True, False, True])
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    found, other = row_sum_of(first, jnp.asarray(a), jnp.asarray(b), jnp.asarray(a * b))
    want = np.where(first, a.sum(-1), b.sum(-1))
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(other, (a * b).sum(-1), rtol=1e-5, atol=1e-5)
