"""Where one loss becomes another."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drrl_jax import dro
from drrl_jax.losses import (
    LOSSES,
    bsl,
    ccl,
    drrl,
    drrl_at_k,
    drrl_dual,
    drrl_matched,
    drrl_tempered,
    sl_at_k,
    softmax,
)

INF = float("inf")
RNG = np.random.default_rng(0)
POS = RNG.uniform(-0.1, 0.9, 6)
NEG = RNG.uniform(-0.9, 0.9, (6, 13))
TAU = 0.25


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def rows(loss, **hyperparameters):
    return jax.jit(lambda pos, neg: loss(pos, neg, reduce_fn=None, **hyperparameters))(
        POS, NEG
    )


def close(got, want, tolerance=1e-10):
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def test_tempered_at_order_one_is_softmax():
    want = TAU * (rows(softmax, temperature=TAU) - np.log(NEG.shape[1]))
    close(rows(drrl_tempered, gamma=1.0, temperature=TAU), want)
    # The limit is continuous, not a branch that happens to agree at 1.
    close(rows(drrl_tempered, gamma=1 + 1e-7, temperature=TAU), want, 1e-6)


def test_matched_at_order_one_has_the_gradient_of_softmax():
    def slopes(loss):
        slope = jax.grad(lambda neg: loss(POS, neg, temperature=TAU).sum())
        return jax.jit(slope)(NEG)

    matched = slopes(lambda *args, **options: drrl_matched(*args, gamma=1.0, **options))
    close(matched, TAU * slopes(softmax))


def test_tempered_at_infinite_order_is_ccl_with_a_relative_margin():
    margin = NEG.max(1) - TAU
    hinges = rows(ccl, margin=margin, negative_weight=1.0) - np.maximum(1 - POS, 0)
    close(rows(drrl_tempered, gamma=INF, temperature=TAU), hinges + margin - POS)


def test_drrl_at_k_at_order_one_is_sl_at_k():
    options = dict(quantile=0.2, temperature=TAU, weight_temperature=0.7)
    log_q = RNG.normal(size=NEG.shape)
    for extra in ({}, {"log_q": log_q}, {"where": NEG < 0.5}):
        want = rows(sl_at_k, **options, **extra)
        close(rows(drrl_at_k, gamma=1.0, **options, **extra), want)

    def by_temperature(loss, **extra):
        held = {k: v for k, v in options.items() if k != "temperature"}
        slope = jax.grad(
            lambda tau: loss(POS, NEG, temperature=tau, **held, **extra).sum()
        )
        return jax.jit(slope)(TAU)

    close(by_temperature(drrl_at_k, gamma=1.0), by_temperature(sl_at_k))


@pytest.mark.parametrize("gamma", [1.0, 1.5, 4.0])
def test_losses_of_a_held_ball_have_its_numeric_gradient(gamma):
    """The radius of each row and what the ball costs are those of the scores here."""
    options = dict(gamma=gamma, temperature=TAU)
    at_k = dict(quantile=0.2, weight_temperature=0.7)
    radius = dro.worst_case_at_temperature(NEG, TAU, gamma=gamma).radius
    matched = rows(drrl_matched, **options)
    cost = rows(drrl_tempered, **options) - matched

    def held(pos, neg):
        return dro.worst_case_mean(neg, gamma=gamma, radius=radius) - pos

    def held_at_k(pos, neg):
        total = (held(pos, neg) + cost) / TAU + np.log(NEG.shape[1])
        return jax.nn.sigmoid((pos - 0.2) / 0.7) * total

    close(held(POS, NEG), matched, 1e-9)
    close(held_at_k(POS, NEG), rows(drrl_at_k, **options, **at_k), 1e-9)
    direction = RNG.normal(size=POS.shape), RNG.normal(size=NEG.shape)
    for loss, extra, by_hand in (
        (drrl_matched, {}, held),
        (drrl_at_k, at_k, held_at_k),
    ):

        def total(pos, neg, loss=loss, extra=extra):
            return loss(pos, neg, **options, **extra).sum() * len(POS)

        slopes = jax.grad(total, argnums=(0, 1))(POS, NEG)
        analytic = sum(np.vdot(s, d) for s, d in zip(slopes, direction))
        ahead, behind = (
            by_hand(POS + e * direction[0], NEG + e * direction[1]).sum()
            for e in (1e-5, -1e-5)
        )
        np.testing.assert_allclose(analytic, (ahead - behind) / 2e-5, rtol=1e-6)


def test_dual_at_infinite_order_is_ccl():
    options = dict(gamma=INF, weight=3.0, threshold=0.2)
    want = rows(ccl, margin=0.2, negative_weight=3.0) + 0.2
    close(rows(drrl_dual, **options), want)


def test_best_dual_is_the_solved_loss():
    gamma, radius = 2.0, 0.4
    solved = rows(drrl, gamma=gamma, radius=radius)
    weight = dro.weight_from_radius(radius, gamma)
    solve = jax.jit(lambda neg: dro.worst_case(neg, gamma=gamma, radius=radius))
    threshold = solve(NEG).threshold
    options = dict(gamma=gamma, weight=weight, margin=1e3)
    best = rows(drrl_dual, threshold=threshold, **options) - 1e3
    close(best, solved, 1e-8)
    for step in (-0.05, 0.05):
        moved = rows(drrl_dual, threshold=threshold + step, **options) - 1e3
        assert np.all(moved > solved)


def test_equal_temperatures_make_bsl_softmax():
    want = rows(softmax, temperature=TAU)
    close(rows(bsl, pos_temperature=TAU, neg_temperature=TAU), want)


def test_solved_tends_to_the_kullback_leibler_worst_case():
    radius = 0.3
    kl = rows(drrl, gamma=1.0, radius=radius)
    gaps = [
        np.abs(rows(drrl, gamma=1 + step, radius=radius) - kl).max()
        for step in (1e-1, 1e-2, 1e-3, 1e-6)
    ]
    assert gaps == sorted(gaps, reverse=True) and gaps[-1] < 1e-6
    # Independently: the minimum over temperatures of the dual of the KL ball.
    tau = np.exp(np.linspace(-4, 3, 20001))[:, None, None]
    duals = tau[..., 0] * (
        radius + np.log(np.mean(np.exp((NEG - NEG.max(1)[:, None]) / tau), -1))
    )
    close(kl, -POS + NEG.max(1) + duals.min(0), 1e-6)


def test_softmax_is_solved_at_the_radius_that_its_temperature_implies():
    """Values up to the constants, and gradients exactly."""
    weights = jax.nn.softmax(NEG / TAU, axis=-1)
    radius = jnp.sum(weights * jnp.log(weights * NEG.shape[1]), axis=-1)
    solved = rows(drrl, gamma=1.0, radius=radius)
    mean_log = rows(softmax, temperature=TAU) - np.log(NEG.shape[1])
    close(solved, TAU * (mean_log + radius), 1e-8)

    @jax.jit
    def gradients(neg):
        return (
            jax.grad(lambda neg: drrl(POS, neg, gamma=1.0, radius=radius))(neg),
            jax.grad(lambda neg: softmax(POS, neg, temperature=TAU))(neg),
        )

    gradient, want = gradients(NEG)
    want = TAU * want
    close(gradient, want, 1e-7)


@pytest.mark.parametrize("name", ["sl_at_k", "drrl_at_k"])
def test_a_weight_of_the_negatives_does_without_their_number(name):
    """Of N it is the default; else every negative twice changes nothing."""
    key = jax.random.key(3)
    pos = jax.random.uniform(key, (5,), minval=-1)
    neg = jax.random.uniform(jax.random.fold_in(key, 1), (5, 7), minval=-1)
    at_k = dict(quantile=0.2, weight_temperature=1.0)
    loss = functools.partial(LOSSES[name], **at_k, reduce_fn=None)

    def both(neg, **options):
        def value(pos, neg):
            rows = loss(pos, neg, **options)
            return rows.sum(), rows

        slope, rows = jax.jit(jax.grad(value, has_aux=True))(pos, neg)
        return rows, slope

    plain, weighted = both(neg), both(neg, negative_weight=7.0)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6), plain, weighted
    )
    once, twice = (
        both(x, negative_weight=64.0) for x in (neg, jnp.concatenate([neg, neg], 1))
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), once, twice)
    # The mean of exponentials times the weight, by hand.
    if name == "sl_at_k":
        pos, neg = np.asarray(pos, float), np.asarray(neg, float)
        mean = np.exp((neg - pos[:, None]) / 0.2).mean(-1)
        expected = np.log(64 * mean) / (1 + np.exp(0.2 - pos))
        np.testing.assert_allclose(once[0], expected, rtol=1e-5)

    def masked(pos):
        none = {"where": jnp.zeros((2, 3), bool), "negative_weight": 9.0}
        return loss(pos, jnp.zeros((2, 3)), **none).sum()

    value, slope = jax.value_and_grad(masked)(jnp.zeros(2))
    assert value == 0 and slope.tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="negative_weight must be greater than 0"):
        loss(jnp.zeros(2), jnp.zeros((2, 3)), negative_weight=0.0)


@pytest.mark.parametrize("name", ["sl_at_k", "drrl_at_k"])
def test_a_weight_of_the_negatives_is_of_those_in_use(name):
    options = dict(quantile=0.2, negative_weight=64.0, reduce_fn=None)
    where = np.broadcast_to(np.arange(NEG.shape[1]) < 9, NEG.shape)
    want = LOSSES[name](POS, NEG[:, :9], **options)
    found = LOSSES[name](POS, NEG, where=where, **options)
    np.testing.assert_allclose(found, want, rtol=1e-5)
