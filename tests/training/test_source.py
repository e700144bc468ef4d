"""The data of a run from config fields: every option of every source, and errors."""

import hashlib
import zipfile

import numpy as np
import pytest
from ml_collections import config_dict

from drrl_jax import data, training
from drrl_jax.data import movielens
from drrl_jax.training.source import check_source
from tests.forking import run_module
from tests.training.helpers import tiny_config


def loaded(**fields):
    config = tiny_config(**{f"data__{name}": value for name, value in fields.items()})
    training.validate(config)
    return training.load_dataset(config)


def test_sizes_and_seed_of_the_synthetic_set():
    size = {"num_users": 70, "num_items": 90, "num_interactions": 1200}
    dataset = loaded(**size, data_seed=3)
    direct = data.load(**size, data_seed=3, validation="drrl")
    assert (dataset.num_users, dataset.num_items) == (70, 90)
    np.testing.assert_array_equal(dataset.train.items, direct.train.items)
    other = loaded(**size, data_seed=4)
    assert not np.array_equal(dataset.train.items, other.train.items)


def test_a_format_can_be_forced_where_lines_fit_several(tmp_path):
    path = tmp_path / "plays.txt"
    # A line a user: by its looks an adjacency list of items 1..9.
    path.write_text("".join(f"{u} {u % 7} {1 + u % 5}\n" for u in range(40)))
    common = {"source": "files", "path": str(path), "split": "random"}
    found = loaded(**common)
    assert found.train.ratings is None
    forced = loaded(**common, format="ratings")
    assert forced.train.ratings is not None and forced.num_items <= 7
    assert (forced.train.ratings <= 5).all()


def test_ids_can_be_read_as_text(tmp_path):
    path = tmp_path / "pairs.csv"
    rows = [f"0{u},{i}" for u in range(1, 9) for i in range(6)]
    path.write_text("user,item\n" + "\n".join(rows) + "\n")
    options = {"source": "files", "path": str(path), "split": "random"}
    dataset = loaded(**options, ids="string")
    assert dataset.user_ids.tolist() == [f"0{u}" for u in range(1, 9)]
    with pytest.raises(ValueError, match=r"integer user id, got '01'"):
        loaded(**options, ids="integer")


def movielens_zip(folder, monkeypatch):
    folder.mkdir()
    lines = [
        f"{u}::{i}::{1 + (u + i) % 5}::{u + i}" for u in range(9) for i in range(9)
    ]
    with zipfile.ZipFile(folder / "ml-1m.zip", "w") as archive:
        archive.writestr("ml-1m/ratings.dat", "\n".join(lines))
    digest = hashlib.sha256((folder / "ml-1m.zip").read_bytes()).hexdigest()
    member, _ = movielens.MOVIELENS["1m"]
    monkeypatch.setitem(movielens.MOVIELENS, "1m", (member, digest))


def test_tfds_from_a_zip_in_a_folder_of_the_users_choice(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_datasets", reason="needs the extra tfds")
    movielens_zip(tmp_path / "zips", monkeypatch)
    dataset = loaded(
        source="tfds",
        name="movielens/1m",
        manual_dir=str(tmp_path / "zips"),
        data_dir=str(tmp_path / "store"),
        split="random",
        min_rating=2.0,
    )
    assert dataset.name == "movielens-1m" and dataset.num_users == 9
    assert any((tmp_path / "store").iterdir())


def test_every_option_is_a_flag(tmp_path):
    path = tmp_path / "plays.txt"
    rows = [f"u{u} {i} {1 + (u + i) % 5}" for u in range(30) for i in range(20)]
    path.write_text("\n".join(rows))
    flags = {
        "data.source": "files", "data.path": path, "data.format": "ratings",
        "data.ids": "string", "data.split": "random", "training.epochs": 1,
        "training.negatives": 4, "model.dim": 4, "baselines": "()",
    }  # fmt: skip
    arguments = [f"--config.{name}={value}" for name, value in flags.items()]
    arguments += ["--noprogress", f"--workdir={tmp_path / 'run'}"]
    done = run_module("experiments.train", arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "ndcg@20" in done.stdout


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"source": "synthetic", "format": "ratings"},
            "data.format is not an option of data.source='synthetic', which takes data_s",
        ),
        (
            {"source": "files", "manual_dir": "zips"},
            "data.manual_dir is not an option of data.source='files', which takes format",
        ),
        (
            {"source": "files", "name": "movielens/1m"},
            "data.name is not an option of data.source='files'",
        ),
        (
            {"source": "tfds", "num_users": 9},
            "data.num_users is not an option of data.source='tfds', which takes data_dir",
        ),
        (
            {"source": "files", "format": "rating"},
            "data.format must be one of auto, .*; got 'rating'. Did you mean 'ratings'",
        ),
        (
            {"source": "files", "ids": "int"},
            "data.ids must be one of auto, integer, string; got 'int'",
        ),
        (
            {"source": "tfds", "name": "movielens/1M"},
            "data.name must be one of movielens/100k, .*Did you mean 'movielens/1m'",
        ),
        (
            {"source": "tfds", "name": "movielens/1m", "path": "ratings.csv"},
            "set one of them, got 'ratings.csv' and 'movielens/1m'",
        ),
        (
            {"source": "tfds", "name": "movielens/1m", "format": "pairs"},
            "data.format is of local files and data.name of downloads",
        ),
        ({"num_items": 0}, "data.num_items must be at least 1; got 0"),
        ({"source": "tfsd"}, "data.source must be one of .*Did you mean 'tfds'"),
    ],
)
def test_refused_before_anything_is_read(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        loaded(**fields)


def test_a_field_of_the_wrong_type_is_refused():
    with pytest.raises(TypeError, match="num_users"):
        training.default_config().data.num_users = "many"
    assert isinstance(training.default_config().data, config_dict.ConfigDict)


@pytest.mark.parametrize("name", ["num_users", "num_items", "num_interactions"])
def test_sizes_of_nothing_are_refused_by_their_fields(name):
    config = tiny_config(**{f"data__{name}": 0})
    with pytest.raises(ValueError, match=f"data.{name} must be at least 1; got 0"):
        check_source(config.data)


@pytest.mark.parametrize("name", ["path", "format", "ids"])
def test_what_is_of_local_files_goes_with_no_download(name):
    config = tiny_config(data__source="tfds", data__name="movielens/1m")
    check_source(config.data)
    config.data[name] = {"path": "here", "format": "ratings", "ids": "string"}[name]
    with pytest.raises(ValueError, match=f"data.{name} is of local files and data.na"):
        check_source(config.data)
