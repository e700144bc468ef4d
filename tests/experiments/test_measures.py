"""What single studies measure: estimators, thresholds, windows, orders, time, pages."""

import csv
import dataclasses
import types

import jax.numpy as jnp
import numpy as np
import pytest

from drrl_jax import data, dro, training
from experiments import (
    ablation,
    bilateral,
    cli,
    learn_gamma,
    methods,
    noise,
    plots,
    report,
    report_table,
    sensitivity,
    shift,
    streaming,
    thresholds,
    timing,
)
from experiments.estimators import _estimate, estimators
from experiments.study import Study
from tests.training.helpers import tiny_config, tiny_dataset


def test_on_the_catalogue_itself_what_knows_it_is_right():
    scores = np.random.default_rng(0).normal(scale=0.2, size=(4, 50)).astype("float32")
    truth = dro.worst_case(scores, gamma=1.5, radius=0.5)
    found = _estimate(jnp.asarray(scores), truth, 1.5, 0.5)
    for name in ("solved", "user catalogue", "user threshold"):
        for field, value in found[name].items():
            if field != "num_steps":
                np.testing.assert_allclose(value, getattr(truth, field), atol=1e-4)


def test_the_catalogue_of_a_row_is_without_its_positives(study):
    lines = estimators(study, {}, 16, 2, ("4000",), gamma=1.5, radius=1.0)
    (solved,) = (line for line in lines if line["estimator"] == "solved")
    assert abs(solved["bias of value"]) < 2e-3


def test_thresholds_of_users_are_at_the_radius_of_the_study():
    for name in ("drrl solved", "drrl user"):
        changes = thresholds._changes(name, 2.0, 0.25, {})
        assert (changes["loss.gamma"], changes["loss.radius"]) == (2.0, 0.25)


def test_a_trajectory_is_of_users_that_train(tmp_path, monkeypatch):
    wider = dataclasses.replace(tiny_dataset(), num_users=90)
    values = np.where(np.arange(90) < 80, np.linspace(0, 1, 90), 7).astype("float32")

    def fit(parts, *, watch, **_):
        state = parts.init()
        watch(1, state._replace(per_user={"threshold": jnp.asarray(values)}))

    monkeypatch.setattr(training, "fit", fit)
    changes = thresholds.METHODS["drrl user"]
    lines = thresholds.trajectory(
        Study(tmp_path, tiny_config(), wider), changes, "drrl user"
    )
    found = [line["β"] for line in lines]
    want = np.quantile(values[:80], thresholds.QUANTILES)
    np.testing.assert_allclose(found, want, rtol=1e-6)


def test_every_window_of_every_seed_has_negatives_of_its_own(study, monkeypatch):
    keys = []

    def jit_epoch(epoch):
        return lambda state, data, key, _: (state, keys.append(int(key)))

    monkeypatch.setattr(training, "jit_epoch", jit_epoch)
    datasets = streaming.window_datasets(study.dataset, 2)
    for seed in (0, 1):
        assert len(list(streaming._follow(study.config, datasets, seed))) == 2
    assert len(keys) == len(set(keys)) == 4


def test_the_order_to_start_from_is_the_one_that_validates_best(
    study, tmp_path, monkeypatch
):
    scores, asked = {1.25: 0.2, 2.0: 0.4, 3.0: 0.3}, []

    def point(study, changes, mode, gamma, groups, seed, options):
        asked.append((groups, seed, float(gamma)))
        labels = {"mode": mode, "method": learn_gamma._name(groups), "seed": seed}
        row = {**labels, "start": float(gamma), "valid/ndcg@10": scores[float(gamma)]}
        return {**row, "seconds": 1.0}

    monkeypatch.setattr(learn_gamma, "_point", point)
    monkeypatch.setattr(cli, "write", lambda *_, **__: "")
    learn_gamma.run(
        study,
        tmp_path,
        seeds=2,
        modes=("solved",),
        gammas=("1.25", "2", "3"),
        groups=("2",),
    )
    for groups in (0, 2):
        final = [(seed, gamma) for g, seed, gamma in asked if g == groups][3:]
        assert final == [(0, 2.0), (1, 2.0)]


