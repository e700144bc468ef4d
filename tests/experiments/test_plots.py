"""The pictures of studies show the means and spreads of their rows."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from experiments import plots

ROWS = [
    {"method": method, "split": split, "seed": seed, "x": base + seed}
    for split, base in (("random", 1.0), ("temporal", 5.0))
    for method in ("sl", "drrl")
    if (split, method) != ("random", "drrl")
    for seed in (0, 2)
]


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, which are not written."""
    drawn = []
    monkeypatch.setattr(plots, "_save", lambda figure, _: drawn.append(figure))
    return drawn


def bars_of(axes):
    """``[(centre, place, half a bar)]`` of a picture of dots."""
    ((line, _, (bars,)),) = axes.containers
    halves = [(ends[1, 0] - ends[0, 0]) / 2 for ends in bars.get_segments()]
    return list(zip(*line.get_data(), halves))


def test_dots_are_means_with_spreads_in_the_place_of_their_method(figures, tmp_path):
    plots.dots(ROWS, "x", tmp_path / "x.png", panel="split", zero=True)
    (figure,) = figures
    first, second = figure.axes
    assert [first.get_title(), second.get_title()] == ["random", "temporal"]
    names = [label.get_text() for label in first.get_yticklabels()]
    assert names == ["sl", "drrl"]
    spread = np.std([0, 2], ddof=1)
    assert bars_of(first) == [(2.0, 0, pytest.approx(spread))]
    assert bars_of(second) == [(6.0, y, pytest.approx(spread)) for y in (0, 1)]
    assert figure.get_supxlabel() == "x (mean ± std over seeds)"


def test_single_runs_have_no_spread(figures, tmp_path):
    rows = [row for row in ROWS if row["split"] == "temporal" and not row["seed"]]
    plots.dots(rows, "x", tmp_path / "x.png")
    (figure,) = figures
    (axes,) = figure.axes
    assert figure.get_supxlabel() == "x" and axes.get_title() == ""
    assert bars_of(axes) == [(5.0, 0, 0), (5.0, 1, 0)]


def test_a_picture_is_written_where_there_was_no_folder(tmp_path):
    plots.dots(ROWS, "x", tmp_path / "new" / "x.png")
    assert (tmp_path / "new" / "x.png").read_bytes()[1:4] == b"PNG"
