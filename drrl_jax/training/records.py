"""What a run leaves on disk: metrics.jsonl, TensorBoard, results.json, a picture."""

import functools
import json
import pathlib
from typing import Any


class Records:
    """Writes a run's records; with no ``workdir`` every call is silent.

    Args:
      workdir: the run's folder, or ``None``.
      history: lines already earned (of a resumed run). They replace what is on disk, so
        a line written after the last checkpoint is not counted twice.
    """

    def __init__(self, workdir: pathlib.Path | None, history: list[dict[str, Any]]):
        self._workdir = workdir
        self._history = list(history)
        if workdir is None:
            return
        self._path = workdir / "metrics.jsonl"
        _write(self._path, "".join(json.dumps(line) + "\n" for line in history))
        self._events = str(workdir / "tensorboard")
        self._start = history[-1]["epoch"] + 1 if history else 0

    @functools.cached_property
    def _board(self) -> Any:
        # Imports PyTorch where it is installed: seconds that the first epoch need not
        # wait for.
        import tensorboardX

        return tensorboardX.SummaryWriter(self._events, purge_step=self._start)

    def append(self, line: dict[str, Any]) -> None:
        """One evaluation: a line of JSON and a TensorBoard point each."""
        self._history.append(line)
        if self._workdir is None:
            return
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in line.items():
            if name != "epoch":
                self._board.add_scalar(_tag(name), value, line["epoch"])

    def finish(self, results: dict[str, Any]) -> None:
        """The end: results.json, the learning curve, TensorBoard closed."""
        if self._workdir is None:
            return
        for name, value in results["test"].items():
            self._board.add_scalar(_tag(f"test/{name}"), value, results["epochs"])
        self._board.close()
        plot_learning_curve(self._history, results, self._workdir / "curve.png")
        _write(
            self._workdir / "results.json",
            json.dumps(results, indent=2) + "\n",
        )


def plot_learning_curve(
    history: list[dict[str, Any]], results: dict[str, Any], path: pathlib.Path
) -> None:
    """Loss and validation metrics by epoch, the chosen epoch marked."""
    # The object interface needs no display and leaves the user's pyplot state alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    epochs = [line["epoch"] for line in history]
    left.plot(epochs, [line["loss"] for line in history], color="tab:blue")
    left.set(xlabel="epoch", ylabel="training loss", title="loss")
    for name in sorted({key for line in history for key in line}):
        if name.startswith("valid/"):
            values = [line.get(name) for line in history]
            right.plot(epochs, values, marker="o", markersize=3, label=name[6:])
    right.axvline(results["best_epoch"], color="grey", linestyle=":", linewidth=1)
    right.set(xlabel="epoch", title=f"validation (best: epoch {results['best_epoch']})")
    if right.lines[:-1]:
        right.legend()
    figure.savefig(path, dpi=120)


def _tag(name: str) -> str:
    """TensorBoard allows no ``@`` in a tag."""
    return name.replace("@", "_at_")


def _write(path: pathlib.Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text)
    temporary.replace(path)
