"""Every format, every kind of dirt, every split: from files to a clean data set."""

import gzip
import hashlib

import numpy as np
import pytest

from drrl_jax import data
from tests.conftest import data_dir

PAIRS = [(3, 7), (3, 9), (5, 7), (8, 11)]
FORMATS = {
    "pairs.txt": "".join(f"{u} {i}\n" for u, i in PAIRS),
    "adjacency.txt": "3 7 9\n5 7\n8 11\n",
    "table.tsv": "user_id\titem_id\n" + "".join(f"{u}\t{i}\n" for u, i in PAIRS),
    "atomic.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    + "".join(f"{u}\t{i}\t4\t88{u}\n" for u, i in PAIRS),
    "ratings.dat": "".join(f"{u}::{i}::4::88{u}\n" for u, i in PAIRS),
    "u.data": "".join(f"{u}\t{i}\t4\t88{u}\n" for u, i in PAIRS),
    "ratings.csv": "userId,movieId,rating,timestamp\n"
    + "".join(f"{u},{i},4.0,88{u}\n" for u, i in PAIRS),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("name", sorted(FORMATS))
def test_formats_give_the_same_interactions(tmp_path, name, packed):
    raw = FORMATS[name].encode()
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(raw) if packed else raw)
    files = data.read(path)
    part = files.parts["all"]
    found = sorted(zip(files.user_ids[part.users], files.item_ids[part.items]))
    assert [(int(u), int(i)) for u, i in found] == PAIRS
    if "::" in FORMATS[name] or "88" in FORMATS[name]:
        assert part.timestamps is not None and (part.ratings == 4).all()


def test_string_ids_keep_their_mapping(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("user\titem\nann\tx1\nbob\tx2\nann\tx2\n")
    files = data.read(path)
    assert files.user_ids.tolist() == ["ann", "bob"]
    assert files.item_ids.tolist() == ["x1", "x2"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("3::7::4::88\n3::x9::4::88::9\n", 2),
        ("user_id\titem_id\n1\t2\n3\n", 3),
        ("userId,movieId,rating,timestamp\n1,2,good,5\n", 2),
    ],
)
def test_a_malformed_line_is_named(tmp_path, text, line):
    path = tmp_path / "bad.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"bad\.txt:{line}: expected .*got"):
        data.read(path)


def test_wrong_path_and_empty_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        data.load("files", path=tmp_path / "nowhere")
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(ValueError, match=r"empty\.txt"):
        data.load("files", path=tmp_path / "empty.txt", split="random")


def test_pinterest_dirt_is_counted_and_cleaned():
    dataset = data.load("files", path=data_dir("pinterest"))
    assert dataset.report.count("duplicates", "train") == 15_736
    assert dataset.report.count("duplicates", "test") == 1_076
    leaked = dataset.report.count("leaks")
    # Data README: 8,743 rows lie in both; duplicates among them went before.
    assert 8_000 <= leaked <= 8_743
    assert dataset.report.count("unseen") >= 40
    keys = {
        name: getattr(dataset, name).users.astype(np.int64) * dataset.num_items
        + getattr(dataset, name).items
        for name in ("train", "valid", "test")
    }
    for rows in keys.values():
        assert len(np.unique(rows)) == len(rows)
    assert not np.intersect1d(keys["train"], keys["test"]).size


def test_beauty_sizes_and_unseen_items():
    dataset = data.load("files", path=data_dir("amazon-beauty"))
    assert (dataset.num_users, dataset.num_items) == (7_068, 3_570)
    assert len(dataset.train) == 51_455
    assert "unseen" in {finding.kind for finding in dataset.report.findings}


def test_electronic_validation_of_the_benchmark():
    dataset = data.load("files", path=data_dir("amazon2014-electronic"))
    assert len(dataset.train) + len(dataset.valid) == 182_398
    degrees = np.bincount(dataset.train.users) + np.bincount(dataset.valid.users)
    held = np.bincount(dataset.valid.users, minlength=dataset.num_users)
    np.testing.assert_array_equal(held, np.maximum((0.1 * degrees).astype(int), 1))


