"""What holds for every input: order, symmetry, masks, edges, finite gradients."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drrl_jax import dro

GAMMAS = [1.0, 1 + 1e-6, 1.01, 1.5, 2.0, 5.0, 50.0, 1e6, np.inf]
RADII = [0.0, 1e-6, 0.05, 0.5, 2.0, 100.0]


@pytest.fixture(scope="module")
def table():
    """The worst case of eight random rows for all orders (axis 0) and radii (axis 1)."""
    values = np.random.default_rng(1).normal(size=(8, 32)).astype(np.float32)
    gamma, radius = jnp.meshgrid(
        jnp.asarray(GAMMAS, jnp.float32), jnp.asarray(RADII, jnp.float32), indexing="ij"
    )
    found = jax.jit(dro.worst_case)(
        jnp.broadcast_to(values, (*gamma.shape, *values.shape)),
        gamma=gamma[..., None],
        radius=radius[..., None],
    )
    return values, found


def test_between_mean_and_maximum_and_monotone(table):
    values, found = table
    v = np.asarray(found.value)
    assert (v >= values.mean(-1) - 1e-5).all()
    assert (v <= values.max(-1) + 1e-5).all()
    assert (np.diff(v, axis=1) >= -1e-5).all(), "falls with the radius"
    assert (np.diff(v, axis=0) <= 1e-5).all(), "rises with the order"
    np.testing.assert_allclose(v[:, 0], np.tile(values.mean(-1), (9, 1)), atol=1e-5)
    np.testing.assert_allclose(v[:, -1], np.tile(values.max(-1), (9, 1)), atol=1e-5)


def test_weights_are_a_distribution_that_attains_the_value(table):
    values, found = table
    weights = np.asarray(found.weights)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    # Float32's promise is 1e-5 in units of the row's range.
    error = np.abs((weights * values).sum(-1) - found.value)
    assert (error <= 1e-5 * np.ptp(values, axis=-1)).all()


def test_renyi_tends_to_kullback_leibler(table):
    _, found = table
    np.testing.assert_allclose(found.value[1], found.value[0], atol=1e-4)


def test_few_steps(table):
    steps = np.asarray(table[1].num_steps)
    assert steps[: GAMMAS.index(2.0) + 1].max() <= 8
    assert steps.max() <= 40


def test_shift_and_scale():
    values = jnp.asarray(np.random.default_rng(2).normal(size=(4, 16)), jnp.float32)
    solve = jax.jit(lambda v: dro.worst_case(v, gamma=1.7, radius=0.4))
    base = solve(values)
    for scale, shift in ((1.0, 3.0), (1e4, 0.0), (1e-4, 0.0)):
        moved = solve(scale * values + shift)
        np.testing.assert_allclose(
            moved.value, scale * base.value + shift, rtol=1e-5, atol=1e-6 * scale
        )
        np.testing.assert_allclose(moved.weights, base.weights, atol=2e-4)


def test_masked_is_deleted_whatever_it_holds():
    values = jnp.array([0.3, jnp.nan, 0.9, -0.2, jnp.inf])
    where = jnp.array([True, False, True, True, False])
    gamma = jnp.array([1.0, 1.5, jnp.inf])
    rows = jnp.tile(values, (3, 1))
    a = dro.worst_case(rows, gamma=gamma, radius=0.3, where=where)
    b = dro.worst_case(rows[:, where], gamma=gamma, radius=0.3)
    np.testing.assert_allclose(a.value, b.value, rtol=1e-6)
    np.testing.assert_allclose(a.weights[:, where], b.weights, rtol=1e-5, atol=1e-7)
    grad = jax.jit(
        jax.grad(
            lambda v: dro.worst_case_mean(v, gamma=gamma, radius=0.3, where=where).sum()
        )
    )(rows)
    np.testing.assert_allclose(grad[:, where], b.weights, rtol=1e-4, atol=1e-6)
    assert (grad[:, ~where] == 0).all()


def test_all_masked_is_zero_with_zero_gradient():
    value, grad = jax.value_and_grad(
        lambda v: dro.worst_case_mean(
            v, gamma=1.5, radius=0.3, where=jnp.zeros(3, bool)
        )
    )(jnp.array([1.0, jnp.nan, 2.0]))
    assert value == 0 and (grad == 0).all()


def test_jit_vmap_and_warm_start_agree():
    values = jnp.asarray(np.random.default_rng(3).normal(size=(5, 20)), jnp.float32)
    gamma = jnp.array([1.0, 1.2, 2.0, 9.0, jnp.inf])
    radius = jnp.array([0.1, 0.5, 1.0, 0.3, 0.7])
    whole = dro.worst_case(values, gamma=gamma, radius=radius)
    mapped = jax.jit(
        jax.vmap(lambda v, g, r: dro.worst_case(v, gamma=g, radius=r))
    )(values, gamma, radius)  # fmt: skip
    np.testing.assert_allclose(whole.value, mapped.value, rtol=1e-5, atol=1e-6)
    warm = dro.worst_case(values, gamma=gamma, radius=radius, init=whole.temperature)
    np.testing.assert_allclose(warm.value, whole.value, rtol=1e-5, atol=1e-6)
    assert (np.asarray(warm.num_steps) <= np.asarray(whole.num_steps) + 1).all()
    nonsense = jnp.array([jnp.nan, -1.0, 0.0, jnp.inf, 1e30])
    cold = dro.worst_case(values, gamma=gamma, radius=radius, init=nonsense)
    np.testing.assert_allclose(cold.value, whole.value, rtol=1e-5, atol=1e-6)


def test_numeric_gradients_to_second_order():
    """Against central differences, in values, order, radius and base weights.

    At order infinity the weight of the score at the threshold moves with the radius.
    """
    rng = np.random.default_rng(4)
    orders, step = [1.3, 2.0, 4.0, 50.0, np.inf], 1e-6
    with jax.enable_x64(True):
        at = (
            jnp.asarray(rng.normal(size=(5, 7))),
            jnp.asarray(orders),
            jnp.full(5, 0.4),
            jnp.asarray(rng.uniform(0.5, 1.5, size=(5, 7))),
        )

        def mean(arguments):
            v, gamma, radius, probs = arguments
            return dro.worst_case_mean(v, gamma=gamma, radius=radius, probs=probs)

        value = jax.jit(jax.vmap(mean))
        gradient = jax.jit(jax.vmap(jax.grad(mean)))
        product = jax.jit(
            jax.vmap(lambda a, d: jax.grad(lambda b: _dot(jax.grad(mean)(b), d))(a))
        )
        along = (*(jnp.asarray(rng.normal(size=a.shape)) for a in at[:3]), at[3] * 0)
        for which in range(4):
            move = [jnp.zeros_like(a) for a in at]
            move[which] = jnp.asarray(rng.normal(size=at[which].shape))
            up = tuple(a + step * m for a, m in zip(at, move, strict=True))
            down = tuple(a - step * m for a, m in zip(at, move, strict=True))
            numeric = (value(up) - value(down)) / (2 * step)
            found = jax.vmap(_dot)(gradient(at), tuple(move))
            np.testing.assert_allclose(found, numeric, rtol=1e-6, atol=1e-8)
            slopes = [jax.vmap(_dot)(gradient(a), along) for a in (up, down)]
            numeric = (slopes[0] - slopes[1]) / (2 * step)
            found = jax.vmap(_dot)(product(at, along), tuple(move))
            np.testing.assert_allclose(found, numeric, rtol=1e-4, atol=1e-6)


def _dot(a, b):
    return sum(jnp.sum(x * y) for x, y in zip(a, b, strict=True))


def test_derivative_in_the_order_at_one_is_one_sided():
    with jax.enable_x64(True):
        values = jnp.asarray(np.random.default_rng(7).normal(size=9))
        mean = jax.jit(lambda g: dro.worst_case_mean(values, gamma=g, radius=0.4))
        found = jax.jit(jax.grad(mean))(jnp.asarray(1.0))
        numeric = (mean(jnp.asarray(1 + 1e-6)) - mean(jnp.asarray(1.0))) / 1e-6
        np.testing.assert_allclose(found, numeric, rtol=1e-3)


def test_float32_budget_on_long_rows_of_every_order():
    values = np.random.default_rng(8).normal(scale=0.2, size=(64, 2000))
    for gamma, radius in ((1.0, 0.5), (2.0, 2.0), (10.0, 0.5), (50.0, 1.0)):
        found = jax.jit(dro.worst_case)(
            jnp.asarray(values, jnp.float32), gamma=gamma, radius=radius
        )
        weights = np.asarray(found.weights, np.float64)
        with jax.enable_x64(True):
            spent = dro.renyi_divergence(
                jnp.asarray(weights), jnp.asarray(1 / 2000), gamma
            )
        np.testing.assert_allclose(spent, radius, atol=1e-4)


@pytest.mark.parametrize(
    ("count", "top", "gamma", "radius"),
    [
        (20_000, 30, 1.5, 6),
        (20_000, 3, 1.4, 6),
        (20_000, 3, 1.2, 6),
        (2000, 0.8, 1.4, 4),
    ],
)
def test_float32_budget_of_rows_with_one_rare_best_score(count, top, gamma, radius):
    """Where the budget is steep a small step in the temperature is not the end."""
    values = np.random.default_rng(8).normal(scale=0.1, size=count)
    values[0] = top
    found = jax.jit(dro.worst_case)(
        jnp.asarray(values, jnp.float32), gamma=jnp.float32(gamma), radius=radius
    )
    weights = np.asarray(found.weights, np.float64)
    with jax.enable_x64(True):
        spent = dro.renyi_divergence(
            jnp.asarray(weights), jnp.asarray(1 / count), gamma
        )
    np.testing.assert_allclose(spent, radius, atol=1e-4)


@pytest.mark.parametrize("gamma", [1.0, 1.1, 1.5, 2.0, 3.0, 10.0])
@pytest.mark.parametrize("probs", [None, np.linspace(1e-3, 1, 1100)])
def test_float32_budget_of_small_radii(gamma, probs):
    """Of which half would be within any absolute tolerance of 0."""
    values = np.random.default_rng(0).exponential(size=1100) ** 3
    values = np.asarray(values / values.max(), np.float32)
    radii = np.array([1e-6, 2e-6, 5e-6, 2e-5, 1e-4, 1e-3])
    found = dro.worst_case(
        np.tile(values, (6, 1)), gamma=gamma, radius=radii, probs=probs
    )
    with jax.enable_x64(True):
        base = np.ones(1100) if probs is None else probs
        base = base / base.sum()
        # Their sum is 1 up to rounding, which is no less than these radii.
        weights = np.asarray(found.weights, np.float64)
        weights /= weights.sum(axis=-1, keepdims=True)
        spent = dro.renyi_divergence(weights, base, gamma)
        if gamma == 2:  # log(1 + chi squared): the optimum is mean + chi deviations
            mean = base @ values
            deviation = np.sqrt(base @ (values - mean) ** 2)
            want = mean + deviation * np.sqrt(np.expm1(radii))
            np.testing.assert_allclose(found.value, want, atol=1e-6)
    np.testing.assert_allclose(spent, radii, rtol=0.02)
    assert found.num_steps.max() <= 12


@pytest.mark.parametrize("gamma", [1.0, 1.5, 2.0, np.inf])
@pytest.mark.parametrize("small", [1e-10, 1e-20, 1e-30, 1e-37])
def test_the_divergence_from_a_small_probability_has_its_gradient(gamma, small):
    """-p / q of one over another's square, which is 0 in float32, and log(p / q)."""
    p, q = jnp.array([0.5, 0.5]), jnp.array([small, 1.0])
    value, (by_p, by_q) = jax.value_and_grad(dro.renyi_divergence, (0, 1))(p, q, gamma)
    with jax.enable_x64(True):
        p, q = np.array(p, np.float64), np.array(q, np.float64)
        want, (want_p, want_q) = jax.value_and_grad(dro.renyi_divergence, (0, 1))(
            p, q, gamma
        )
    np.testing.assert_allclose(value, want, rtol=1e-6)
    np.testing.assert_allclose(by_p, want_p, rtol=2e-5)
    np.testing.assert_allclose(by_q, want_q, rtol=2e-5)


