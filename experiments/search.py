"""Hyper-parameter search with an equal budget for every loss.

  python -m experiments.search --config=experiments/configs/beauty.py \\
      --trials=12 --workdir=runs/search/beauty

``--sampler=tpe`` (needs ``pip install -e '.[search]'``) lets the validation metric of
earlier trials choose the next, after the likeliest setting of
``experiments/methods.py`` (what that leaves open: the middle of its range);
``--sampler=grid`` spreads the trials evenly over each space. ``experiments/spaces.py``
has the range of every hyperparameter of every loss, the learning rate among them.
``search.csv`` has a row for each trial, ``search.md`` the best of each loss by
validation, and the plot the best so far. An interrupted search goes on where it was;
``experiments.noise --settings=…/search.csv`` runs what it chose.
"""

import json
import math
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from experiments import cli, plots
from experiments import study as study_lib
from experiments.methods import DEFAULTS
from experiments.spaces import SPACES, Range, Space, short
from experiments.study import Row, Study

SAMPLERS = ("grid", "tpe")


def run(
    study: Study,
    out: pathlib.Path,
    *,
    sampler: str = "tpe",
    trials: int = 12,
    methods: tuple[str, ...] = tuple(SPACES),
    tune_epochs: int = 0,
    seed: int = 0,
) -> str:
    """Searches every method's space.

    Args:
      study: the base config and its data.
      out: folder of the results.
      sampler: ``tpe`` or ``grid``.
      trials: settings tried for each method.
      methods: keys of ``SPACES``.
      tune_epochs: epochs of a trial; 0: the config's.
      seed: of the sampler and of every trial.
    """
    cli.check_names("methods", methods, SPACES)
    if sampler not in SAMPLERS or trials < 1:
        raise ValueError(
            f"sampler must be one of {', '.join(SAMPLERS)} and trials at least 1; got"
            f" {sampler!r} and {trials}."
        )
    epochs = {"training.epochs": tune_epochs} if tune_epochs else {}
    study_lib.need_epochs(study.configured(epochs), "choose by")
    study.need_validation()
    study.check(SPACES[name][0] for name in methods)
    valid = f"valid/{study.config.evaluation.monitor}"
    rows: list[Row] = []
    for name in methods:
        fixed, space = SPACES[name]
        fixed = {**fixed, "seed": seed, **epochs}
        best = -math.inf

        def trial(setting: dict[str, Any], number: int) -> float:
            nonlocal best
            labels = {"method": name, "trial": number}  # noqa: B023
            row = study.point({**fixed, **setting}, labels)  # noqa: B023
            best = max(best, row[valid])
            rows.append({**row, "best so far": best})
            return row[valid]

        if sampler == "grid":
            _grid(space, trials, trial)
        else:
            start = start_of(name, study.config.training.negatives)
            _tpe(space, trials, trial, seed=seed, start=start)
        print(f"{name}: {best:.4f}", flush=True)
    study_lib.write_rows(rows, out / "search.csv")
    plots.lines(rows, "trial", "best so far", out / "search.png")
    return _report(study, rows, out)


def start_of(method: str, negatives: str = "all") -> dict[str, Any]:
    """The setting to begin with: the likeliest known, else the middle of a range.

    Args:
      method: a key of ``SPACES``.
      negatives: ``training.negatives``; a number is what the negatives weigh, unless
        the setting says something else.

    Example:
      >>> from experiments.search import start_of
      >>> start_of("softmax")
      {'loss.temperature': 0.2, 'training.learning_rate': 0.01}
    """
    weight = {"loss.negative_weight": float(negatives)} if negatives.isdigit() else {}
    known, start = {**weight, **DEFAULTS.get(method, {})}, {}
    for field, axis in SPACES[method][1].items():
        if isinstance(axis, Range):
            value = known.get(field, axis.points(1)[0])
            start[field] = min(max(value, axis.low), axis.high)
        else:
            start[field] = known.get(field, axis[0])
    return start


def _grid(space: Space, trials: int, trial: Callable) -> None:
    """Exactly ``trials`` settings, spread evenly over the smallest full grid."""
    settings = list(grid_of(space, trials))
    for number, place in enumerate(np.linspace(0, len(settings) - 1, trials), 1):
        trial(settings[round(place)], number)


def grid_of(space: Space, least: int) -> Iterator[dict[str, Any]]:
    """All combinations of evenly spaced values, at least ``least`` of them.

    Ranges are refined in turn, in the order of the space, until there are enough.
    """
    ranges = [field for field, values in space.items() if isinstance(values, Range)]
    counts = {field: 1 for field in ranges}

    def values(field: str) -> list:
        axis = space[field]
        return axis.points(counts[field]) if isinstance(axis, Range) else list(axis)

    turn = 0
    while math.prod(len(values(field)) for field in space) < least:
        counts[ranges[turn % len(ranges)]] += 1
        turn += 1
    axes = {field.replace(".", "__"): values(field) for field in space}
    return iter(study_lib.grid(**axes))


def _tpe(
    space: Space, trials: int, trial: Callable, *, seed: int, start: dict[str, Any]
) -> None:
    """Optuna's tree of Parzen estimators.

    It keeps nothing on disk: with the same seed and the same metrics, which the study's
    points remember, it asks for the same settings again.
    """
    try:
        import optuna
    except ImportError:
        raise ValueError(
            "--sampler=tpe needs Optuna: pip install -e '.[search]', or use"
            " --sampler=grid."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def ask(asked) -> float:
        setting = {}
        for field, axis in space.items():
            if isinstance(axis, Range):
                number = asked.suggest_float(field, axis.low, axis.high, log=axis.log)
                setting[field] = short(number)
            else:
                setting[field] = asked.suggest_categorical(field, axis)
        return trial(setting, asked.number + 1)

    tree = optuna.samplers.TPESampler(seed=seed, n_startup_trials=min(5, trials))
    search = optuna.create_study(direction="maximize", sampler=tree)
    search.enqueue_trial(start)
    search.optimize(ask, trials)


def _report(study: Study, rows: list[Row], out: pathlib.Path) -> str:
    """The best trial of each method by validation, with its test metrics."""
    monitor = study.config.evaluation.monitor
    tests = [name for name in rows[0] if name.startswith("test/")]
    header = ["method", "trials", f"valid {monitor}"]
    header += [f"test {name.removeprefix('test/')}" for name in tests]
    body = []
    for name in dict.fromkeys(row["method"] for row in rows):
        tried = [row for row in rows if row["method"] == name]
        best = max(tried, key=lambda row: row[f"valid/{monitor}"])
        searched = SPACES[name][1]
        changes = json.loads(best["changes"])
        setting = ", ".join(
            f"{field.split('.')[-1]}={changes[field]}" for field in searched
        )
        cells = [f"{best[column]:.4f}" for column in (f"valid/{monitor}", *tests)]
        body.append([name, str(len(tried)), *cells, setting])
    command = cli.command("search")
    return study_lib.write_table([*header, "setting"], body, out / "search", command)


if __name__ == "__main__":
    cli.main(run)
