"""Accuracy: every loss with an equal tuning budget, then seeds, a table and tests.

  python -m experiments.accuracy --config=experiments/configs/beauty.py \\
      --workdir=runs/accuracy/beauty --seeds=3

Each method has the same number of settings (``METHODS``). The best by validation on
seed 0 is then run on every seed; tests compare each method with softmax, paired by
user, Holm-corrected. ``--settings`` names tables of earlier runs: their methods run
at the settings chosen there, on more seeds, say, and are not tuned again. Interrupted,
the same command goes on where it was.
"""

import pathlib
import shlex
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import app, flags, logging
from ml_collections import config_flags

from drrl_jax import training
from experiments import study as study_lib
from experiments.study import Study, grid

_CONFIG = config_flags.DEFINE_config_file(
    "config", str(pathlib.Path(__file__).parent / "configs" / "quickstart.py")
)
_WORKDIR = flags.DEFINE_string("workdir", "runs/accuracy", "Folder of the study.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Seeds of the final runs.")
_BUDGET = flags.DEFINE_integer(
    "budget", 6, "Settings tried for each method, at most 6."
)
_TUNE_EPOCHS = flags.DEFINE_integer("tune_epochs", 0, "Epochs while tuning; 0: all.")
_SETTINGS = flags.DEFINE_list(
    "settings", [], "Tables (.csv) with methods' settings, which are not tuned again."
)
_METHODS = flags.DEFINE_list("methods", [], "Methods to run; empty: all.")
_OUT = flags.DEFINE_string("out", "", "Folder of table and plot; empty: workdir.")
_PROGRESS = flags.DEFINE_bool("progress", True, "Show a progress bar for each run.")

_DRRL = {"loss__name": ("drrl",)}

# Six settings each, the likelier ones first: a smaller budget takes the head.
METHODS: dict[str, list[dict]] = {
    "bpr": grid(
        loss__name=("bpr",),
        training__negatives=("1",),
        training__learning_rate=(1e-3, 3e-3),
        training__weight_decay=(0.0, 1e-6, 1e-5),
    ),
    "softmax": grid(
        loss__name=("softmax",),
        loss__temperature=(0.2, 0.15, 0.1, 0.25, 0.3, 0.4),
    ),
    "ccl": grid(
        loss__name=("ccl",),
        loss__margin=(0.4, 0.2, 0.6),
        loss__negative_weight=(2.0, 5.0),
    ),
    "bsl": grid(
        loss__name=("bsl",),
        loss__neg_temperature=(0.2, 0.15),
        loss__pos_temperature=(0.3, 0.2, 0.5),
    ),
    "psl": grid(
        loss__name=("psl",),
        loss__activation=("relu",),
        loss__score_temperature=(2.0,),
        loss__temperature=(0.1, 0.075, 0.05, 0.125, 0.15, 0.2),
    ),
    "drrl solved": grid(
        **_DRRL,
        loss__threshold_mode=("solved",),
        loss__radius=(1.0, 0.5, 2.0),
        loss__gamma=(1.5, 2.0),
    ),
    "drrl learned": grid(
        **_DRRL,
        loss__threshold_mode=("learned",),
        loss__threshold_init=(0.3,),
        loss__weight=(2.0, 1.5, 3.0),
        loss__gamma=(2.0, 1.5),
    ),
    "drrl tempered": grid(
        loss__name=("drrl_tempered",),
        loss__temperature=(0.3, 0.25, 0.35),
        loss__gamma=(1.5, 1.25),
    ),
    "drrl matched": grid(
        loss__name=("drrl_matched",),
        loss__gamma=(1.5, 1.25),
        loss__temperature=(0.3, 0.25, 0.35),
    ),
    "drrl user": grid(
        **_DRRL,
        loss__threshold_mode=("user",),
        loss__radius=(1.0, 1.5, 2.0),
        loss__gamma=(1.5, 1.25),
    ),
    "drrl user-tempered": grid(
        loss__name=("drrl_tempered",),
        loss__threshold_mode=("user",),
        loss__radius=(1.0, 1.5, 2.0),
        loss__gamma=(1.5, 1.25),
    ),
    "sl at k": grid(
        loss__name=("sl_at_k",),
        loss__refresh_every=(5.0,),
        loss__weight_temperature=(1.0, 1.5, 2.25),
        loss__temperature=(0.2, 0.15),
    ),
    "drrl at k": [
        {
            "loss.name": "drrl_at_k",
            "loss.refresh_every": 5.0,
            "loss.gamma": gamma,
            "loss.temperature": temperature,
            "loss.weight_temperature": weight_temperature,
        }
        for gamma, temperature, weight_temperature in (
            (1.5, 0.3, 2.0), (1.25, 0.25, 1.5), (1.5, 0.3, 1.5),
            (1.25, 0.25, 2.0), (1.5, 0.3, 3.0), (1.1, 0.22, 1.25),
        )
    ],
}  # fmt: skip
BASELINE = "softmax"