@pytest.mark.parametrize("gamma", [1.0, 1.1, 2.0, 5.0, np.inf])
def test_a_temperature_too_small_to_divide_by_is_0(gamma):
    values = jnp.array([[0.1, 0.5, 0.9], [0.3, 0.3, 0.3], [1e4, -1e4, 0.0]])
    slopes = jax.jit(
        jax.grad(
            lambda values, tau: dro.value_at_temperature(
                values, tau, gamma=gamma
            ).sum(),
            (0, 1),
        )
    )
    for tau in 10.0 ** -np.arange(9, 46, 4):
        by_values, by_tau = slopes(values, jnp.float32(tau))
        np.testing.assert_allclose(by_values.sum(axis=-1), 1, rtol=1e-6)
        assert np.isfinite(by_tau)


def test_ranks_that_differ_where_jax_refuses_them():
    values = jnp.linspace(0, 1, 60).reshape(3, 4, 5)
    numbers, probs = jnp.full(4, 1.5), jnp.arange(5.0)
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        for where in (None, values > 0.1):
            shared = {"gamma": numbers, "probs": probs, "where": where}
            dro.worst_case(values, radius=numbers, **shared)
            dro.value_at_temperature(values, numbers, **shared)
            dro.worst_case_at_temperature(values, numbers, **shared)
            dro.dual(values, numbers, weight=numbers, **shared)
        dro.renyi_divergence(probs / 10, values, jnp.full(4, 2.0))


