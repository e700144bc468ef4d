"""One page of all results: every table and plot, with the command that made it.

python -m experiments.report --results=experiments/results
"""

import pathlib

from absl import app, flags

_RESULTS = flags.DEFINE_string("results", "experiments/results", "Folder of results.")

MADE_BY = "Made by `python -m experiments.report`."


def page(results: pathlib.Path) -> str:
    """Markdown of all tables under a folder, each with its plot where there is one.

    Raises:
      ValueError: for a folder without a table.
    """
    tables = sorted({*results.rglob("*.md")} - {results / "README.md"})
    if not tables:
        raise ValueError(f"--results must hold tables; {results} has none.")
    lines = ["# Results", "", MADE_BY, ""]
    folder = None
    for table in tables:
        if table.parent != folder:
            folder = table.parent
            name = folder.relative_to(results)
            lines += [f"## {results.name if folder == results else name}", ""]
        lines += [f"### {table.stem}", "", table.read_text().strip(), ""]
        plot = table.with_suffix(".png")
        if plot.exists():
            lines += [f"![{table.stem}]({plot.relative_to(results)})", ""]
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    """Writes ``README.md`` into the folder."""
    results = pathlib.Path(_RESULTS.value)
    if len(argv) > 1 or not results.is_dir():
        raise app.UsageError(
            f"--results must be a folder of results; got {argv[1:] or str(results)!r}."
        )
    try:
        text = page(results)
    except ValueError as error:
        raise app.UsageError(str(error)) from None
    target = results / "README.md"
    if target.exists() and MADE_BY not in target.read_text():
        raise app.UsageError(
            f"--results must hold no README.md that this did not make; got {target}."
        )
    target.write_text(text)
    print(target)


if __name__ == "__main__":
    app.run(main)
