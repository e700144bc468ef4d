"""Every public name imports, and says what it is."""

import importlib

import pytest

PACKAGES = ["dro", "losses", "models", "data", "evaluation", "training"]


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names(package):
    module = importlib.import_module(f"drrl_jax.{package}")
    assert module.__all__ == sorted(module.__all__, key=_isort_key)
    for name in module.__all__:
        public = getattr(module, name)
        if callable(public):
            assert public.__doc__, f"drrl_jax.{package}.{name} has no docstring"


def _isort_key(name):
    """Constants, then classes, then functions: the order that ruff sorts __all__ in."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name


def test_one_import_gives_everything():
    import drrl_jax

    for package in PACKAGES:
        assert hasattr(drrl_jax, package)
    assert drrl_jax.__version__
