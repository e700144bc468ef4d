"""The examples in the docstrings of the studies' modules."""

import doctest
import importlib
import pathlib

import pytest

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "experiments"
MODULES = sorted(p.stem for p in FOLDER.glob("*.py") if ">>> " in p.read_text())


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(f"experiments.{name}")
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    failed, tried = doctest.testmod(module, optionflags=flags)
    assert tried and not failed
