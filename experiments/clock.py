"""What the benchmarks share: their clock, and the rows that a flag asks for."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from absl import app, flags

_PROCESSOR = flags.DEFINE_bool(
    "processor_time",
    False,
    "Time the processor spends on all threads of this process instead of wall time: on"
    " one core (taskset -c 0) beside other work it is what wall time would be alone.",
)


def now() -> float:
    """Seconds of the clock that the flags choose."""
    return time.process_time() if _PROCESSOR.value else time.perf_counter()


def times(function: Callable[[], Any], rounds: int) -> np.ndarray:
    """Seconds of each of ``rounds`` calls, after one that is not counted.

    Args:
      function: what to time; what it returns is waited for.
      rounds: how many calls.

    Returns:
      ``[rounds]``: its median is what a call takes, its least what a call must take.
    """
    taken = []
    for _ in range(rounds + 1):
        start = now()
        jax.block_until_ready(function())
        taken.append(now() - start)
    return np.array(taken[1:])


def torch_device(torch: Any) -> str:
    """Puts PyTorch to work on a GPU where JAX is, else on the processor; says where."""
    on_gpu = jax.default_backend() == "gpu" and torch.cuda.is_available()
    device = "cuda" if on_gpu else "cpu"
    torch.set_default_device(device)
    return device


def rows(flag: str, asked: list[str], known: Iterable[str]) -> list[str]:
    """The rows that a flag names, or all; an unknown one is a usage error.

    Example:
      >>> rows("losses", [], ("bpr", "ccl")), rows("losses", ["ccl"], ("bpr", "ccl"))
      (['bpr', 'ccl'], ['ccl'])
    """
    known = list(known)
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise app.UsageError(
            f"--{flag} must be among {', '.join(known)}; got {', '.join(unknown)}."
        )
    return asked or known
