"""Samplers and noise where it is easy to be wrong: empty, full, huge, jitted."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drrl_jax import data
from drrl_jax.data import negatives, sources

KEY = jax.random.key(7)


def test_random_below_is_the_upper_half_of_the_product():
    bound = jnp.array([1, 2, 3, 41_000, 2**31 - 1])
    draws = np.asarray(negatives.random_below(KEY, bound, (5000, 5)))
    bits = np.asarray(jax.random.bits(KEY, (2, 5000, 5), jnp.uint32)).astype(object)
    exact = (bits[0] * 2**32 + bits[1]) * np.asarray(bound).astype(object) >> 64
    np.testing.assert_array_equal(draws, exact.astype(np.int64))

    bound = jnp.array([1, 3, 41_000, 2**16])
    draws = negatives.random_below(KEY, bound, (5000, 4), limit=2**16)
    bits = np.asarray(jax.random.bits(KEY, (5000, 4), jnp.uint32)).astype(np.uint64)
    exact = bits * np.asarray(bound).astype(np.uint64) >> np.uint64(32)
    np.testing.assert_array_equal(draws, exact.astype(np.int64))


def test_every_rank_gives_its_own_negative():
    """The map from rank to item is a bijection onto the non-positives."""
    rng = np.random.default_rng(0)
    size = 257
    for degree in (0, 1, 2, 128, 200, 256):
        own = np.sort(rng.choice(size, degree, replace=False))
        csr = data.to_csr(data.Interactions([1] * degree, own), num_rows=3)
        table = data.negative_table(csr, size)
        start, length = negatives.segments(table.indptr, jnp.array([1]))
        ranks = jnp.arange(size - degree)[None]
        search = table.ranks, start, length, ranks, table.num_steps
        items = negatives.count_at_most(*search, origin=ranks)
        np.testing.assert_array_equal(items, ranks + negatives.count_at_most(*search))
        np.testing.assert_array_equal(items[0], np.setdiff1d(np.arange(size), own))


def test_no_interactions_at_all():
    csr = data.to_csr(data.Interactions([], []), num_rows=2)
    table = data.negative_table(csr, 3)
    items = data.sample_negatives(KEY, table, jnp.array([0, 1]), 50)
    assert set(np.unique(items)) == {0, 1, 2}
    same = data.sample_with_false_negatives(KEY, table, jnp.array([0]), 8, 0.5)
    assert same.shape == (1, 8) and int(same.max()) < 3


def test_a_full_row_is_drawn_from_the_catalogue_and_flagged():
    csr = data.to_csr(data.Interactions([0, 0, 1], [0, 1, 0]), num_rows=2)
    for table, draw in (
        (data.negative_table(csr, 2), data.sample_negatives),
        (
            data.popularity_table(csr, np.array([3, 1]), 1.0),
            lambda *a: data.sample_by_popularity(*a)[0],
        ),
    ):
        items = draw(KEY, table, jnp.array([0, 1]), 40)
        assert set(np.unique(items[0])) == {0, 1} and set(np.unique(items[1])) == {1}
        assert data.has_negatives(table, jnp.array([0, 1])).tolist() == [False, True]


def test_popularity_of_unseen_items_and_exact_log_q():
    csr = data.to_csr(data.Interactions([0], [0]), num_rows=2)
    table = data.popularity_table(csr, np.array([5, 0, 2, 3, 0]), 1.0)
    users = jnp.array([0, 1])
    items, log_q = jax.jit(data.sample_by_popularity, static_argnums=3)(
        KEY, table, users, 500
    )
    assert set(np.unique(items)) == {0, 2, 3}
    q = np.exp(np.asarray(log_q))
    np.testing.assert_allclose(q[0][items[0] == 2], 0.4, rtol=1e-5)
    np.testing.assert_allclose(q[1][items[1] == 2], 0.2, rtol=1e-5)
    with pytest.raises(ValueError, match="counts must be one-dimensional"):
        data.popularity_table(csr, np.zeros(5), 1.0)
    with pytest.raises(ValueError, match="alpha must be finite"):
        data.popularity_table(csr, np.ones(5), np.nan)


def test_jit_is_eager_and_tables_are_arguments():
    csr = data.to_csr(data.Interactions([0, 0, 1], [5, 90, 3]), num_rows=2)
    table = data.negative_table(csr, 100)
    users = jnp.array([0, 1, 0])
    jitted = jax.jit(data.sample_negatives, static_argnums=3)
    np.testing.assert_array_equal(
        jitted(KEY, table, users, 9), data.sample_negatives(KEY, table, users, 9)
    )
    assert "i64" not in jitted.lower(KEY, table, users, 9).as_text().split("main")[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda csr: data.negative_table(csr, 5),
        lambda csr: data.popularity_table(csr, np.ones(5), alpha=1.0),
    ],
    ids=["uniform", "popularity"],
)
def test_ids_that_a_cast_would_change_are_refused(make):
    for item, got in ((2.5, "be integers in .*got 2.5"), (2**32 + 1, "got 4294967297")):
        with pytest.raises(ValueError, match=got):
            make(data.Csr(np.array([0, 1]), np.array([item])))


def test_ids_outside_are_refused():
    pairs = data.Interactions([0, 4], [1, 9])
    with pytest.raises(ValueError, match=r"user ids must lie in \[0, 4\); got 0 to 4"):
        data.to_csr(pairs, num_rows=4)
    with pytest.raises(ValueError, match=r"item ids must lie in \[0, 9\); got 1 to 9"):
        data.negative_table(data.to_csr(pairs, 5), 9)
    with pytest.raises(ValueError, match=r"rate must lie in \[0, 1\]; got 2"):
        table = data.negative_table(data.to_csr(pairs, 5), 10)
        data.sample_with_false_negatives(KEY, table, jnp.array([0]), 4, 2)
    with pytest.raises(ValueError, match="items must be one-dimensional and as long"):
        data.Interactions([0, 1], [1])


def test_marked_positives_come_back_as_negatives():
    pairs = data.Interactions(np.repeat(np.arange(20), 10), np.tile(np.arange(10), 20))
    kept, marked = data.mark_positives(pairs, 0.1, seed=1)
    assert len(marked) == 20 and len(kept) == 180
    csr = data.to_csr(marked, num_rows=20)
    users = jnp.arange(20)
    drawn = data.replace_with_marked(
        KEY, jnp.full((20, 4000), -1), csr, users, probability=0.3
    )
    for user, row in enumerate(np.asarray(drawn)):
        own = csr.indices[csr.indptr[user] : csr.indptr[user + 1]]
        assert set(row) == {-1, *own.tolist()}
        if len(own):
            assert abs((row >= 0).mean() - 0.3) < 0.04
    assert len(data.mark_positives(pairs, 1.0)[0]) == 20, "nobody's last is taken"


def test_false_positives_of_a_nearly_full_row():
    pairs = data.Interactions([0] * 9 + [1], [*range(9), 0])
    tiny = data.Dataset("tiny", 2, 10, pairs, pairs.select([]), pairs.select([]))
    noisy = data.add_false_positives(tiny, 1.0)
    assert np.bincount(noisy.train.users).tolist() == [10, 2]


def test_false_positives_are_neither_past_nor_hidden():
    pairs = data.Interactions([0] * 10, range(10))
    past = data.Interactions([0] * 10, range(10, 20))
    empty = pairs.select([])
    long = data.Dataset("long", 1, 25, pairs, empty, empty, history=past)
    noisy = data.add_false_positives(long, 1.0)
    assert set(noisy.train.items[10:]) == {20, 21, 22, 23, 24}
    known = data.load(num_users=200, num_items=100, num_interactions=4000)
    noisy = data.add_false_positives(known, 0.2)
    hidden, train = (
        set(zip(part.users.tolist(), part.items.tolist()))
        for part in (noisy.false_negatives, noisy.train)
    )
    assert hidden and not hidden & train and len(hidden) < len(known.false_negatives)


def test_the_synthetic_set_is_pinned():
    dataset = data.synthetic()
    digest = hashlib.sha256()
    pinned = "6e883b44485ee07c7f9b3e0fcbb80a17397df10a190472ccc7c3688283a5867c"
    for part in (dataset.train, dataset.test, dataset.false_negatives):
        digest.update(part.users.astype("<i4").tobytes())
        digest.update(part.items.astype("<i4").tobytes())
    assert digest.hexdigest() == pinned
    other = data.synthetic(seed=1)
    assert not np.array_equal(other.train.items[:100], dataset.train.items[:100])


@pytest.mark.parametrize(("alpha", "best"), [(1000.0, 3), (-1000.0, 1)])
def test_an_extreme_exponent_does_not_overflow(alpha, best):
    csr = data.to_csr(data.Interactions([0], [0]), 2)
    table = data.popularity_table(csr, np.array([5, 2, 3, 10_000, 0]), alpha)
    drawn, _ = data.sample_by_popularity(
        jax.random.key(0), table, jnp.zeros(4, jnp.int32), 100
    )
    # Every seen item keeps its floor of one draw in two billion.
    assert set(np.unique(drawn)) == {best}


def test_a_user_without_positives_gets_negatives_only():
    csr = data.to_csr(data.Interactions([0, 2], [1, 3]), num_rows=3)
    table = data.negative_table(csr, 50)
    drawn = data.sample_with_false_negatives(KEY, table, jnp.array([0, 1, 2]), 400, 0.5)
    same = data.sample_negatives(jax.random.split(KEY)[0], table, jnp.arange(3), 400)
    np.testing.assert_array_equal(drawn[1], same[1])
    assert set(np.unique(drawn[0, :200])) == {1} and len(np.unique(drawn[1])) == 50


def test_false_negatives_are_drawn_apart_from_the_others():
    """Of positives 2t and negatives 2r + 1: with one key, a row's t were another's r."""
    csr = data.to_csr(data.Interactions([0] * 500, range(0, 1000, 2)), num_rows=1)
    table = data.negative_table(csr, 1000)
    users = jnp.zeros(2, jnp.int32)
    drawn = np.asarray(data.sample_with_false_negatives(KEY, table, users, 80, 0.5))
    assert np.mean(drawn[1, :40] // 2 == drawn[0, 40:] // 2) < 0.2


def test_every_item_of_the_training_set_can_be_drawn():
    """However small its weight beside the largest: a weight has a floor of 1."""
    counts = np.array([5, 2, 3, 10_000, 0])
    csr = data.to_csr(data.Interactions([0], [3]), 1)
    table = data.popularity_table(csr, counts, alpha=1000.0)
    assert (np.asarray(table.weights) > 0).tolist() == (counts > 0).tolist()
    users = jnp.zeros(1, jnp.int32)
    assert data.has_negatives(table, users).tolist() == [True]
    drawn, log_q = data.sample_by_popularity(KEY, table, users, 100)
    assert set(np.unique(drawn)) == {0, 1, 2}
    np.testing.assert_allclose(log_q, np.log(1 / 3), rtol=1e-6)


def test_false_positives_are_counted_without_the_dust_of_a_rate():
    """.07 · 100 is 7.000000000000001."""
    pairs = data.Interactions([0] * 100, range(100))
    wide = data.Dataset("wide", 1, 200, pairs, pairs.select([]), pairs.select([]))
    assert len(data.add_false_positives(wide, 0.07).train) == 107


def test_hidden_positives_of_what_a_filter_took_go_with_it():
    kept = data.Interactions([0, 2], [0, 2])
    hidden = data.Interactions([0, 0, 1], [1, 2, 0])
    raw = sources.Raw("gap", 3, 3, {"all": kept}, false_negatives=hidden)
    found = sources.compact(raw).false_negatives
    assert list(zip(found.users, found.items)) == [(0, 1)]


def test_more_than_sixteen_bits_of_items_take_64_random_bits():
    key, bound, shape = jax.random.key(7), jnp.array(2**16 + 1), (2**22,)
    draws = negatives.random_below(key, bound, shape, limit=2**16 + 1)
    np.testing.assert_array_equal(draws, negatives.random_below(key, bound, shape))


def test_marks_are_a_rounded_share_drawn_by_the_seed():
    pairs = data.Interactions([0] * 37, range(37))
    found = [data.mark_positives(pairs, 0.1, seed=seed)[1] for seed in (0, 1)]
    assert [len(marked) for marked in found] == [4, 4]
    assert set(found[0].items) != set(found[1].items)


def test_false_positives_are_not_held_out_and_drawn_by_the_seed():
    train = data.Interactions([0] * 10, range(10))
    valid, test = (
        data.Interactions([0] * 5, range(start, start + 5)) for start in (10, 15)
    )
    held = data.Dataset("held", 1, 40, train, valid, test)
    drawn = [
        set(data.add_false_positives(held, 1.0, seed=seed).train.items[10:].tolist())
        for seed in (0, 1)
    ]
    assert drawn[0] != drawn[1] and all(len(items) == 10 for items in drawn)
    assert set.union(*drawn) <= set(range(20, 40))
