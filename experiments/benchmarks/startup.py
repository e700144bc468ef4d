r"""Seconds from the start of a process to the end of its first step and first epoch.

  python -m experiments.benchmarks.startup
  python -m experiments.benchmarks.startup --path=$DRRL_DATA/amazon-beauty

Each start is a process of its own: first with an empty compilation cache ("cold"), then
again with what the first left there ("cached"). The parts: imports of the interpreter
and this project, data, building (tables on the device, initial parameters), compiling
one step, running it, compiling an epoch, running it. The goal is a first step within
10 seconds of the start. The data are read, cleaned and split in every start.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

from absl import app, flags

from experiments import clock  # noqa: F401  (defines --processor_time)
from experiments.report_table import markdown_table

_PATH = flags.DEFINE_string("path", "", "Data folder; empty: the synthetic set.")
_LOSS = flags.DEFINE_string("loss", "drrl_tempered", "Loss of the run.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Starts with a filled cache; the best.")
_SMOKE = flags.DEFINE_bool("smoke", False, "A tiny problem, to see that it runs.")
_BEGAN = flags.DEFINE_float("began", None, "Be the process that began at this time.")

PARTS = ("imports", "data", "build", "compile step", "first step")
LATER = ("compile epoch", "first epoch")


def child() -> dict[str, float]:
    """Runs from nothing to the end of an epoch and times its parts."""

    # Processor time counts from the start of the process by itself.
    def now() -> float:
        processor = flags.FLAGS.processor_time
        return time.process_time() if processor else time.time() - _BEGAN.value

    marks = [("", 0.0)]

    def mark(name: str) -> None:
        marks.append((name, now()))

    import jax
    import numpy as np

    from drrl_jax import training
    from drrl_jax.training.epoch import make_epoch

    mark("imports")
    training.enable_compilation_cache()
    # Programs of the smallest problem compile in less than is otherwise kept.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    config = training.default_config()
    config.loss.name = _LOSS.value
    if _PATH.value:
        config.data.source, config.data.path = "files", _PATH.value
    if _SMOKE.value:
        config.model.dim, config.training.negatives = 8, "4"
    dataset = training.load_dataset(config)
    mark("data")
    parts = training.build(config, dataset)
    state = jax.block_until_ready(parts.init())
    mark("build")
    one_step = make_epoch(
        parts.objective,
        parts.optimiser,
        parts.sampling,
        num_interactions=1,
        refresh_steps=parts.steps_per_epoch,
    )
    for name, epoch in (("step", one_step), ("epoch", parts.epoch)):
        arguments = (state, parts.data, np.uint32(0), {})
        compiled = training.jit_epoch(epoch).lower(*arguments).compile()
        mark(f"compile {name}")
        state, losses = compiled(*arguments)
        jax.block_until_ready((state, losses))
        mark(f"first {name}")
    return {
        name: after - before for (_, before), (name, after) in zip(marks, marks[1:])
    }


def start(cache: str) -> dict[str, float]:
    """Seconds of the parts of a new process."""
    switches = {"smoke": _SMOKE.value, "processor_time": flags.FLAGS.processor_time}
    done = subprocess.run(
        [sys.executable, "-m", "experiments.benchmarks.startup"]
        + [f"--path={_PATH.value}", f"--loss={_LOSS.value}", f"--began={time.time()}"]
        + [f"--{name}" for name, on in switches.items() if on],
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": cache},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def line(name: str, parts: dict[str, float]) -> list[str]:
    """A line of the table: the parts up to the first step, their sum, the epoch."""
    until = sum(parts[part] for part in PARTS)
    cells = [*(parts[p] for p in PARTS), until, *(parts[p] for p in LATER)]
    return [name, *(f"{seconds:.2f}" for seconds in cells)]


def main(_: list[str]) -> None:
    """Prints the table, or is the timed process."""
    if _BEGAN.value is not None:
        print(json.dumps(child()))
        return
    rounds = 1 if _SMOKE.value else _ROUNDS.value
    with tempfile.TemporaryDirectory() as cache:
        cold = start(cache)
        again = [start(cache) for _ in range(rounds)]
    best = min(again, key=lambda parts: sum(parts[part] for part in PARTS))
    header = ["start", *PARTS, "to the first step", *LATER]
    print(f"{_PATH.value or 'synthetic'}, {_LOSS.value}; seconds")
    print(markdown_table(header, [line("cold", cold), line("cached", best)]))


if __name__ == "__main__":
    app.run(main)
