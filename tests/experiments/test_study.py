"""What tables are made of: settings chosen, means, spreads, gains and tests."""

import types

import numpy as np
import pytest

from drrl_jax import evaluation
from experiments import cli
from experiments import study as study_lib
from experiments.study import Study
from tests.training.helpers import tiny_config, tiny_dataset


def test_the_setting_chosen_is_the_one_that_validates_best(tmp_path, monkeypatch):
    study = Study(tmp_path, tiny_config(), tiny_dataset())
    found = {0.1: 0.2, 0.2: 0.4, 0.3: 0.3}

    def point(changes, labels):
        return {**labels, "valid/ndcg@10": found[changes["loss.temperature"]]}

    monkeypatch.setattr(study, "point", point)
    best, rows = study.tune(study_lib.grid(loss__temperature=tuple(found)), {})
    assert best == {"loss.temperature": 0.2} and len(rows) == 3


def test_a_line_is_the_mean_and_the_sample_deviation_of_its_runs():
    rows = [{"method": name, "m": m} for name, m in (("a", 1), ("b", 5), ("a", 3))]
    two, one = study_lib.summarise(rows, ["method"], ["m"])
    assert (two["runs"], two["m"]) == (2, 2.0)
    assert two["m/std"] == pytest.approx(2**0.5)
    assert (one["runs"], one["m"]) == (1, 5.0) and np.isnan(one["m/std"])


def test_a_user_counts_once_with_the_mean_over_the_seeds():
    users = {("base", 0): [1, 2, 3], ("base", 1): [3, 2, 1], ("a", 0): [3, 2, 4]}
    users["a", 1] = [3, 6, 4]
    rows = [{"method": name, "seed": seed} for name, seed in users]
    study = types.SimpleNamespace(
        per_user=lambda row, metric: np.array(users[row["method"], row["seed"]], float)
    )
    found = study_lib.significance(study, rows, "base", "m")
    assert list(found) == ["a"]
    assert found["a"].tests == evaluation.paired_tests([2, 2, 2], [3, 4, 4])


def test_seeds_that_one_method_lacks_are_in_no_pair():
    values = {"base": (1, 1, 2, 9), "a": (1, 2, 4, 0), "b": (0, 9, 5)}
    rows = [
        {"method": name, "seed": seed, "m": m}
        for name, several in values.items()
        for seed, m in enumerate(several)
    ]
    shared = [row for row in rows if row["seed"] < 3]
    found = study_lib.significance_by_seed(rows, "base", "m")
    assert found == study_lib.significance_by_seed(shared, "base", "m")


def test_settings_are_read_without_seeds_batches_and_budgets(tmp_path):
    changes = (
        '{"loss.name": "ccl", "seed": 1, "training.batch_size": 64,'
        ' "training.epochs": 9, "training.weight_decay": 0.1}'
    )
    rows = [{"method": "ccl", "seed": 1, "m": 0.5, "changes": changes}]
    study_lib.write_rows(rows, tmp_path / "table.csv")
    found = study_lib.read_settings(tmp_path / "table.csv", "m")
    assert found == {"ccl": {"loss.name": "ccl", "training.weight_decay": 0.1}}


def test_a_gain_is_over_the_reference():
    assert cli.comparison_cells(0.3, 0.2, None, "-") == ["+50.0%", "-", "-"]
    assert cli.comparison_cells(0.1, 0.2, None, "-")[0] == "-50.0%"
    assert cli.comparison_cells(0.1, 0.0, None, "-")[0] == "-"


def test_every_method_has_cells_of_its_own():
    values = {"base": (1, 1, 2), "a": (1, 2, 4), "b": (0, 9, 5)}
    rows = [
        {"method": name, "seed": seed, "test/m": m}
        for name, several in values.items()
        for seed, m in enumerate(several)
    ]
    study = types.SimpleNamespace(
        config=types.SimpleNamespace(evaluation=types.SimpleNamespace(monitor="m")),
        per_user=lambda row, metric: row["test/m"] * np.array([1.0, 2.0, 4.0]),
    )
    cells = cli._against(study, rows, [], "base")
    by_seed = study_lib.significance_by_seed(rows, "base", "test/m")
    by_user = study_lib.significance(study, rows, "base", "m")
    assert set(cells) == {("a",), ("b",)}
    for (name,), (gain, of_users, of_seeds) in cells.items():
        assert gain == f"{sum(values[name]) / 4 - 1:+.1%}"
        assert of_users.startswith(f"{by_user[name].t_p_holm:.1e} / ")
        assert of_seeds == by_seed[name] != "-"
