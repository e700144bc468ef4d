"""Which threshold? Learned, solved, tempered or per user, by the number of negatives.

  python -m experiments.thresholds --seeds=2 --out=experiments/results/thresholds

Two tables. ``thresholds``: ranking of every mode at every number of negatives (``all``:
the catalogue; there a solved row has no sampling noise). ``thresholds_estimators``: on
the scores of a trained model, what solving a row on N sampled negatives gets wrong
about the row's catalogue problem: bias of the worst case, spread of the threshold and
of the temperature, and the error of the gradient (the worst-case weights) when the
temperature is solved on the sample, shrunk towards the mean over rows, that mean
itself, or known from the catalogue.
"""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from drrl_jax import dro, training
from drrl_jax.training.state import catalogue_mask
from experiments import cli
from experiments import study as study_lib
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
}


def run(
    study: Study,
    out: pathlib.Path,
    *,
    seeds: int = 2,
    sizes: tuple[str, ...] = ("16", "64", "256", "all"),
    methods: tuple[str, ...] = tuple(METHODS),
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
      methods: keys of ``METHODS``.
      rows: users on whose scores the estimators are measured.
      draws: samples of negatives for each of them.
      sample_sizes: numbers of negatives of the estimators.
      gamma: order of the DrRL losses.
      radius: radius where a loss takes one.
    """
    settings = []
    for size in sizes:
        for name in methods:
            changes = {**METHODS[name], "training.negatives": str(size)}
            if name.startswith("drrl"):
                changes["loss.gamma"] = float(gamma)
                takes_radius = "loss.temperature" not in METHODS[name] and (
                    name != "drrl learned"
                )
                if takes_radius:
                    changes["loss.radius"] = float(radius)
            settings.append(({"method": name, "negatives": str(size)}, changes))
    found = cli.run_points(study, settings, seeds)
    table = cli.write(
        study,
        found,
        ["negatives", "method"],
        out,
        "thresholds",
        baseline="softmax" if "softmax" in methods else None,
    )
    catalogue = study.dataset.num_items
    for row in found:
        row["N"] = catalogue if row["negatives"] == "all" else int(row["negatives"])
    monitor = f"test/{study.config.evaluation.monitor}"
    cli.plot_lines(found, "N", monitor, out / "thresholds.png", log_x=True)
    lines = estimators(study, rows, draws, sample_sizes, gamma=gamma, radius=radius)
    study_lib.write_rows(lines, out / "thresholds_estimators.csv")
    header = list(lines[0])
    body = [
        [f"{v:.4f}" if isinstance(v, float) else str(v) for v in line.values()]
        for line in lines
    ]
    second = study_lib.write_table(
        header, body, out / "thresholds_estimators", cli.command("thresholds")
    )
    cli.plot_lines(
        lines,
        "N",
        "gradient error",
        out / "thresholds_estimators.png",
        by="estimator",
        log_x=True,
    )
    return f"{table}\n\n{second}"


def estimators(
    study: Study,
    num_rows: int,
    draws: int,
    sizes: tuple[str, ...],
    *,
    gamma: float,
    radius: float,
) -> list[Row]:
    """Errors of each estimator on the scores of a model trained with softmax."""
    config = study.config.copy_and_resolve_references()
    config.update_from_flattened_dict(METHODS["softmax"])
    config.baselines = ()
    parts = training.build(config, study.dataset)
    state, _ = training.fit(parts, progress=False)
    users, items = parts.objective.embeddings(state.params, parts.data)
    degrees = np.diff(np.asarray(parts.data.positives.indptr))
    ids = jnp.arange(min(num_rows, study.dataset.num_users))
    scores = (users[ids] @ items.T).astype(jnp.float32)
    mask = catalogue_mask(
        parts.data.positives, ids, study.dataset.num_items, int(degrees.max())
    )
    truth = dro.worst_case(scores, gamma=gamma, radius=radius, where=mask)
    # The gradient in the user's embedding, the direction that training follows.
    exact = truth.weights @ items
    key = jax.random.key(0)
    lines = []
    for size in sizes:
        total: dict[str, list[dict[str, np.ndarray]]] = {}
        for draw in range(draws):
            step = jax.random.fold_in(jax.random.fold_in(key, int(size)), draw)
            chosen = jax.random.categorical(
                step,
                jnp.where(mask, 0.0, -jnp.inf)[:, None],
                shape=(len(ids), int(size)),
            )
            sampled = jnp.take_along_axis(scores, chosen, axis=1)
            for name, found in _estimate(sampled, truth, gamma, radius).items():
                direction = jnp.einsum("bn,bnd->bd", found["weights"], items[chosen])
                total.setdefault(name, []).append(
                    {
                        "value": np.asarray(found["value"] - truth.value),
                        "threshold": np.asarray(found["threshold"] - truth.threshold),
                        "log tau": np.asarray(
                            jnp.log(found["temperature"] / truth.temperature)
                        ),
                        "gradient": np.asarray(direction - exact),
                    }
                )
        norm = float(jnp.sqrt(jnp.mean(jnp.sum(exact**2, -1))))
        for name, found in total.items():
            stack = {k: np.stack([f[k] for f in found]) for k in found[0]}
            error, bias = stack["gradient"], stack["gradient"].mean(0)
            lines.append(
                {
                    "N": int(size),
                    "estimator": name,
                    "bias of value": float(stack["value"].mean()),
                    "bias of threshold": float(stack["threshold"].mean()),
                    "std of threshold": float(stack["threshold"].std(0).mean()),
                    "bias of log tau": float(stack["log tau"].mean()),
                    "std of log tau": float(stack["log tau"].std(0).mean()),
                    "gradient error": float(np.sqrt((error**2).sum(-1).mean()) / norm),
                    "gradient bias": float(np.sqrt((bias**2).sum(-1).mean()) / norm),
                }
            )
    return lines


def _estimate(sampled: jax.Array, truth: dro.WorstCase, gamma: float, radius: float):
    """Temperatures of each estimator, and the weights that they give on the sample."""
    solved = dro.worst_case(sampled, gamma=gamma, radius=radius)
    logs = jnp.log(jnp.maximum(solved.temperature, 1e-6))
    mean = logs.mean()
    temperatures = {
        "shrunk 1/2": jnp.exp(0.5 * (logs + mean)),
        "batch mean": jnp.exp(jnp.broadcast_to(mean, logs.shape)),
        "user catalogue": truth.temperature,
    }
    found = {"solved": solved._asdict()}
    for name, temperature in temperatures.items():
        found[name] = _at_temperature(
            sampled, sampled.max(-1), temperature, gamma, radius
        )
    # The catalogue's own threshold: weights by where a score lies, not by its rank
    # within the sample.
    best = truth.threshold + truth.temperature * gamma / (gamma - 1)
    best = jnp.maximum(best, sampled.max(-1))
    found["user threshold"] = _at_temperature(
        sampled, best, best - truth.threshold, gamma, radius, is_distance=True
    )
    return found


def _at_temperature(sampled, best, temperature, gamma, radius, is_distance=False):
    kappa = (gamma - 1) / gamma
    distance = temperature if is_distance else temperature / kappa
    powers = jnp.maximum(1 - (best[:, None] - sampled) / distance[:, None], 0.0)
    mass = jnp.sum(powers ** (1 / kappa - 1), -1, keepdims=True)
    weights = powers ** (1 / kappa - 1) / jnp.where(mass > 0, mass, 1.0)
    value = (
        best
        - distance
        + distance
        * jnp.exp(kappa * radius)
        * jnp.mean(powers ** (1 / kappa), -1) ** kappa
    )
    return {
        "weights": weights,
        "value": value,
        "threshold": best - distance,
        "temperature": distance * kappa,
    }


if __name__ == "__main__":
    cli.main(run)
