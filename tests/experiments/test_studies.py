"""Every study runs from its function to its tables, on a tiny data set."""

import csv
import importlib
import inspect
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import config_dict
from scipy import stats

from drrl_jax import data, training
from experiments import cli, report
from experiments import study as study_lib
from experiments.estimators import estimators
from experiments.study import Study
from tests.training.helpers import tiny_config, tiny_dataset

pytest.importorskip("matplotlib")

TINY = {
    "accuracy": {"seeds": 1, "budget": 1, "methods": ("softmax", "sl at k (w=64)")},
    "thresholds": {
        "seeds": 1,
        "sizes": ("8",),
        "methods": ("softmax", "drrl learned", "drrl user"),
        "rows": 16,
        "draws": 2,
        "sample_sizes": ("8",),
    },
    "noise": {
        "seeds": 1,
        "false_negatives": ("0.125",),
        "marked": ("0.3",),
        "false_positives": ("0.1",),
        "methods": ("ccl", "drrl solved"),
        "gammas": ("1", "2"),
    },
    "ablation": {"seeds": 1, "methods": ("both: Renyi solved",)},
    "sensitivity": {
        "seeds": 1,
        "gammas": ("1.5",),
        "radii": ("1",),
        "temperatures": ("0.3",),
        "initialisers": ("xavier", "uniform 0.1"),
        "threshold_inits": ("0.3",),
        "methods": ("softmax",),
    },
    "learn_gamma": {
        "seeds": 1,
        "modes": ("tempered",),
        "gammas": ("1.5",),
        "groups": ("2",),
        "inner_steps": 3,
    },
    "bilateral": {
        "seeds": 1,
        "budget": 1,
        "batch_size": 128,
        "false_positives": ("0", "0.1"),
        "methods": ("bsl", "bilateral, pessimistic"),
    },
    "search": {"trials": 2, "sampler": "grid", "methods": ("softmax", "ccl")},
    "timing": {"rounds": 1, "methods": ("softmax", "drrl solved")},
    "shift": {"seeds": 1, "splits": ("temporal",), "methods": ("softmax",)},
    "streaming": {"windows": 2, "epochs": 1, "methods": ("softmax",)},
}


@pytest.mark.parametrize("name", TINY)
def test_study_writes_its_tables(name, study, tmp_path, monkeypatch):
    """And one that is run again trains nothing; times alone are measured anew."""
    monkeypatch.setattr("drrl_jax.training.load_dataset", lambda _: study.dataset)
    module = importlib.import_module(f"experiments.{name}")
    table = module.run(study, tmp_path / name, **TINY[name])
    assert "|" in table
    for suffix in ("csv", "md", "tex"):
        assert (tmp_path / name / f"{name}.{suffix}").stat().st_size > 0
    assert f"### {name}" in report.page(tmp_path)
    if name != "timing":
        monkeypatch.setattr(training, "build", None)
        assert module.run(study, tmp_path / name, **TINY[name]) == table


@pytest.mark.parametrize("name", TINY)
def test_flags_have_defaults(name):
    run = importlib.import_module(f"experiments.{name}").run
    for parameter in inspect.signature(run).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert isinstance(parameter.default, (int, float, str, tuple))


