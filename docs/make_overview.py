"""Every loss over SL, by data set: the table of ``results.md``, and its picture.

python docs/make_overview.py
"""

import csv
import json
import pathlib
import re
from collections import defaultdict

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE.parent / "experiments" / "results"
# Tables of a place: a method is taken from the first that has it, over the SL there.
PLACES = {
    "Electronic\nMF": (
        "electronic_accuracy", "electronic_gpu", "electronic_bsl_5_seeds",
        "electronic_fixed_5_seeds",
    ),
    "Electronic\nLightGCN": ("electronic_lightgcn", "electronic_lightgcn_5_seeds"),
    "Beauty\nMF": ("beauty_5_seeds", "beauty_bsl", "beauty_fixed"),
    "Beauty\nLightGCN": (
        "beauty_lightgcn", "beauty_lightgcn_losses", "beauty_lightgcn_bsl",
    ),
    "Pinterest\nMF": (
        "pinterest", "pinterest_losses_5_seeds", "pinterest_learned_5_seeds",
        "pinterest_fixed",
    ),
    "Pinterest\nLightGCN": ("pinterest_lightgcn_5_seeds",),
    "MovieLens-1M\nMF": (
        "movielens_1m_at_k", "movielens_1m_losses_5_seeds",
        "movielens_1m_bsl_5_seeds", "movielens_1m_fixed",
    ),
    "MovieLens-1M\nLightGCN": (
        "movielens_1m_lightgcn", "movielens_1m_lightgcn_losses",
    ),
}  # fmt: skip
METHODS = {
    "bpr": "BPR",
    "ccl": "CCL",
    "bsl": "BSL",
    "psl": "PSL",
    "sl at k": "SL@K",
    "drrl learned": "DrRL, learned",
    "drrl solved": "DrRL, solved",
    "drrl user": "DrRL, per user",
    "drrl tempered": "DrRL, tempered",
    "drrl matched": "DrRL, matched",
    "drrl at k": "DrRL@K",
}
DRAWN = ("drrl matched", "sl at k", "drrl at k")
BASELINE = "softmax"
METRIC = "test/ndcg@20"
BLOCK = re.compile("(<!-- overview -->\n).*?(<!-- /overview -->)", re.DOTALL)


def runs_of(table: str) -> dict[str, np.ndarray]:
    """The metric of each method's runs, by seed."""
    runs: dict[str, list[float]] = defaultdict(list)
    with (RESULTS / table / "accuracy.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            # The form of BSL with one positive a row repeats SL's runs.
            if json.loads(row["changes"])["loss.name"] != "bsl":
                runs[row["method"]].append(float(row[METRIC]))
    return {name: np.array(values) for name, values in runs.items()}


def values_of(place: str, method: str) -> np.ndarray | None:
    """The metric of a method's runs, in the first table of a place that has it."""
    found = (runs_of(table).get(method) for table in PLACES[place])
    return next((values for values in found if values is not None), None)


def gains(place: str) -> dict[str, np.ndarray]:
    """Percent over SL of each method's runs, and the metric of SL's own.

    A table without SL is measured by that of the place's first.
    """
    found: dict[str, np.ndarray] = {}
    for table in PLACES[place]:
        runs = runs_of(table)
        found.setdefault(BASELINE, runs.get(BASELINE))
        base = runs.get(BASELINE, found[BASELINE]).mean()
        for name in runs.keys() - {BASELINE}:
            found.setdefault(name, 100 * (runs[name] / base - 1))
    return found


def table() -> str:
    """Markdown: a row for each loss, a column for each place."""
    places = {place: gains(place) for place in PLACES}

    def line(*cells: str) -> str:
        return f"| {' | '.join(cells)} |"

    base = [found[BASELINE] for found in places.values()]
    lines = [
        line("loss", *(place.replace("\n", ", ") for place in places)),
        "|---" * (len(places) + 1) + "|",
        line("SL, NDCG@20", *(f"{x.mean():.4f} ({len(x)})"[1:] for x in base)),
    ]
    for name, label in METHODS.items():
        gained = [found.get(name) for found in places.values()]
        lines.append(line(label, *("" if x is None else _cell(x) for x in gained)))
    return "\n".join(lines) + "\n"


def _cell(gained: np.ndarray) -> str:
    mean = round(float(gained.mean()), 1) or 0.0  # no minus zero
    return f"{mean:+.1f} ({len(gained)})".replace("-", "−")


def filled(page: str) -> str:
    """A page with the table of today between its two marks."""
    return BLOCK.sub(lambda match: f"{match[1]}{table()}{match[2]}", page)


def picture() -> None:
    """Draws the README's second picture."""
    figure = Figure(figsize=(12, 2.9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places = [gains(place) for place in PLACES]
    for number, method in enumerate(DRAWN):
        for at, gained in enumerate(places):
            found = gained.get(method)
            if found is None:
                continue
            x = at + 0.27 * (number - 1)
            label = "" if at else METHODS[method]
            axes.bar(x, found.mean(), 0.25, color=f"C{number}", alpha=0.6, label=label)
            axes.plot(np.full(len(found), x), found, ".", color="0.2", markersize=4)
    axes.axhline(0, color="0.2", linewidth=0.8)
    axes.set_xticks(range(len(PLACES)), list(PLACES))
    axes.set(ylabel="NDCG@20 over SL, %", title="Bars: means; dots: seeds")
    axes.legend(frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "images" / "gain_by_dataset.png", dpi=110)


def main() -> None:
    picture()
    page = HERE / "results.md"
    page.write_text(filled(page.read_text()))


if __name__ == "__main__":
    main()