def test_dual_has_finite_gradients_where_nothing_exceeds_the_threshold():
    values = jnp.array([[0.1, 0.5, 0.5], [0.1, 0.9, jnp.nan], [1.0, jnp.nan, 2.0]])
    where = jnp.array([[True] * 3, [True, True, False], [False] * 3])

    def total(v, b, g):
        return dro.dual(v, b, gamma=g, weight=1.5, where=where).sum()

    graded = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2)))
    for gamma in (1.0, 1.01, 2.0, jnp.inf):
        for threshold in (0.5, 1.0, -1e4):
            value, slopes = graded(values, threshold, jnp.float32(gamma))
            assert np.isfinite(value)
            assert all(np.isfinite(s).all() for s in slopes)
    high = dro.dual(values, 1.0, gamma=1.01, weight=1.5, where=where)
    np.testing.assert_allclose(high, [1.0, 1.0, 0.0])
    # k = 101: 0.9 ** 101 underflows in bfloat16 and 0.01 ** 101 everywhere.
    near = dro.dual(jnp.array([0.01, 0.02]), 0.0, gamma=1.01, weight=1.0)
    np.testing.assert_allclose(near, 0.02 * 0.5 ** (1 / 101), rtol=1e-4)


def test_gradient_in_the_radius_is_the_multiplier():
    """dV/dη = τ·m/m₁, and τ itself at order 1."""
    values = jnp.asarray(np.random.default_rng(6).normal(size=9), jnp.float32)
    slope = jax.jit(
        jax.grad(lambda r: dro.worst_case_mean(values, gamma=1.0, radius=r))
    )(0.4)
    temperature = dro.worst_case(values, gamma=1.0, radius=0.4).temperature
    np.testing.assert_allclose(slope, temperature, rtol=1e-3)