def test_errors_and_keeping_are_options(tmp_path):
    (tmp_path / "train.txt").write_text("0 1\n0 1\n1 2\n1 1\n")
    (tmp_path / "test.txt").write_text("0 2\n1 1\n")
    cleaned = data.load("files", path=tmp_path, validation="none")
    assert (len(cleaned.train), len(cleaned.test)) == (3, 1)
    kept = data.load("files", path=tmp_path, validation="none", cleaning="keep")
    assert (len(kept.train), len(kept.test)) == (4, 2)
    with pytest.raises(ValueError, match="duplicate"):
        data.load("files", path=tmp_path, validation="none", cleaning="error")


@pytest.mark.parametrize("split", ["random", "leave_one_out", "temporal", "popularity"])
def test_splits_partition_and_repeat(split):
    path = data_dir("movielens-100k") / "ml-100k.inter"
    sets = [data.load("files", path=path, split=split, seed=s) for s in (3, 3, 4)]
    parts = [(d.train, d.valid, d.test) for d in sets]
    assert all(
        np.array_equal(a.items, b.items)
        for a, b in zip(parts[0], parts[1], strict=True)
    )
    rows = np.concatenate(
        [p.users.astype(np.int64) * sets[0].num_items + p.items for p in parts[0]]
    )
    assert len(np.unique(rows)) == len(rows)
    if split == "temporal":
        train, valid, test = parts[0]
        assert train.timestamps.max() <= valid.timestamps.min()
        assert valid.timestamps.max() <= test.timestamps.min()
    else:
        assert set(parts[0][2].users) <= set(parts[0][0].users)
    if split == "random":
        assert not np.array_equal(parts[0][2].items, parts[2][2].items)


def test_an_order_that_nobody_knows_is_said_to_be_random(tmp_path):
    lines = [f"{u},{(u + i) % 9}" for u in range(9) for i in range(4)]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    found = data.load("files", path=tmp_path / "a.csv", split="leave_one_out")
    assert "leave_one_out: no timestamps, so a user's order is random" in str(
        found.report
    )
    folder = tmp_path / "parts"
    folder.mkdir()
    timed = [f"{line},3,{n}" for n, line in enumerate(lines)]
    (folder / "train.csv").write_text("\n".join(timed[:30]))
    (folder / "test.csv").write_text("\n".join(lines[30:]))
    found = data.load("files", path=folder, split="random")
    assert "timestamps left out: only train has any" in str(found.report)


def test_core_leaves_only_the_busy():
    path = data_dir("movielens-100k") / "ml-100k.inter"
    dataset = data.load("files", path=path, split="random", core=50, validation="none")
    users = np.concatenate([dataset.train.users, dataset.test.users])
    assert np.bincount(users).min() >= 50


def test_synthetic_is_the_same_on_every_platform():
    dataset = data.load("synthetic")
    digest = hashlib.sha256(
        dataset.train.users.tobytes() + dataset.train.items.tobytes()
    ).hexdigest()
    again = data.load("synthetic")
    assert np.array_equal(dataset.train.items, again.train.items)
    assert digest.startswith("73e2ac50a6b8b48d")
    counts = np.sort(np.bincount(dataset.train.items, minlength=dataset.num_items))
    head = counts[-len(counts) // 10 :].sum() / counts.sum()
    assert 0.2 < head < 0.8, "a popular head and a long tail"
    hidden = dataset.false_negatives
    assert len(hidden) > 0
    known = set(zip(hidden.users.tolist(), hidden.items.tolist()))
    for part in (dataset.train, dataset.test):
        assert not known & set(zip(part.users.tolist(), part.items.tolist()))


def test_another_seed_holds_out_others():
    size = {"num_users": 60, "num_items": 50, "num_interactions": 700}
    one, same, other = (data.load(**size, seed=seed).valid for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.items, same.items)
    assert not np.array_equal(one.items, other.items)