def test_the_epoch_that_compiles_is_not_timed(study, tmp_path, monkeypatch):
    clock = iter([0.0, 100.0, 100.0, 101.0, 101.0, 104.0])
    fake = types.SimpleNamespace(perf_counter=lambda: next(clock))
    monkeypatch.setattr(timing, "time", fake)
    timing.run(study, tmp_path, rounds=2, seeds=0, methods=("softmax",))
    with (tmp_path / "timing.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["seconds an epoch"]) == 2


def test_seconds_to_the_best_are_its_epochs_at_the_seconds_of_one(monkeypatch):
    rows = [{"best_epoch": 2}, {"best_epoch": 5}]
    monkeypatch.setattr(cli, "run_points", lambda *_: rows)
    found = timing._convergence(None, "softmax", 2, 3.0)
    assert found == {"epochs to best": 3.5, "seconds to best": 10.5}


def test_a_page_does_not_hold_the_page_of_before(tmp_path):
    (tmp_path / "accuracy.md").write_text("| a |")
    page = report.page(tmp_path)
    (tmp_path / "README.md").write_text(page)
    assert report.page(tmp_path) == page


@pytest.fixture
def asked(monkeypatch):
    """What a study asks to be run: ``(settings, data)`` of each call."""
    calls = []

    def run_points(study, settings, seeds, **data_of):
        calls.append((settings, data_of))
        return []

    monkeypatch.setattr(cli, "run_points", run_points)
    monkeypatch.setattr(cli, "write", lambda *_, **__: "")
    for name in ("dots", "lines", "heat"):
        monkeypatch.setattr(plots, name, lambda *_, **__: None)
    return calls


def test_false_positives_are_in_the_data_that_are_trained_on(
    study, tmp_path, asked, monkeypatch
):
    monkeypatch.setattr(study, "tune", lambda settings, _: (settings[0], []))
    rates = {"false_positives": ("0.1", "0.2")}
    bilateral.run(study, tmp_path, methods=("bsl",), **rates)
    others = {"false_negatives": (), "marked": (), "gammas": ()}
    noise.run(study, tmp_path, methods=("ccl",), **rates, **others)
    clean = len(study.dataset.train)
    more = [len(data_of["dataset"].train) / clean - 1 for _, data_of in asked]
    assert more == pytest.approx([0.1, 0.2] * 2, abs=0.05)
    keys = [data_of["dataset_key"] for _, data_of in asked]
    assert keys == ["false positives 0.1", "false positives 0.2"] * 2


def test_a_smaller_budget_of_bilateral_takes_the_head(
    study, tmp_path, asked, monkeypatch
):
    tried = []

    def tune(settings, labels):
        tried.extend(settings)
        return settings[0], []

    monkeypatch.setattr(study, "tune", tune)
    bilateral.run(study, tmp_path, methods=("bsl",), budget=2, batch_size=64)
    size = {"training.batch_size": 64}
    assert tried == [{**s, **size} for s in bilateral.METHODS["bsl"][:2]]


def test_every_split_is_trained_on_its_own_data(study, tmp_path, asked, monkeypatch):
    of_split = {name: data.load(num_users=u, num_items=50, num_interactions=700)
                for name, u in (("random", 60), ("popularity", 70))}  # fmt: skip
    monkeypatch.setattr(
        training, "load_dataset", lambda config: of_split[config.data.split]
    )
    shift.run(study, tmp_path, splits=tuple(of_split), methods=("softmax",))
    assert [data_of["dataset"] for _, data_of in asked] == [*of_split.values()]
    keys = [data_of["dataset_key"] for _, data_of in asked]
    assert keys == ["split random", "split popularity"]


def test_a_cell_of_a_map_is_run_at_its_own_settings(study, tmp_path, asked):
    sensitivity.run(
        study,
        tmp_path,
        gammas=("1.5",),
        radii=("0.5", "2"),
        temperatures=("0.2", "0.4"),
        initialisers=("xavier",),
        threshold_inits=("0.1", "0.6"),
        methods=("softmax",),
    )
    solved, tempered, starts = (
        [changes for _, changes in settings] for settings, _ in asked
    )
    assert [changes["loss.radius"] for changes in solved] == [0.5, 2]
    assert [changes["loss.temperature"] for changes in tempered] == [0.2, 0.4]
    found = [changes.get("loss.threshold_init") for changes in starts]
    assert found == [None, 0.1, 0.6]


def test_a_fixed_threshold_of_the_ablation_stays(study):
    changes = ablation.METHODS["polynomial, no DRO: fixed threshold"]
    parts = training.build(study.configured(changes), study.dataset)
    state, _ = training.fit(parts, progress=False)
    np.testing.assert_array_equal(state.params["threshold"], np.float32(0.3))


def test_in_a_ball_of_radius_0_false_negatives_weigh_their_share(study):
    (line,) = noise.known_false_negatives(study, {}, ("1.5",), 0.0)
    assert line["weight on false negatives"] > 0
    assert line["ratio"] == pytest.approx(1, rel=1e-4)
    assert line["largest weight / mean"] == pytest.approx(1, rel=1e-4)


def test_what_is_not_tuned_is_the_likeliest_setting():
    for name, settings in methods.METHODS.items():
        assert methods.DEFAULTS[name] == settings[0]


def test_what_latex_reads_otherwise_is_escaped():
    table = report_table.latex_table(["a_b", "#"], [["5% & more", "$1 ± 2"]])
    assert r"a\_b & \# \\" in table
    assert r"5\% \& more & \$1 $\pm$ 2 \\" in table


def test_a_metric_that_one_run_lacks_is_a_column_all_the_same():
    results = {
        "a": {"test": {"recall": 0.1}, "seconds": 1.0},
        "b": {"test": {"ndcg": 0.2}, "seconds": 2.0, "best_epoch": 3},
    }
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in report_table.results_table(results).splitlines()
    ]
    assert lines[0] == ["run", "recall", "ndcg", "best epoch", "seconds"]
    assert lines[2:] == [
        ["a", "0.1000", "nan", "-", "1.0"],
        ["b", "nan", "0.2000", "3", "2.0"],
    ]
