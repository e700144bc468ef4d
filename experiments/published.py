"""The published tables, regenerated: one run a row at the published optimum.

  python -m experiments.published --config=experiments/configs/electronic.py \\
      --workdir=runs/published/electronic --out=experiments/results/electronic

``PUBLISHED`` holds Recall@20 / NDCG@20 of SL@K (KDD 2025, table 2) and PSL (NeurIPS
2024, table 1); ``SETTINGS`` the optima that those papers report. The configs are the
papers' protocol: 200 epochs and no early stop. ``--config.training.patience=5`` stops a
run after five checks without gain, for machines without a GPU; its rows say how far
they ran. ``--config.training.negative_pool=shared`` draws the negatives once a batch
instead of once a row, which is several times faster; the table says so. Interrupted,
the same command goes on where it was; ``--rows`` runs some rows and keeps the others
that ``published.csv`` already holds.
"""

import csv
import pathlib
from typing import Any

from experiments import cli, plots
from experiments import study as study_lib
from experiments.study import Row, Study

Figures = tuple[float, float]

PUBLISHED: dict[str, dict[tuple[str, str], Figures]] = {
    "amazon2014-electronic": {
        ("mf", "bpr"): (0.0816, 0.0527),
        ("mf", "llpauc"): (0.0821, 0.0499),
        ("mf", "softmax"): (0.0821, 0.0529),
        ("mf", "adv_infonce"): (0.0829, 0.0527),
        ("mf", "bsl"): (0.0834, 0.0530),
        ("mf", "psl"): (0.0838, 0.0541),
        ("mf", "sl_at_k"): (0.0901, 0.0590),
        ("lightgcn", "bpr"): (0.0813, 0.0524),
        ("lightgcn", "softmax"): (0.0823, 0.0526),
        ("lightgcn", "bsl"): (0.0823, 0.0526),
        ("lightgcn", "psl"): (0.0830, 0.0536),
        ("lightgcn", "sl_at_k"): (0.0903, 0.0591),
        ("xsimgcl", "bpr"): (0.0777, 0.0508),
        ("xsimgcl", "softmax"): (0.0772, 0.0490),
        ("xsimgcl", "bsl"): (0.0800, 0.0507),
        ("xsimgcl", "psl"): (0.0801, 0.0507),
        ("xsimgcl", "sl_at_k"): (0.0869, 0.0571),
    },
    "gowalla": {
        ("mf", "bpr"): (0.1355, 0.1111),
        ("mf", "llpauc"): (0.1610, 0.1189),
        ("mf", "softmax"): (0.2064, 0.1624),
        ("mf", "adv_infonce"): (0.2067, 0.1627),
        ("mf", "bsl"): (0.2071, 0.1630),
        ("mf", "psl"): (0.2089, 0.1647),
        ("mf", "sl_at_k"): (0.2121, 0.1709),
        ("lightgcn", "bpr"): (0.1745, 0.1402),
        ("lightgcn", "softmax"): (0.2068, 0.1628),
        ("lightgcn", "bsl"): (0.2069, 0.1628),
        ("lightgcn", "psl"): (0.2086, 0.1648),
        ("lightgcn", "sl_at_k"): (0.2128, 0.1729),
        ("xsimgcl", "bpr"): (0.1966, 0.1570),
        ("xsimgcl", "softmax"): (0.2005, 0.1570),
        ("xsimgcl", "bsl"): (0.2037, 0.1597),
        ("xsimgcl", "psl"): (0.2037, 0.1593),
        ("xsimgcl", "sl_at_k"): (0.2095, 0.1717),
    },
}


def _rate(learning_rate: float, **loss: Any) -> dict[str, Any]:
    return {
        "training.learning_rate": learning_rate,
        **{f"loss.{name}": value for name, value in loss.items()},
    }


def _bpr(weight_decay: float) -> dict[str, Any]:
    changes = _rate(1e-3) | {"training.weight_decay": weight_decay}
    return changes | {"training.negatives": "1", "training.negative_pool": "row"}


