"""Files and directories: which is which, and the sentence when nothing fits."""

import gzip
import io
import zipfile

import numpy as np
import pytest

from drrl_jax import data
from drrl_jax.data import readers


def _write(folder, **files):
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("train_data__txt", "valid_data__txt", "test__txt"), "train valid test"),
        (("train__tsv", "test__tsv", "summary__txt"), "train test"),
        (("beauty__train__inter", "beauty__test__inter"), "train test"),
        (("train__csv", "val__csv", "test__csv"), "train valid test"),
        (("ratings__dat", "movies__dat", "users__dat"), "all"),
        (("ratings__csv", "movies__csv", "README__txt"), "all"),
        (("u__data", "u__item"), "all"),
        (("clicks__txt",), "all"),
        (("train__txt", "test__txt", "___train__txt"), "train test"),  # of a Mac
        (("ratings__dat__gz", "movies__dat__gz"), "all"),
    ],
)
def test_a_directory_is_understood(tmp_path, names, parts):
    _write(tmp_path, **dict.fromkeys(names, "1 2\n"))
    assert list(readers.find_parts(tmp_path)) == parts.split()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "expected train and test files, or one file, got none ending in"),
        (("a__txt", "b__txt"), r"or one file, got a\.txt, b\.txt"),
        (("train__txt",), r"expected a test file beside train\.txt"),
        (("test__txt", "x__txt"), r"expected a train file beside test\.txt"),
        (("train__txt", "train__tsv", "test__txt"), "expected one train file"),
    ],
)
def test_a_directory_that_fits_nothing(tmp_path, names, message):
    _write(tmp_path, **dict.fromkeys(names, "1 2\n"))
    with pytest.raises(ValueError, match=message):
        readers.find_parts(tmp_path)


def test_a_wrong_path_names_the_nearest(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"nearest that exists is {tmp_path}"):
        data.read(tmp_path / "no" / "where")


def test_compression_is_told_by_content(tmp_path):
    path = tmp_path / "pairs.txt"  # gzip without the suffix
    path.write_bytes(gzip.compress(b"1 2\n"))
    assert len(data.read(path).parts["all"]) == 1
    path.write_bytes(gzip.compress(b"1 2\n" * 100)[:-9])
    with pytest.raises(ValueError, match=r"pairs\.txt: expected a whole gzip file"):
        data.read(path)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("u.data", "1 2")
    path.write_bytes(content.getvalue())
    with pytest.raises(ValueError, match="got a zip; unpack it first"):
        data.read(path)


def test_ids_are_ranks_over_all_parts(tmp_path):
    _write(tmp_path, train__txt="30 7\n10 9\n", test__txt="10 7\n20 8\n")
    files = data.read(tmp_path)
    assert files.user_ids.tolist() == [10, 20, 30]
    assert files.item_ids.tolist() == [7, 8, 9]
    assert files.parts["train"].users.tolist() == [2, 0]
    assert files.parts["test"].items.tolist() == [0, 1]


def test_integers_beside_strings_become_strings(tmp_path):
    _write(tmp_path, train__txt="1 2\n1 3\n", test__txt="a 2\na 3\n")
    assert data.read(tmp_path).user_ids.tolist() == ["1", "a"]


@pytest.mark.parametrize("ids", [[10**12, 5], [3, -1], [-(10**12), -(10**15)]])
def test_sparse_and_negative_ids_are_sorted_too(ids):
    files = readers.densify({"all": readers.Columns(np.array(ids), np.ones(2))})
    assert files.user_ids.tolist() == sorted(ids)
    assert files.parts["all"].users.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "file"}, "source must be one of synthetic, files, tfds; got"),
        ({"split": "time"}, "split must be one of given, random"),
        ({"validation": "10%"}, "validation must be one of benchmark, drrl, none"),
        ({"cleaning": "yes"}, "cleaning must be one of clean, keep, error"),
        ({"cleaning": {"dirt": "clean"}}, "cleaning must be given for duplicates"),
        ({"source": "files"}, "path must be given for source='files', such as a file"),
        ({"path": "x"}, "path must be None for source='synthetic'; got 'x'"),
        ({"core": 5}, "core must be 0 with split='given'"),
        ({"min_rating": 3.0}, "min_rating=3.0 needs ratings; synthetic"),
        ({"data_dir": "x"}, "options of source='synthetic' are num_users"),
        ({"seed": -1, "split": "random"}, "seed must be a non-negative integer"),
        ({"num_items": 3}, "num_items must be at least 40; got 3"),
        ({"num_interactions": 9}, r"num_interactions must lie in \[12000, "),
    ],
)
def test_load_refuses_in_a_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.load(**arguments)


def test_an_unsplit_file_has_no_given_split(tmp_path):
    path = _write(tmp_path, u__data="1\t2\t3\t4\n") / "u.data"
    with pytest.raises(ValueError, match="one unsplit set .choose split from random"):
        data.load("files", path)


