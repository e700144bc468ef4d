"""Which threshold? Learned, solved, tempered or per user, by the number of negatives.

  python -m experiments.thresholds --seeds=2 --out=runs/thresholds/tables

Three tables. ``thresholds``: ranking of every mode at every number of negatives (``all``:
the catalogue; there a solved row has no sampling noise). ``thresholds_estimators``: on
the scores of a trained model, what solving a row on N sampled negatives gets wrong
about the row's catalogue problem: bias of the worst case, spread of the threshold and
of the temperature, and the error of the gradient (the worst-case weights) when the
temperature is solved on the sample, shrunk towards the mean over rows, that mean
itself, or known from the catalogue. ``thresholds_trajectory``: where the thresholds of
the users lie, epoch by epoch, learned or solved for each user; beside the learned ones
those that the same scores call for.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from drrl_jax import training
from drrl_jax.training.refresh import refresh
from experiments import cli, plots
from experiments import study as study_lib
from experiments.estimators import estimators
from experiments.methods import LEVEL
from experiments.study import Row, Study

METHODS: dict[str, dict[str, Any]] = {
    "softmax": {"loss.name": "softmax", "loss.temperature": 0.2},
    "drrl solved": {"loss.name": "drrl", "loss.threshold_mode": "solved"},
    "drrl learned": {
        "loss.name": "drrl",
        "loss.threshold_mode": "learned",
        "loss.weight": 2.0,
        "loss.threshold_init": 0.3,
    },
    "drrl user": {"loss.name": "drrl", "loss.threshold_mode": "user"},
    "drrl tempered": {"loss.name": "drrl_tempered", "loss.temperature": 0.3},
    "drrl matched": {"loss.name": "drrl_matched", "loss.temperature": 0.3},
    "drrl user-tempered": {
        "loss.name": "drrl_tempered",
        "loss.threshold_mode": "user",
    },
    "drrl at k": {
        "loss.name": "drrl_at_k",
        "loss.temperature": 0.3,
        "loss.weight_temperature": 2.0,
        "loss.refresh_every": 5.0,
    },
}
# Their level holds log N, unless the weight of the negatives is fixed.
HELD = {"drrl at k (w=64)": ("drrl at k", LEVEL)}
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def run(
    study: Study,
    out: pathlib.Path,
    *,
    seeds: int = 2,
    sizes: tuple[str, ...] = ("16", "64", "256", "all"),
    methods: tuple[str, ...] = (*METHODS, *HELD),
    settings: tuple[str, ...] = (),
    rows: int = 256,
    draws: int = 32,
    sample_sizes: tuple[str, ...] = ("8", "16", "64", "256", "512"),
    gamma: float = 1.5,
    radius: float = 1.0,
) -> str:
    """Trains every mode at every size; then the estimators on trained scores.

    Args:
      study: the base config and its data.
      out: folder of the results.
      seeds: runs of each setting.
      sizes: numbers of negatives; ``all`` is the catalogue.
      methods: keys of ``METHODS`` and of ``HELD``, or of the tables in ``settings``.
      settings: tables (.csv) whose methods run at the settings chosen there (the
        estimators' model does not).
      rows: users on whose scores the estimators are measured.
      draws: samples of negatives for each of them; 0: the first table alone.
      sample_sizes: numbers of negatives of the estimators.
      gamma: order of the DrRL losses.
      radius: radius where a loss takes one.
    """
    monitor = study.config.evaluation.monitor
    known = study_lib.read_all_settings(settings, f"valid/{monitor}")
    cli.check_names("methods", methods, {**METHODS, **HELD, **known})
    # At order 1 no threshold is finite, for the estimators to estimate.
    cli.check_numbers("gamma", [str(gamma)], 1, above=draws > 0)
    cli.check_numbers("radius", [str(radius)], 0)
    cli.check_numbers("draws", [str(draws)], 0, whole=True)
    cli.check_numbers("rows", [str(rows)], 1, whole=True)
    if draws:
        cli.check_numbers("sample_sizes", sample_sizes, 1, whole=True)
        if study.config.model.scoring == "neumf":
            raise ValueError(
                "estimators are of scores that are products, which NeuMF's are not; with"
                f" model.scoring='neumf' draws must be 0; got {draws}."
            )
    most = study.dataset.num_items
    drawn = [size for size in sizes if size != "all"]
    cli.check_numbers("sizes", drawn, 1, most, whole=True)
    changed = {n: _changes(n, float(gamma), float(radius), known) for n in methods}
    points = [
        (
            {"method": name, "negatives": str(size)},
            {**changes, "training.negatives": str(size)},
        )
        for size in sizes
        for name, changes in changed.items()
    ]
    found = cli.run_points(study, points, seeds)
    table = cli.write(
        study,
        found,
        ["negatives", "method"],
        out,
        "thresholds",
        baseline=cli.tested_against("softmax", methods, "softmax"),
    )
    catalogue = study.dataset.num_items
    for row in found:
        row["N"] = catalogue if row["negatives"] == "all" else int(row["negatives"])
    plots.lines(found, "N", f"test/{monitor}", out / "thresholds.png", log_x=True)
    if not draws:
        return table
    lines = study.lines(
        estimators,
        METHODS["softmax"],
        rows,
        draws,
        sample_sizes,
        gamma=gamma,
        radius=radius,
    )
    study_lib.write_rows(lines, out / "thresholds_estimators.csv")
    header = list(lines[0])
    body = [
        [f"{v:.4f}" if isinstance(v, float) else str(v) for v in line.values()]
        for line in lines
    ]
    second = study_lib.write_table(
        header, body, out / "thresholds_estimators", cli.command("thresholds")
    )
    path = out / "thresholds_estimators.png"
    plots.lines(lines, "N", "gradient error", path, by="estimator", log_x=True)
    tables = [table, second]
    moves = [
        row
        for m, changes in changed.items()
        for row in study.lines(trajectory, changes, m)
    ]
    if moves:
        tables.append(_trajectories(moves, out))
    return "\n\n".join(tables)


def _changes(
    name: str, gamma: float, radius: float, known: Mapping[str, Row]
) -> dict[str, Any]:
    """A method's settings: those chosen, or at the study's order and radius."""
    base, held = HELD.get(name, (name, {}))
    settings = known.get(name, known.get(base))
    if settings is not None:
        return {**settings, **held}
    changes = {**METHODS[base], **held}
    if base.startswith("drrl"):
        changes["loss.gamma"] = gamma
        if changes.get("loss.threshold_mode") in ("solved", "user"):
            changes["loss.radius"] = radius
    return changes


def trajectory(study: Study, changes: Mapping[str, Any], name: str) -> list[Row]:
    """Quantiles over users of their thresholds after each epoch of a run.

    For learned thresholds also of those that the same scores call for: solved for each
    user over the catalogue, at the radius that the weight stands for. Empty for a run
    without a threshold a user.
    """
    parts = training.build(study.configured(changes), study.dataset)
    learned = parts.objective.mode == "learned"
    if not learned and parts.objective.mode != "user":
        return []
    active = np.unique(study.dataset.train.users)
    nothing = jnp.zeros((study.dataset.num_users,), jnp.float32)
    fresh = {"threshold": nothing, "temperature": nothing}
    solve = jax.jit(lambda params, data: refresh(parts.objective, params, fresh, data))
    lines: list[Row] = []

    def watch(epoch: int, state: training.TrainState) -> None:
        table = state.params if learned else state.per_user
        found = {name: table["threshold"]}
        if learned:
            solved = solve(state.params, parts.data)
            found[f"{name}: solved on the catalogue"] = solved["threshold"]
        for label, values in found.items():
            of_users = np.quantile(np.asarray(values)[active], QUANTILES)
            lines.extend(
                {
                    "method": label,
                    "epoch": epoch,
                    "quantile": quantile,
                    "β": float(value),
                }
                for quantile, value in zip(QUANTILES, of_users)
            )

    training.fit(parts, progress=study.progress, watch=watch)
    return lines


def _trajectories(lines: list[Row], out: pathlib.Path) -> str:
    """Rows and plot of all epochs, and a table of the first, the middle and the last."""
    study_lib.write_rows(lines, out / "thresholds_trajectory.csv")
    path = out / "thresholds_trajectory.png"
    plots.lines(lines, "epoch", "β", path, by="quantile", panel="method")
    body = []
    for name in dict.fromkeys(line["method"] for line in lines):
        own = [line for line in lines if line["method"] == name]
        last = own[-1]["epoch"]
        for epoch in sorted({1, max(last // 2, 1), last}):
            values = [f"{line['β']:.3f}" for line in own if line["epoch"] == epoch]
            body.append([name, str(epoch), *values])
    header = ["method", "epoch", *(f"β, quantile {q:g}" for q in QUANTILES)]
    stem = out / "thresholds_trajectory"
    return study_lib.write_table(header, body, stem, cli.command("thresholds"))


if __name__ == "__main__":
    cli.main(run)