def test_noise_has_all_of_its_studies_and_the_tuned_settings(study, tmp_path):
    """A later study runs what an earlier one chose, by validation."""
    rows = [
        {"method": "ccl", "seed": seed, "valid/ndcg@10": value, "changes": changes}
        for seed, value, changes in (
            (0, 0.3, '{"loss.name": "ccl", "loss.margin": 0.1, "seed": 0}'),
            (1, 0.1, '{"loss.name": "ccl", "loss.margin": 0.1, "seed": 1}'),
            (0, 0.25, '{"loss.name": "ccl", "loss.margin": 0.5, "seed": 0}'),
        )
    ]
    path = tmp_path / "accuracy.csv"
    study_lib.write_rows(rows, path)
    best = {"loss.name": "ccl", "loss.margin": 0.5}
    assert cli.chosen([str(path)], ["ccl"], {}, "ndcg@10") == {"ccl": best}
    with pytest.raises(ValueError, match="methods must be among ccl of .*; got bpr"):
        cli.chosen([str(path)], ["bpr"], {"bpr": {}}, "ndcg@10")
    study_lib.write_rows([{"method": "ccl"}], tmp_path / "other.csv")
    with pytest.raises(ValueError, match="must have the columns method, changes and"):
        cli.chosen([str(tmp_path / "other.csv")], ["ccl"], {}, "ndcg@10")

    noise = importlib.import_module("experiments.noise")
    tiny = TINY["noise"] | {"methods": ("ccl",), "gammas": ()}
    noise.run(study, tmp_path, settings=(str(path),), **tiny)
    with (tmp_path / "noise.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    studies = ["false negatives", "marked positives", "false positives"]
    assert [row["study"] for row in found] == studies
    assert all('"loss.margin": 0.5' in row["changes"] for row in found)
    assert '"training.marked_rate": 0.3' in found[1]["changes"]


def test_learned_orders_leave_their_start(study, tmp_path):
    """And the rows of a study that is run again are those of its first run."""
    module = importlib.import_module("experiments.learn_gamma")
    tables = [module.run(study, tmp_path, **TINY["learn_gamma"]) for _ in range(2)]
    assert tables[0] == tables[1]
    with (tmp_path / "learn_gamma_trajectory.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {(line["epoch"], line["group"]) for line in lines} == {
        (epoch, group) for epoch in "01" for group in "01"
    }
    orders = {line["epoch"]: float(line["γ"]) for line in lines if line["group"] == "1"}
    assert orders["0"] == 1.5 != orders["1"] and abs(orders["1"] - 1.5) < 0.5


def test_rows_of_a_user_in_a_batch():
    """The closed form against shuffled batches."""
    bilateral = importlib.import_module("experiments.bilateral")
    dataset = tiny_dataset()
    users, found = dataset.train.users, []
    rng = np.random.default_rng(0)
    for _ in range(300):
        batch = rng.choice(users, 128, replace=False)
        found.append((np.bincount(batch) ** 2).sum() / 128)
    assert abs(bilateral.rows_of_a_user(dataset, 128) - np.mean(found)) < 0.02
    every = (np.bincount(users) ** 2).sum() / len(users)
    assert bilateral.rows_of_a_user(dataset, 10**6) == pytest.approx(every)


def test_every_method_has_as_many_valid_settings(study):
    bilateral, methods = (
        importlib.import_module(f"experiments.{name}")
        for name in ("bilateral", "methods")
    )
    for grids in (
        bilateral.METHODS,
        methods.METHODS,
        methods.HELD,
        methods.NOISY,
    ):
        for settings in grids.values():
            assert len(settings) == (12 if grids is methods.NOISY else 6)
            assert all(settings.count(changes) == 1 for changes in settings)
            for changes in settings:
                training.validate(study.configured(changes))


def test_trajectories_of_thresholds(study):
    """Quantiles are in order; a method without thresholds has none."""
    thresholds = importlib.import_module("experiments.thresholds")
    changes = thresholds.METHODS["drrl learned"]
    lines = thresholds.trajectory(study, changes, "drrl learned")
    names = ["drrl learned", "drrl learned: solved on the catalogue"]
    assert list(dict.fromkeys(line["method"] for line in lines)) == names
    for name in names:
        values = [line["β"] for line in lines if line["method"] == name]
        assert (
            values == sorted(values) and len(values) == 5 and np.isfinite(values).all()
        )
    assert thresholds.trajectory(study, thresholds.METHODS["softmax"], "softmax") == []


def test_thresholds_at_chosen_settings_and_a_held_level(study, tmp_path):
    thresholds = importlib.import_module("experiments.thresholds")
    path = tmp_path / "chosen.csv"
    changes = '{"loss.name": "drrl_at_k", "loss.temperature": 0.7}'
    row = {"method": "drrl at k", "changes": changes, "valid/ndcg@10": 0.1}
    study_lib.write_rows([row], path)
    methods = ("drrl at k", "drrl at k (w=64)")
    options = {"settings": (str(path),), "methods": methods, "draws": 0, "seeds": 1}
    thresholds.run(study, tmp_path, sizes=("4",), **options)
    with (tmp_path / "thresholds.csv").open(newline="") as file:
        plain, held = (json.loads(row["changes"]) for row in csv.DictReader(file))
    assert plain["loss.temperature"] == held["loss.temperature"] == 0.7
    assert "loss.negative_weight" not in plain and held["loss.negative_weight"] == 64
    chosen = {"drrl at k": {"loss.negative_weight": 152.0}}
    kept = thresholds._changes("drrl at k", 1.5, 1.0, chosen)
    assert kept == chosen["drrl at k"]
    assert not (tmp_path / "thresholds_estimators.csv").exists()


def test_accuracy_takes_chosen_settings_and_knows_its_methods(study, tmp_path):
    accuracy = importlib.import_module("experiments.accuracy")
    tiny = {"seeds": 1, "budget": 1}
    path = tmp_path / "chosen.csv"
    changes = '{"loss.name": "softmax", "loss.temperature": 0.7}'
    row = {"method": "mine", "changes": changes, "valid/ndcg@10": 0.1}
    study_lib.write_rows([row], path)
    options = tiny | {"methods": ("mine",), "settings": (str(path),)}
    accuracy.run(study, tmp_path, **options)
    with (tmp_path / "accuracy.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert '"loss.temperature": 0.7' in row["changes"]
    assert not (tmp_path / "accuracy_tuning.csv").exists()
    accuracy.run(study, tmp_path, methods=("softmax",), **tiny)
    with (tmp_path / "accuracy_tuning.csv").open(newline="") as file:
        assert [row["method"] for row in csv.DictReader(file)] == ["softmax"]
    with pytest.raises(ValueError, match="methods must be among bpr, .*; got soft"):
        accuracy.run(study, tmp_path, methods=("soft",), **tiny)
    with pytest.raises(ValueError, match="among the methods ccl; got 'bpr'"):
        accuracy.run(study, tmp_path, methods=("ccl",), baseline="bpr", **tiny)


def test_a_stream_holds_every_event(tmp_path):
    from experiments import streaming

    rows = [
        f"{u},{i},5,{u + 7 * i}" for u in range(12) for i in range(9) if (u * i) % 3
    ]
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join([*rows, "1,99,5,70", rows[0]]) + "\n")
    config = tiny_config(
        data__source="files", data__path=str(path), data__split="random"
    )
    dataset = streaming.load_stream(config)
    everything = data.concatenate(dataset.train, dataset.valid, dataset.test)
    assert len(everything) == len(rows) + 1 and dataset.num_items == 7
    assert len(dataset.report.findings) == 1  # the pair that is there twice


def test_an_interrupted_study_of_streams_keeps_those_it_had(tmp_path, monkeypatch):
    from experiments import streaming

    config = tiny_config(training__epochs=1, training__eval_every=1)
    build, trained = training.build, []

    def watched(config, window):
        if len(trained) == 3:
            raise InterruptedError
        trained.append(config.loss.name)
        return build(config, window)

    monkeypatch.setattr(training, "build", watched)
    study = Study(tmp_path, config, tiny_dataset())
    options = dict(windows=2, epochs=1, methods=("softmax", "ccl"))
    with pytest.raises(InterruptedError):
        streaming.run(study, tmp_path, **options)
    assert trained == ["softmax", "softmax", "ccl"]
    trained.clear()
    table = streaming.run(study, tmp_path, **options)
    assert trained == ["ccl", "ccl"]
    monkeypatch.setattr(training, "build", build)
    other = Study(tmp_path / "whole", config, study.dataset)
    assert streaming.run(other, tmp_path / "whole", **options) == table


def test_windows_of_a_stream_share_no_pair():
    """What was trained on before is neither trained, tested, drawn nor ranked again."""
    streaming = importlib.import_module("experiments.streaming")
    users, items = [0, 1, 0, 1, 0, 1, 0, 2, 1], [0, 0, 1, 1, 0, 2, 2, 0, 3]
    pairs = data.Interactions(users, items, timestamps=range(9))
    nothing = pairs.select([])
    dataset = data.Dataset("stream", 3, 5, pairs, nothing, nothing)
    first, second = streaming.window_datasets(dataset, 2)
    assert list(zip(first.train.users, first.train.items)) == [(0, 0), (1, 0), (0, 1)]
    assert list(zip(first.test.users, first.test.items)) == [(1, 1), (1, 2)]
    # The pair (0, 0) comes again and is dropped; user 2 is new and not tested.
    assert list(zip(second.train.users, second.train.items)) == [(1, 1), (1, 2)]
    assert list(zip(second.test.users, second.test.items)) == [(0, 2), (1, 3)]
    assert len(first.history) == 0 and len(second.history) == 3
    assert len(second.known) == 5

    parts = training.build(tiny_config(training__negatives="1"), second)
    drawn = data.sample_negatives(
        jax.random.key(0), parts.data.sampler, jnp.array([0] * 64), 1
    )
    assert set(np.unique(drawn)) == {2, 3, 4}
    plan = parts.test_split
    (user,) = np.flatnonzero(np.asarray(plan.users)[0] == 0)[:1]
    assert set(np.asarray(plan.items)[np.asarray(plan.rows) == user]) == {0, 1}


def test_sensitivity_knows_its_initialisers(study, tmp_path):
    sensitivity = importlib.import_module("experiments.sensitivity")
    assert sensitivity.initialiser_changes("normal 0.3") == {
        "model.initialiser": "normal",
        "model.init_scale": 0.3,
    }
    options = TINY["sensitivity"] | {"initialisers": ("xaver",), "gammas": ()}
    with pytest.raises(ValueError, match="Did you mean 'xavier'"):
        sensitivity.run(study, tmp_path, **options)


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        *((name, "methods") for name in TINY if name not in ("learn_gamma",)),
        ("learn_gamma", "modes"),
    ],
)
def test_an_unknown_name_is_a_sentence_before_data_are_read(name, flag, tmp_path):
    def load(config):
        raise AssertionError("the data were read")

    study = Study(tmp_path / "study", tiny_config(), load=load)
    module = importlib.import_module(f"experiments.{name}")
    with pytest.raises(ValueError, match=f"{flag} must be among .*; got sofmax"):
        module.run(study, tmp_path, **{flag: ("sofmax",)})
    with pytest.raises(ValueError, match=f"{flag} must be among .*; got none"):
        module.run(study, tmp_path, **{flag: ()})
    assert not study.workdir.exists()