@jax.jit
def _everything(values, where, gamma, radius, probs):
    def mean(v, g, r):
        return dro.worst_case_mean(v, gamma=g, radius=r, where=where, probs=probs)

    value, gradients = jax.value_and_grad(mean, argnums=(0, 1, 2))(
        values, gamma, radius
    )
    return (
        value,
        gradients,
        dro.worst_case(values, gamma=gamma, radius=radius, where=where, probs=probs),
    )


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(st.data())
def test_finite_on_adversarial_inputs(data):
    """Ties, ±1e4, one candidate, all masked, η = 0, η ≫ log N: always finite."""
    score = st.one_of(
        st.sampled_from([0.0, 1e4, -1e4, 1.0, 1e-30, 1.0000001]),
        st.floats(-2, 2, width=32),
    )
    n = 6
    values = np.array(data.draw(st.lists(score, min_size=n, max_size=n)), np.float32)
    where = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    weight = st.sampled_from([0.0, 1e-6, 1.0, 5.0])
    probs = np.array(data.draw(st.lists(weight, min_size=n, max_size=n)), np.float32)
    gamma = np.float32(data.draw(st.sampled_from(GAMMAS)))
    radius = np.float32(data.draw(st.sampled_from([*RADII, 1e-12, np.log(6)])))
    value, gradients, found = _everything(values, where, gamma, radius, probs)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in gradients)
    assert np.isfinite(found.weights).all() and np.isfinite(found.temperature)
    used = where & (probs > 0)
    if used.any():
        slack = 1e-5 * max(1.0, np.ptp(values[used]))
        assert values[used].min() - slack <= value <= values[used].max() + slack
    else:
        assert value == 0


