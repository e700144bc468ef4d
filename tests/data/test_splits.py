"""Splits: partitions, shares, the users and items that nothing must be taken from."""

import hashlib

import numpy as np
import pytest

from drrl_jax import data
from drrl_jax.data import splits
from drrl_jax.data.interactions import pair_keys


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(1)
    users = np.minimum(rng.geometric(0.03, 4000), 150) - 1
    items = np.minimum(rng.geometric(0.02, 4000), 200) - 1
    keys = rng.permutation(np.unique(users * 200 + items))
    times = rng.integers(0, 500, len(keys))  # with ties
    alone = data.Interactions([150, 151], [0, 1], [3, 4])
    return data.concatenate(data.Interactions(keys // 200, keys % 200, times), alone)


@pytest.mark.parametrize("name", sorted(splits.SPLITS))
def test_partition_and_seeds(pairs, name):
    parts = splits.SPLITS[name](pairs, seed=1)
    keys = np.concatenate([pair_keys(part) for part in parts])
    np.testing.assert_array_equal(np.sort(keys), np.sort(pair_keys(pairs)))
    again = splits.SPLITS[name](pairs, seed=1)
    other = splits.SPLITS[name](pairs, seed=2)
    for part, same in zip(parts, again):
        np.testing.assert_array_equal(pair_keys(part), pair_keys(same))
    assert not all(
        np.array_equal(pair_keys(a), pair_keys(b)) for a, b in zip(parts, other)
    )


@pytest.mark.parametrize("name", ["random", "leave_one_out", "popularity"])
def test_nobody_is_tested_without_training(pairs, name):
    train, valid, test = splits.SPLITS[name](pairs)
    assert set(train.users) == set(pairs.users)
    assert 151 not in test.users and 151 not in valid.users


def test_popularity_flattens_the_test_set(pairs):
    train, _, test = splits.split_popularity(pairs)
    assert len(test) == round(0.2 * len(pairs))
    assert set(train.items) == set(pairs.items)
    full = np.bincount(pairs.items)
    head = np.argsort(full)[-20:]
    share = np.isin(pairs.items, head).mean()
    assert np.isin(test.items, head).mean() < 0.6 * share


def test_leave_one_out_takes_the_last(pairs):
    train, valid, test = splits.split_leave_one_out(pairs)
    assert len(np.unique(test.users)) == len(test)
    assert len(np.unique(valid.users)) == len(valid)
    last = np.zeros(152, np.int64)
    np.maximum.at(last, train.users, train.timestamps)
    for later in (valid, test):
        assert (later.timestamps >= last[later.users]).all()


@pytest.mark.parametrize("n", [1, 2, 9, 10, 11, 19, 20, 30, 70])
def test_hold_out_rules(n):
    pairs = data.Interactions([0] * n, range(n))
    sizes = {"benchmark": max(int(0.1 * n), 1), "drrl": -(-n // 10)}
    for rule, size in sizes.items():
        train, valid = data.hold_out_validation(pairs, rule=rule, seed=3)
        assert len(valid) == min(size, n - 1) and len(train) == n - len(valid)
    with pytest.raises(
        ValueError, match="rule must be one of benchmark, drrl; got 'x'"
    ):
        data.hold_out_validation(pairs, rule="x")


def test_the_draw_is_fixed_for_good(pairs):
    train, valid = data.hold_out_validation(
        data.Interactions(np.repeat(np.arange(50), 20), np.tile(np.arange(20), 50))
    )
    digest = hashlib.sha256(valid.items.astype("<i4").tobytes()).hexdigest()
    assert digest.startswith("3b14cf080f399a6d")


def test_shares_are_checked(pairs):
    with pytest.raises(ValueError, match=r"test must lie in \(0, 1\); got 1.0"):
        splits.split_random(pairs, test=1.0)
    with pytest.raises(ValueError, match="train \\+ test must be at most 1"):
        splits.split_temporal(pairs, train=0.9, test=0.2)
    with pytest.raises(ValueError, match="needs timestamps"):
        splits.split_temporal(data.Interactions([0], [1]))


@pytest.mark.parametrize("n", range(8))
def test_no_row_is_in_two_parts_of_time(n):
    """Also where both shares round up."""
    row = data.Interactions([0] * n, range(n), timestamps=range(n))
    parts = splits.split_temporal(row, train=0.5, test=0.5)
    assert np.concatenate([part.items for part in parts]).tolist() == [*range(n)]


@pytest.mark.parametrize("by", ["count", "time"])
def test_windows_slide(pairs, by):
    windows = data.prequential_windows(pairs, 4, by=by)
    grown = data.prequential_windows(pairs, 4, by=by, cumulative=True)
    assert len(windows) == 4
    for (_, test), (following, _) in zip(windows, windows[1:]):
        np.testing.assert_array_equal(pair_keys(test), pair_keys(following))
    for train, test in windows:
        assert train.timestamps.max() <= test.timestamps.min()
    assert sum(len(p) for p in grown[-1]) == len(pairs)
    if by == "count":
        sizes = [len(p) for window in windows for p in window]
        assert max(sizes) - min(sizes) <= 1
    with pytest.raises(ValueError, match="num_windows must lie in"):
        data.prequential_windows(pairs, 0)
    with pytest.raises(ValueError, match="by must be"):
        data.prequential_windows(pairs, 2, by="days")


def test_half_an_interaction_is_held_out_whole():
    five = data.Interactions([0] * 5, range(5))
    assert [len(part) for part in splits.split_random(five, test=0.5)] == [2, 0, 3]


def test_the_dust_of_a_share_holds_out_nothing_more_or_less():
    """.07 · 100 is 7.000000000000001, and .29 · 100 is 28.999999999999996."""
    pairs = data.Interactions(np.zeros(100), range(100))
    for rule, share, size in (("drrl", 0.07, 7), ("benchmark", 0.29, 29)):
        held = data.hold_out_validation(pairs, rule=rule, share=share)[1]
        assert len(held) == size
