"""Noise: false negatives among the sampled ones, and false positives in training.

  python -m experiments.noise --seeds=2
  python -m experiments.noise --config=experiments/configs/movielens_1m.py \\
      --settings=experiments/results/movielens_1m/accuracy.csv --seeds=2

``noise``: ranking at every rate of three studies. *False negatives*: a share of each
row's negatives are the user's own training positives. *Marked positives*: a tenth of
the training positives are taken out, and each negative is one of the user's with a
probability. *False positives*: random items of each user become training positives.

``settings`` reuses each method's clean optimum, as ``experiments.accuracy`` or
``experiments.search`` wrote it; without it the first of ``experiments/methods.py`` are run,
which are not tuned. Claims against CCL need the optimum.

``noise_weight`` (data with known false negatives): the share of the worst-case weight
that lands on them, by order, against their share among the candidates.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from drrl_jax import dro, training
from experiments import cli, plots
from experiments import study as study_lib
from experiments.methods import DEFAULTS, FAMILY
from experiments.study import Row, Study

BASELINE = "ccl"


def run(
    study: Study,
    out: pathlib.Path,
    *,
    seeds: int = 2,
    false_negatives: tuple[str, ...] = ("0", "0.125", "0.3"),
    marked: tuple[str, ...] = ("0.05", "0.1", "0.2", "0.3", "0.5"),
    false_positives: tuple[str, ...] = ("0.1", "0.2"),
    methods: tuple[str, ...] = FAMILY,
    settings: tuple[str, ...] = (),
    gammas: tuple[str, ...] = ("1", "1.25", "1.5", "2", "4", "inf"),
    radius: float = 1.0,
    baseline: str = BASELINE,
) -> str:
    """Trains every method at every rate, and weighs the known false negatives.

    Args:
      study: the base config and its data.
      out: folder of the results.
      seeds: runs of each method at each rate.
      false_negatives: shares of the negatives that are the user's positives.
      marked: probabilities, above 0, that a negative is a positive that was marked.
      false_positives: shares of random items added to a user's positives.
      methods: keys of ``experiments.methods.METHODS``, or of the tables in ``settings``.
      settings: tables (.csv) of tuned settings; empty: ``experiments.methods.DEFAULTS``.
      gammas: orders whose weight on known false negatives is measured; empty: none.
      radius: of those worst cases.
      baseline: the method that the others are tested against at every rate; without the
        default among them, the table has no tests.
    """
    against = cli.tested_against(baseline, methods, BASELINE)
    for flag, rates in (
        ("false_negatives", false_negatives),
        ("marked", marked),
        ("false_positives", false_positives),
    ):
        # Without marks nothing is taken out of training: no rate 0 of that study.
        cli.check_numbers(flag, rates, 0, 1, above=flag == "marked")
    cli.check_numbers("gammas", gammas, 1)
    cli.check_numbers("radius", [str(radius)], 0)
    monitor = study.config.evaluation.monitor
    chosen = cli.chosen(settings, methods, DEFAULTS, monitor)

    def points(name: str, rate: str, field: str | None, **data_of) -> list[Row]:
        extra = {field: float(rate)} if field else {}
        labels = {"study": name, "rate": float(rate)}
        return cli.run_points(
            study,
            [
                ({**labels, "method": method}, {**changes, **extra})
                for method, changes in chosen.items()
            ],
            seeds,
            **data_of,
        )

    # What a loss or a sampler cannot take is refused before the first run.
    noisy: list[dict[str, float]] = [{"training.marked_rate": float(r)} for r in marked]
    noisy += [{"training.false_negative_rate": float(r)} for r in false_negatives]
    study.check(
        {**changes, **noise} for changes in chosen.values() for noise in ({}, *noisy)
    )
    rows: list[Row] = []
    for rate in false_negatives:
        rows += points("false negatives", rate, "training.false_negative_rate")
    for rate in marked:
        rows += points("marked positives", rate, "training.marked_rate")
    for rate in false_positives:
        rows += points(
            "false positives", rate, None, **study.with_false_positives(rate)
        )
    by = ["study", "rate", "method"]
    tables = [cli.write(study, rows, by, out, "noise", baseline=against)]
    plots.lines(rows, "rate", f"test/{monitor}", out / "noise.png", panel="study")
    if study.dataset.false_negatives is not None and gammas:
        softmax = DEFAULTS["softmax"]
        lines = study.lines(known_false_negatives, softmax, gammas, radius)
        study_lib.write_rows(lines, out / "noise_weight.csv")
        body = [
            [line["gamma"], *(f"{v:.4f}" for v in [*line.values()][1:])]
            for line in lines
        ]
        stem = out / "noise_weight"
        tables.append(
            study_lib.write_table(list(lines[0]), body, stem, cli.command("noise"))
        )
    return "\n\n".join(tables)


def known_false_negatives(
    study: Study,
    changes: Mapping[str, Any],
    gammas: tuple[str, ...],
    radius: float,
    num_users: int = 256,
) -> list[Row]:
    """Worst-case weight on hidden positives, on the scores of a model with changes."""
    parts = training.build(study.configured(changes), study.dataset)
    state, _ = training.fit(parts, progress=False)
    ids = jnp.arange(min(num_users, study.dataset.num_users))
    mask = parts.objective.catalogue_mask(parts.data, ids)
    embedded = parts.embed(state.params, parts.data)
    scores = parts.scorer(parts.scorer_inputs(state.params, embedded), ids)
    hidden = np.zeros((study.dataset.num_users, study.dataset.num_items), bool)
    false = study.dataset.false_negatives
    hidden[false.users, false.items] = True
    hidden = hidden[: len(ids)] & np.asarray(mask)
    share = float((hidden.sum(1) / np.asarray(mask).sum(1)).mean())
    lines = []
    for gamma in gammas:
        found = dro.worst_case(scores, gamma=float(gamma), radius=radius, where=mask)
        weights = np.asarray(found.weights)
        on_hidden = float((weights * hidden).sum(1).mean())
        lines.append(
            {
                "gamma": gamma,
                "weight on false negatives": on_hidden,
                "their share": share,
                "ratio": on_hidden / share,
                "largest weight / mean": float(
                    (weights.max(1) * np.asarray(mask).sum(1)).mean()
                ),
            }
        )
    return lines


if __name__ == "__main__":
    cli.main(run)
