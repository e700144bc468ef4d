"""The official MovieLens zips: where they are, what they must be, what is in them."""

import hashlib
import pathlib
import threading
import urllib.error
import urllib.request
import zipfile
import zlib

from drrl_jax.data import readers
from drrl_jax.data.parsing import Columns, parse

URL = "https://files.grouplens.org/datasets/movielens/ml-{}.zip"
# name -> (member of the zip, SHA-256 of the zip as TFDS 4.9.10 registers it)
MOVIELENS = {
    "100k": (
        "ml-100k/u.data",
        "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
    ),
    "1m": (
        "ml-1m/ratings.dat",
        "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    ),
    "20m": (
        "ml-20m/ratings.csv",
        "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
    ),
    "25m": (
        "ml-25m/ratings.csv",
        "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
    ),
    "latest-small": (
        "ml-latest-small/ratings.csv",
        "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
    ),
}
_WAIT = 5.0  # seconds; TFDS itself would try for 200 before it gives up


def read_movielens(archive: pathlib.Path, variant: str) -> readers.Files:
    """The ratings of an official zip, after a look at its checksum.

    Args:
      archive: the zip.
      variant: key of ``MOVIELENS``.

    Returns:
      ``Files`` with one part; the zip's other members are not looked at.

    Raises:
      ValueError: if the zip is not, bit for bit, the one that is pinned, or holds no
        ratings.

    Example:
      >>> import pathlib, tempfile
      >>> from drrl_jax.data.movielens import read_movielens
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = pathlib.Path(folder) / "ml-1m.zip"
      ...     _ = path.write_bytes(b"not it")
      ...     read_movielens(path, "1m")
      Traceback (most recent call last):
      ValueError: ...ml-1m.zip: expected SHA-256 a6898adb..., got 06121725...
    """
    member, expected = MOVIELENS[variant]
    with open(archive, "rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != expected:
        raise ValueError(f"{archive}: expected SHA-256 {expected}, got {got}.")
    return readers.densify({"all": read_member(archive, member)})


def read_member(archive: pathlib.Path, member: str) -> Columns:
    """One file of a zip.

    Raises:
      ValueError: if it is no zip, has no such member, or that is malformed.

    Example:
      >>> import pathlib, tempfile, zipfile
      >>> from drrl_jax.data.movielens import read_member
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = pathlib.Path(folder) / "ml-1m.zip"
      ...     with zipfile.ZipFile(path, "w") as content:
      ...         content.writestr("ml-1m/ratings.dat", "1::10::5::978300760")
      ...     read_member(path, "ml-1m/ratings.dat").items.tolist()
      [10]
    """
    try:
        with zipfile.ZipFile(archive) as content:
            names = content.namelist()
            if member not in names:
                raise ValueError(
                    f"{archive}: expected a member {member!r}, got"
                    f" {', '.join(names) or 'none'}."
                )
            return parse(content.read(member), f"{archive}/{member}")
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{archive}: expected a whole zip ({error}).") from None


def require_reachable(url: str, advice: str) -> None:
    """Give up on a download within seconds where there is no way to its host.

    Raises:
      ConnectionError: if the host does not answer in time.

    Example:
      >>> from drrl_jax.data.movielens import require_reachable
      >>> require_reachable("http://127.0.0.1:9/a.zip", "Put a.zip here.")
      Traceback (most recent call last):
      ConnectionError: http://127.0.0.1:9/a.zip cannot be reached (...). Put a.zip here.
    """
    failure: list[object] = [f"no answer in {_WAIT:g} s"]

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            urllib.request.urlopen(request, timeout=_WAIT).close()
            failure.clear()
        except urllib.error.HTTPError:
            failure.clear()  # somebody answered
        except OSError as error:
            failure[0] = getattr(error, "reason", error)

    # In a thread: name resolution knows no timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_WAIT + 1)
    if failure:
        raise ConnectionError(f"{url} cannot be reached ({failure[0]}). {advice}")