# The papers' PSL takes half the cosine, hence a score temperature of 2.
_RELU = {"activation": "relu", "score_temperature": 2.0}
_ADVERSARY = {"temperature": 0.2, "negative_weight": 64.0, "adversary_every": 5}
_ADVERSARY |= {"adversary_learning_rate": 5e-5}

# MF's optima. For the graph backbones none is reported to us: they run at MF's.
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "amazon2014-electronic": {
        "bpr": _bpr(1e-5),
        "llpauc": _rate(0.1, alpha=0.5, beta=0.01),
        "softmax": _rate(0.01, temperature=0.2),
        "adv_infonce": _rate(0.1, **_ADVERSARY),
        "bsl": _rate(0.1, pos_temperature=0.5, neg_temperature=0.2),
        "psl": _rate(0.01, temperature=0.1, **_RELU),
        "sl_at_k": _rate(
            0.01, temperature=0.2, weight_temperature=2.25, refresh_every=20.0
        ),
    },
    "gowalla": {
        "bpr": _bpr(1e-6),
        "llpauc": _rate(0.1, alpha=0.7, beta=0.01),
        "softmax": _rate(0.1, temperature=0.1),
        # The temperature of softmax there; at .2, which was reported to us without a data
        # set, it ends 21 % below the figure (recall).
        "adv_infonce": _rate(0.1, **{**_ADVERSARY, "temperature": 0.1}),
        "bsl": _rate(0.1, pos_temperature=0.2, neg_temperature=0.1),
        "psl": _rate(0.1, temperature=0.05, **_RELU),
        "sl_at_k": _rate(
            0.1, temperature=0.1, weight_temperature=1.0, refresh_every=20.0
        ),
    },
}

# As the code behind the tables starts its graph backbones.
_START = {"model.initialiser": "normal", "model.init_scale": 1.0}

BACKBONES: dict[str, dict[str, Any]] = {
    "mf": {},
    # From Xavier's rows it ends 1 % lower, and sooner.
    "lightgcn": {
        "model.name": "lightgcn",
        "model.layers": 2,
        **_START,
    },
    # The paper's form. From Xavier's small rows, which noise of length .1 drowns, it ends
    # 5 % lower (at weight .1); the noise of the code behind the tables, contrast with
    # repeats and weight .2, from there, ended 13 % lower.
    "xsimgcl": {
        "model.name": "xsimgcl",
        "model.layers": 3,
        "model.contrast_layer": 1,
        "model.noise_scale": 0.1,
        "model.contrast_temperature": 0.1,
        "model.contrast_weight": 0.05,
        **_START,
    },
}


def run(
    study: Study,
    out: pathlib.Path,
    *,
    rows: tuple[str, ...] = (),
    seeds: int = 1,
) -> str:
    """Trains each row at its published optimum and sets it beside the figure.

    Args:
      study: a benchmark config and its data.
      out: folder of the table.
      rows: ``backbone:loss`` of the rows to run, e.g. ``mf:softmax``; empty: all.
      seeds: runs of each row.

    Raises:
      ValueError: for a data set or a row that no published figure is known of, or
        another protocol than the figures'.
    """
    name = pathlib.Path(study.config.data.path).name
    if name not in PUBLISHED:
        raise ValueError(
            f"data.path must end in one of {', '.join(PUBLISHED)}, whose published"
            f" figures are known; got {study.config.data.path!r}."
        )
    evaluation = study.config.evaluation
    if 20 not in evaluation.ks or not {"recall", "ndcg"} <= set(evaluation.metrics):
        raise ValueError(
            "evaluation must hold recall and ndcg at 20, which are published; got"
            f" {', '.join(evaluation.metrics)} at {', '.join(map(str, evaluation.ks))}."
        )
    if evaluation.protocol != "benchmark":
        raise ValueError(
            "evaluation.protocol must be 'benchmark', by which the figures were published;"
            f" got {evaluation.protocol!r}."
        )
    figures = PUBLISHED[name]
    if rows:
        cli.check_names("rows", rows, [":".join(row) for row in figures])
    wanted = [tuple(row.split(":")) for row in rows] or list(figures)
    found: list[Row] = []
    kept = _kept(
        out / "published.csv", wanted, list(figures), study.dataset.fingerprint
    )
    for backbone, loss in wanted:
        changes = {
            **BACKBONES[backbone],
            "loss.name": loss,
            **SETTINGS[name][loss],
        }
        labels = {"backbone": backbone, "loss": loss}
        labels["negatives"] = _negatives(study, changes)
        found += cli.run_points(study, [(labels, changes)], seeds)
        # Written after each row, so that a long table can be read early.
        table = _write(study, _in_order(kept + found, list(figures)), figures, out)
    return table


