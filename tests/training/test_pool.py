"""Shared negatives: nobody's positives, the right distribution, the same losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drrl_jax import data, losses, training
from drrl_jax.training.pool import draw_pool, pool_table
from drrl_jax.training.sampling import Sampling, draw_batch
from drrl_jax.training.state import DeviceData
from tests.training.helpers import tiny_config, tiny_dataset


def _device_data(kind, train, num_users, num_items):
    csr = data.to_csr(train, num_users)
    table = pool_table(kind, csr, train.items, num_items)
    return DeviceData(
        users=jnp.asarray(train.users, jnp.int32),
        items=jnp.asarray(train.items, jnp.int32),
        sampler=table,
        positives=jax.tree.map(jnp.asarray, csr),
    )


@pytest.mark.parametrize("kind", ["shared", "batch"])
def test_a_row_never_meets_its_own_positives(kind):
    dataset = tiny_dataset()
    train = dataset.train
    device = _device_data(kind, train, dataset.num_users, dataset.num_items)
    count = len(train)
    # The last rows are padding, and popular items repeat within the batch.
    rows = jnp.arange(count - 120, count + 8)
    batch = draw_batch(jax.random.key(1), device, rows, Sampling(128, 50))
    assert len(set(np.asarray(batch.negatives).tolist())) < len(batch.negatives)
    positives = set(zip(train.users.tolist(), train.items.tolist()))
    for b, user in enumerate(np.asarray(batch.users)):
        for j, item in enumerate(np.asarray(batch.negatives)):
            expected = (user, item) not in positives
            if kind == "batch":
                expected = expected and bool(batch.valid[j])
            assert bool(batch.where[b, j]) == expected


def test_shared_pool_is_uniform():
    train = data.Interactions(np.array([0]), np.array([1]))
    device = _device_data("shared", train, 1, 7)
    zeros = jnp.zeros(1, jnp.int32)
    batch = draw_pool(
        jax.random.key(0), device, zeros, zeros, jnp.ones(1, bool), 70_000
    )
    counts = np.bincount(np.asarray(batch.negatives), minlength=7)
    assert np.abs(counts / 10_000 - 1).max() < 0.05  # five standard deviations


def _popular_problem():
    """Interactions with popularity 1/rank, embeddings that correlate with it."""
    rng = np.random.default_rng(0)
    num_users, num_items = 400, 30
    share = 1 / np.arange(1, num_items + 1)
    scores = np.log(share) + rng.gumbel(size=(num_users, num_items))
    chosen = np.argsort(-scores, axis=1)[:, :5]
    train = data.Interactions(np.repeat(np.arange(num_users), 5), chosen.ravel())
    users = rng.normal(size=(num_users, 4)).astype(np.float32)
    items = rng.normal(size=(num_items, 4)).astype(np.float32)
    items[:, 0] += np.linspace(1, -1, num_items)
    return train, users / 2, items / 2


def _gradients(train, users, items, negatives, where, log_q, rows):
    """Gradient in each row's scores of the catalogue, summed over equal negatives."""
    row_users = users[train.users[rows]]

    def value(table):
        neg = jnp.einsum("bd,pd->bp", row_users, table[negatives])
        pos = jnp.sum(row_users * items[train.items[rows]], axis=-1)
        return losses.softmax(pos, neg, temperature=0.5, where=where, log_q=log_q)

    return np.asarray(jax.grad(value)(jnp.asarray(items)))


