"""Sensitivity: order against radius and temperature, and how a run is initialised.

  python -m experiments.sensitivity --config=experiments/configs/beauty.py

Three heat maps. ``sensitivity``: γ × η, the threshold solved for each row.
``sensitivity_temperature``: γ × τ, tempered. ``sensitivity_init``: every initialisation
of the embeddings (``initialisers``: a name, then a scale where it takes one) for each
method, learned thresholds from each of ``threshold_inits``. An empty list leaves a map
out: ``--radii=``.
"""

import math
import pathlib
from typing import Any

from drrl_jax import training
from experiments import cli, plots
from experiments.methods import DEFAULTS, FAMILY
from experiments.study import Study

LEARNED: dict[str, Any] = {
    "loss.name": "drrl",
    "loss.threshold_mode": "learned",
    "loss.gamma": 2.0,
    "loss.weight": 2.0,
}


def run(
    study: Study,
    out: pathlib.Path,
    *,
    seeds: int = 1,
    gammas: tuple[str, ...] = ("1", "1.25", "1.5", "2", "4"),
    radii: tuple[str, ...] = ("0.25", "0.5", "1", "2", "4"),
    temperatures: tuple[str, ...] = ("0.1", "0.2", "0.3", "0.4", "0.5"),
    initialisers: tuple[str, ...] = (
        "xavier",
        "xavier_normal",
        "normal 0.01",
        "normal 0.1",
        "normal 1",
        "uniform 0.1",
    ),
    threshold_inits: tuple[str, ...] = ("0", "0.3", "0.6"),
    methods: tuple[str, ...] = FAMILY,
) -> str:
    """Trains every cell of the maps.

    Args:
      study: the base config and its data.
      out: folder of the results.
      seeds: runs of each cell.
      gammas: orders.
      radii: η of the solved loss.
      temperatures: τ of the tempered loss.
      initialisers: such as ``xavier`` and ``normal 0.1``.
      threshold_inits: where learned thresholds start.
      methods: losses of the third map, keys of ``experiments.methods.METHODS``.
    """
    cli.check_names("methods", methods, DEFAULTS)
    cli.check_numbers("gammas", gammas, 1)
    cli.check_numbers("radii", radii, 0)
    cli.check_numbers("temperatures", temperatures, 0, above=True)
    cli.check_numbers("threshold_inits", threshold_inits, -math.inf)
    for scheme in initialisers:
        training.validate(study.configured(initialiser_changes(scheme)))
    tables = []
    for name, loss, field, values in (
        ("sensitivity", "drrl", "radius", radii),
        ("sensitivity_temperature", "drrl_tempered", "temperature", temperatures),
    ):
        settings = [
            (
                {"gamma": float(gamma), field: float(value)},
                {
                    "loss.name": loss,
                    "loss.gamma": float(gamma),
                    f"loss.{field}": float(value),
                },
            )
            for gamma in gammas
            for value in values
        ]
        tables += _map(study, settings, seeds, out, name, ("gamma", field))
    losses = {name: DEFAULTS[name] for name in methods} | {
        f"drrl learned, β from {start}": {
            **LEARNED,
            "loss.threshold_init": float(start),
        }
        for start in threshold_inits
    }
    settings = [
        (
            {"initialiser": scheme, "method": name},
            {**changes, **initialiser_changes(scheme)},
        )
        for scheme in initialisers
        for name, changes in losses.items()
    ]
    by = ("initialiser", "method")
    tables += _map(study, settings, seeds, out, "sensitivity_init", by)
    return "\n\n".join(tables)


def initialiser_changes(scheme: str) -> dict[str, Any]:
    """Config fields of ``"normal 0.1"``: a name, and a scale where there is one."""
    name, *scale = scheme.split()
    changes: dict[str, Any] = {"model.initialiser": name}
    if scale:
        cli.check_numbers(f"the scale of {name!r}", scale, 0)
        if len(scale) > 1:
            raise ValueError(
                f"an initialiser is a name and at most one scale; got {scheme!r}."
            )
        changes["model.init_scale"] = float(scale[0])
    return changes


def _map(study, settings, seeds, out, name, by) -> list[str]:
    if not settings:
        return []
    rows = cli.run_points(study, settings, seeds)
    monitor = f"test/{study.config.evaluation.monitor}"
    plots.heat(rows, *by, monitor, out / f"{name}.png")
    return [cli.write(study, rows, by, out, name)]


if __name__ == "__main__":
    cli.main(run)
