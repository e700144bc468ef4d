"""Ablation: does the gain come from the weights or from the DRO?

  python -m experiments.ablation --config=experiments/configs/beauty.py --seeds=3

The worst case against fixed thresholds, polynomial weights against exponential ones and
a hinge. ``experiments.sensitivity`` has the heat maps of order against radius.
"""

import pathlib
from typing import Any

from experiments import cli, plots
from experiments.study import Study

_NEVER = {"loss.threshold_mode": "learned", "loss.threshold_learning_rate": 0.0}

METHODS: dict[str, dict[str, Any]] = {
    "neither: hinge, fixed threshold (CCL)": {
        "loss.name": "ccl",
        "loss.margin": 0.4,
        "loss.negative_weight": 2.0,
    },
    "polynomial, no DRO: fixed threshold": {
        "loss.name": "drrl",
        **_NEVER,
        "loss.threshold_init": 0.3,
        "loss.gamma": 2.0,
        "loss.weight": 2.0,
    },
    "DRO, no polynomial: KL solved": {
        "loss.name": "drrl",
        "loss.gamma": 1.0,
        "loss.radius": 1.0,
    },
    "DRO, no polynomial: KL at a temperature (SL)": {
        "loss.name": "softmax",
        "loss.temperature": 0.2,
    },
    "both: Renyi solved": {"loss.name": "drrl", "loss.gamma": 1.5, "loss.radius": 1.0},
    "both: Renyi at a temperature": {
        "loss.name": "drrl_tempered",
        "loss.gamma": 1.5,
        "loss.temperature": 0.3,
    },
    "both: Renyi, radius matched to a temperature": {
        "loss.name": "drrl_matched",
        "loss.gamma": 1.5,
        "loss.temperature": 0.25,
    },
}  # fmt: skip
BASELINE = "DRO, no polynomial: KL at a temperature (SL)"


def run(
    study: Study,
    out: pathlib.Path,
    *,
    seeds: int = 2,
    methods: tuple[str, ...] = tuple(METHODS),
) -> str:
    """Every combination, with tests against SL.

    Args:
      study: the base config and its data.
      out: folder of the results.
      seeds: runs of each combination.
      methods: keys of ``METHODS``.
    """
    cli.check_names("methods", methods, METHODS)
    settings = [({"method": name}, METHODS[name]) for name in methods]
    rows = cli.run_points(study, settings, seeds)
    monitor = study.config.evaluation.monitor
    plots.dots(rows, f"test/{monitor}", out / "ablation.png")
    against = cli.tested_against(BASELINE, methods, BASELINE)
    return cli.write(study, rows, ["method"], out, "ablation", baseline=against)


if __name__ == "__main__":
    cli.main(run)
