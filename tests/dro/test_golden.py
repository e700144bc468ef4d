"""The worst case against 108 cases of an independent convex solver, and by brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from drrl_jax import dro
from tests.conftest import reference_path


@pytest.fixture(scope="module")
def cases():
    with np.load(reference_path()) as file:
        return {
            name.removeprefix("worst_case/"): file[name]
            for name in file.files
            if name.startswith("worst_case/")
        }


def _solve(cases, dtype):
    given = {k: jnp.asarray(cases[k], dtype) for k in ("values", "probs")}
    return jax.jit(dro.worst_case)(
        given["values"],
        probs=given["probs"],
        gamma=jnp.asarray(cases["gamma"], dtype),
        radius=jnp.asarray(cases["radius"], dtype),
    )


def test_all_golden_cases_in_float64(cases):
    with jax.enable_x64(True):
        found = _solve(cases, jnp.float64)
        assert found.value.shape == (108,)
        # The reference itself is good to 1e-6; its weights to 1e-4 where unique.
        np.testing.assert_allclose(found.value, cases["value"], atol=2e-6)
        sorted_values = np.sort(cases["values"], axis=-1)
        unique = np.diff(sorted_values, axis=-1).min(axis=-1) > 1e-6
        np.testing.assert_allclose(
            found.weights[unique], cases["weights"][unique], atol=1e-3
        )
        # Ours are feasible and attain the value, so the optimum is bracketed.
        attained = np.sum(np.asarray(found.weights) * cases["values"], axis=-1)
        np.testing.assert_allclose(attained, found.value, atol=1e-9)
        used = dro.renyi_divergence(
            found.weights, jnp.asarray(cases["probs"]), jnp.asarray(cases["gamma"])
        )
        assert (np.asarray(used) <= cases["radius"] + 1e-8).all()


def test_all_golden_cases_in_float32(cases):
    exact = _solve_exact(cases)
    found = _solve(cases, jnp.float32)
    scale = np.ptp(cases["values"], axis=-1)
    assert (np.abs(np.asarray(found.value) - exact.value) <= 1e-5 * scale + 1e-6).all()
    weights = np.asarray(found.weights, np.float64)
    with jax.enable_x64(True):
        used = np.asarray(
            dro.renyi_divergence(
                jnp.asarray(weights / weights.sum(-1, keepdims=True)),
                jnp.asarray(cases["probs"]),
                jnp.asarray(cases["gamma"]),
            )
        )
    # The budget is held in float32, and spent where it can be.
    assert (used <= cases["radius"] + 1e-4).all()
    with np.errstate(divide="ignore"):
        best = cases["values"] >= cases["values"].max(-1, keepdims=True)
        largest = -np.log((cases["probs"] * best).sum(-1))
    inner = (cases["radius"] < largest - 1e-3) & np.isfinite(cases["gamma"])
    assert (np.abs(used - cases["radius"])[inner] <= 1e-4).all()


def _solve_exact(cases):
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, _solve(cases, jnp.float64))


@pytest.mark.parametrize("gamma", [1.0, 1.3, 2.0, 8.0])
def test_brute_force_over_the_simplex(gamma):
    """No distribution of a fine grid inside the ball does better; one does as well."""
    values, q, radius = np.array([0.2, -0.4, 0.9]), np.array([0.5, 0.3, 0.2]), 0.3
    steps = np.linspace(0, 1, 801)
    a, b = np.meshgrid(steps, steps)
    p = np.stack([a, b, 1 - a - b], -1)[(a + b) <= 1]
    with jax.enable_x64(True):
        inside = np.asarray(dro.renyi_divergence(jnp.asarray(p), q, gamma)) <= radius
        value = float(
            dro.worst_case(
                jnp.asarray(values), gamma=gamma, radius=radius, probs=q
            ).value
        )
    best = (p[inside] @ values).max()
    assert best <= value + 1e-9
    assert value - best < 2e-3


def test_primal_equals_the_dual_minimised_over_the_threshold():
    rng = np.random.default_rng(0)
    values = rng.normal(size=12)
    with jax.enable_x64(True):
        for gamma, radius in ((1.2, 0.5), (3.0, 0.2), (20.0, 0.8)):
            weight = float(dro.weight_from_radius(radius, gamma))
            dual = jax.jit(lambda b, g=gamma, w=weight: dro.dual(
                jnp.asarray(values), b, gamma=g, weight=w
            ))  # fmt: skip
            best = optimize.minimize_scalar(
                lambda b, f=dual: float(f(b)),
                bounds=(-30, values.max()),
                method="bounded",
                options={"xatol": 1e-10},
            )
            found = dro.worst_case(jnp.asarray(values), gamma=gamma, radius=radius)
            np.testing.assert_allclose(found.value, best.fun, atol=1e-8)
            np.testing.assert_allclose(found.threshold, best.x, atol=1e-3)


def test_conditional_value_at_risk_in_closed_form():
    values = jnp.arange(10.0)
    found = dro.worst_case(values, gamma=jnp.inf, radius=float(np.log(4)))
    # The best quarter of ten: 9 and 8 at weight .4 each, half of that at 7.
    np.testing.assert_allclose(found.value, 0.4 * 9 + 0.4 * 8 + 0.2 * 7, rtol=1e-6)
    np.testing.assert_allclose(found.weights[-3:], [0.2, 0.4, 0.4], atol=1e-6)


def test_weight_and_radius_are_one_thing():
    for gamma in (1.5, 3.0, np.inf):
        weight = dro.weight_from_radius(0.7, gamma)
        np.testing.assert_allclose(
            dro.radius_from_weight(weight, gamma), 0.7, rtol=1e-5
        )
    np.testing.assert_allclose(
        dro.weight_from_radius(0.7, np.inf), np.exp(0.7), rtol=1e-6
    )


def test_divergence_in_closed_form():
    p, q = jnp.array([0.5, 0.5, 0.0]), jnp.array([0.25, 0.25, 0.5])
    for gamma in (1.0, 1.0001, 2.0, 50.0, jnp.inf):  # p/q is 2 on p's support
        np.testing.assert_allclose(
            dro.renyi_divergence(p, q, gamma), np.log(2), rtol=1e-3
        )
    p = jnp.array([0.7, 0.3])
    q = jnp.array([0.4, 0.6])
    kl = 0.7 * np.log(0.7 / 0.4) + 0.3 * np.log(0.3 / 0.6)
    np.testing.assert_allclose(dro.renyi_divergence(p, q, 1.0), kl, rtol=1e-5)
    two = np.log(0.49 / 0.4 + 0.09 / 0.6)
    np.testing.assert_allclose(dro.renyi_divergence(p, q, 2.0), two, rtol=1e-5)


def _dual_minimum(values, gamma, radius):
    """The worst case over uniform probabilities by a scalar search over thresholds."""
    kappa, best = (gamma - 1) / gamma, values.max()

    def objective(log_distance):
        threshold = best - np.exp(log_distance)
        excess = np.maximum(values - threshold, 0)
        power = np.mean((excess / excess.max()) ** (1 / kappa)) ** kappa
        return np.exp(radius * kappa) * excess.max() * power + threshold

    grid = np.linspace(-8, 12, 400)
    at = np.argmin([objective(x) for x in grid])
    return optimize.minimize_scalar(
        objective, bounds=(grid[at - 1], grid[at + 1]), options={"xatol": 1e-10}
    ).fun


@pytest.mark.parametrize("ties", [False, True], ids=["apart", "ties"])
def test_derivative_in_the_order_by_differences(ties):
    values = np.random.default_rng(0).normal(size=20)
    values = np.round(values) if ties else values
    slope = jax.jit(
        jax.grad(lambda gamma, v, r: dro.worst_case_mean(v, gamma=gamma, radius=r))
    )
    for gamma in (1.01, 1.5, 3.0, 10.0, 30.0, 100.0):
        for radius in (0.1, 0.5, 1.0):
            step = 1e-3 * (gamma - 1)
            ends = [_dual_minimum(values, gamma + s * step, radius) for s in (1, -1)]
            expected = (ends[0] - ends[1]) / (2 * step)
            found = slope(jnp.float32(gamma), jnp.float32(values), radius)
            np.testing.assert_allclose(found, expected, rtol=5e-3)


@pytest.mark.parametrize("gamma", [1.0, 1.2, 2.0, 3.0])
def test_the_derivative_of_a_divergence_leaves_the_sum_of_p(gamma):
    """Whatever branch a row takes; within the simplex it is the formula's."""

    def formula(p, q):
        if gamma == 1:
            return jnp.sum(p * jnp.log(p / q))
        return jnp.log(jnp.sum(q * (p / q) ** gamma)) / (gamma - 1)

    with jax.enable_x64(True):
        q = jnp.array([0.25, 0.35, 0.4])
        for p in (jnp.array([0.3, 0.3, 0.4]), jnp.array([0.9, 0.05, 0.05])):
            found = jax.grad(dro.renyi_divergence)(p, q, gamma)
            # What the formula has more is what a larger sum of p would add.
            more = formula(p, q) if gamma == 1 else 1 / (gamma - 1)
            want = jax.grad(formula)(p, q) - more
            np.testing.assert_allclose(found, want, rtol=1e-9)
