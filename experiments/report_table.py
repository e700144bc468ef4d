"""Results as a Markdown table, for the terminal and for files."""

from typing import Any

# What LaTeX reads otherwise, or not at all.
_LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "_%&#$"},
        "±": r"$\pm$",
        "γ": r"$\gamma$",
        "β": r"$\beta$",
        "τ": r"$\tau$",
        "η": r"$\eta$",
    }
)


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


def latex_table(header: list[str], rows: list[list[str]]) -> str:
    r"""The same table for a paper (booktabs).

    Example:
      >>> print(latex_table(["loss, by γ", "ndcg@20"], [["bpr", ".1 ± .0"]]))
      \begin{tabular}{ll}
      \toprule
      loss, by $\gamma$ & ndcg@20 \\
      \midrule
      bpr & .1 $\pm$ .0 \\
      \bottomrule
      \end{tabular}
      <BLANKLINE>
    """

    def line(cells: list[str]) -> str:
        return " & ".join(cell.translate(_LATEX) for cell in cells) + r" \\"

    lines = [r"\begin{tabular}{" + "l" * len(header) + "}", r"\toprule", line(header)]
    lines += [r"\midrule", *map(line, rows), r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def results_table(results: dict[str, dict[str, Any]]) -> str:
    """One row a run: test metrics, the epoch chosen, seconds."""
    metrics = list(dict.fromkeys(m for r in results.values() for m in r["test"]))
    rows = []
    for name, result in results.items():
        cells = [
            f"{result['test'].get(metric, float('nan')):.4f}" for metric in metrics
        ]
        best = str(result.get("best_epoch", "-"))
        rows.append([name, *cells, best, f"{result['seconds']:.1f}"])
    return markdown_table(["run", *metrics, "best epoch", "seconds"], rows)
