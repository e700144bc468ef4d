"""The search: equal budgets, reproducible, resumable, and clear without Optuna."""

import builtins
import csv
import json

import pytest

from drrl_jax import training
from experiments import cli, search
from experiments.spaces import SPACES, Range
from experiments.study import Study
from tests.training.helpers import tiny_config, tiny_dataset


@pytest.fixture
def study(tmp_path):
    config = tiny_config(training__epochs=1, training__eval_every=1)
    return Study(tmp_path / "study", config, tiny_dataset())


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_tpe_runs_each_trial_once(study, tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    options = {"sampler": "tpe", "trials": 2, "methods": ("softmax",)}
    table = search.run(study, tmp_path, **options)
    rows = rows_of(tmp_path / "search.csv")
    assert [row["trial"] for row in rows] == ["1", "2"]
    assert len({row["changes"] for row in rows}) == 2
    first = json.loads(rows[0]["changes"])
    assert first.items() >= search.start_of("softmax").items()
    assert search.start_of("drrl at k", "64")["loss.negative_weight"] == 64
    assert search.start_of("ccl", "64")["loss.negative_weight"] == 2
    values = [float(row["valid/ndcg@10"]) for row in rows]
    assert float(rows[1]["best so far"]) == max(values)
    best = rows[values.index(max(values))]
    path = str(tmp_path / "search.csv")
    chosen = cli.chosen([path], ["softmax"], {}, "ndcg@10")["softmax"]
    assert f"temperature={chosen['loss.temperature']}" in table
    assert f"{max(values):.4f}" in table and best["key"]

    def refuse(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(training, "fit", refuse)
    assert search.run(study, tmp_path, **options) == table


def test_without_optuna_the_sentence_says_what_to_install(study, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "optuna":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=r"needs Optuna: pip install -e '.\[search\]'"):
        search.run(study, tmp_path, trials=1, methods=("softmax",))


@pytest.mark.parametrize("options", [{"sampler": "random"}, {"trials": 0}])
def test_refused(study, tmp_path, options):
    with pytest.raises(ValueError, match="sampler must be one of grid, tpe and trials"):
        search.run(study, tmp_path, **options)


@pytest.mark.parametrize("trials", [1, 2, 7, 12])
@pytest.mark.parametrize("name", SPACES)
def test_every_grid_has_the_budget_and_valid_distinct_settings(name, trials, study):
    fixed, space = SPACES[name]
    seen = []

    def trial(setting, number):
        assert set(setting) == set(space) == set(search.start_of(name))
        assert number == len(seen) + 1
        for field, value in setting.items():
            if isinstance(space[field], Range):
                assert space[field].low <= value <= space[field].high
        training.validate(study.configured({**fixed, **setting}))
        seen.append(tuple(setting.values()))
        return 0.0

    search._grid(space, trials, trial)
    assert len(seen) == len(set(seen)) == trials


def test_points_of_a_range():
    assert Range(0.01, 1.0).points(3) == [0.01, 0.1, 1.0]
    assert Range(0.0, 1.0, log=False).points(1) == [0.5]


def test_a_search_starts_within_its_ranges():
    assert search.start_of("drrl at k", "5000")["loss.negative_weight"] == 1000
    assert search.start_of("drrl at k", "2")["loss.negative_weight"] == 16
