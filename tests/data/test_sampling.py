"""The samplers: never a positive, exactly uniform, in proportion, with false ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from drrl_jax import data

ITEMS = 12


@pytest.fixture(scope="module")
def positives():
    rows = {0: [0, 3, 4, 11], 1: [], 2: [5], 3: list(range(ITEMS)), 4: [1, 2, 3]}
    users = np.repeat(list(rows), [len(items) for items in rows.values()])
    items = np.array([item for items in rows.values() for item in items])
    return rows, data.to_csr(data.Interactions(users, items), num_rows=5)


def test_uniform_outside_the_positives(positives):
    rows, csr = positives
    table = data.negative_table(csr, ITEMS)
    users = jnp.array([0, 1, 2, 4])
    drawn = np.asarray(data.sample_negatives(jax.random.key(1), table, users, 40_000))
    for user, row in zip(users.tolist(), drawn):
        counts = np.bincount(row, minlength=ITEMS)
        assert not counts[rows[user]].any()
        free = np.delete(counts, rows[user])
        assert stats.chisquare(free).pvalue > 1e-3


def test_a_user_without_negatives_is_flagged(positives):
    _, csr = positives
    table = data.negative_table(csr, ITEMS)
    found = data.has_negatives(table, jnp.array([0, 3]))
    assert found.tolist() == [True, False]


def test_popularity_in_proportion_with_its_log_q(positives):
    rows, csr = positives
    popularity = np.arange(1, ITEMS + 1)
    table = data.popularity_table(csr, popularity, 0.5)
    users = jnp.array([0, 2])
    items, log_q = data.sample_by_popularity(jax.random.key(2), table, users, 40_000)
    for user, row, logs in zip(users.tolist(), np.asarray(items), np.asarray(log_q)):
        weights = np.sqrt(popularity.astype(float))
        weights[rows[user]] = 0
        q = weights / weights.sum()
        counts = np.bincount(row, minlength=ITEMS)
        assert not counts[rows[user]].any()
        free = q > 0
        assert stats.chisquare(counts[free], q[free] * len(row)).pvalue > 1e-3
        expected = np.log(q[row])
        np.testing.assert_allclose(logs - logs[0], expected - expected[0], atol=1e-3)


@pytest.mark.parametrize(("rate", "count"), [(0.25, 25), (0.29, 29), (0.299, 29)])
def test_a_share_of_false_negatives(positives, rate, count):
    rows, csr = positives
    table = data.negative_table(csr, ITEMS)
    drawn = np.asarray(
        data.sample_with_false_negatives(
            jax.random.key(3), table, jnp.array([0, 4]), 100, rate
        )
    )
    for user, row in zip((0, 4), drawn):
        assert np.isin(row, rows[user]).sum() == count


def test_false_positives_are_new_items():
    dataset = data.load("synthetic")
    noisy = data.add_false_positives(dataset, 0.1, seed=0)
    before = np.bincount(dataset.train.users, minlength=dataset.num_users)
    after = np.bincount(noisy.train.users, minlength=dataset.num_users)
    np.testing.assert_array_equal(after - before, np.ceil(0.1 * before).astype(int))
    keys = noisy.train.users.astype(np.int64) * dataset.num_items + noisy.train.items
    assert len(np.unique(keys)) == len(keys)
