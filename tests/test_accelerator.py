"""What the code does otherwise on a GPU, run on the processor: the same answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drrl_jax import data, dro, evaluation, losses, scores, training
from tests.training.helpers import leaves_equal, tiny_config, tiny_dataset


@pytest.fixture
def on_gpu(monkeypatch):
    """Traces what follows as for a GPU; programs traced before are forgotten."""

    def switch():
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
        jax.clear_caches()

    yield switch
    monkeypatch.undo()
    jax.clear_caches()


@pytest.mark.parametrize("gamma", [1.5, 3.0])
def test_several_newton_passes_at_once(on_gpu, gamma):
    values = jax.random.normal(jax.random.key(0), (32, 40))

    def solved():
        def mean(values):
            return dro.worst_case_mean(values, gamma=gamma, radius=0.7)

        return jax.jit(mean)(values)

    expected = solved()
    on_gpu()
    np.testing.assert_allclose(solved(), expected, rtol=2e-6)


def test_the_sampler_draws_the_same_items(on_gpu):
    dataset = tiny_dataset()
    table = data.negative_table(
        data.to_csr(dataset.train, dataset.num_users), dataset.num_items
    )
    users = jnp.arange(dataset.num_users)

    def drawn():
        draw = jax.jit(data.sample_negatives, static_argnums=3)
        return draw(jax.random.key(0), table, users, 50)

    expected = drawn()
    on_gpu()
    np.testing.assert_array_equal(drawn(), expected)


@pytest.mark.parametrize("route", ["gather", "dense"])
def test_sampled_scores_have_the_gradient_of_a_product(on_gpu, route):
    rng = np.random.default_rng(0)
    users, items = (jnp.asarray(rng.normal(size=(n, 4))) for n in (6, 9))
    ids = jnp.asarray(rng.integers(0, 9, (6, 5)))

    def loss(users, items):
        return jnp.sum(jnp.tanh(scores.sampled_scores(users, items, ids, route)))

    def plain(users, items):
        return jnp.sum(jnp.tanh(jnp.take_along_axis(users @ items.T, ids, axis=1)))

    expected = jax.grad(plain, (0, 1))(users, items)
    on_gpu()
    for one, other in zip(jax.grad(loss, (0, 1))(users, items), expected):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_catalogue(on_gpu):
    keys = jax.random.split(jax.random.key(0), 2)
    users, items = (
        scores.normalise(jax.random.normal(key, (n, 8)))
        for key, n in zip(keys, (9, 40))
    )

    def both():
        def value(users, items):
            return losses.catalogue(
                users[:, 0], users, items, loss="drrl", gamma=1.5, radius=0.5
            )

        return jax.jit(jax.value_and_grad(value, (0, 1)))(users, items)

    expected = both()
    on_gpu()
    for one, other in zip(jax.tree.leaves(both()), jax.tree.leaves(expected)):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_ranking(on_gpu):
    users, items = jnp.eye(6), jax.random.normal(jax.random.key(0), (400, 6))
    pairs = data.Interactions(np.arange(6), np.arange(6))
    relevant = data.to_csr(pairs, 6)

    def ranked():
        plan = evaluation.EvaluationPlan.build(relevant, num_items=400)
        return evaluation.evaluate(users, items, plan, ks=(3,))

    expected = ranked()
    on_gpu()
    assert ranked() == pytest.approx(expected)


@pytest.mark.parametrize("name", ["drrl", "bsl_grouped"])
def test_an_epoch_goes_the_same_way_and_in_the_same_bits(on_gpu, name):
    parts = training.build(tiny_config(loss__name=name), tiny_dataset())

    def parameters(epoch):
        return epoch(parts.init(), parts.data, np.uint32(0), {})[0].params

    expected = parameters(jax.jit(parts.epoch))
    on_gpu()
    epoch = jax.jit(parts.epoch)
    found = parameters(epoch)
    assert leaves_equal(found, parameters(epoch))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-4)
