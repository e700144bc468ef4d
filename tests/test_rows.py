"""Rows fetched and summed by id: exact, differentiable, the same bits in any order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from drrl_jax import rows
from drrl_jax.products import entries_in_flight


@pytest.fixture(params=["float", "integer"])
def way(request, monkeypatch):
    """Sums as a backend makes them that adds in order, and as a GPU makes them."""
    monkeypatch.setattr(rows, "_ordered", lambda: request.param == "float")
    return request.param


def summands(count, num_rows, dim, spread=0.0, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, dim)) * np.exp(
        spread * rng.normal(size=(count, 1))
    )
    return values.astype(np.float32), rng.integers(0, num_rows, count)


def expected(values, ids, num_rows):
    total = np.zeros((num_rows, *values.shape[1:]))
    np.add.at(total, ids, np.asarray(values, np.float64))
    return total


@pytest.mark.parametrize("num_rows, spread", [(1, 0), (7, 0), (500, 0), (500, 6)])
def test_sum_is_that_of_float64(way, num_rows, spread):
    values, ids = summands(4096, num_rows, 8, spread)
    found = np.asarray(
        rows.sum_rows(jnp.asarray(values), jnp.asarray(ids), num_rows), np.float64
    )
    largest = np.zeros(num_rows)
    np.maximum.at(largest, ids, np.abs(values).max(axis=1))
    error = np.abs(found - expected(values, ids, num_rows)).max(axis=1)
    # A sum of floats is off by a rounding a summand, of the size that it has by then; a
    # sum of integers by one of each summand, of the size that all have together.
    count = np.bincount(ids, minlength=num_rows)
    assert (error <= 2**-23 * largest * count + 1e-30).all()
    if way == "integer":
        sizes = np.zeros(num_rows)
        np.add.at(sizes, ids, np.abs(values).max(axis=1))
        total = np.abs(found).max(axis=1)
        typical = 2.0**-28 * count**0.5 * sizes + 2**-24 * total
        assert (error <= typical + 1e-30).all()


@pytest.mark.parametrize("small", [2.0**-20, 2.0**-14])
def test_many_small_numbers_beside_a_large_one(small):
    values = jnp.full((32768, 1), small).at[0].set(1.0)
    found = rows.integer_sum(values, jnp.zeros(32768, int), 1)
    np.testing.assert_allclose(found[0, 0], 1 + 32767 * small, rtol=2e-6)


def test_all_at_the_largest_do_not_overflow():
    for count in (1, 2, 3, 1023, 1024, 1025, 2**17 - 1, 2**17):
        values = jnp.full((count, 1), 1.9999999)
        found = rows.integer_sum(values, jnp.zeros(count, int), 1)
        np.testing.assert_allclose(
            found[0, 0], count * np.float64(values[0, 0]), rtol=1e-6
        )


def test_integers_have_the_same_bits_in_any_order():
    values, ids = summands(4096, 50, 8, spread=3)
    first = rows.integer_sum(jnp.asarray(values), jnp.asarray(ids), 50)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(ids))
        again = rows.integer_sum(
            jnp.asarray(values[order]), jnp.asarray(ids[order]), 50
        )
        np.testing.assert_array_equal(first, again)


def test_a_row_of_small_numbers_keeps_its_digits():
    # Adam divides by their size: to lose them would be to move at random.
    values = jnp.array([[1e6], [1.234567e-9], [2.5e-9]])
    found = rows.integer_sum(values, jnp.array([0, 1, 1]), 2)
    np.testing.assert_allclose(found[:, 0], [1e6, 3.734567e-9], rtol=1e-6)


@pytest.mark.parametrize(
    "numbers", [[1e38, 1e38, -1e38], [3e38, 3e38], [1e-40], [0.0, -0.0], [-3.4e38]]
)
def test_extreme_numbers(numbers):
    values = jnp.asarray(numbers, jnp.float32)
    found = rows.integer_sum(values, jnp.zeros(len(numbers), int), 2)
    assert found[1] == 0
    np.testing.assert_allclose(found[0], jnp.sum(values), rtol=1e-6, atol=1e-38)


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf])
def test_what_is_not_finite_stays_in_its_row(bad):
    values, ids = jnp.array([[1.0, bad], [2.0, 3.0]]), jnp.array([0, 1])
    found = rows.integer_sum(values, ids, 3)
    assert not jnp.isfinite(found[0]).any()
    np.testing.assert_array_equal(found[1:], [[2.0, 3.0], [0.0, 0.0]])


def test_bound_changes_nothing_beyond_rounding():
    values, ids = summands(512, 20, 4)
    largest = jnp.abs(values).max(axis=1)
    ids = jnp.asarray(ids)
    exact = rows.integer_sum(jnp.asarray(values), ids, 20)
    loose = rows.integer_sum(jnp.asarray(values), ids, 20, 1.5 * largest)
    np.testing.assert_allclose(exact, loose, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_types(way, dtype):
    values = jnp.ones((3, 2), dtype)
    found = rows.sum_rows(values, jnp.array([1, 1, 0]), 2)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.astype(jnp.float32), [[1, 1], [2, 2]])


def test_float64():
    with jax.enable_x64(True):
        values, ids = (
            np.random.default_rng(0).normal(size=(1000, 3)),
            np.arange(1000) % 7,
        )
        found = rows.integer_sum(jnp.asarray(values), jnp.asarray(ids), 7)
        np.testing.assert_allclose(found, expected(values, ids, 7), rtol=0, atol=1e-13)


def test_empty(way):
    found = rows.sum_rows(jnp.zeros((0, 3)), jnp.zeros((0,), int), 2)
    np.testing.assert_array_equal(found, jnp.zeros((2, 3)))


def test_derivatives_of_both_orders(way):
    table = jnp.linspace(-1, 1, 12).reshape(6, 2)
    ids = jnp.array([[0, 5], [3, 3]])

    def value(table):
        return jnp.sum(jnp.sin(rows.take_rows(table, ids)) ** 2)

    check_grads(value, (table,), order=2, modes=["rev"], rtol=1e-2)
    plain = jax.grad(lambda t: jnp.sum(jnp.sin(t[ids]) ** 2))(table)
    np.testing.assert_allclose(jax.grad(value)(table), plain, rtol=1e-6, atol=1e-7)


def test_under_vmap_and_jit(way):
    values, ids = summands(64, 5, 3)
    many = jnp.stack([jnp.asarray(values), 2 * jnp.asarray(values)])
    found = jax.jit(jax.vmap(lambda v: rows.sum_rows(v, jnp.asarray(ids), 5)))(many)
    once = expected(values, ids, 5)
    np.testing.assert_allclose(found, [once, 2 * once], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_numbers_are_summed_wide(dtype):
    ids, ones = jnp.zeros(1000, jnp.int32), jnp.ones((1000, 2), dtype)
    by_table = jax.grad(lambda table: jnp.sum(rows.take_rows(table, ids) * ones / 2))
    assert by_table(jnp.zeros((3, 2), dtype)).tolist() == [[500, 500], [0, 0], [0, 0]]
    assert rows.sum_rows(ones, ids, 2).tolist() == [[1000, 1000], [0, 0]]
    assert rows.sum_rows(ones, ids, 2).dtype == dtype


def test_a_bound_that_is_no_number_of_either_sign_is_seen():
    values, ids = jnp.array([jnp.nan, 2.0]), jnp.array([0, 1])
    for bad in (jnp.nan, -jnp.nan):
        found = rows.integer_sum(values, ids, 2, jnp.array([bad, 2.0]))
        assert jnp.isnan(found[0]) and found[1] == 2


def test_an_accelerator_of_another_name_is_filled_as_a_gpu(monkeypatch):
    found = {}
    for backend in ("cpu", "gpu", "metal"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        found[backend] = entries_in_flight(1 << 10)
    assert found["cpu"] == 1 << 10 < found["gpu"] == found["metal"]
