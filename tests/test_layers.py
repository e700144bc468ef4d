"""Imports run one way: from products and dro, over losses, data and models, to training."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parent.parent / "drrl_jax"

# layer -> layers of this package that it may import
ALLOWED = {
    "_names": set(),
    "_numbers": set(),
    "dro": {"_names", "_numbers", "kernel"},
    "kernel": {"_numbers"},
    "products": {"_numbers"},
    "rows": {"_names", "_numbers"},
    "scores": {"_names", "products", "rows"},
    "losses": {"_names", "_numbers", "dro", "kernel", "products", "rows", "scores"},
    "data": {"_names", "_numbers"},
    "models": {"_names", "_numbers", "products", "rows"},
    "evaluation": {"_names", "_numbers", "data", "products"},
    "training": {
        "_names", "_numbers", "dro", "losses", "products", "rows", "scores", "models",
        "data", "evaluation",
    },
}  # fmt: skip


def _imports(path):
    """Layers of drrl_jax that a file imports when it runs (type checking aside)."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "drrl_jax":
                names = [f"drrl_jax.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            assert parts[0] != "experiments", f"{path} imports experiments"
            if parts[0] == "drrl_jax" and len(parts) > 1:
                yield parts[1]


@pytest.mark.parametrize("layer", sorted(ALLOWED))
def test_layer_imports_only_what_lies_below(layer):
    folder = PACKAGE / layer
    files = [*folder.rglob("*.py")] or [PACKAGE / f"{layer}.py"]
    for path in files:
        if path.exists():
            wrong = set(_imports(path)) - ALLOWED[layer] - {layer}
            assert not wrong, f"{path.relative_to(PACKAGE)} imports {sorted(wrong)}"


def test_every_module_has_a_layer():
    found = {
        path.stem
        for path in PACKAGE.iterdir()
        if (path.is_dir() and any(path.glob("*.py"))) or path.suffix == ".py"
    }
    assert found - {"__init__"} <= set(ALLOWED)
