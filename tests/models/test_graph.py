"""Propagation against the dense normalised adjacency, forward and backward."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from drrl_jax.models import make_graph, mean_of_items, propagate


def interactions(seed=0, num_users=23, num_items=17):
    """A head item that everyone has, users and items without any, and duplicates."""
    rng = np.random.default_rng(seed)
    matrix = rng.random((num_users, num_items)) < 0.15
    matrix[:, 3] = True
    matrix[5], matrix[:, 11] = False, False
    users, items = np.nonzero(matrix)
    order = rng.permutation(len(users))
    users, items = users[order], items[order]
    return matrix, np.append(users, users[:4]), np.append(items, items[:4])


def dense_adjacency(matrix):
    def scale(degree):
        return np.divide(
            1, np.sqrt(degree), out=np.zeros(len(degree)), where=degree > 0
        )

    return scale(matrix.sum(1))[:, None] * matrix * scale(matrix.sum(0))


def tables(seed, matrix, dim=5):
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=(n, dim)).astype(np.float32) for n in matrix.shape)


@pytest.mark.parametrize(
    ("method", "width"), [("gather", None), ("gather", 3), ("gather", 64), ("dense", 8)]
)
def test_equals_dense_reference_forward_and_backward(method, width):
    matrix, users, items = interactions()
    size = {"num_users": 23, "num_items": 17}
    graph = make_graph(users, items, **size, method=method, width=width)
    adjacency = dense_adjacency(matrix)
    x, y = tables(1, matrix)
    c, d = tables(2, matrix)
    (out_x, out_y), pull = jax.vjp(lambda a, b: propagate(graph, a, b), x, y)
    assert_allclose(out_x, adjacency @ y, atol=1e-6)
    assert_allclose(out_y, adjacency.T @ x, atol=1e-6)
    grad_x, grad_y = pull((jnp.asarray(c), jnp.asarray(d)))
    assert_allclose(grad_x, adjacency @ d, atol=1e-6)
    assert_allclose(grad_y, adjacency.T @ c, atol=1e-6)
    assert_allclose(out_x[5], 0)  # a user without interactions
    assert_allclose(out_y[11], 0)  # an item without any


@pytest.mark.parametrize("method", ["gather", "dense"])
def test_mean_of_items_equals_numpy_forward_and_backward(method):
    matrix, users, items = interactions(9)
    graph = make_graph(users, items, num_users=23, num_items=17, method=method)
    mean = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    c, y = tables(10, matrix)
    out, pull = jax.vjp(lambda y: mean_of_items(graph, y), jnp.asarray(y))
    assert_allclose(out, mean @ y, atol=1e-6)
    assert_allclose(pull(jnp.asarray(c))[0], mean.T @ c, atol=1e-6)
    half = mean_of_items(graph, jnp.asarray(y, jnp.bfloat16))
    assert half.dtype == jnp.bfloat16


def test_spectral_norm_is_one():
    _, users, items = interactions(3)
    graph = make_graph(users, items, num_users=23, num_items=17)
    x = jnp.sqrt(jnp.bincount(jnp.unique(users * 17 + items) // 17, length=23))
    y = jnp.sqrt(jnp.bincount(jnp.unique(users * 17 + items) % 17, length=17))
    # The roots of the degrees are the eigenvector of the eigenvalue 1.
    new_x, new_y = propagate(graph, x[:, None], y[:, None])
    assert_allclose(new_x[:, 0], x, rtol=1e-5)
    assert_allclose(new_y[:, 0], y, rtol=1e-5)


def test_second_derivative_through_the_custom_rule():
    matrix, users, items = interactions(4)
    graph = make_graph(users, items, num_users=23, num_items=17)
    x, y = tables(5, matrix, dim=1)
    adjacency = dense_adjacency(matrix)

    def energy(y):
        return 0.5 * jnp.sum(propagate(graph, x, y)[0] ** 2)

    product = jax.grad(lambda y: jnp.sum(jax.grad(energy)(y) * y))(jnp.asarray(y))
    assert_allclose(product, 2 * adjacency.T @ adjacency @ y, atol=1e-5)


def test_tables_of_half_precision_and_batched_tables():
    matrix, users, items = interactions(6)
    graph = make_graph(users, items, num_users=23, num_items=17)
    x, y = tables(7, matrix)
    out = propagate(graph, jnp.asarray(x, jnp.bfloat16), jnp.asarray(y, jnp.bfloat16))
    assert {o.dtype for o in out} == {jnp.dtype("bfloat16")}
    assert_allclose(
        out[0].astype(jnp.float32), dense_adjacency(matrix) @ y, atol=0.03, rtol=0.03
    )
    many = jax.vmap(lambda s: propagate(graph, s * x, s * y)[1])(jnp.arange(1.0, 3.0))
    assert_allclose(many[1], 2 * many[0], rtol=1e-6)


def test_memory_grows_with_the_interactions_and_dense_is_for_dense_graphs():
    rng = np.random.default_rng(8)
    users, items = rng.integers(0, 2000, 9000), rng.integers(0, 3000, 9000)
    graph = make_graph(users, items, num_users=2000, num_items=3000)
    assert graph.dense is None
    # Every edge once, every node at most one half-empty chunk a level.
    cells = sum(level.size for level in (*graph.user_levels, *graph.item_levels))
    assert cells < 2 * 9000 + 2 * 16 * 5000
    full = np.divmod(np.arange(50 * 40), 40)
    assert make_graph(*full, num_users=50, num_items=40).dense is not None


def test_graph_without_interactions_gives_zeros():
    none = np.zeros(0, int)
    graph = make_graph(none, none, num_users=3, num_items=2)
    users, items = propagate(graph, jnp.ones((3, 4)), jnp.ones((2, 4)))
    assert not users.any() and not items.any()


def test_what_does_not_fit_is_refused():
    one = np.array([1])
    with pytest.raises(ValueError, match=r"items must lie in \[0, 1\); got 1 to 1"):
        make_graph(one, one, num_users=2, num_items=1)
    with pytest.raises(ValueError, match=r"one length; got \(1,\) and \(2,\)"):
        make_graph(one, np.array([0, 1]), num_users=2, num_items=2)
    with pytest.raises(ValueError, match="got 'sparse'"):
        make_graph(one, one, num_users=2, num_items=2, method="sparse")
