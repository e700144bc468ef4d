"""JAX's persistent compilation cache: the second start of a program compiles nothing."""

import os
import pathlib

import jax


def enable_compilation_cache(directory: str | pathlib.Path | None = None) -> None:
    """Keeps compiled programs on disk between processes.

    Args:
      directory: where; by default ``$JAX_COMPILATION_CACHE_DIR``, else
        ``~/.cache/drrl_jax``.
    """
    chosen = directory or os.environ.get("JAX_COMPILATION_CACHE_DIR")
    path = pathlib.Path(chosen or pathlib.Path.home() / ".cache" / "drrl_jax")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # a read-only home costs compile time, not the run
    jax.config.update("jax_compilation_cache_dir", str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