def test_a_name_with_a_comma_is_listed_as_a_flag_takes_it():
    with pytest.raises(ValueError, match='among a, "b, c"; got "b, d"'):
        cli.check_names("methods", ["b, d"], ["a", "b, c"])


@pytest.mark.parametrize(
    ("name", "flag", "given", "expected"),
    [
        ("noise", "marked", ("0.1", "2"), r"numbers in \(0, 1\]; got 0.1, 2"),
        ("noise", "marked", ("0",), r"numbers in \(0, 1\]; got 0"),
        ("noise", "gammas", ("0.5",), r"numbers in \[1, inf\]; got 0.5"),
        ("bilateral", "false_positives", ("x",), r"numbers in \[0, 1\]; got x"),
        ("sensitivity", "temperatures", ("0",), r"numbers in \(0, inf\]; got 0"),
        ("learn_gamma", "groups", ("",), "whole numbers in .*; got "),
        ("thresholds", "sizes", ("all", "0"), r"whole numbers in \[1, 100\]; got 0"),
        ("thresholds", "gamma", 1.0, r"numbers in \(1, inf\]; got 1.0"),
        ("thresholds", "radius", -1.0, r"numbers in \[0, inf\]; got -1.0"),
        ("thresholds", "draws", -1, r"whole numbers in \[0, inf\]; got -1"),
        ("thresholds", "rows", 0, r"whole numbers in \[1, inf\]; got 0"),
        ("timing", "rounds", 0, r"whole numbers in \[1, inf\]; got 0"),
        (
            "learn_gamma",
            "gammas",
            ("abc",),
            r"numbers in \(1.00674, 149.413\]; got abc",
        ),
        ("sensitivity", "gammas", ("2", "1.5", "1.50"), "named once; got 2, 1.5, 1.50"),
        ("accuracy", "budget", 20, r"whole numbers in \[1, 6\]; got 20"),
        ("bilateral", "budget", -4, r"whole numbers in \[1, 6\]; got -4"),
        ("sensitivity", "initialisers", ("xaver",), "one of .* Did you mean 'xavier'"),
        ("learn_gamma", "temperature", 0.0, r"numbers in \(0, inf\]; got 0.0"),
        ("learn_gamma", "inner_steps", 0, r"whole numbers in \[1, inf\]; got 0"),
    ],
)
def test_a_wrong_number_is_a_sentence_before_anything_is_trained(
    name, flag, given, expected, study, tmp_path, monkeypatch
):
    monkeypatch.setattr(training, "build", None)
    module = importlib.import_module(f"experiments.{name}")
    field = flag.removesuffix("s") if flag == "initialisers" else flag
    with pytest.raises(ValueError, match=f"{field} must be {expected}"):
        module.run(study, tmp_path, **{flag: given})


