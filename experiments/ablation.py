"""Ablation: does the gain come from the weights or from the DRO? And sensitivity.

  python -m experiments.ablation --seeds=2 --out=experiments/results/ablation

``ablation``: the worst case against fixed thresholds, polynomial weights against
exponential ones and a hinge. ``sensitivity``: order against radius, as a heat map.
"""

import pathlib
from typing import Any

from experiments import cli
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
}  # fmt: skip
BASELINE = "DRO, no polynomial: KL at a temperature (SL)"


def run(
    study: Study,
    out: pathlib.Path,
    *,
    seeds: int = 2,
    methods: tuple[str, ...] = tuple(METHODS),
    gammas: tuple[str, ...] = ("1", "1.5", "2", "4"),
    radii: tuple[str, ...] = ("0.5", "1", "2"),
) -> str:
    """The ablation, then order against radius on one seed."""
    settings = [({"method": name}, METHODS[name]) for name in methods]
    rows = cli.run_points(study, settings, seeds)
    baseline = BASELINE if BASELINE in methods else None
    tables = [cli.write(study, rows, ["method"], out, "ablation", baseline=baseline)]
    settings = [
        (
            {"gamma": float(gamma), "radius": float(radius)},
            {
                "loss.name": "drrl",
                "loss.gamma": float(gamma),
                "loss.radius": float(radius),
            },
        )
        for gamma in gammas
        for radius in radii
    ]
    if settings:
        rows = cli.run_points(study, settings, 1)
        by = ["gamma", "radius"]
        tables.append(cli.write(study, rows, by, out, "ablation_sensitivity"))
        monitor = f"test/{study.config.evaluation.monitor}"
        path = out / "ablation_sensitivity.png"
        cli.plot_heat(rows, "gamma", "radius", monitor, path)
    return "\n\n".join(tables)


if __name__ == "__main__":
    cli.main(run)