def test_min_rating_closes_the_gaps(tmp_path):
    lines = [f"{u},{i},{1 + (u + i) % 5}" for u in range(9) for i in range(9)]
    path = _write(tmp_path, ratings__csv="\n".join([*lines, "99,99,1"])) / "ratings.csv"
    dataset = data.load("files", path, split="random", min_rating=4)
    assert (dataset.num_users, dataset.num_items) == (9, 9)
    assert dataset.user_ids.tolist() == list(range(9))
    assert dataset.train.ratings.min() == 4
    assert "ratings of at least 4: 33 of 82" in str(dataset.report)
    with pytest.raises(ValueError, match="min_rating must leave interactions; 6"):
        data.load("files", path, split="random", min_rating=6)


def test_a_byte_order_mark_hides_no_user_from_the_detection(tmp_path):
    (tmp_path / "train.txt").write_bytes(b"\xef\xbb\xbf0 5 4\r\n0 6 3\r\n")
    (tmp_path / "test.txt").write_text("0 7 5\n")
    test = data.read(tmp_path).parts["test"]
    assert len(test) == 1 and test.ratings.tolist() == [5]


def test_a_test_part_of_one_line_a_user_has_the_columns_of_the_others(tmp_path):
    (tmp_path / "train.txt").write_text("0 5 4\n0 6 3\n1 7 5\n1 5 1\n2 3 2\n2 6 3\n")
    (tmp_path / "test.txt").write_text("0 7 5\n1 6 3\n2 5 4\n")
    test = data.read(tmp_path).parts["test"]
    assert len(test) == 3 and test.ratings.tolist() == [5, 3, 4]


@pytest.mark.parametrize(
    "train", ["user item rating\n0 5 4\n0 6 3\n1 7 5\n", "0::5::4\n0::6::3\n1::7::5\n"]
)
@pytest.mark.parametrize("test", ["0 12 4\n1 11 5\n", "0 12\n0 11\n"])
def test_parts_of_other_columns_are_refused(tmp_path, train, test):
    """What looks like two items may be an item and its rating, or item and user."""
    (tmp_path / "train.txt").write_text(train)
    (tmp_path / "test.txt").write_text(test)
    with pytest.raises(ValueError, match="expected parts of one format; got train '"):
        data.read(tmp_path)


@pytest.mark.parametrize("stamps", [[0.9, 0.1], [np.nan, 1], [1e30, 1], [2**63, 1]])
def test_timestamps_that_a_cast_would_change_are_refused(stamps):
    with pytest.raises(ValueError, match="timestamps must be integers in"):
        data.Interactions([0, 0], [1, 2], timestamps=np.array(stamps))


def test_rows_and_items_are_what_they_say():
    pairs = data.Interactions([0, 0], [1, 2])
    with pytest.raises(ValueError, match="rows must be integers in .* got 0.9 to 0.9"):
        pairs.select([0.9])
    with pytest.raises(ValueError, match="items must be integers"):
        data.Interactions([1], None)
    assert len(pairs.select([])) == 0 and pairs.select([-1]).items.tolist() == [2]


@pytest.mark.parametrize("items", [[5, 2**32 + 5], [1.5, 2.0], [-1, 2]])
def test_ids_that_a_cast_would_change_are_refused(items):
    with pytest.raises(
        ValueError, match=r"items must be integers in \[0, 2147483648\)"
    ):
        data.Interactions([0, 1], items)


def test_what_was_read_and_what_was_not_is_told(tmp_path):
    (tmp_path / "train.csv").write_text("user_id,item_id,label\n1,2,0\n1,3,1\n2,3,1\n")
    (tmp_path / "test.csv").write_text("user_id,item_id,label\n2,2,1\n")
    (tmp_path / "items.csv").write_text("item_id,title\n2,a\n")
    dataset = data.load("files", tmp_path)
    assert dataset.report.notes[0] == (
        "read as table (user, item); columns left out: label; files left out: items.csv"
    )
    (tmp_path / "validate.csv").write_text("user_id,item_id,label\n1,4,1\n")
    (tmp_path / "test.csv").write_text("2 2\n")
    with pytest.raises(ValueError, match="parts of one format"):
        data.load("files", tmp_path)
    (tmp_path / "items.csv").unlink()
    for part in ("train", "test", "validate"):
        (tmp_path / f"{part}.csv").write_text(
            "1,4\n" if part == "validate" else "1,2\n"
        )
    files = data.read(tmp_path)
    assert sorted(files.parts) == ["test", "train", "valid"]
    assert files.found == "read as pairs (user, item)"
    (tmp_path / "eval_metrics.csv").write_text("recall,0.5\n")
    assert sorted(data.read(tmp_path).parts) == ["test", "train", "valid"]
    (tmp_path / "validate.csv").rename(tmp_path / "eval.csv")
    assert sorted(data.read(tmp_path).parts) == ["test", "train", "valid"]
