"""How the tests compile; where they find real data and golden values, and skip without.

Most of the suite's time goes into compiling small programs that run once, so XLA is told
to optimise none of them: half the time in all. The README's commands and what goes wrong in
the first hour compile as a user's do (``user_environment``), and so does everything with
``XLA_FLAGS= python -m pytest -n 2``. A program is generated in one part, having no second
core to itself, and garbage, which tracing makes little of, is looked for seldom. All of
a process's programs are written in one context, which takes milliseconds to make: up to a
fifth of what a small program takes, and most of a megabyte.
"""

import contextlib
import functools
import gc
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import jax
import pytest

_QUICK = (
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_backend_optimization_level=0",
    "--xla_cpu_parallel_codegen_split_count=1",
)


def _known(options: Sequence[str]) -> list[str]:
    """Those that this XLA has; one that it has dropped would end the process."""
    done = subprocess.run(
        [sys.executable, "-c", "import jax; jax.devices()"],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": " ".join(options)},
        capture_output=True, text=True,
    )  # fmt: skip
    return [option for option in options if option not in done.stderr.split()]


if "XLA_FLAGS" not in os.environ:  # workers are given what is found here
    os.environ["XLA_FLAGS"] = " ".join(_known(_QUICK))
gc.set_threshold(100_000, 50, 50)
# As jax 0.12 does by itself; private, so that without it the tests are only slower.
with contextlib.suppress(ImportError, AttributeError):
    from jax._src.interpreters import mlir

    mlir.make_ir_context = functools.cache(mlir.make_ir_context)

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


def user_environment(**more: str) -> dict[str, str]:
    """The environment of a program that is to run as a user's, on the processor."""
    inherited = {**os.environ, "JAX_PLATFORMS": "cpu", **more}
    given = inherited.pop("XLA_FLAGS", "").split()
    if kept := [option for option in given if option not in _QUICK]:
        inherited["XLA_FLAGS"] = " ".join(kept)
    return inherited


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


@pytest.fixture
def in_kernel(monkeypatch):
    """Has rows that are traced from here on done in the kernel, interpreted."""
    from drrl_jax import kernel

    def switch(interpret=True):
        map_rows = functools.partial(kernel.map_rows, interpret=interpret)
        monkeypatch.setattr(kernel, "suits", lambda *_: True)
        monkeypatch.setattr(kernel, "map_rows", map_rows)
        if interpret:
            monkeypatch.setattr(kernel, "PLATFORM", "cpu")
        jax.clear_caches()

    yield switch
    monkeypatch.undo()
    jax.clear_caches()


@pytest.fixture
def triton(in_kernel, monkeypatch):
    """What a function of arrays is compiled to, as far as that goes without a GPU."""
    pytest.importorskip("jax.experimental.pallas.triton")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    in_kernel(interpret=False)

    def lower(function, *args):
        device = contextlib.nullcontext()
        if jax.__version_info__ >= (0, 11):  # asks which GPU it is
            named = jax.sharding.AbstractDevice("NVIDIA H100", 132, platform="gpu")
            mesh = jax.sharding.AbstractMesh((), (), abstract_device=named)
            device = jax.sharding.use_abstract_mesh(mesh)
        with device:
            lowered = jax.jit(function).trace(*args).lower(lowering_platforms=("cuda",))
        return lowered.as_text()

    return lower
