"""Robust on the positives: pessimistic, optimistic, alone and with the negatives.

  python -m experiments.bilateral --config=experiments/configs/beauty.py --seeds=3

A Rényi ball over a user's positives can look for the hard ones (pessimistic) or let go
of the doubtful ones (optimistic, as BSL does with a Kullback-Leibler ball). Here are both
without any robustness on the negatives (``alone``: the plain mean of the negatives), both
beside DrRL's negatives (``bilateral``, at temperatures and solved), DrRL's negatives by
themselves, SL, and BSL.

Every method has as many settings as ``budget`` says; the best by validation on seed 0 of
the clean data is run on every seed and every rate of ``false_positives`` (a share of
random items made training positives of each user). ``bilateral``: accuracy by rate, tests
paired by user against BSL. ``bilateral_groups``: how many rows of its user a row sees in
a batch; where that is near 1 there is nothing to be robust over, and a larger
``batch_size`` is needed.
"""

import json
import pathlib
from typing import Any

import numpy as np

from drrl_jax import data
from experiments import cli, plots
from experiments import study as study_lib
from experiments.methods import METHODS as COMMON
from experiments.study import Row, Study, grid

# Six settings each, the likelier ones first: a smaller budget takes the head, in which
# the last axis varies, how far the positives' weights may go. Their order does little.
METHODS: dict[str, list[dict[str, Any]]] = {
    "softmax": COMMON["softmax"],
    "bsl": COMMON["bsl"],
    "negatives": grid(
        loss__name=("drrl_tempered",),
        loss__temperature=(0.3, 0.25, 0.35),
        loss__gamma=(1.5, 1.25),
    ),
    **{
        f"alone, {direction}": grid(
            loss__name=("bilateral",),
            loss__radius=(0.0,),
            loss__direction=(direction,),
            loss__pos_gamma=(1.5, 1.0),
            loss__pos_radius=(0.1, 0.03, 0.3),
        )
        for direction in ("optimistic", "pessimistic")
    },
    **{
        f"bilateral, {direction}": grid(
            loss__name=("bilateral_tempered",),
            loss__gamma=(1.5,),
            loss__direction=(direction,),
            loss__pos_gamma=(1.5,),
            loss__temperature=(0.3, 0.25),
            loss__pos_temperature=(0.3, 1.0, 0.1),
        )
        for direction in ("optimistic", "pessimistic")
    },
    **{
        f"bilateral solved, {direction}": grid(
            loss__name=("bilateral",),
            loss__direction=(direction,),
            loss__pos_gamma=(1.5,),
            loss__radius=(1.0, 2.0),
            loss__pos_radius=(0.1, 0.03, 0.3),
        )
        for direction in ("optimistic", "pessimistic")
    },
}
BASELINE = "bsl"


def run(
    study: Study,
    out: pathlib.Path,
    *,
    seeds: int = 3,
    budget: int = 3,
    batch_size: int = 4096,
    false_positives: tuple[str, ...] = ("0", "0.1", "0.2"),
    methods: tuple[str, ...] = tuple(METHODS),
) -> str:
    """Tunes on clean data, then every seed at every rate.

    Args:
      study: the base config and its data.
      out: folder of the results.
      seeds: runs of each chosen setting.
      budget: settings tried for each method, at most 6.
      batch_size: rows a step, for all methods, in place of the config's.
      false_positives: shares of random items among a user's positives.
      methods: keys of ``METHODS``.
    """
    cli.check_names("methods", methods, METHODS)
    cli.check_numbers("false_positives", false_positives, 0, 1)
    cli.check_numbers("budget", [str(budget)], 1, 6, whole=True)
    study.check(changes for name in methods for changes in METHODS[name][:budget])
    best: dict[str, dict[str, Any]] = {}
    tuning: list[Row] = []
    size = {"training.batch_size": batch_size}
    for name in methods:
        settings = [{**changes, **size} for changes in METHODS[name][:budget]]
        chosen, tried = study.tune(settings, {"method": name, "seed": 0})
        best[name] = dict(chosen)
        tuning += tried
        ends = study_lib.at_the_end(settings, chosen)
        print(f"{name}: {json.dumps(best[name])}{ends}", flush=True)
    study_lib.write_rows(tuning, out / "bilateral_tuning.csv")
    rows: list[Row] = []
    for rate in false_positives:
        settings = [
            ({"false positives": float(rate), "method": name}, changes)
            for name, changes in best.items()
        ]
        of_rate = study.with_false_positives(rate) if float(rate) else {}
        rows += cli.run_points(study, settings, seeds, **of_rate)
    by = ["false positives", "method"]
    against = cli.tested_against(BASELINE, methods, BASELINE)
    table = cli.write(study, rows, by, out, "bilateral", baseline=against)
    monitor = f"test/{study.config.evaluation.monitor}"
    plots.lines(rows, "false positives", monitor, out / "bilateral.png")
    mean = rows_of_a_user(study.dataset, batch_size)
    second = study_lib.write_table(
        ["batch size", "rows of its user that a row sees"],
        [[str(batch_size), f"{mean:.2f}"]],
        out / "bilateral_groups",
        cli.command("bilateral"),
    )
    return f"{table}\n\n{second}"


def rows_of_a_user(dataset: data.Dataset, batch_size: int) -> float:
    """Rows of its own user, itself among them, that a row expects in its batch.

    Each of the others of its user's d rows is among the batch's other rows with the
    chance (batch − 1)/(n − 1).
    """
    degrees = np.bincount(dataset.train.users)
    count = degrees.sum()
    chance = min((batch_size - 1) / max(count - 1, 1), 1.0)
    return float(1 + chance * (degrees * (degrees - 1)).sum() / count)


if __name__ == "__main__":
    cli.main(run)
