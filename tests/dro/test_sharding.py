"""The solver on rows that lie on several devices, each of which sees its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from drrl_jax import dro, losses

ROWS = PartitionSpec("rows")


@pytest.mark.parametrize("gamma", [1.0, 1.5, 1.7, 3.0, jnp.inf])
def test_a_loss_of_rows_is_one_of_sharded_rows(gamma):
    kind = jax.sharding.AxisType.Auto
    mesh = jax.make_mesh((1,), ("rows",), axis_types=(kind,))
    rng = np.random.default_rng(0)
    pos = jnp.asarray(rng.random(4), jnp.float32)
    neg = jnp.asarray(rng.random((4, 7)), jnp.float32)

    def loss(pos, neg):
        return losses.drrl(pos, neg, gamma=gamma, radius=0.4, reduce_fn=None)

    sharded = jax.shard_map(loss, mesh=mesh, in_specs=(ROWS, ROWS), out_specs=ROWS)

    def both(of):
        gradient = jax.grad(lambda neg: of(pos, neg).sum())
        return jax.jit(lambda neg: (of(pos, neg), gradient(neg)))(neg)

    for one, other in zip(both(sharded), both(loss), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("gamma", [1.0, 1.5, 3.0, jnp.inf])
def test_rows_of_a_mesh_whose_axes_are_in_the_types(gamma):
    kind = jax.sharding.AxisType.Explicit
    mesh = jax.make_mesh((1,), ("rows",), axis_types=(kind,))
    scores = jnp.asarray(np.random.default_rng(0).random((4, 7)), jnp.float32)
    probs = jnp.arange(1.0, 8.0)

    def both(scores):
        def mean(scores):
            options = dict(gamma=gamma, radius=0.4, probs=probs)
            return dro.worst_case_mean(scores, **options).sum()

        return jax.jit(jax.value_and_grad(mean))(scores)

    with jax.set_mesh(mesh):
        found = both(jax.device_put(scores, ROWS))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(both(scores))):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_narrow_scores_where_promotion_is_strict():
    values = jnp.ones((3, 4), jnp.bfloat16)
    with jax.numpy_dtype_promotion("strict"):
        mean = dro.worst_case_mean(values, gamma=2.0, radius=0.1)
        assert mean.dtype == losses.masked_mean(values).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda f: dro.worst_case(f, gamma=2 + 1j, radius=0.1), "gamma must be real"),
        (
            lambda f: dro.worst_case(f, gamma=2.0, radius=0.1, probs=f + 1j),
            "probs must be real; got complex64",
        ),
        (
            lambda f: dro.worst_case(f, gamma=2.0, radius=0.1 + 1j),
            "radius must be real; got complex",
        ),
        (lambda f: dro.renyi_divergence([0.5, 0.5], f, 2.0), "p must be an array"),
        (
            lambda f: dro.renyi_divergence(0.5, 0.5, 2.0),
            "p or q must be .* two numbers",
        ),
    ],
)
def test_what_is_no_array_of_real_numbers(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(jnp.array([0.25, 0.75]))