@pytest.mark.parametrize("gamma", [1.0, 1.05, 2.0, 20.0, np.inf])
def test_the_divergence_of_bfloat16_is_rounded_once(gamma):
    p, q = (
        jax.random.dirichlet(jax.random.key(i), jnp.ones(200)).astype(jnp.bfloat16)
        for i in (0, 1)
    )
    found = dro.renyi_divergence(p, q, gamma)
    exact = dro.renyi_divergence(p.astype(jnp.float32), q.astype(jnp.float32), gamma)
    assert found.dtype == jnp.bfloat16 and found == exact.astype(jnp.bfloat16)


@pytest.mark.parametrize("gamma", [1.0004, 1.001, 1.01, 1.1, 1.3])
def test_the_divergence_near_order_1_does_not_cancel(gamma):
    rng = np.random.default_rng(9)
    p, q = rng.dirichlet(np.ones(200), 2)
    exact = np.log(np.sum(p**gamma * q ** (1 - gamma))) / (gamma - 1)
    found = dro.renyi_divergence(p.astype("float32"), q.astype("float32"), gamma)
    np.testing.assert_allclose(found, exact, atol=3e-6)
    same = jnp.full(50, 1 / 50)
    assert abs(dro.renyi_divergence(same, same, gamma)) < 1e-6


def test_bfloat16_in_bfloat16_out():
    values = jnp.array([0.1, 0.5, 0.9], jnp.bfloat16)
    found = dro.worst_case(values, gamma=2.0, radius=0.1)
    assert found.value.dtype == found.weights.dtype == jnp.bfloat16
    np.testing.assert_allclose(float(found.value), 0.6059, atol=4e-3)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda v: dro.worst_case(v, gamma=0.5, radius=0.1), "gamma"),
        (lambda v: dro.worst_case(v, gamma=2.0, radius=-0.1), "radius"),
        (lambda v: dro.dual(v, 0.0, gamma=2.0, weight=0.5), "weight"),
        (lambda v: dro.worst_case(v, gamma=2.0, radius=jnp.ones(4)), "radius"),
        (lambda v: dro.worst_case([0.1], gamma=2.0, radius=0.1), "values .* a list"),
        (lambda v: dro.worst_case(v + 1j, gamma=2.0, radius=0.1), "got complex64"),
        (lambda v: dro.worst_case_mean([0.1], gamma=2.0, radius=0.1), "a list"),
        (lambda v: dro.value_at_temperature([0.1], 1.0, gamma=2.0), "a list"),
        (lambda v: dro.dual([0.1], 0.0, gamma=2.0, weight=1.5), "a list"),
    ],
)
def test_static_errors(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(jnp.zeros((2, 3)))


def test_value_at_temperature_is_the_kl_dual_at_order_1():
    values = jnp.array([0.3, -0.1, 0.8])
    tau = 0.2
    expected = tau * np.log(np.mean(np.exp(np.asarray(values) / tau)))
    found = dro.value_at_temperature(values, tau, gamma=1.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_blocks_of_rows_change_nothing():
    """Enough long rows are solved a block at a time on a CPU."""
    values = np.random.default_rng(9).normal(scale=0.2, size=(2, 24, 8000))
    values = jnp.asarray(values, jnp.float32)
    solve = jax.jit(lambda v: dro.worst_case(v, gamma=1.5, radius=0.5))
    whole, part = solve(values), solve(values[1, :4])
    assert whole.num_steps.shape == (2, 24)
    np.testing.assert_allclose(whole.value[1, :4], part.value, rtol=1e-5)
    np.testing.assert_array_equal(whole.num_steps[1, :4], part.num_steps)


def test_scores_that_nearly_tie_at_the_threshold():
    """All but one within rounding of each other: conditional value at risk is exact."""
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(64, 200)) * 1e-7).astype(np.float32)
    values[:, 0] = 1
    few = (rng.normal(size=(64, 200)) * 1e-6).astype(np.float32)
    few[:, :10] = rng.normal(size=(64, 10))
    for rows in (values, few):
        for radius in (0.3, 1.0, 3.0):
            found = dro.worst_case(rows, gamma=np.inf, radius=radius)
            ordered = np.sort(rows.astype(np.float64))[:, ::-1]
            kept = 200 * np.exp(-np.float64(np.float32(radius)))
            whole = int(kept)
            exact = ordered[:, :whole].sum(1) + (kept - whole) * ordered[:, whole]
            np.testing.assert_allclose(found.value, exact / kept, atol=1e-6)
            assert float(jnp.max(found.weights)) <= np.exp(radius) / 200 * 1.001


