"""Can γ be learned? By validation gradients through the model's steps, against tuning.

  python -m experiments.learn_gamma --config=experiments/configs/beauty.py --seeds=3

The training loss cannot choose the order. Balls of one radius nest, so the worst case
falls as γ rises, whatever the data: descent on it would take γ to infinity. At a fixed
temperature the value moves with the threshold that comes with an order, at small
temperatures down to γ = 1; that says nothing of ranking either. Here γ descends a loss of
*validation* positives in which it does not occur (``criterion``), by the exact gradient
of that loss after ``inner_steps`` unrolled steps of the model
(``drrl_jax.training.bilevel``): one order for all users, or one for each group of users
of like activity.

Equal budgets: ``fixed`` tries the orders of ``gammas``, and each learned method starts
from each of them; the best of each by validation on seed 0 is run on every seed. The
radius (solved) and the temperature (tempered) are held. ``learn_gamma``: accuracy, tests
paired by user against ``fixed``. ``learn_gamma_orders``: the order of each group at the
checkpoint that is tested. ``learn_gamma_trajectory.csv`` and the plot: γ by epoch from
every start; starts that do not meet say that the validation gradient hardly sees γ.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from drrl_jax import training
from drrl_jax.training import bilevel
from experiments import cli, plots
from experiments import study as study_lib
from experiments.study import Row, Study

FIXED = "fixed"
MODES = ("tempered", "solved")


def run(
    study: Study,
    out: pathlib.Path,
    *,
    seeds: int = 3,
    modes: tuple[str, ...] = MODES,
    gammas: tuple[str, ...] = ("1.25", "1.5", "2", "3"),
    groups: tuple[str, ...] = ("1", "3"),
    temperature: float = 0.3,
    radius: float = 1.0,
    rate: float = 0.05,
    inner_steps: int = 4,
    criterion: str = "softmax",
) -> str:
    """Tunes and learns the order in each mode.

    Args:
      study: the base config and its data.
      out: folder of the results.
      seeds: runs of each chosen setting.
      modes: of ``MODES``.
      gammas: orders that ``fixed`` tries, and that learning starts from.
      groups: numbers of groups of users with an order each.
      temperature: of ``tempered``.
      radius: of ``solved``.
      rate: Adam's rate of log(γ − 1).
      inner_steps: unrolled steps of the model.
      criterion: key of ``losses.LOSSES``; see ``bilevel.CRITERIA``.
    """
    cli.check_names("modes", modes, MODES)
    # What learning refuses, before what is fixed is trained.
    cli.check_names("criterion", [criterion], bilevel.CRITERIA)
    bounds = bilevel.ORDERS if groups else (1, 1e9)
    cli.check_numbers("gammas", gammas, *bounds, above=True)
    if groups:
        bilevel.check_dense(study.config)
    if not gammas:
        raise ValueError("gammas must hold an order to start from; got none.")
    study_lib.need_epochs(study.config, "choose by")
    study.need_validation()
    cli.check_numbers("groups", groups, 1, study.dataset.num_users, whole=True)
    cli.check_numbers("temperature", [str(temperature)], 0, above=True)
    cli.check_numbers("radius", [str(radius)], 0)
    cli.check_numbers("rate", [str(rate)], 0, above=True)
    cli.check_numbers("inner_steps", [str(inner_steps)], 1, whole=True)
    options = {"rate": rate, "inner_steps": inner_steps, "criterion": criterion}
    tuning: list[Row] = []
    final: list[Row] = []
    for mode in modes:
        changes = {
            "tempered": {"loss.name": "drrl_tempered", "loss.temperature": temperature},
            "solved": {"loss.name": "drrl", "loss.radius": radius},
        }[mode]
        for count in (0, *map(int, groups)):
            name = _name(count)
            tried = [
                _point(study, changes, mode, gamma, count, 0, options)
                for gamma in gammas
            ]
            valid = f"valid/{study.config.evaluation.monitor}"
            best = max(tried, key=lambda row: row[valid])["start"]
            print(f"{mode}, {name}: γ {'=' if not count else 'from'} {best}")
            tuning += tried
            final += [
                _point(study, changes, mode, best, count, seed, options)
                for seed in range(seeds)
            ]
    lines = [line for row in [*tuning, *final] for line in _trajectory(row)]
    study_lib.write_rows(
        list({tuple(line.values()): line for line in lines}.values()),
        out / "learn_gamma_trajectory.csv",
    )
    for row in [*tuning, *final]:
        row.pop("trajectory", None)
    study_lib.write_rows(tuning, out / "learn_gamma_tuning.csv")
    table = cli.write(
        study, final, ["mode", "method"], out, "learn_gamma", baseline=FIXED
    )
    shown = [line for line in lines if line["method"] == _name(1) and line["seed"] == 0]
    if shown:
        path = out / "learn_gamma.png"
        plots.lines(shown, "epoch", "γ", path, by="start", panel="mode")
    return f"{table}\n\n{_orders(final, out)}"


def _name(groups: int) -> str:
    names = {0: FIXED, 1: "learned, global"}
    return names.get(groups, f"learned, {groups} groups by activity")


def _point(
    study: Study,
    changes: Mapping[str, Any],
    mode: str,
    gamma: str,
    groups: int,
    seed: int,
    options: Mapping[str, Any],
) -> Row:
    """A run with the order fixed (no groups) or learned from it."""
    labels = {"mode": mode, "method": _name(groups), "start": float(gamma)}
    labels["seed"] = seed
    changes = {**changes, "loss.gamma": float(gamma), "seed": seed}
    if not groups:
        return study.point(changes, labels)
    config = study.configured(changes)

    def make() -> study_lib.Made:
        parts = training.build(config, study.dataset)
        of_user = bilevel.activity_groups(parts, groups)
        learned = bilevel.learn_order(parts, of_user, start=float(gamma), **options)
        orders: list[list[float]] = []
        state, results = training.fit(
            learned,
            progress=study.progress,
            watch=lambda _, state: orders.append(_orders_of(state)),
        )
        extra = {"order": json.dumps(_orders_of(state)), "trajectory": orders}
        return study_lib.made_of(learned, state, {**results, "extra": extra})

    suffix = f"learned order {groups} {json.dumps(dict(options), sort_keys=True)}"
    return study.keep(config, changes, labels, make, suffix)


def _orders_of(state: training.TrainState) -> list[float]:
    return np.asarray(bilevel.order_of(state.params["order"])).tolist()


def _trajectory(row: Row) -> list[Row]:
    """A line for each epoch and group of a learned run, the start among them."""
    labels = {name: row[name] for name in ("mode", "method", "start", "seed")}
    orders = row.get("trajectory", [])
    started = [[row["start"]] * len(orders[0])] if orders else []
    return [
        {**labels, "epoch": epoch, "group": group, "γ": value}
        for epoch, values in enumerate([*started, *orders])
        for group, value in enumerate(values)
    ]


def _orders(rows: list[Row], out: pathlib.Path) -> str:
    """The order of each group where the run was tested, mean and spread over seeds."""
    lines: list[Row] = []
    for row in rows:
        orders = json.loads(row.get("order", f"[{row['start']}]"))
        labels = {"mode": row["mode"], "method": row["method"], "start": row["start"]}
        lines += [
            {**labels, "group": group, "γ": order, "seconds": row["seconds"]}
            for group, order in enumerate(orders)
        ]
    by = ["mode", "method", "start", "group"]
    body = [
        [
            *(str(line[label]) for label in by),
            study_lib.plus_minus(line, "γ", 3),
            study_lib.plus_minus(line, "seconds", 1),
        ]
        for line in study_lib.summarise(lines, by, ["γ", "seconds"])
    ]
    stem = out / "learn_gamma_orders"
    return study_lib.write_table(
        [*by, "γ", "seconds"], body, stem, cli.command("learn_gamma")
    )


if __name__ == "__main__":
    cli.main(run)
