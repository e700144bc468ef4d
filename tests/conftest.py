"""Where the tests find real data and golden values, and how they skip without."""

import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


def data_root() -> pathlib.Path:
    """The folder DRRL_DATA of the real data sets, which may be missing."""
    return (ROOT / os.environ.get("DRRL_DATA", "../shared/data")).resolve()


def data_dir(name: str) -> pathlib.Path:
    """The folder of a real data set; skips the calling test where it is missing."""
    path = data_root() / name
    if not path.exists():
        pytest.skip(f"needs the data set {name!r} in DRRL_DATA (looked in {path})")
    return path


def reference_path(name: str = "losses.npz") -> pathlib.Path:
    """A file of golden values; skips the calling test where it is missing."""
    default = data_root().parent / "reference"
    path = pathlib.Path(os.environ.get("DRRL_REFERENCE", default)) / name
    if not path.exists():
        pytest.skip(f"needs the golden values {name!r} (looked in {path})")
    return path
