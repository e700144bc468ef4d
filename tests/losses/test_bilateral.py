"""Balls on both sides: their ends, and where they are another loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drrl_jax import dro
from drrl_jax.losses import (
    bilateral,
    bilateral_tempered,
    bsl_grouped,
    drrl,
    drrl_tempered,
)
from drrl_jax.losses.groups import as_matrix, sort_groups

RNG = np.random.default_rng(0)
POS = RNG.uniform(-0.1, 0.9, 8)
NEG = RNG.uniform(-0.9, 0.9, (8, 13))
USERS = np.array([5, 2, 5, 9, 2, 5, 5, 1])
SIGNS = {"optimistic": 1, "pessimistic": -1}


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def rows(loss, pos=POS, users=USERS, **hyperparameters):
    options = dict(hyperparameters, reduce_fn=None)
    if users is not None:
        options["users"] = users
    return loss(pos, NEG, **options)


def close(got, want, tolerance=1e-10):
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def by_user(function):
    return np.array([function(POS[user == USERS]) for user in USERS])


@pytest.mark.parametrize("direction", SIGNS)
def test_each_user_alone_is_the_worst_case_of_its_positives(direction):
    sign = SIGNS[direction]
    radii = dict(gamma=2.0, radius=0.4, pos_gamma=1.5, pos_radius=0.3)
    negatives = dro.worst_case_mean(NEG, gamma=2.0, radius=0.4)
    positives = by_user(
        lambda s: sign * dro.worst_case_mean(sign * s, gamma=1.5, radius=0.3)
    )
    close(rows(bilateral, direction=direction, **radii), negatives - positives)
    assert np.any(sign * (positives - by_user(np.mean)) > 0.01), "the ball moves it"


@pytest.mark.parametrize("direction", SIGNS)
def test_radius_zero_is_the_mean(direction):
    options = dict(gamma=1.5, radius=0.5)
    got = rows(bilateral, direction=direction, pos_radius=0.0, **options)
    close(got, rows(drrl, users=None, **options) + POS - by_user(np.mean), 1e-9)
    close(got.mean(), drrl(POS, NEG, **options), 1e-9)
    plain = rows(bilateral, direction=direction, pos_radius=0.0, radius=0.0)
    close(plain, NEG.mean(1) - by_user(np.mean), 1e-9)


def test_a_large_radius_is_one_positive():
    for direction, pick in (("optimistic", np.max), ("pessimistic", np.min)):
        got = rows(bilateral, direction=direction, pos_radius=9.0, radius=9.0)
        close(got, NEG.max(1) - by_user(pick))


def test_orders_one_at_temperatures_are_grouped_bsl():
    tau, weight = 0.25, 1.5
    options = dict(gamma=1.0, pos_gamma=1.0, temperature=tau)
    got = rows(bilateral_tempered, pos_temperature=tau / weight, **options)
    want = tau / weight * rows(bsl_grouped, temperature=tau, weight=weight)
    # The negatives' term of BSL is w log mean, ours tau log mean.
    close(got, want)
    near = rows(
        bilateral_tempered,
        pos_temperature=tau / weight,
        **options | {"gamma": 1 + 1e-7, "pos_gamma": 1 + 1e-7},
    )
    close(near, want, 1e-6)


@pytest.mark.parametrize("direction", SIGNS)
def test_an_infinite_temperature_is_one_sided(direction):
    options = dict(gamma=1.5, temperature=0.3)
    got = rows(bilateral_tempered, direction=direction, pos_temperature=1e8, **options)
    close(got.mean(), drrl_tempered(POS, NEG, **options), 1e-6)


def test_the_pessimist_minds_the_hard_positive_and_the_optimist_the_easy_one():
    pos = jnp.array([0.9, 0.1])
    for loss in (bilateral, bilateral_tempered):
        for direction, more in (("optimistic", 0), ("pessimistic", 1)):

            def mean(pos, loss=loss, direction=direction):
                return loss(pos, NEG[:2], users=jnp.zeros(2, int), direction=direction)

            gradient = jax.jit(jax.grad(mean))(pos)
            assert gradient[more] < gradient[1 - more] <= 0
            close(gradient.sum(), -1.0)


def test_group_size_need_only_hold_the_largest_group():
    options = dict(pos_radius=0.2)
    want = rows(bilateral, **options)
    assert np.bincount(USERS).max() == 4
    for size in (4, 5, 100):
        close(rows(bilateral, group_size=size, **options), want)


def test_what_lies_beyond_the_group_size_is_left_out():
    groups = sort_groups(jnp.array([7, 3, 7, 7]))
    values, keep = jnp.array([1.0, 2.0, 3.0, 4.0]), jnp.ones(4, bool)
    matrix, where = as_matrix(values, groups, keep, 2)
    assert matrix[:2].tolist() == [[2, 0], [1, 3]]
    assert where.tolist() == [[True, False], [True, True]] + [[False, False]] * 2
