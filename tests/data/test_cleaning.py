"""Each kind of dirt alone, each action, and what stays as it was."""

import numpy as np
import pytest

from drrl_jax.data import Interactions, clean, core

PARTS = {
    "train": Interactions([0, 0, 1, 0], [0, 1, 1, 0], timestamps=[5, 6, 7, 8]),
    "valid": Interactions([0, 1, 1], [1, 0, 0]),
    "test": Interactions([1, 1, 2, 0], [0, 2, 1, 0]),
}


def test_all_is_cleaned_and_reported():
    parts, report = clean(PARTS)
    assert str(report).splitlines() == [
        "train: 1 duplicate pair (removed)",
        "valid: 1 duplicate pair (removed)",
        "valid: 1 pair that is in train already (removed)",
        "test: 1 pair that is in train already (removed)",
        "test: 1 pair that is in valid already (removed)",
        "test: 2 interactions of 1 user and 1 item unseen in train (removed)",
    ]
    assert [len(part) for part in parts.values()] == [3, 1, 0]
    assert parts["train"].timestamps.tolist() == [5, 6, 7], "the first is kept"


def test_keep_reports_and_changes_nothing():
    parts, report = clean(PARTS, "keep")
    assert all(parts[name] is PARTS[name] for name in PARTS)
    assert report.count("duplicates") == 2 and report.count("unseen", "test") == 2
    assert "(kept)" in str(report)


@pytest.mark.parametrize("kind", ["duplicates", "leaks", "unseen"])
def test_an_error_for_one_kind(kind):
    with pytest.raises(ValueError, match=f"must be free of {kind} .*; got "):
        clean(PARTS, {kind: "error"})
    tidy, _ = clean(PARTS)
    assert clean(tidy, "error")[1].findings == ()


def test_clean_twice_is_clean_once():
    once, _ = clean(PARTS)
    twice, report = clean(once)
    assert str(report) == "nothing to clean"
    assert all(len(once[name]) == len(twice[name]) for name in PARTS)


def test_empty_parts():
    nothing = Interactions([], [])
    parts, report = clean({"train": nothing, "test": Interactions([1], [2])})
    assert len(parts["test"]) == 0 and report.count("unseen") == 1


def test_core_by_brute_force():
    rng = np.random.default_rng(0)
    keys = np.unique(rng.integers(0, 60 * 40, 400))
    pairs = Interactions(keys // 40, keys % 40)
    left, _ = core(pairs, 5)
    rows = set(zip(pairs.users.tolist(), pairs.items.tolist()))
    while True:  # take out one offender at a time
        bad = [
            r
            for r in rows
            if sum(u == r[0] for u, _ in rows) < 5
            or sum(i == r[1] for _, i in rows) < 5
        ]
        if not bad:
            break
        rows -= set(bad[:1])
    assert rows == set(zip(left.users.tolist(), left.items.tolist())) and rows
    with pytest.raises(ValueError, match="the 50-core is empty"):
        core(pairs, 50)
    with pytest.raises(ValueError, match="core must be at least 0; got -1"):
        core(pairs, -1)


def test_of_many_duplicates_the_first_is_kept():
    users, items = np.random.default_rng(0).integers(0, 9, (2, 5000))
    pairs = Interactions(users, items, timestamps=np.arange(5000))
    kept = clean({"train": pairs})[0]["train"]
    first = np.unique(users * 9 + items, return_index=True)[1]
    np.testing.assert_array_equal(kept.timestamps, np.sort(first))


def test_a_core_of_one_is_everything():
    for pairs in (Interactions([0, 1], [0, 0]), Interactions([], [])):
        left, report = core(pairs, 1)
        assert left is pairs and str(report) == "nothing to clean"
