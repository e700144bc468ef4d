"""Builders, prepared from tiny local files: whole arrays out, TensorFlow never in."""

import hashlib
import os
import pathlib
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from drrl_jax import data
from drrl_jax.data import movielens

ROOT = pathlib.Path(__file__).resolve().parents[2]
pytest.importorskip("tensorflow_datasets", reason="needs the extra tfds")


def test_local_files_survive_the_round_trip(tmp_path):
    source = tmp_path / "shop"
    source.mkdir()
    (source / "train.csv").write_text("user,item,rating,time\nann,x,5,9\nbob,y,3,8\n")
    (source / "test.csv").write_text("user,item\nann,y\nbob,x\n")
    loaded = [
        data.load(kind, source, validation="none", **options)
        for kind, options in (("files", {}), *[("tfds", {"data_dir": tmp_path})] * 2)
    ]
    for again in loaded[1:]:
        assert str(again) == str(loaded[0])
        assert again.user_ids.tolist() == ["ann", "bob"]
        for part in ("train", "test"):
            one, two = getattr(loaded[0], part), getattr(again, part)
            for column in ("users", "items", "timestamps", "ratings"):
                np.testing.assert_array_equal(
                    getattr(one, column), getattr(two, column)
                )
    # Other content is another data set, not the stale one.
    (source / "test.csv").write_text("user,item\nann,y\n")
    changed = data.load("tfds", source, data_dir=tmp_path, validation="none")
    assert len(changed.test) == 1


def test_movielens_from_a_zip_put_there_by_hand(tmp_path, monkeypatch):
    folder = tmp_path / "downloads" / "manual"
    folder.mkdir(parents=True)
    lines = [f"{u}::{10 * i}::{1 + i % 5}::{u + i}" for u in range(9) for i in range(9)]
    with zipfile.ZipFile(folder / "ml-1m.zip", "w") as archive:
        archive.writestr("ml-1m/ratings.dat", "\n".join(lines))
    member, pinned = movielens.MOVIELENS["1m"]
    with pytest.raises(ValueError, match=f"expected SHA-256 {pinned}, got "):
        data.load("tfds", "movielens/1m", split="random", data_dir=tmp_path)
    digest = hashlib.sha256((folder / "ml-1m.zip").read_bytes()).hexdigest()
    monkeypatch.setitem(movielens.MOVIELENS, "1m", (member, digest))
    dataset = data.load(
        "tfds", "movielens/1m", split="temporal", min_rating=3, data_dir=tmp_path
    )
    assert dataset.item_ids.tolist() == [20, 30, 40, 70, 80]
    assert dataset.name == "movielens-1m"


def test_options_of_files_and_of_downloads(tmp_path):
    with pytest.raises(
        ValueError, match="format and ids are of local files; .*'table'"
    ):
        data.load("tfds", "movielens/100k", split="random", format="table")
    (tmp_path / "pairs.txt").write_text("0 1\n0 2\n1 1\n1 2\n")
    options = {"split": "random", "manual_dir": tmp_path}
    with pytest.raises(ValueError, match="manual_dir is of downloads"):
        data.load("tfds", tmp_path / "pairs.txt", **options)


def test_home_is_spelled_by_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("drrl_jax.data.tfds.URL", "http://127.0.0.1:9/ml-{}.zip")
    options = {"split": "random", "data_dir": "~/store", "manual_dir": "~/zips"}
    with pytest.raises(ConnectionError, match=f"put the file at {tmp_path}/zips/ml-"):
        data.load("tfds", "movielens/100k", **options)


def test_no_internet_is_one_sentence_in_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr("drrl_jax.data.tfds.URL", "http://127.0.0.1:9/ml-{}.zip")
    with pytest.raises(ConnectionError, match=r"put the file at .*ml-100k\.zip, or ch"):
        data.load("tfds", "movielens/100k", split="random", data_dir=tmp_path)


def test_no_internet_from_the_command_line(tmp_path):
    """A proxy that refuses stands for a machine that is not connected."""
    nowhere = "http://127.0.0.1:9"
    proxies = {name: nowhere for name in ("http_proxy", "https_proxy", "HTTPS_PROXY")}
    done = subprocess.run(
        [sys.executable, "-m", "experiments.train", "--noprogress",
         f"--workdir={tmp_path / 'run'}", "--config.data.source=tfds",
         "--config.data.path=movielens/100k", "--config.data.split=random"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
        env={**os.environ, **proxies, "no_proxy": "", "NO_PROXY": "",
             "JAX_PLATFORMS": "cpu", "TFDS_DATA_DIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    (line,) = [x for x in done.stderr.splitlines() if x.startswith("error: ")]
    advice = f"put the file at {tmp_path}/downloads/manual/ml-100k.zip, or choose"
    assert advice in line and "cannot be reached" in line
    assert not (tmp_path / "run").exists()


def test_no_tensorflow(tmp_path):
    (tmp_path / "pairs.txt").write_text("0 1\n0 2\n1 1\n1 2\n")
    code = (
        "import sys; from drrl_jax.data import load;"
        f"load('tfds', {str(tmp_path / 'pairs.txt')!r}, split='random',"
        f" data_dir={str(tmp_path / 'store')!r});"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_file_that_is_read_another_way_is_prepared_anew(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text("0 1\n0 2\n1 1\n1 2\n")
    options = {"split": "random", "data_dir": tmp_path / "store"}
    numbers, text = (
        data.load("tfds", path, ids=ids, **options) for ids in ("auto", "string")
    )
    assert numbers.user_ids.tolist() == [0, 1] and text.user_ids.tolist() == ["0", "1"]
