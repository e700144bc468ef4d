"""Sphinx configuration: python -m sphinx -W -b html docs docs/_build/html."""

import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import drrl_jax

project = "drrl_jax"
author = "The drrl_jax developers"
release = drrl_jax.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
]
html_theme = "furo"
nb_execution_mode = "off"  # the notebooks are executed by tests/test_notebooks.py
myst_enable_extensions = ["dollarmath", "colon_fence"]
exclude_patterns = ["_build", "images"]
# Pages must lie below this folder; the notebooks have one of their own, for Colab.
_pages = pathlib.Path(__file__).resolve().parent / "notebooks"
_pages.mkdir(exist_ok=True)
for _notebook in (_pages.parents[1] / "notebooks").glob("*.ipynb"):
    shutil.copy(_notebook, _pages)
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_custom_sections = ["Source"]
napoleon_use_ivar = True  # autodoc lists the attributes already
default_role = "literal"  # docstrings cite arguments in single backticks
# A name of this project that leads nowhere is a warning; other projects' inventories
# would have to be downloaded.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!drrl_jax).*\..*"), ("py:class", "ArrayTree")]
