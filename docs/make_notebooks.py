"""Writes the notebooks from their scripts; badge and first cell are the same in all.

python docs/make_notebooks.py        # what they print and draw stays, while no code changes
python docs/make_notebooks.py --run  # runs those that have lost it, some minutes

A script of notebooks/ is edited by hand, but for the badge, the note on Colab and the
part of the first cell that installs the package: those are here, and so is the only
use of the project's address, the line ``Repository = https://github.com/…`` under
``project_urls`` in setup.cfg. Without one the badge opens Colab's upload dialog.
"""

import configparser
import pathlib
import re
import sys

import jupytext
import nbclient
import nbformat
import tqdm

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
COLAB = "https://colab.research.google.com"
ON_GITHUB = "In Colab the next cell installs the package."
BY_HAND = """\
In Colab: upload this file, then, by the folder symbol at the left, the package's wheel
(`python -m build` in a clone writes it to `dist`); the next cell installs it."""
ACCELERATOR = (
    "Runtime → Change runtime type gives an accelerator; nothing here needs one."
)
INSTALL = """\
import glob
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("drrl_jax") is None:
    found = glob.glob("drrl_jax-*.whl")  # uploaded beside this notebook
    if glob.glob("../setup.cfg"):  # the clone that it lies in
        found.append("..")
{from_github}\
    if not found:
        raise FileNotFoundError(
            "drrl_jax is not installed: upload its wheel, drrl_jax-*.whl, to this"
            " folder and run this cell again."
        )
    subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", found[0]])
"""


def repository() -> str:
    """``owner/name`` on GitHub as setup.cfg states it, or an empty string."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    urls = config["metadata"].get("project_urls", "")
    found = re.search(r"https://github\.com/([\w.-]+/[\w.-]+)", urls)
    return found[1] if found else ""


def script(name: str, text: str, repository: str) -> str:
    """The script with the shared parts as they should be."""
    address, note, fallback = f"{COLAB}/#upload=true", BY_HAND, ""
    if repository:
        address = f"{COLAB}/github/{repository}/blob/main/notebooks/{name}.ipynb"
        note, fallback = ON_GITHUB, f"git+https://github.com/{repository}"
    badge = f"# [![Open in Colab]({COLAB}/assets/colab-badge.svg)]({address})"
    text = re.sub(r"# \[!\[Open in Colab\].*", lambda _: badge, text, count=1)
    note = "".join(f"# {line}\n" for line in f"{note}\n{ACCELERATOR}".splitlines())
    fallback = fallback and f'    found.append("{fallback}")\n'
    install = INSTALL.format(from_github=fallback)
    return re.sub(
        r"# In Colab.*?# %%\n.*?\n(?=import jax\n)",
        lambda _: f"{note}\n# %%\n{install}\n",
        text,
        count=1,
        flags=re.DOTALL,
    )


def pages(path: pathlib.Path) -> tuple[str, nbformat.NotebookNode]:
    """What the script and the notebook, without outputs, should be."""
    text = script(path.stem, path.read_text(), repository())
    notebook = jupytext.reads(text, fmt="py:percent")
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # random ones would change at every writing
    return text, notebook


def code(notebook: nbformat.NotebookNode) -> list[str]:
    """What its outputs follow from."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def has_run(notebook: nbformat.NotebookNode) -> bool:
    return any(cell.get("outputs") for cell in notebook.cells)


def keep_outputs(notebook: nbformat.NotebookNode, old: nbformat.NotebookNode) -> None:
    """Takes over what the same code gave when it ran."""
    if code(notebook) == code(old):
        ran = iter(cell for cell in old.cells if cell.cell_type == "code")
        for cell in notebook.cells:
            if cell.cell_type == "code":
                before = next(ran)
                cell.outputs = before.outputs
                cell.execution_count = before.execution_count


def run(notebook: nbformat.NotebookNode) -> None:
    """Executes the notebook; pictures and text stay in it, the machine's traces do not."""
    nbclient.NotebookClient(
        notebook,
        timeout=1800,
        record_timing=False,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
    ).execute()
    for name in ("language_info", "widgets"):
        notebook.metadata.pop(name, None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = list(filter(_lasts, cell.outputs))


def _lasts(output: nbformat.NotebookNode) -> bool:
    """Not progress bars and warnings, which are of one run, nor live sliders."""
    live = "application/vnd.jupyter.widget-view+json" in output.get("data", {})
    return output.get("name") != "stderr" and not live


def main(arguments: list[str]) -> None:
    for path in tqdm.tqdm(sorted(NOTEBOOKS.glob("*.py")), disable=not arguments):
        text, notebook = pages(path)
        target = path.with_suffix(".ipynb")
        if target.exists():
            keep_outputs(notebook, nbformat.read(target, as_version=4))
        if "--run" in arguments and not has_run(notebook):
            run(notebook)
        path.write_text(text)
        target.write_text(jupytext.writes(notebook, fmt="ipynb") + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