def test_a_budget_is_one_that_every_method_has(study, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "build", None)
    accuracy = importlib.import_module("experiments.accuracy")
    for methods, most in (("ccl (noise)", 12), ("ccl (noise),softmax", 6)):
        with pytest.raises(ValueError, match=rf"in \[1, {most}\]; got 13"):
            accuracy.run(study, tmp_path, methods=methods.split(","), budget=13)


def test_noise_refuses_a_loss_of_one_negative_before_anything_is_trained(
    study, tmp_path, monkeypatch
):
    monkeypatch.setattr(training, "build", None)
    noise = importlib.import_module("experiments.noise")
    with pytest.raises(ValueError, match=r"one of training.negatives.*0.125 of 1"):
        noise.run(study, tmp_path, methods=("bpr",))


@pytest.mark.parametrize(
    ("name", "own"),
    [("noise", {"false_negatives": ("0",)}), ("shift", {"splits": ("given",)})],
)
def test_any_method_can_be_the_one_tested_against(study, tmp_path, name, own):
    module = importlib.import_module(f"experiments.{name}")
    options = TINY[name] | own | {"methods": ("softmax", "ccl")}
    if name == "noise":
        options |= {"marked": (), "false_positives": (), "gammas": ()}
    for baseline in ("softmax", "ccl"):
        table = module.run(study, tmp_path, baseline=baseline, **options)
        assert f"vs {baseline}" in table
    with pytest.raises(ValueError, match="among the methods softmax, ccl; got 'bpr'"):
        module.run(study, tmp_path, baseline="bpr", **options)