def test_near_ties_at_a_huge_finite_order():
    u = 2.0**-24
    near = [2 * u, 2 * u, -3 * u, 3 * u, -3 * u, 0, -3 * u]
    values = jnp.array([1, 0.7, *near, -1], jnp.float32)
    found = dro.worst_case(values, gamma=1e4, radius=1.2)
    assert float(found.weights @ values) == pytest.approx(float(found.value), abs=1e-3)
    divergence = dro.renyi_divergence(found.weights, jnp.full(10, 0.1), gamma=1e4)
    assert float(divergence) == pytest.approx(1.2, abs=1e-3)


def test_the_divergence_has_its_derivative_in_the_order_at_1():
    p, q = jnp.array([0.5, 0.3, 0.2]), jnp.array([0.25, 0.25, 0.5])
    logs = np.log(p / q)
    spread = np.sum(p * (logs - np.sum(p * logs)) ** 2)
    slope = jax.grad(lambda gamma: dro.renyi_divergence(p, q, gamma))
    np.testing.assert_allclose(slope(1.0), spread / 2, rtol=1e-5)
    np.testing.assert_allclose(slope(1.001), spread / 2, rtol=1e-3)
    assert slope(jnp.inf) == 0


def test_an_infinite_radius_has_weight_1_at_order_1():
    assert dro.weight_from_radius(jnp.inf, 1.0) == 1
    assert dro.weight_from_radius(jnp.inf, 2.0) == jnp.inf
    slope = jax.grad(lambda gamma: dro.weight_from_radius(0.7, gamma))(1.0)
    np.testing.assert_allclose(slope, 0.7, rtol=1e-6)


def test_a_radius_below_the_epsilon_moves_the_value():
    """Of half zeros and half ones by half the root of the radius at order 2."""
    values = jnp.repeat(jnp.array([0.0, 1.0]), 500)
    found = dro.worst_case_mean(values, gamma=2.0, radius=2e-8)
    np.testing.assert_allclose(found, 0.5 + 0.5 * np.sqrt(2e-8), atol=2e-5)


def test_a_ball_of_the_best_alone_has_its_threshold_there_and_temperature_0():
    values = jnp.array([0.1, 0.5, 0.9])
    solve = jax.jit(lambda v: dro.worst_case(v, gamma=2.0, radius=5.0))
    for name, value, slope in (
        ("threshold", 0.9, [0, 0, 1]),
        ("temperature", 0.0, [0, 0, 0]),
    ):
        found = jax.value_and_grad(lambda v, name=name: getattr(solve(v), name))(values)
        np.testing.assert_allclose(found[0], value, rtol=1e-6)
        np.testing.assert_allclose(found[1], slope)


def test_a_row_with_nothing_has_value_0_whatever_its_radius():
    found = dro.value_at_temperature(
        jnp.ones((2, 3)),
        0.3,
        gamma=1.5,
        radius=0.7,
        where=jnp.array([[True] * 3, [False] * 3]),
    )
    assert found[0] > 1 and found[1] == 0


def test_at_order_1_weights_vanish_nowhere():
    found = dro.worst_case(jnp.array([0.1, 0.9]), gamma=1.0, radius=0.1)
    assert found.threshold == -jnp.inf and found.temperature > 0


@pytest.mark.parametrize(("weight", "radius"), [(1.0, 0.0), (2.0, np.inf)])
def test_a_traced_order_of_1_has_a_radius_for_every_weight(weight, radius):
    assert jax.jit(dro.radius_from_weight)(weight, jnp.array(1.0)) == radius


@pytest.mark.parametrize("gamma", [1.0001, 1.05, 1.3, 4.0])
def test_a_value_at_a_temperature_has_its_numeric_derivative_in_the_order(gamma):
    with jax.enable_x64(True):
        values = jnp.asarray(np.random.default_rng(5).normal(size=9))

        @jax.jit
        def value(gamma):
            return dro.value_at_temperature(values, 3.0, gamma=gamma, radius=0.7)

        step = 1e-6
        numeric = (value(gamma + step) - value(gamma - step)) / (2 * step)
        np.testing.assert_allclose(jax.grad(value)(gamma), numeric, rtol=1e-6)
