"""Pictures of a study's rows: dots, lines and heat maps of means over seeds.

Matplotlib is imported when one is drawn: a study's ``--help`` does without.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments import study as study_lib
from experiments.study import Row


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


def _panels(rows: Sequence[Row], panel: str | None) -> dict[Any, list[Row]]:
    """The rows of each picture by its title: the values of a label, or one and no title."""
    pictures: dict[Any, list[Row]] = {}
    for row in rows:
        pictures.setdefault(row[panel] if panel else None, []).append(row)
    return pictures


def dots(
    rows: Sequence[Row],
    value: str,
    path: pathlib.Path,
    *,
    by: str = "method",
    panel: str | None = None,
    zero: bool = False,
) -> None:
    """Mean of ``value`` over seeds, a line of the picture for each value of ``by``.

    Bars are a standard deviation over seeds to each side. With ``panel``, a picture beside
    the other for each value of that label, on an axis of its own. ``zero`` marks 0.
    """
    panels = _panels(rows, panel)
    names = list(dict.fromkeys(str(row[by]) for row in rows))
    width = 7 if len(panels) == 1 else 2 + 3.5 * len(panels)
    figure = _figure(width, 0.45 * len(names) + 1)
    pictures = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    several = False
    for axes, (title, shown) in zip(pictures, panels.items()):
        summary = study_lib.summarise(shown, [by], [value])
        places = [names.index(str(line[by])) for line in summary]
        spread = np.nan_to_num([line[f"{value}/std"] for line in summary])
        several |= any(line["runs"] > 1 for line in summary)
        means = [line[value] for line in summary]
        axes.errorbar(means, places, xerr=spread, fmt="o", capsize=4)
        if zero:
            axes.axvline(0, color="0.2", linewidth=0.8)
        axes.set_title(title)
        axes.grid(axis="x", alpha=0.3)
    pictures[0].set_yticks(range(len(names)), names)
    pictures[0].invert_yaxis()
    label = f"{value} (mean ± std over seeds)" if several else value
    figure.supxlabel(label, fontsize="medium")
    _save(figure, path)


def lines(
    rows: Sequence[Row],
    x: str,
    y: str,
    path: pathlib.Path,
    *,
    by: str = "method",
    panel: str | None = None,
    log_x: bool = False,
) -> None:
    """Mean of ``y`` over seeds against ``x``, a line for each value of ``by``.

    Bars are a standard deviation over seeds up and down. With ``panel``, a picture
    beside the other for each value of that label, on one axis of ``y``.
    """
    from matplotlib import colormaps

    names = list(dict.fromkeys(row[by] for row in rows))
    many = len(names) > 8
    colours = colormaps["tab20" if len(names) > 10 else "tab10"].colors
    panels = _panels(rows, panel)
    width = 6.5 if len(panels) == 1 else 4.5 * len(panels)
    width += 2 * many
    figure = _figure(width, 4)
    pictures = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    explained: set[Any] = set()  # a line is named where it is first seen
    for axes, (title, shown) in zip(pictures, panels.items()):
        for name in dict.fromkeys(row[by] for row in shown):
            members = [row for row in shown if row[by] == name]
            summary = study_lib.summarise(members, [x], [y])
            xs, ys = [s[x] for s in summary], [s[y] for s in summary]
            colour = colours[names.index(name) % len(colours)]
            spread = [0.0 if s["runs"] < 2 else s[f"{y}/std"] for s in summary]
            axes.errorbar(
                xs, ys, spread, marker="o", markersize=4, capsize=2,
                label=str(name), color=colour,
            )  # fmt: skip
        if log_x:
            axes.set_xscale("log", base=2)
        axes.set(xlabel=x, title=title)
        axes.grid(alpha=0.3)
        own = {row[by] for row in shown}
        if not many and not own <= explained:
            axes.legend(fontsize=8)
            explained |= own
    pictures[0].set_ylabel(y)
    if many:
        figure.legend(
            *axes.get_legend_handles_labels(), fontsize=8, loc="outside right center"
        )
    _save(figure, path)


def heat(rows: Sequence[Row], x: str, y: str, value: str, path: pathlib.Path) -> None:
    """A heat map of the mean of ``value`` over two labels."""
    cells = {(s[x], s[y]): s[value] for s in study_lib.summarise(rows, [x, y], [value])}
    xs = list(dict.fromkeys(key[0] for key in cells))
    ys = list(dict.fromkeys(key[1] for key in cells))
    grid = np.array([[cells.get((a, b), np.nan) for a in xs] for b in ys])
    figure = _figure(max(5.5, 1.1 * len(xs) + 2), max(4.0, 0.5 * len(ys) + 1.5))
    axes = figure.subplots()
    image = axes.imshow(grid, origin="lower", aspect="auto")
    axes.set(xlabel=x, ylabel=y)
    axes.set_xticks(range(len(xs)), xs)
    axes.set_yticks(range(len(ys)), ys)
    bright = np.nanmean([np.nanmin(grid), np.nanmax(grid)])
    for (row, column), number in np.ndenumerate(grid):
        ink = "k" if number > bright else "w"
        axes.text(column, row, f"{number:.3f}", ha="center", va="center", color=ink)
    figure.colorbar(image, label=value)
    _save(figure, path)
