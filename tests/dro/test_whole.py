"""Orders whose weights are whole powers: the same numbers without a logarithm."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drrl_jax import dro
from drrl_jax.dro.order import MAX_WHOLE_POWER, whole_power

ORDERS = [2.0, 1.1]
RADII = jnp.array([1e-6, 1e-2, 0.5, 3.0, 4.5, 9.0])


@pytest.mark.parametrize(
    ("gamma", "power"),
    [
        (2.0, 1),
        (1.5, 2),
        (1 + 1 / 3, 3),
        (np.float64(1.25), 4),
        (1.1, MAX_WHOLE_POWER),
        (1.05, None),
        (1.4, None),
        (1, None),
        (3.0, None),
        (float("inf"), None),
        (np.float32(1.1), None),
    ],
)
def test_whole_powers(gamma, power):
    assert whole_power(gamma) == power


def test_arrays_are_not_read():
    assert whole_power(jnp.asarray(1.5)) is None
    assert jax.jit(lambda g: jnp.asarray(whole_power(g) is None))(1.5)


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def scores(shape, seed=0, dtype=jnp.float64):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape) * 0.3, dtype)


def both(function, gamma, dtype=jnp.float64):
    """The same with a plain order and with one that nobody can look at."""
    return function(gamma), jax.jit(function)(jnp.asarray(gamma, dtype))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("gamma", ORDERS)
@pytest.mark.parametrize("kind", ["plain", "masked", "weighted", "ties"])
def test_worst_case_is_that_of_any_order(gamma, kind):
    """Every row at every radius."""
    values, options = scores((8, 100)), {}
    rng = np.random.default_rng(1)
    if kind == "masked":
        where = rng.random((8, 100)) < 0.6
        where[0], where[1, 1:], where[1, 0] = False, False, True
        options["where"] = jnp.asarray(where)[:, None]
    if kind == "weighted":
        options["probs"] = jnp.asarray(rng.dirichlet(np.ones(100), 8))[:, None]
    if kind == "ties":
        values = jnp.round(values, 1)
    solved, expected = both(
        lambda g: dro.worst_case(
            values[:, None] + jnp.zeros((6, 1)), gamma=g, radius=RADII, **options
        ),
        gamma,
    )
    for name in ("value", "weights", "threshold", "temperature"):
        np.testing.assert_allclose(
            getattr(solved, name), getattr(expected, name), rtol=1e-8, atol=1e-10
        )


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("gamma", [1.5])
@pytest.mark.parametrize(
    "function",
    [
        lambda f, g: dro.worst_case_mean(f, gamma=g, radius=0.7).sum(),
        lambda f, g: jnp.var(dro.worst_case(f, gamma=g, radius=0.7).weights),
        lambda f, g: dro.worst_case(f, gamma=g, radius=0.7).temperature.sum(),
        lambda f, g: dro.worst_case(f, gamma=g, radius=0.7).threshold.sum(),
        lambda f, g: dro.value_at_temperature(f, 0.4, gamma=g).sum(),
        lambda f, g: dro.worst_case_at_temperature(f, 0.4, gamma=g).value.sum(),
        lambda f, g: jnp.var(
            dro.worst_case_at_temperature(f, 0.4, gamma=g).weights, axis=-1
        ).sum(),
        lambda f, g: dro.dual(f, 0.1, gamma=g, weight=1.5, epsilon=0.1).sum(),
    ],
    ids=[
        "value",
        "weights",
        "temperature",
        "threshold",
        "at temperature",
        "matched value",
        "matched weights",
        "dual",
    ],
)
def test_gradients_are_those_of_any_order(gamma, function):
    values = scores((4, 30))

    slope = jax.jit(jax.grad(function), static_argnums=1)
    found, expected = slope(values, gamma), jax.jit(jax.grad(function))(values, gamma)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["temperature", "threshold"])
def test_gradient_of_the_solution_by_differences(name, gamma=1.5):
    values, push = scores((1, 12)), scores((1, 12), seed=5)

    def along(t):
        solved = dro.worst_case(values + t * push, gamma=gamma, radius=0.7)
        return getattr(solved, name)[0]

    step = 1e-5
    slope = (along(step) - along(-step)) / (2 * step)
    np.testing.assert_allclose(jax.jit(jax.grad(along))(0.0), slope, rtol=1e-5)


@pytest.mark.usefixtures("x64")
def test_second_derivative_by_differences():
    values, push = scores((1, 12)), scores((1, 12), seed=5)

    @jax.jit
    def slope(t):
        return jax.grad(
            lambda t: dro.worst_case_mean(values + t * push, gamma=1.5, radius=0.7)[0]
        )(t)

    step = 1e-5
    curvature = (slope(step) - slope(-step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(slope)(0.0), curvature, rtol=1e-5)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("gamma", [1.25, 2.0])
def test_long_rows(gamma):
    """In one array instead of two: with ties, few entries or none."""
    values = np.array(scores((6, 3000)))
    where = np.ones((6, 3000), bool)
    values[1, ::3] = 2.0  # ties
    values[2] = np.sort(values[2])
    where[3, ::11] = False
    where[4, 5:] = False
    where[5] = False
    radii = jnp.array([0.05, 1.0, 4.0, 5.4, 6.5, 8.0])[:, None]
    values, where = jnp.asarray(values), jnp.asarray(where)
    values = jnp.broadcast_to(values, (6, 6, 3000))
    solved, expected = both(
        lambda g: dro.worst_case(values, gamma=g, radius=radii, where=where),
        gamma,
    )
    for name in ("value", "weights", "temperature"):
        np.testing.assert_allclose(
            getattr(solved, name), getattr(expected, name), rtol=1e-8, atol=1e-10
        )


@pytest.mark.parametrize("gamma", ORDERS)
def test_float32_spends_the_radius(gamma):
    values = jnp.broadcast_to(scores((6, 1, 200), dtype=jnp.float32), (6, 6, 200))
    radius = jnp.array([0.0, 1e-4, 0.1, 1.0, 4.0, 20.0])
    solved = dro.worst_case(values, gamma=gamma, radius=radius)
    spent = dro.renyi_divergence(solved.weights, jnp.full(200, 1 / 200), gamma=gamma)
    np.testing.assert_allclose(
        spent, jnp.broadcast_to(jnp.minimum(radius, np.log(200)), (6, 6)), atol=1e-4
    )
    gradient = jax.grad(
        lambda f: dro.worst_case_mean(f, gamma=gamma, radius=radius).sum()
    )(values)
    np.testing.assert_allclose(gradient, solved.weights, atol=1e-6)
