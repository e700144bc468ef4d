"""Both routes and both shapes of the dense one give the scores of a plain product."""

import types

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


# The last two are large enough to go through blocks on the gather route too.
@pytest.mark.parametrize("batch", [1, 7, 256, 512, 3600, 4096])
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


@pytest.mark.parametrize("route", ["dense", "gather"])
def test_second_derivatives_pass_through(route):
    users, items, sampled = _inputs(256)

    def curvature(function):
        def norm(items):
            slope = jax.grad(lambda u: jnp.sum(jnp.sin(function(u, items))))(users)
            return jnp.sum(slope**2)

        return jax.grad(norm)(items)

    plain = curvature(lambda u, i: jnp.take_along_axis(u @ i.T, sampled, axis=1))
    found = curvature(lambda u, i: scores.sampled_scores(u, i, sampled, route))
    np.testing.assert_allclose(found, plain, rtol=1e-3, atol=2e-2)


def test_bfloat16_rows_are_accumulated_in_float32():
    users, items, sampled = _inputs(256, jnp.bfloat16)
    for route in ("dense", "gather"):
        found = scores.sampled_scores(users, items, sampled, route)
        assert found.dtype == jnp.float32

        def total(users, route=route):
            return scores.sampled_scores(users, items, sampled, route).sum()

        gradient = jax.grad(total)(users)
        assert gradient.dtype == jnp.bfloat16
        exact = jnp.sum(items.astype(jnp.float32)[sampled], axis=1)
        found = gradient.astype(jnp.float32)
        np.testing.assert_allclose(found, exact, rtol=2e-2, atol=0.1)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_route_at_the_extremes(backend):
    """One negative of a huge catalogue is fetched; half of a small one is not."""
    assert scores.choose_route(1024, 1, 10_000_000, 64, backend) == "gather"
    assert scores.choose_route(1024, 4_000, 1_000, 64, backend) == "dense"


def test_route_follows_the_costs_it_is_given():
    free = {"row": 1.0, "scalar": 1.0, "madd": 1.0}
    assert scores.choose_route(8, 4, 100, 64, cost={**free, "row": 0.0}) == "gather"
    assert scores.choose_route(8, 4, 100, 64, cost={**free, "row": 1e9}) == "dense"


def test_more_negatives_never_turn_the_choice_to_gather():
    chosen = [
        scores.choose_route(1024, n, 4_000, 64, "cpu") for n in (1, 16, 256, 4096)
    ]
    assert chosen == sorted(chosen, reverse=True) and len(set(chosen)) == 2


def test_rows_of_float16_have_unit_length():
    rows = jnp.array([[0, 0], [1e-4, 0], [300, 400]], jnp.float16)
    found = scores.normalise(rows).astype(jnp.float32)
    np.testing.assert_allclose(found, [[0, 0], [1, 0], [0.6, 0.8]], atol=1e-3)


@pytest.mark.parametrize("route", ["dense", "gather"])
def test_float64_rows_keep_their_digits(route):
    with jax.enable_x64(True):
        users, items, sampled = _inputs(256, jnp.float64)
        users, items = scores.normalise(users), scores.normalise(items)

        def total(function):
            def value(users, items):
                return jnp.sum(jnp.sin(function(users, items)))

            return jax.value_and_grad(value, argnums=(0, 1))(users, items)

        plain = total(lambda u, i: jnp.take_along_axis(u @ i.T, sampled, axis=1))
        found = total(lambda u, i: scores.sampled_scores(u, i, sampled, route))
        for expected, actual in zip(jax.tree.leaves(plain), jax.tree.leaves(found)):
            assert actual.dtype == jnp.float64
            np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-10)


def test_a_mask_without_some_columns():
    columns = jnp.array([[3, 9, -1], [0, 0, 200]])
    want = np.ones((2, 10), bool)
    want[0, [3, 9]] = want[1, 0] = False
    for kind in (jnp.int32, jnp.int16, jnp.uint8):
        found = scores.all_but(columns.astype(kind), 10)
        np.testing.assert_array_equal(found, want)
    # More cells than a flat index counts.
    ids = jax.ShapeDtypeStruct((1024, 3), jnp.int32)
    mask = jax.eval_shape(lambda ids: scores.all_but(ids, 2_200_000), ids)
    assert mask.shape == (1024, 2_200_000)


def test_more_cells_than_a_flat_index_counts(monkeypatch):
    """Masks and scatters that then go row by row are the flat ones."""
    columns = jnp.array([[3, 8, -1], [0, 0, 200]])
    ids, weights = jnp.array([[3, 9, 3], [0, 0, 1]]), jnp.arange(1.0, 7).reshape(2, 3)

    def found():
        slope = jax.grad(lambda x: jnp.sum(scores.pick(x, ids) * weights))
        return scores.all_but(columns, 10), slope(jnp.zeros((2, 10)))

    want = found()
    monkeypatch.setattr(scores.jnp, "iinfo", lambda _: types.SimpleNamespace(max=8))
    for few, many in zip(found(), want):
        np.testing.assert_array_equal(few, many)


@pytest.mark.parametrize("route", ["dense", "gather"])
def test_numpys_arrays_and_nothing_to_score(route):
    users, items, sampled = map(np.asarray, _inputs(3))
    found = scores.sampled_scores(users, items, sampled, route)
    np.testing.assert_allclose(found, (users @ items.T)[[[0], [1], [2]], sampled], 1e-5)
    for none in (sampled[:, :0], sampled[:0]):
        found = scores.sampled_scores(users[: len(none)], items, none, route)
        assert found.shape == none.shape


def test_an_unknown_route_is_named():
    with pytest.raises(ValueError, match="route must be .*'gater'. Did you mean 'gath"):
        scores.sampled_scores(*_inputs(3), "gater")
