"""Draws the README's second picture: NDCG@20 of each loss over that of SL, by data set.

python docs/images/gain_by_dataset.py
"""

import csv
import pathlib
from collections import ChainMap, defaultdict

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE.parent.parent / "experiments" / "results"
# Tables of a place; a method is taken from the first that has it, over the SL there.
TABLES = {
    "Amazon Electronic\nMF": ["electronic_accuracy"],
    "Amazon Electronic\nLightGCN": [
        "electronic_lightgcn",
        "electronic_lightgcn_losses",
    ],
    "Amazon Beauty\nMF": ["beauty_5_seeds"],
    "Amazon Beauty\nLightGCN": ["beauty_lightgcn", "beauty_lightgcn_losses"],
    "Pinterest\nMF": ["pinterest", "pinterest_losses_3_seeds"],
    "Pinterest\nLightGCN": ["pinterest_lightgcn"],
    "MovieLens-1M\nMF": ["movielens_1m_at_k", "movielens_1m_losses_5_seeds"],
    "MovieLens-1M\nLightGCN": ["movielens_1m_lightgcn"],
}
METHODS = {
    "drrl matched": "DrRL, matched",
    "sl at k": "SL@K",
    "drrl at k": "DrRL@K",
}
METRIC = "test/ndcg@20"


def gains(table: str) -> dict[str, np.ndarray]:
    """Percent over SL of each method's runs, by seed."""
    runs: dict[str, list[float]] = defaultdict(list)
    with (RESULTS / table / "accuracy.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            runs[row["method"]].append(float(row[METRIC]))
    base = np.mean(runs["softmax"])
    return {name: 100 * (np.array(found) / base - 1) for name, found in runs.items()}


def main() -> None:
    figure = Figure(figsize=(12, 2.9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places = [ChainMap(*map(gains, tables)) for tables in TABLES.values()]
    for number, (method, label) in enumerate(METHODS.items()):
        for place, runs in enumerate(places):
            found = runs.get(method)
            if found is None:
                continue
            at = place + 0.27 * (number - 1)
            colour = f"C{number}"
            axes.bar(
                at, found.mean(), 0.25, color=colour, alpha=0.6,
                label="" if place else label,
            )  # fmt: skip
            axes.plot(np.full(len(found), at), found, ".", color="0.2", markersize=4)
    axes.axhline(0, color="0.2", linewidth=0.8)
    axes.set_xticks(range(len(TABLES)), list(TABLES))
    axes.set(ylabel="NDCG@20 over SL, %", title="Bars: means; dots: seeds")
    axes.legend(frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "gain_by_dataset.png", dpi=110)


if __name__ == "__main__":
    main()
