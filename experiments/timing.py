"""Time: per epoch and to convergence for each loss, and the solver's steps by epoch.

  python -m experiments.timing --config=experiments/configs/beauty.py

Seconds are those of this machine and of whatever else it runs; the losses take turns,
so the ratios to softmax are of one run. A run has converged at the epoch with the best
validation metric; the seconds to it are that many epochs at the seconds of one, without
compilation and evaluation, and so need ``training.epochs`` and ``training.patience`` that
let every loss finish. ``timing_steps``: evaluations of the budget equation a row, cold
starts, as training goes on.
"""

import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from drrl_jax import dro, training
from drrl_jax.training.sampling import draw_batch
from experiments import cli, plots
from experiments import study as study_lib
from experiments.study import Row, Study
from experiments.thresholds import METHODS as THRESHOLDS

METHODS: dict[str, dict[str, Any]] = {
    **THRESHOLDS,
    "ccl": {"loss.name": "ccl", "loss.margin": 0.4, "loss.negative_weight": 2.0},
}


def run(
    study: Study,
    out: pathlib.Path,
    *,
    rounds: int = 5,
    seeds: int = 1,
    methods: tuple[str, ...] = tuple(METHODS),
    gamma: float = 1.5,
    radius: float = 1.0,
) -> str:
    """Mean seconds of an epoch over rounds, epochs to the best, steps of the solver.

    Args:
      study: the base config and its data.
      out: folder of the results.
      rounds: epochs that are timed for each method, in turns; a multiple of
        ``loss.refresh_every`` has its share of refreshes, five epochs for the losses at K.
      seeds: full runs of each method, for the epochs to the best; 0: none.
      methods: keys of ``METHODS``.
      gamma: order of the solver's steps.
      radius: their radius.
    """
    cli.check_names("methods", methods, METHODS)
    cli.check_numbers("rounds", [str(rounds)], 1, whole=True)
    cli.check_numbers("gamma", [str(gamma)], 1)
    cli.check_numbers("radius", [str(radius)], 0)
    runs: dict[str, Any] = {}
    for name in methods:
        parts = training.build(study.configured(METHODS[name]), study.dataset)
        runs[name] = [parts, training.jit_epoch(parts.epoch), parts.init(), []]
    steps: list[Row] = []
    seed = jnp.zeros((), jnp.uint32)
    for turn in range(rounds + 1):  # the first compiles
        for name, entry in runs.items():
            parts, epoch, state, seconds = entry
            start = time.perf_counter()
            state, _ = jax.block_until_ready(epoch(state, parts.data, seed, {}))
            seconds.append(time.perf_counter() - start)
            entry[2] = state
            if name == "drrl solved" and not parts.objective.pairwise:
                steps.append(_solver_steps(parts, state, turn + 1, gamma, radius))
    means = {name: float(np.mean(entry[3][1:])) for name, entry in runs.items()}
    base = means.get("softmax", next(iter(means.values())))
    rows = [
        {
            "method": name,
            "seconds an epoch": value,
            "ratio": value / base,
            **_convergence(study, name, seeds, value),
        }
        for name, value in means.items()
    ]
    study_lib.write_rows(rows, out / "timing.csv")
    plots.dots(rows, "seconds an epoch", out / "timing.png")
    digits = {"seconds an epoch": 4, "ratio": 2}
    body = [
        [
            f"{cell:.{digits.get(column, 1)}f}" if isinstance(cell, float) else cell
            for column, cell in row.items()
        ]
        for row in rows
    ]
    tables = [
        study_lib.write_table(
            list(rows[0]), body, out / "timing", cli.command("timing")
        )
    ]
    if steps:
        study_lib.write_rows(steps, out / "timing_steps.csv")
        body = [
            [str(line["epoch"]), f"{line['mean']:.2f}", str(line["most"])]
            for line in steps
        ]
        stem = out / "timing_steps"
        header = ["epoch", "mean steps a row", "most"]
        tables.append(study_lib.write_table(header, body, stem, cli.command("timing")))
        shown = [{**line, "method": "drrl solved"} for line in steps]
        plots.lines(shown, "epoch", "mean", out / "timing_steps.png")
    return "\n\n".join(tables)


def _convergence(study: Study, name: str, seeds: int, epoch: float) -> Row:
    """Epochs to the best validation metric, mean over seeds, and their seconds."""
    if not seeds:
        return {}
    rows = cli.run_points(study, [({"method": name}, METHODS[name])], seeds)
    best = float(np.mean([row["best_epoch"] for row in rows]))
    return {"epochs to best": best, "seconds to best": best * epoch}


def _solver_steps(parts, state, epoch: int, gamma: float, radius: float) -> Row:
    rows = jnp.arange(parts.sampling.batch_size) % len(parts.dataset.train)
    batch = draw_batch(jax.random.key(epoch), parts.data, rows, parts.sampling)
    users, items = parts.objective.embeddings(state.params, parts.data)
    shared = batch.negatives.ndim == 1  # by all rows of the batch
    products = "bd,nd->bn" if shared else "bd,bnd->bn"
    scores = jnp.einsum(products, users[batch.users], items[batch.negatives])
    found = dro.worst_case(scores, gamma=gamma, radius=radius)
    count = np.asarray(found.num_steps)
    return {"epoch": epoch, "mean": float(count.mean()), "most": int(count.max())}


if __name__ == "__main__":
    cli.main(run, least_seeds=0)