def test_a_point_of_other_data_is_not_taken_for_ones_own(tmp_path):
    config = tiny_config(training__epochs=1, training__eval_every=1)
    mine = Study(tmp_path, config, tiny_dataset()).point({}, {})
    assert mine["data"] == tiny_dataset().fingerprint
    other = data.load("synthetic", num_users=60, num_items=90, num_interactions=900)
    with pytest.raises(
        ValueError, match=f"other data: its fingerprint is .{mine['data']}"
    ):
        Study(tmp_path, config, other).point({}, {})


def test_a_shared_point_has_the_changes_of_the_study_that_asks(tmp_path):
    config = tiny_config(training__epochs=1, training__eval_every=1)
    changes = {"loss.temperature": 0.3, "training.false_negative_rate": 0.125}
    first = Study(tmp_path, config, tiny_dataset()).point(changes, {"method": "a"})
    config.training.false_negative_rate = 0.125
    second = Study(tmp_path, config, tiny_dataset())
    again = second.point({"loss.temperature": 0.3}, {"method": "b"})
    assert json.loads(again.pop("changes")) == {"loss.temperature": 0.3}
    assert json.loads(first.pop("changes")) == changes
    assert again.pop("method") == "b" and first.pop("method") == "a"
    assert again == first


def test_a_point_of_other_code_is_said_and_half_a_point_is_made_anew(tmp_path, capsys):
    config = tiny_config(training__epochs=1, training__eval_every=1)
    small = Study(tmp_path, config, tiny_dataset())
    row = small.point({}, {})
    assert small.point({}, {}) == row and not capsys.readouterr().out
    path = tmp_path / "points" / f"{row['key']}.json"
    path.write_text(json.dumps({**row, "code": "0badc0de"}))
    assert small.point({}, {})["code"] == small.point({}, {})["code"] == "0badc0de"
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"points of {tmp_path} are of code 0badc0de; here it is code {row['code']}"
    ]
    path.with_suffix(".npz").unlink()
    assert small.point({}, {})["code"] == row["code"]
    assert sorted(p.suffix for p in path.parent.iterdir()) == [".json", ".npz"]


