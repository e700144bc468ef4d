"""Every notebook runs, and is the twin of its script."""

import pathlib

import jupytext
import nbclient
import pytest

NOTEBOOKS = pathlib.Path(__file__).resolve().parent.parent / "notebooks"
SCRIPTS = sorted(NOTEBOOKS.glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_notebook(script, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("DRRL_QUICK", "1")
    notebook = jupytext.read(script.with_suffix(".ipynb"))
    twin = jupytext.read(script)
    assert [c.source for c in notebook.cells] == [c.source for c in twin.cells]
    assert not any(cell.get("outputs") for cell in notebook.cells)
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOKS)}}
    ).execute()