@pytest.mark.parametrize(
    ("kind", "correct", "close"),
    [("shared", True, True), ("batch", True, True), ("batch", False, False)],
)
def test_estimates_the_full_softmax_gradient(kind, correct, close):
    """Averaged over draws; without the correction popular items are pushed too far."""
    train, users, items = _popular_problem()
    device = _device_data(kind, train, len(users), len(items))
    assert np.bincount(train.items, minlength=len(items)).min() > 0
    watched = jnp.arange(0, len(train), 40)
    every = jnp.arange(len(items))
    inside = np.ones((len(users), len(items)), bool)
    inside[train.users, train.items] = False
    full = _gradients(
        train, users, items, every, inside[train.users[watched]], None, watched
    )

    @jax.jit
    def estimate(key):
        order = jax.random.choice(key, len(train), (1000,), replace=False)
        rows = jnp.concatenate([watched, order])
        drawn = draw_batch(key, device, rows, Sampling(len(rows), 1000))
        # The watched rows are no draws: their own items are left out of the pool.
        first = len(watched) if kind == "batch" else 0
        pool, where = drawn.negatives[first:], drawn.where[: len(watched), first:]
        log_q = drawn.log_q[first:] if kind == "batch" and correct else None
        return pool, where, log_q

    estimates = []
    for seed in range(20):
        pool, where, log_q = estimate(jax.random.key(seed))
        estimates.append(_gradients(train, users, items, pool, where, log_q, watched))
    error = np.linalg.norm(np.mean(estimates, axis=0) - full) / np.linalg.norm(full)
    # 20,000 draws of 30 items, shared by all rows, leave about 0.04.
    assert error < 0.08 if close else error > 0.2


@pytest.mark.parametrize(
    ("loss", "kind"),
    [("softmax", "shared"), ("drrl", "batch"), ("adv_infonce", "batch")],
)
def test_loss_and_gradient_are_those_of_the_same_ids_row_by_row(loss, kind):
    config = tiny_config(
        loss__name=loss,
        training__negative_pool=kind,
        training__weight_decay=0.0,
    )
    parts = training.build(config, tiny_dataset())
    state = parts.init()
    key = jax.random.key(3)
    batch = draw_batch(key, parts.data, jnp.arange(128), parts.sampling)
    wide = jnp.broadcast_to(batch.negatives, batch.where.shape)
    log_q = batch.log_q
    assert (log_q is not None) == (kind == "batch")
    by_rows = batch._replace(negatives=wide)

    def gradient(batch):
        return jax.value_and_grad(parts.objective)(
            state.params, state.per_user, parts.data, batch, key
        )

    pooled, rowwise = jax.jit(gradient)(batch), jax.jit(gradient)(by_rows)
    for got, want in zip(jax.tree.leaves(pooled), jax.tree.leaves(rowwise)):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-6)


def test_the_regulariser_counts_the_pool_once():
    config = tiny_config(
        training__negative_pool="shared",
        training__weight_decay=0.5,
        training__weight_decay_mode="batch",
    )
    parts = training.build(config, tiny_dataset())
    params, key = parts.init().params, jax.random.key(3)
    batch = draw_batch(key, parts.data, jnp.arange(128), parts.sampling)
    scored = parts.objective.score(params, parts.data, batch, key)
    tables = {n: np.asarray(t) for n, t in params["model"]["params"].items()}
    expected = sum(
        np.square(tables[name][np.asarray(ids)]).sum()
        for name, ids in (
            ("users", batch.users),
            ("items", batch.items),
            ("items", batch.negatives),
        )
    )
    np.testing.assert_allclose(np.sum(scored.squared_norms), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"training__negatives": "all"},
        {"training__negative_alpha": 0.5},
        {"training__false_negative_rate": 0.2},
        {"training__marked_rate": 0.1},
        {"training__optimiser": "sparse_adam"},
        {"model__name": "ncf", "model__scoring": "neumf"},
        {"training__batch_size": 1},
    ],
    ids=lambda changes: list(changes)[-1],
)
def test_what_does_not_go_with_a_pool_is_refused(changes):
    with pytest.raises(ValueError, match="training.negative_pool='batch' needs"):
        training.validate(tiny_config(training__negative_pool="batch", **changes))


def test_misspelt_pool():
    with pytest.raises(ValueError, match="Did you mean 'shared'"):
        training.validate(tiny_config(training__negative_pool="share"))


def test_one_row_may_share_a_pool_that_is_not_of_the_batch():
    training.validate(
        tiny_config(training__negative_pool="shared", training__batch_size=1)
    )


def test_a_row_without_a_negative_in_the_pool_counts_nothing():
    train = data.Interactions([0, 0, 0, 1], [0, 1, 2, 1])
    device = _device_data("shared", train, 2, 3)
    batch = draw_batch(jax.random.key(0), device, jnp.arange(4), Sampling(4, 20))
    assert batch.valid.tolist() == [False, False, False, True]