def test_an_unset_field_that_is_new_renames_no_point(tmp_path):
    config = tiny_config(training__epochs=0)
    before = Study(tmp_path, config, tiny_dataset()).point({}, {})
    with config.unlocked():
        config.loss.of_the_next_release = config_dict.placeholder(float)
    after = Study(tmp_path, config, tiny_dataset()).point({}, {})
    assert after == before


def test_estimators_need_a_threshold(study):
    with pytest.raises(ValueError, match="gamma must be greater than 1.*; got 1.0"):
        estimators(study, {}, 4, 2, ("8",), gamma=1.0, radius=1.0)


def test_nothing_to_choose_by_and_nothing_asked_for(tmp_path, study):
    alone = data.Interactions(np.arange(9), np.arange(9) % 3)
    tests = data.Interactions(np.arange(9), (np.arange(9) + 1) % 3)
    bare = data.Dataset("bare", 9, 3, alone, alone.select([]), tests)
    with pytest.raises(ValueError, match="bare has no validation interactions"):
        Study(tmp_path, tiny_config(), bare).tune([{}], {})
    with pytest.raises(ValueError, match="a budget must be at least one setting"):
        study.tune([], {})
    with pytest.raises(ValueError, match="nothing was asked for"):
        cli.write(study, [], ["method"], tmp_path, "x")
    with pytest.raises(ValueError, match="methods must name each once; got bpr, bpr"):
        cli.check_names("methods", ["bpr", "bpr"], ["bpr"])


def test_no_epoch_to_tune_in_and_no_time_to_split_by(tmp_path, study, monkeypatch):
    monkeypatch.setattr(training, "build", None)
    with pytest.raises(ValueError, match="training.epochs must be at least 1 to tune"):
        study.tune([{"training.epochs": 0}], {})
    none = Study(tmp_path, tiny_config(training__epochs=0), study.dataset)
    for name in ("search", "learn_gamma"):
        module = importlib.import_module(f"experiments.{name}")
        with pytest.raises(
            ValueError, match="training.epochs must be at least 1 to cho"
        ):
            module.run(none, tmp_path)
    shift = importlib.import_module("experiments.shift")

    def load(config):
        if config.data.split == "temporal":
            raise ValueError("order in time needs timestamps.")
        return study.dataset

    monkeypatch.setattr(training, "load_dataset", load)
    with pytest.raises(
        ValueError, match="splits: 'temporal' is not to be had: order in"
    ):
        shift.run(study, tmp_path, splits=("random", "temporal"))


