"""Every study runs from its function to its tables, on a tiny data set."""

import importlib
import inspect

import pytest

from experiments import report
from experiments.study import Study
from tests.training.helpers import tiny_config, tiny_dataset

pytest.importorskip("matplotlib")

TINY = {
    "thresholds": {
        "seeds": 1,
        "sizes": ("8",),
        "methods": ("softmax", "drrl solved"),
        "rows": 16,
        "draws": 2,
        "sample_sizes": ("8",),
    },
    "noise": {
        "seeds": 1,
        "false_negatives": ("0.125",),
        "false_positives": ("0.1",),
        "methods": ("ccl", "drrl solved"),
        "gammas": ("1", "2"),
    },
    "ablation": {
        "seeds": 1,
        "methods": ("both: Renyi solved",),
        "gammas": ("1.5",),
        "radii": ("1",),
    },
    "timing": {"rounds": 1, "methods": ("softmax", "drrl solved")},
    "shift": {"seeds": 1, "splits": ("temporal",), "methods": ("softmax",)},
    "streaming": {"windows": 2, "epochs": 1, "methods": ("softmax",)},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    config = tiny_config(training__epochs=1, training__eval_every=1)
    return Study(tmp_path_factory.mktemp("study"), config, tiny_dataset())


@pytest.mark.parametrize("name", TINY)
def test_study_writes_its_tables(name, study, tmp_path, monkeypatch):
    monkeypatch.setattr("drrl_jax.training.load_dataset", lambda _: study.dataset)
    module = importlib.import_module(f"experiments.{name}")
    table = module.run(study, tmp_path / name, **TINY[name])
    assert "|" in table
    for suffix in ("csv", "md", "tex"):
        assert (tmp_path / name / f"{name}.{suffix}").stat().st_size > 0
    assert f"### {name}" in report.page(tmp_path)


@pytest.mark.parametrize("name", TINY)
def test_flags_have_defaults(name):
    run = importlib.import_module(f"experiments.{name}").run
    for parameter in inspect.signature(run).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert isinstance(parameter.default, (int, float, tuple))