def _negatives(study: Study, changes: dict[str, Any]) -> str:
    """How many negatives a run has, and whether its rows share them."""
    training = study.configured(changes).training
    if training.negative_pool == "batch":
        return "the batch"
    unit = "row" if training.negative_pool == "row" else "batch"
    return f"{training.negatives} a {unit}"


def _kept(path: pathlib.Path, wanted: list, known: list, fingerprint: str) -> list[Row]:
    """Rows of an earlier table that this run does not make anew.

    Raises:
      ValueError: if the table is of other data.
    """
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows: list[Row] = list(csv.DictReader(file))
    numbers = ("test/recall@20", "test/ndcg@20", "best_epoch", "epochs", "seconds")
    for row in rows:
        if row.get("data") and row["data"] != fingerprint:
            raise ValueError(
                f"{path} has rows of other data: their fingerprint is {row['data']!r},"
                f" here it is {fingerprint!r}. Choose another --out."
            )
        row.update({name: float(row[name]) for name in numbers})
    names = [(row["backbone"], row["loss"]) for row in rows]
    return [r for r, n in zip(rows, names) if n in known and n not in wanted]


def _in_order(rows: list[Row], known: list) -> list[Row]:
    return sorted(rows, key=lambda row: known.index((row["backbone"], row["loss"])))


def _plot(rows: list[Row], figures, path: pathlib.Path) -> None:
    """What each row has over its published figures, in percent."""
    over = "% over the published figure"
    shown = []
    for row in rows:
        published = figures[row["backbone"], row["loss"]]
        for metric, figure in zip(("recall@20", "ndcg@20"), published):
            gain = 100 * (row[f"test/{metric}"] / figure - 1)
            name = f"{row['backbone']}, {row['loss']}"
            shown.append({"row": name, "metric": metric, over: gain})
    plots.dots(shown, over, path, by="row", panel="metric", zero=True)


def _write(study: Study, rows: list[Row], figures, out: pathlib.Path) -> str:
    metrics = ["test/recall@20", "test/ndcg@20"]
    for row in rows:
        row.setdefault("command", cli.command("published"))
    summary = study_lib.summarise(
        rows,
        ["backbone", "loss", "negatives"],
        [*metrics, "best_epoch", "epochs", "seconds"],
    )
    header = ["backbone", "loss", "negatives"]
    for metric in ("recall@20", "ndcg@20"):
        header += [metric, "published", "difference"]
    header += ["runs", "best epoch", "epochs", "seconds"]
    body = []
    for line in summary:
        cells = [line["backbone"], line["loss"], line["negatives"]]
        for metric, figure in zip(metrics, figures[line["backbone"], line["loss"]]):
            cells += [
                study_lib.plus_minus(line, metric),
                f"{figure:.4f}",
                f"{line[metric] / figure - 1:+.1%}",
            ]
        cells.append(str(line["runs"]))
        cells += [f"{line[name]:.0f}" for name in ("best_epoch", "epochs", "seconds")]
        body.append(cells)
    _plot(rows, figures, out / "published.png")
    study_lib.write_rows(rows, out / "published.csv")
    # Rows of earlier runs stay: every command that made one is named.
    commands = "`, `".join(dict.fromkeys(row["command"] for row in rows))
    return study_lib.write_table(header, body, out / "published", commands)


if __name__ == "__main__":
    cli.main(run)
