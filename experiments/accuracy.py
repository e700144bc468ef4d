"""Accuracy: every loss with an equal tuning budget, then seeds, a table and tests.

  python -m experiments.accuracy --config=experiments/configs/beauty.py \\
      --workdir=runs/accuracy/beauty --seeds=3

Each method has the same number of settings (``experiments/methods.py``). The best by
validation on seed 0 is then run on every seed; ``accuracy_tuning.csv`` has what was
tried. Tests compare each method with ``--baseline``, paired by user, Holm-corrected.
``--settings`` names tables of earlier runs: their methods run at the settings chosen
there, on more seeds, say, and are not tuned again.
Interrupted, the same command goes on where it was.
"""

import pathlib

from experiments import cli, plots
from experiments import study as study_lib
from experiments.methods import HELD, METHODS, NOISY
from experiments.study import Row, Study

BASELINE = "softmax"


def run(
    study: Study,
    out: pathlib.Path,
    *,
    seeds: int = 3,
    budget: int = 6,
    tune_epochs: int = 0,
    methods: tuple[str, ...] = tuple(METHODS),
    settings: tuple[str, ...] = (),
    baseline: str = BASELINE,
) -> str:
    """Tunes every method, then runs the best of each on every seed.

    Args:
      study: the base config and its data.
      out: folder of table and plot.
      seeds: runs of each chosen setting.
      budget: settings tried for each method, at most 6, of ``NOISY`` 12.
      tune_epochs: epochs while tuning; 0: all.
      methods: keys of ``METHODS``, ``HELD`` or ``NOISY``, or of the tables in ``settings``.
      settings: tables (.csv) whose methods are not tuned again.
      baseline: the method that the others are tested against; without the default
        among them, it makes a table without tests.

    Raises:
      ValueError: for a method that neither has, or a baseline that is not run.
    """
    monitor = study.config.evaluation.monitor
    known = study_lib.read_all_settings(settings, f"valid/{monitor}")
    grids = {**METHODS, **HELD, **NOISY}
    cli.check_names("methods", methods, {**grids, **known})
    against = cli.tested_against(baseline, methods, BASELINE)
    sizes = [len(grids[name]) for name in methods if name not in known]
    most = max(min(sizes, default=0), 6)
    cli.check_numbers("budget", [str(budget)], 1, most, whole=True)
    study.check(
        changes
        for name in methods
        for changes in ([known[name]] if name in known else grids[name][:budget])
    )
    tuning: list[Row] = []
    final: list[Row] = []
    for name in methods:
        if name in known:
            best, ends = dict(known[name]), ""
        else:
            tried = grids[name][:budget]
            if tune_epochs:
                tried = [{**s, "training.epochs": tune_epochs} for s in tried]
            chosen, rows = study.tune(tried, {"method": name, "seed": 0})
            tuning += rows
            best = {k: v for k, v in chosen.items() if k != "training.epochs"}
            ends = study_lib.at_the_end(tried, best)
        print(f"{name}: {best}{ends}", flush=True)
        final += cli.run_points(study, [({"method": name}, best)], seeds)
    if tuning:
        study_lib.write_rows(tuning, out / "accuracy_tuning.csv")
    plots.dots(final, f"test/{monitor}", out / "accuracy.png")
    return cli.write(study, final, ["method"], out, "accuracy", baseline=against)


if __name__ == "__main__":
    cli.main(run)
