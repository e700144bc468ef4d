"""What a study cannot do it says before it trains anything, and takes nothing away."""

import pathlib
import sys

import pytest
from absl import flags

from experiments import (
    accuracy,
    bilateral,
    learn_gamma,
    noise,
    report,
    search,
    sensitivity,
    streaming,
    thresholds,
    timing,
)
from experiments.study import Study
from tests.training.helpers import tiny_config, tiny_dataset


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """Runs a study that must be refused before a point is made."""

    def point(*_, **__):
        raise AssertionError("a run was trained")

    monkeypatch.setattr(Study, "point", point)
    monkeypatch.setattr(Study, "keep", point)

    def run(study, match, config=None, **options):
        base = tiny_config(training__epochs=1, training__eval_every=1, **(config or {}))
        with pytest.raises(ValueError, match=match):
            study.run(Study(tmp_path, base, tiny_dataset()), tmp_path, **options)
        assert not [*tmp_path.rglob("*.csv")]

    return run


@pytest.mark.parametrize("study", [accuracy, search])
def test_a_setting_that_a_later_method_does_not_have(refused, study):
    shared = {"loss__name": "softmax", "loss__temperature": 0.2}
    match = "loss.temperature is not a hyperparameter of 'ccl'"
    refused(study, match, shared, methods=("softmax", "ccl"))


def test_a_setting_that_a_later_stream_or_rate_does_not_have(refused):
    with_temperature = {"loss__name": "softmax", "loss__temperature": 0.2}
    match = "loss.temperature is not a hyperparameter of 'ccl'"
    refused(streaming, match, with_temperature, methods=("softmax", "ccl"))
    rates = {"false_negatives": ("0",), "false_positives": (), "marked": ("0.1",)}
    by_popularity = {"training__negative_alpha": 1.0}
    refused(noise, "negative_alpha", by_popularity, methods=("softmax",), **rates)
    refused(bilateral, "loss.gamma is not", {"loss__gamma": 2.0}, methods=("bsl",))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"criterion": "sofmax"}, "criterion must be among softmax, bpr, psl"),
        ({"gammas": ("1.25", "200")}, "gammas must be numbers"),
    ],
)
def test_an_order_that_cannot_be_learned(refused, options, match):
    refused(learn_gamma, match, **options)


def test_an_order_is_not_learned_by_sparse_updates(refused):
    sparse = {"training__optimiser": "sparse_adam"}
    refused(learn_gamma, "through dense updates", sparse)


def test_estimators_are_of_products(refused):
    neural = {"model__name": "ncf", "model__scoring": "neumf"}
    refused(thresholds, "estimators are of scores that are products", neural)


def test_an_initialiser_has_one_scale():
    with pytest.raises(ValueError, match="at most one scale; got 'normal 0.1 3'"):
        sensitivity.initialiser_changes("normal 0.1 3")


def test_the_solver_is_timed_on_negatives_that_a_batch_shares(tmp_path):
    config = tiny_config(training__epochs=1, training__negative_pool="shared")
    study = Study(tmp_path, config, tiny_dataset())
    timing.run(study, tmp_path, rounds=1, seeds=0, methods=("drrl solved",))
    assert len((tmp_path / "timing_steps.csv").read_text().splitlines()) == 3


def test_a_page_takes_the_place_of_its_like_alone(tmp_path, monkeypatch):
    (tmp_path / "table.md").write_text("| a |\n")
    monkeypatch.setattr(sys, "argv", ["report"])
    flags.FLAGS(["report", f"--results={tmp_path}"])
    page = pathlib.Path(tmp_path / "README.md")
    for _ in range(2):
        report.main(["report"])
        assert report.MADE_BY in page.read_text()
    page.write_text("mine")
    with pytest.raises(report.app.UsageError, match="that this did not make"):
        report.main(["report"])
    assert page.read_text() == "mine"
