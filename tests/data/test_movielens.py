"""The official MovieLens zips, member by member as they are, and what goes wrong."""

import hashlib
import http.server
import threading
import zipfile

import numpy as np
import pytest

from drrl_jax import data
from drrl_jax.data import movielens
from drrl_jax.data.movielens import MOVIELENS, read_member, read_movielens
from tests.conftest import data_dir

# user, item, rating, time; half stars only where a layout has them
RATINGS = [(196, 242, 3, 881250949), (186, 302, 3, 891717742), (22, 377, 1, 878887116)]
RATINGS += [(196, 377, 5, 881250950), (22, 242, 4, 878887117)]
LATIN = "Misérables, Les (1995)".encode("latin-1")


def tabs(rows):
    return "".join(f"{u}\t{i}\t{r}\t{t}\n" for u, i, r, t in rows).encode()


def csv(rows):
    lines = [f"{u},{i},{r}.0,{t}" for u, i, r, t in rows]
    return ("\r\n".join(["userId,movieId,rating,timestamp", *lines]) + "\r\n").encode()


def layout(variant, rows):
    """Members of the zip in their order, folders among them: name -> bytes."""
    root = f"ml-{variant}/"
    if variant == "100k":
        noise = dict.fromkeys(("allbut.pl", "mku.sh", "README"), b"#!/bin/sh\n")
        parts = [f"u{k}.{x}" for k in "12345ab" for x in ("base", "test")]
        members = {
            **noise,
            "u.data": tabs(rows),
            "u.genre": b"unknown|0\nAction|1\n",
            "u.info": b"943 users\n1682 items\n100000 ratings\n",
            "u.item": b"73|" + LATIN + b"|01-Jan-1995||http://us.imdb.com/|0|0\n",
            "u.occupation": b"writer\n",
            "u.user": b"1|24|M|technician|85711\n",
            **dict.fromkeys(parts, tabs(rows[:2])),
        }
    elif variant == "1m":
        lines = [f"{u}::{i}::{r}::{t}\n" for u, i, r, t in rows]
        members = {
            "movies.dat": b"73::" + LATIN + b"::Drama|Musical\n",
            "ratings.dat": "".join(lines).encode(),
            "README": b"SUMMARY\n=======\n",
            "users.dat": b"1::F::1::10::48067\n",
        }
    else:
        members = {
            "genome-scores.csv": b"movieId,tagId,relevance\n1,1,0.025\n",
            "genome-tags.csv": b"tagId,tag\n1,007\n",
            "links.csv": b"movieId,imdbId,tmdbId\n1,0114709,862\n",
            "movies.csv": b'movieId,title,genres\n11,"American President, The",Drama\n',
            "ratings.csv": csv(rows),
            "README.txt": b"Summary\n=======\n",
            "tags.csv": b"userId,movieId,tag,timestamp\n18,4141,Mark Waters,1240597180\n",
        }
        if variant == "latest-small":
            del members["genome-scores.csv"], members["genome-tags.csv"]
    return {root: b"", **{root + name: content for name, content in members.items()}}


def packed(path, members, monkeypatch=None, variant=None):
    """A zip of these members; its checksum pinned in place of the official one's."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    if monkeypatch is not None:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        pinned = (MOVIELENS[variant][0], digest)
        monkeypatch.setitem(movielens.MOVIELENS, variant, pinned)
    return path


def rows_of(files):
    part = files.parts["all"]
    columns = (
        files.user_ids[part.users],
        files.item_ids[part.items],
        part.ratings,
        part.timestamps,
    )
    return [tuple(int(x) for x in row) for row in zip(*columns)]


@pytest.mark.parametrize("variant", sorted(MOVIELENS))
def test_ratings_of_the_official_layout(variant, tmp_path, monkeypatch):
    members = layout(variant, RATINGS)
    path = packed(tmp_path / f"ml-{variant}.zip", members, monkeypatch, variant)
    assert rows_of(read_movielens(path, variant)) == RATINGS


@pytest.mark.parametrize("variant", sorted(MOVIELENS))
def test_the_unpacked_folder_reads_the_same(variant, tmp_path):
    packed(tmp_path / "a.zip", layout(variant, RATINGS))
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        archive.extractall(tmp_path)
    assert rows_of(data.read(tmp_path / f"ml-{variant}")) == RATINGS
    dataset = data.load("files", tmp_path / f"ml-{variant}", split="random")
    assert dataset.name == f"ml-{variant}" and dataset.num_users == 3


def test_half_stars_are_kept(tmp_path):
    path = packed(
        tmp_path / "ml.zip",
        {
            "ml-25m/ratings.csv": b"userId,movieId,rating,timestamp\n1,296,3.5,1147880044\n"
        },
    )
    assert read_member(path, "ml-25m/ratings.csv").ratings.tolist() == [3.5]


def test_another_zip_is_refused_by_its_checksum(tmp_path):
    path = packed(tmp_path / "ml-1m.zip", layout("1m", RATINGS))
    got = hashlib.sha256(path.read_bytes()).hexdigest()
    expected = f"ml-1m.zip: expected SHA-256 {MOVIELENS['1m'][1]}, got {got}."
    with pytest.raises(ValueError, match=expected):
        read_movielens(path, "1m")


@pytest.mark.parametrize("variant", sorted(MOVIELENS))
def test_a_missing_member_is_named_with_what_is_there(variant, tmp_path, monkeypatch):
    members = layout(variant, RATINGS)
    member = MOVIELENS[variant][0]
    # Packed again by hand, one folder deeper: not where the official zip has it.
    members = {f"downloads/{name}": content for name, content in members.items()}
    path = packed(tmp_path / "ml.zip", members, monkeypatch, variant)
    with pytest.raises(
        ValueError, match=f"expected a member '{member}', got downloads"
    ):
        read_movielens(path, variant)


def test_a_damaged_zip_and_a_damaged_line_are_one_sentence(tmp_path):
    path = packed(tmp_path / "ml.zip", layout("100k", RATINGS * 200))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"ml\.zip: expected a whole zip \("):
        read_member(path, "ml-100k/u.data")
    broken = bytearray(whole)
    place = whole.index(b"u.data") + 20  # inside the compressed ratings
    broken[place : place + 8] = b"\xff" * 8
    path.write_bytes(bytes(broken))
    with pytest.raises(ValueError, match=r"ml\.zip: expected a whole zip \("):
        read_member(path, "ml-100k/u.data")
    packed(path, {"ml-1m/ratings.dat": b"1::2::3::4\n1::2\n"})
    with pytest.raises(
        ValueError, match=r"ml\.zip/ml-1m/ratings\.dat:2: expected .*got"
    ):
        read_member(path, "ml-1m/ratings.dat")


def test_the_real_100k_in_its_official_layout(tmp_path, monkeypatch):
    """All 100,000 ratings, written as u.data is and read back through the zip."""
    source = data.read(data_dir("movielens-100k") / "ml-100k.inter")
    members = layout("100k", rows_of(source))
    path = packed(tmp_path / "ml-100k.zip", members, monkeypatch, "100k")
    files = read_movielens(path, "100k")
    assert len(files.parts["all"]) == 100_000
    assert (len(files.user_ids), len(files.item_ids)) == (943, 1_682)
    for column in ("users", "items", "ratings", "timestamps"):
        np.testing.assert_array_equal(
            getattr(files.parts["all"], column), getattr(source.parts["all"], column)
        )


def test_a_host_that_says_no_can_be_reached():
    handler = http.server.BaseHTTPRequestHandler  # knows no HEAD: 501
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/a.zip"
        movielens.require_reachable(url, "Put a.zip here.")
