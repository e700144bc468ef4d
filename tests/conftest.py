"""How the tests compile; where they find real data and golden values, and skip without.

Most of the suite's time goes into compiling small programs that run once, so XLA is told
to optimise none of them: half the time in all. Programs that a test starts (the README's
commands, notebooks, scripts) compile as a user's do, and so does everything with
``XLA_FLAGS= python -m pytest -n 2``.
"""

import os
import pathlib
import shutil
import tempfile

import jax
import jax.numpy as jnp
import pytest

# XLA reads them when it compiles its first program.
_QUICK = "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0"
os.environ.setdefault("XLA_FLAGS", _QUICK)

# What is expected is computed in full float32, also where the default rounds inputs.
jax.config.update("jax_default_matmul_precision", "highest")

ROOT = pathlib.Path(__file__).resolve().parent.parent
_CACHE = "JAX_COMPILATION_CACHE_DIR"


def pytest_configure(config):
    """One cache of compiled programs for a run and its workers, outside of the home."""
    if _CACHE not in os.environ:
        config.drrl_cache = os.environ[_CACHE] = tempfile.mkdtemp(prefix="drrl_jax_")
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")


def pytest_unconfigure(config):
    """The run that made the cache removes it: its workers were given theirs."""
    if folder := getattr(config, "drrl_cache", None):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _children_compile_as_users_do():
    """The flags are read, and programs that tests start are not to inherit them."""
    jax.jit(jnp.square)(2.0).block_until_ready()
    if os.environ.get("XLA_FLAGS") == _QUICK:
        del os.environ["XLA_FLAGS"]


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
