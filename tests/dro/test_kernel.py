"""The solvers within a GPU's kernel, interpreted: what they return outside one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from drrl_jax import dro, kernel

ORDERS = [2.0, 1.5, 1.1]


def scores(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def agree(in_kernel, function, *args, atol=2e-5):
    expected = function(*args)
    in_kernel()
    found = function(*args)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=atol)


@pytest.mark.parametrize("gamma", ORDERS)
@pytest.mark.parametrize("kind", ["plain", "masked", "weighted"])
def test_a_row_has_the_same_solution(in_kernel, gamma, kind):
    """Rows of every kind, which fill neither a program's rows nor its columns."""
    values = scores((19, 50)).at[0].set(0.25).at[1, :7].set(5).at[2].multiply(1e10)
    radius = jnp.geomspace(1e-5, 4.5, 19)
    where = probs = None
    if kind == "masked":
        where = jnp.asarray(np.random.default_rng(1).random((19, 50)) < 0.6)
        where = where.at[3].set(False).at[4].set(jnp.arange(50) == 8)
        values = jnp.where(where, values, jnp.nan)
    if kind == "weighted":
        probs = jnp.exp(2 * scores((19, 50), 2)).at[:, 4].set(0)

    def solved(values):
        found = dro.worst_case(
            values, gamma=gamma, radius=radius, probs=probs, where=where
        )
        spread = jnp.nanmax(values, -1) - jnp.nanmin(values, -1)
        return found.value / jnp.where(spread > 0, spread, 1), found.weights

    agree(in_kernel, solved, values, atol=1e-4)


@pytest.mark.parametrize("shape", [(1,), (3, 1), (1, 1025), (2, 2, 3), (5, 513)])
@pytest.mark.parametrize("gamma", [1.5, 2.0])
def test_rows_of_any_shape(in_kernel, shape, gamma):
    def solved(values):
        return dro.worst_case_mean(values, gamma=gamma, radius=0.4)

    agree(in_kernel, solved, scores(shape))


@pytest.mark.parametrize("gamma", [1.5, 2.0])
def test_a_start_is_used_where_it_is_one(in_kernel, gamma):
    """Also far off the solution; the first row has the solution, the last none."""
    values = scores((4, 50))
    temperature = dro.worst_case(values, gamma=gamma, radius=0.4).temperature
    init = temperature * jnp.array([1, 1e-3, 1e3, jnp.nan])

    def solved(values):
        found = dro.worst_case(values, gamma=gamma, radius=0.4, init=init)
        return found.value, found.num_steps

    agree(in_kernel, solved, values)
    assert solved(values)[1][0] == 1


@pytest.mark.parametrize("gamma", [1.5, 1.25])
def test_derivatives_do_not_see_the_kernel(in_kernel, gamma):
    def value(values, radius):
        found = dro.worst_case(values, gamma=gamma, radius=radius)
        return jnp.sum(found.value + found.weights[:, 0])

    def derivatives(values, radius):
        second = jax.jacfwd(jax.grad(value, 1), 1)
        both = jax.value_and_grad(value, (0, 1))
        return jax.jit(both)(values, radius), second(values, radius)

    radius = jnp.array([0.1, 0.4, 0.8])
    agree(in_kernel, derivatives, scores((3, 50)), radius, atol=1e-3)


def test_mapped_rows_orders_and_radii(in_kernel):
    values, radii = scores((4, 3, 20)), jnp.array([0.1, 0.4, 0.8, 2.0])

    def mapped(values):
        def mean(values, gamma, radius):
            return dro.worst_case_mean(values, gamma=gamma, radius=radius)

        def half(values, radius):
            return mean(values, 1.5, radius)

        orders = jax.vmap(mean, (None, 0, 0))(values[0], 1 + radii, radii)
        return orders, jax.vmap(half)(values, radii)

    agree(in_kernel, mapped, values)


def test_the_processor_has_no_use_for_it(in_kernel):
    assert not kernel.suits(jnp.ones((2, 3)))
    in_kernel(interpret=False)  # as beside a GPU
    assert dro.worst_case_mean(jnp.ones((2, 3)), gamma=1.5, radius=0.4)[0] == 1


@pytest.mark.parametrize("gamma", [2.0, 1.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_has_what_triton_has(triton, gamma, weighted):
    def value(values, probs):
        options = {"probs": probs} if weighted else {"where": probs > 0}
        return dro.worst_case_mean(values, gamma=gamma, radius=0.4, **options).sum()

    text = triton(jax.value_and_grad(value), scores((70, 50)), scores((70, 50), 1))
    assert text.count("gpu.triton") == 1


@pytest.mark.parametrize("gamma", [1.0, 1.3, 3.0, jnp.inf, jnp.array(1.5)])
def test_other_orders_are_solved_by_passes(triton, gamma):
    def value(values):
        return dro.worst_case_mean(values, gamma=gamma, radius=0.4)

    assert "gpu.triton" not in triton(value, scores((4, 20)))


def test_rows_of_a_mesh_stay_where_they_are(in_kernel):
    in_kernel(interpret=False)
    mesh = jax.make_mesh((1,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = PartitionSpec("rows")

    @functools.partial(jax.shard_map, mesh=mesh, in_specs=rows, out_specs=rows)
    def mean(values):
        return dro.worst_case_mean(values, gamma=1.5, radius=0.4)

    assert str(jax.make_jaxpr(mean)(scores((4, 20)))).count("pallas_call") == 1
