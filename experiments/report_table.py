"""Results as a Markdown table, for the terminal and for files."""

from typing import Any


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table whose columns line up in a terminal.

    Example:
      >>> print(markdown_table(["loss", "ndcg@20"], [["bpr", ".1"]]))
      | loss | ndcg@20 |
      | ---- | ------- |
      | bpr  | .1      |
    """
    widths = [max(map(len, column)) for column in zip(header, *rows)]

    def line(cells: list[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths))
        return "| " + " | ".join(padded) + " |"

    return "\n".join([line(header), line(["-" * w for w in widths]), *map(line, rows)])


def results_table(results: dict[str, dict[str, Any]]) -> str:
    """One row a run: test metrics, the epoch chosen, seconds."""
    metrics = list(dict.fromkeys(m for r in results.values() for m in r["test"]))
    rows = []
    for name, result in results.items():
        cells = [f"{result['test'].get(metric, float('nan')):.4f}" for metric in metrics]
        best = str(result.get("best_epoch", "-"))
        rows.append([name, *cells, best, f"{result['seconds']:.1f}"])
    return markdown_table(["run", *metrics, "best epoch", "seconds"], rows)