def run_methods(
    study: Study,
    names: list[str],
    seeds: int,
    budget: int,
    tune_epochs: int,
    known: Mapping[str, Mapping[str, Any]],
) -> tuple[list[study_lib.Row], list[study_lib.Row]]:
    """``(tuning rows, final rows)``; the chosen setting is in each row's changes."""
    tuning, final = [], []
    for name in names:
        if name in known:
            best = dict(known[name])
        else:
            settings = METHODS[name][:budget]
            if tune_epochs:
                settings = [{**s, "training.epochs": tune_epochs} for s in settings]
            best, rows = study.tune(settings, {"method": name, "seed": 0})
            tuning += rows
            best = {k: v for k, v in best.items() if k != "training.epochs"}
        print(f"{name}: {best}", flush=True)
        for seed in range(seeds):
            final.append(
                study.point({**best, "seed": seed}, {"method": name, "seed": seed})
            )
    return tuning, final


def report(study: Study, rows: list[study_lib.Row], out: pathlib.Path) -> str:
    """Writes rows, table and plot; returns the table."""
    metrics = [name for name in rows[0] if name.startswith("test/")]
    monitor = f"test/{study.config.evaluation.monitor}"
    summary = study_lib.summarise(rows, ["method"], metrics)
    by_name = {line["method"]: line for line in summary}
    tests = {}
    if BASELINE in by_name and len(by_name) > 1:
        tests = study_lib.significance(
            study, rows, BASELINE, study.config.evaluation.monitor
        )
    body = []
    for name, line in by_name.items():
        gain = p_value = "-"
        if name in tests:
            gain = f"{line[monitor] / by_name[BASELINE][monitor] - 1:+.1%}"
            found = tests[name]
            p_value = f"{found.t_p_holm:.1e} / {found.wilcoxon_p_holm:.1e}"
        cells = [study_lib.plus_minus(line, metric) for metric in metrics]
        body.append([name, *cells, gain, p_value])
    header = ["method", *(m.removeprefix("test/") for m in metrics)]
    header += [f"vs {BASELINE}", "p (t / Wilcoxon, Holm)"]
    study_lib.write_rows(rows, out / "accuracy.csv")
    _plot(summary, monitor, out / "accuracy.png")
    command = "python -m experiments.accuracy " + shlex.join(sys.argv[1:])
    return study_lib.write_table(header, body, out / "accuracy", command)


def _plot(summary: list[study_lib.Row], metric: str, path: pathlib.Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.45 * len(summary) + 1), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    names = [line["method"] for line in summary]
    values = [line[metric] for line in summary]
    spread = np.nan_to_num([line[f"{metric}/std"] for line in summary])
    axes.errorbar(values, names, xerr=spread, fmt="o", capsize=4)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel(f"{metric} (mean ± std over seeds)")
    figure.savefig(path, dpi=120)


def main(_: list[str]) -> None:
    """Tunes, runs the seeds, prints the table."""
    logging.set_verbosity(logging.WARNING)
    training.enable_compilation_cache()
    names = _METHODS.value or list(METHODS)
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise app.UsageError(
            f"--methods must be among {', '.join(METHODS)}; got {', '.join(unknown)}."
        )
    study = Study(_WORKDIR.value, _CONFIG.value, progress=_PROGRESS.value)
    monitor = f"valid/{study.config.evaluation.monitor}"
    known = study_lib.read_all_settings(_SETTINGS.value, monitor)
    tuning, final = run_methods(
        study, names, _SEEDS.value, _BUDGET.value, _TUNE_EPOCHS.value, known
    )
    if tuning:
        study_lib.write_rows(tuning, study.workdir / "tuning.csv")
    print(report(study, final, pathlib.Path(_OUT.value or study.workdir)))


if __name__ == "__main__":
    app.run(main)
