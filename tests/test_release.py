"""sdist and wheel build; the wheel is typed and passes tests without the repository."""

import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

import drrl_jax
from tests.conftest import data_root

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Quick ones, of each layer; all of tests/ but what needs the repository passes so.
QUICK = [
    "tests/test_public.py",
    "tests/losses/test_golden.py",
    "tests/losses/test_errors.py",
    "tests/data/test_formats.py",
    "tests/evaluation/test_significance.py",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folders of an unpacked sdist and of the wheel that was built from it."""
    top = tmp_path_factory.mktemp("release")
    source = top / "source"  # a copy, so that no build folder is left behind
    ignore = shutil.ignore_patterns(
        ".*cache*", ".git", ".venv", "*.egg-info", "runs", "build"
    )
    shutil.copytree(ROOT, source, ignore=ignore)
    build = [sys.executable, "-m", "build", "--outdir", str(top), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,) = top.glob("*.tar.gz")
    with tarfile.open(sdist) as file:
        file.extractall(top, filter="data")
    (wheel,) = top.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(top / "site")
    return top / sdist.name.removesuffix(".tar.gz"), top / "site"


def python(built, *arguments):
    """Runs Python beside the sdist's files, with the package from the wheel alone."""
    sdist, site = built
    alone = sdist.parent / "alone"
    if not alone.exists():
        shutil.copytree(sdist, alone, ignore=shutil.ignore_patterns("drrl_jax*"))
    root = data_root()
    environment = {
        "PYTHONPATH": str(site),
        "JAX_PLATFORMS": "cpu",
        "DRRL_DATA": str(root),
        "DRRL_REFERENCE": str(root.parent / "reference"),
    }
    return subprocess.run(
        [sys.executable, *arguments], cwd=alone, capture_output=True, text=True,
        timeout=900, env={**os.environ, **environment},
    )  # fmt: skip


def test_sdist_holds_the_repository(built):
    tracked = subprocess.run(
        ["git", "ls-files", "drrl_jax", "tests", "experiments", "docs", "notebooks"],
        cwd=ROOT, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    if not tracked:
        pytest.skip("not a git repository")
    top = ["README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "setup.cfg"]
    missing = [name for name in [*tracked, *top] if not (built[0] / name).exists()]
    assert not [name for name in missing if (ROOT / name).exists()]


def test_wheel_holds_the_package_alone(built):
    names = {path.name for path in built[1].iterdir()}
    assert names == {"drrl_jax", f"drrl_jax-{drrl_jax.__version__}.dist-info"}
    assert (built[1] / "drrl_jax" / "py.typed").exists()
    script = "import drrl_jax; print(drrl_jax.__file__, drrl_jax.__version__)"
    done = python(built, "-c", script)
    assert done.returncode == 0, done.stderr
    path, version = done.stdout.split()
    assert path == str(built[1] / "drrl_jax" / "__init__.py")
    assert version == drrl_jax.__version__
    for name, line in (
        ("CITATION.cff", f"version: {version}"),
        ("CHANGELOG.md", f"## {version}"),
    ):
        assert line in (ROOT / name).read_text().splitlines()


def test_wheel_passes_tests(built):
    done = python(built, "-m", "pytest", "-p", "no:cacheprovider", *QUICK)
    assert done.returncode == 0, done.stdout[-3000:]
