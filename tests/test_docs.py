"""The documentation builds without a warning, and lists what is public."""

import importlib
import importlib.util
import pathlib
import re
import subprocess
import sys

from tests.test_public import PACKAGES

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = [sys.executable, "-m", "sphinx", "-W", "-b", "html", "docs"]


def test_builds_without_warnings(tmp_path):
    done = subprocess.run(
        [*BUILD, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        assert (tmp_path / "notebooks" / f"{notebook.stem}.html").exists(), notebook
    for package in PACKAGES:
        page = (tmp_path / "api" / f"{package}.html").read_text()
        for name in importlib.import_module(f"drrl_jax.{package}").__all__:
            assert f'id="drrl_jax.{package}.{name}"' in page, f"{package}.{name}"


def load_maker(name):
    """A script of docs/ as a module."""
    path = ROOT / "docs" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_configuration_page_is_current():
    module = load_maker("make_configuration")
    written = (ROOT / "docs" / "configuration.md").read_text()
    assert written == module.page(), "run python docs/make_configuration.py"
    assert all(f"| `{name}` |" in written for name in module.MEANINGS), (
        "a field is gone"
    )


def test_the_overview_is_of_the_tables():
    module = load_maker("make_overview")
    written = (ROOT / "docs" / "results.md").read_text()
    assert "\n| DrRL@K | +" in written
    assert written == module.filled(written), "run python docs/make_overview.py"


def test_every_study_has_its_picture():
    results = ROOT / "experiments" / "results"
    folders = [path for path in results.iterdir() if path.is_dir()]
    assert len(folders) > 50
    for folder in folders:
        assert [*folder.glob("*.png")], folder.name


def test_every_row_with_a_spread_is_a_row_of_a_table():
    def rows(text):
        lines = re.findall(r"^\|.*0\.\d{4} ± 0\.\d{4}.*\|$", text, re.MULTILINE)
        return [{cell.strip() for cell in line.split("|")} for line in lines]

    tables = (ROOT / "experiments" / "results").glob("*/*.md")
    there = [row for table in tables for row in rows(table.read_text())]
    pages = [ROOT / "docs" / "results.md", *(ROOT / "docs" / "results").glob("*.md")]
    quoted = [row for page in pages for row in rows(page.read_text())]
    assert len(quoted) > 100
    for row in quoted:
        # A rate or a number of negatives may stand before it.
        measured = {cell for cell in row if re.search(r"±|e-\d|[+-]\d.*%", cell)}
        assert any(measured <= other for other in there), row
