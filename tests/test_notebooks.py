"""Every notebook runs, is the twin of its script, and opens in Colab."""

import glob
import importlib.util
import pathlib
import subprocess
import sys

import jupytext
import nbclient
import pytest

from tests.test_docs import load_maker

NOTEBOOKS = pathlib.Path(__file__).resolve().parent.parent / "notebooks"
SCRIPTS = sorted(NOTEBOOKS.glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_notebook(script, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("DRRL_QUICK", "1")
    notebook = jupytext.read(script.with_suffix(".ipynb"))
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOKS)}}
    ).execute()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_notebook_is_the_twin_of_its_script(script):
    maker = load_maker("make_notebooks")
    text, notebook = maker.pages(script)
    hint = "run python docs/make_notebooks.py"
    assert script.read_text() == text, hint
    written = jupytext.read(script.with_suffix(".ipynb"))
    assert maker.has_run(written), f"{hint} --run: what it prints and draws is missing"
    maker.keep_outputs(notebook, written)
    found = script.with_suffix(".ipynb").read_text()
    assert found == jupytext.writes(notebook, fmt="ipynb") + "\n", hint


def test_the_badge_follows_the_address_of_the_project():
    maker = load_maker("make_notebooks")
    text = SCRIPTS[0].read_text()
    unknown = maker.script("x", text, "")
    assert "](https://colab.research.google.com/#upload=true)" in unknown
    known = maker.script("x", unknown, "owner/name")
    assert "/github/owner/name/blob/main/notebooks/x.ipynb)" in known
    assert 'found.append("git+https://github.com/owner/name")' in known
    assert maker.script("x", known, "") == unknown


def test_the_first_cell_installs_or_says_what_is_missing(tmp_path, monkeypatch):
    install = load_maker("make_notebooks").INSTALL.format(from_github="")
    asked = []
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(subprocess, "check_call", asked.append)
    with pytest.raises(FileNotFoundError, match="upload its wheel"):
        exec(install, {})
    (tmp_path / "setup.cfg").touch()
    exec(install, {})
    (tmp_path / "notebooks" / "drrl_jax-1.0-py3-none-any.whl").touch()
    exec(install, {})
    assert [command[-1] for command in asked] == ["..", *glob.glob("*.whl")]
    assert asked[0][:4] == [sys.executable, "-m", "pip", "install"]