def test_a_table_is_written_where_nothing_can_be_compared(tmp_path):
    pairs = data.Interactions([0, 0, 1, 1], [0, 1, 1, 2])
    one = data.Interactions([0], [2])
    small = Study(
        tmp_path,
        tiny_config(training__epochs=1, training__negatives="1"),
        data.Dataset("small", 2, 3, pairs, pairs.select([]), one),
    )
    changes = {"softmax": {"loss.name": "softmax"}, "ccl": {"loss.name": "ccl"}}
    clear = {"loss.gamma": None}
    points = [({"method": name}, {**c, **clear}) for name, c in changes.items()]
    found = cli.run_points(small, points, 1)
    for row in found:
        row["test/ndcg@10"] = 0.0
    table = cli.write(small, found, ["method"], tmp_path, "x", baseline="softmax")
    assert table.splitlines()[3].split("|")[-4:-2] == [" -          ", f" {'-':22} "]
    assert (tmp_path / "x.csv").exists()


def test_a_page_of_a_study_of_ones_own(tmp_path):
    with pytest.raises(ValueError, match="must hold tables; .* has none"):
        report.page(tmp_path)
    (tmp_path / "accuracy.md").write_text("| a |")
    assert "| a |" in report.page(tmp_path)


def test_flags_say_what_they_are():
    from experiments import accuracy

    assert cli._help(accuracy.run, "seeds") == "runs of each chosen setting."
    assert cli._help(accuracy.run, "baseline").startswith("the method that the others")
    with pytest.raises(ValueError, match="run must describe nothing in its docstring"):
        cli._help(accuracy.run, "nothing")


@pytest.mark.parametrize("name", [*TINY, "published"])
def test_every_flag_of_a_study_is_described(name):
    run = importlib.import_module(f"experiments.{name}").run
    for key, parameter in inspect.signature(run).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert cli._help(run, key)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method,changes,m\nmine,{},\n", "row 1 must have a number as m .* got ''"),
        ("method,changes,m\nmine,not,1\n", "row 1 must have .* settings as changes"),
        ("# A page\nof, some, text, with, commas\n", "must have the columns method"),
        (
            "study,rate,method,m,changes\nfalse negatives,0.3,mine,1,{}\n",
            "a table of one condition, .*; its rows differ in study, rate",
        ),
    ],
)
def test_tables_of_settings_that_are_none(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        study_lib.read_settings(path, "m")


def test_p_by_seed_is_the_paired_test_of_the_runs():
    rows = [
        {"method": name, "seed": seed, "m": value}
        for name, values in (("a", (1, 2, 4)), ("base", (1, 1, 2)), ("b", (0, 9, 5)))
        for seed, value in enumerate(values)
    ]
    found = study_lib.significance_by_seed(rows, "base", "m")
    p = [stats.ttest_rel((1, 1, 2), other).pvalue for other in ((1, 2, 4), (0, 9, 5))]
    worst = min(1.0, 2 * min(p)), max(2 * min(p), max(p))
    order = ("a", "b") if p[0] < p[1] else ("b", "a")
    assert [float(found[name]) for name in order] == pytest.approx(worst, rel=0.05)
    assert found["base"] == "-"
    alone = [row for row in rows if row["seed"] == 0]
    assert set(study_lib.significance_by_seed(alone, "base", "m").values()) == {"-"}


def test_settings_of_another_version(study):
    with pytest.raises(ValueError, match="fields of the config; got loss.nam"):
        study.configured({"loss.nam": "softmax"})
