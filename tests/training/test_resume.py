"""A run killed at any moment ends, resumed, in the bits of one never interrupted."""

import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from drrl_jax import training
from tests.training.helpers import leaves_equal, tiny_config, tiny_dataset

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SCRIPT = """
import pathlib, sys
from drrl_jax import training
from tests.training.helpers import tiny_config, tiny_dataset
config = tiny_config(training__epochs=40, loss__name="drrl", loss__threshold_mode="user")
parts = training.build(config, tiny_dataset())
training.fit(parts, pathlib.Path(sys.argv[1]), progress=False)
"""


def test_resumed_equals_uninterrupted(tmp_path):
    whole_dir, cut_dir = tmp_path / "whole", tmp_path / "cut"
    modes = {"loss__name": "drrl_dual", "training__epochs": 6}
    parts = training.build(tiny_config(**modes), tiny_dataset())
    whole, whole_results = training.fit(parts, whole_dir, progress=False)

    class Cut(Exception):
        pass

    original = training.loop.Records.append
    calls = []

    def append_then_stop(self, line):
        original(self, line)
        calls.append(line)
        if len(calls) == 2:
            raise Cut

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.loop.Records, "append", append_then_stop)
        with pytest.raises(Cut):
            training.fit(parts, cut_dir, progress=False)
    resumed, results = training.fit(parts, cut_dir, progress=False)
    assert leaves_equal(whole, resumed)
    for key in ("test", "valid", "best_epoch", "epochs"):
        assert results[key] == whole_results[key]


def test_killed_by_sigkill(tmp_path):
    config = tiny_config(
        training__epochs=40, loss__name="drrl", loss__threshold_mode="user"
    )
    parts = training.build(config, tiny_dataset())
    whole, whole_results = training.fit(parts, progress=False)
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=ROOT, env=environment
    )
    checkpoints = tmp_path / "checkpoints"
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if checkpoints.exists() and any(
            p.name.isdigit() for p in checkpoints.iterdir()
        ):
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.01)
    assert process.wait() == -signal.SIGKILL
    resumed, results = training.fit(parts, tmp_path, progress=False)
    assert leaves_equal(whole, resumed)
    assert results["test"] == whole_results["test"]


def test_corrupt_checkpoint_is_one_clear_error(tmp_path):
    parts = training.build(tiny_config(), tiny_dataset())
    training.fit(parts, tmp_path, progress=False)
    for path in (tmp_path / "checkpoints" / "4").rglob("*"):
        if path.is_file():
            path.write_bytes(b"garbage")
    with pytest.raises(training.CheckpointError, match="epoch 4 .* cannot be read"):
        training.fit(parts, tmp_path, progress=False)


def test_a_folder_of_another_config_is_refused(tmp_path):
    """Also where the states are of one shape, and one could go on with the other's."""
    config = tiny_config(training__epochs=2)
    training.fit(training.build(config, tiny_dataset()), tmp_path, progress=False)
    other = tiny_config(training__epochs=2, training__learning_rate=0.5)
    parts = training.build(other, tiny_dataset())
    sentence = r"another config: training.learning_rate is 0.\d+ there and 0.5 here"
    with pytest.raises(ValueError, match=sentence):
        training.fit(parts, tmp_path, progress=False)
    training.load_best(tmp_path, dataset=tiny_dataset())


def test_foreign_checkpoint_is_refused(tmp_path):
    states = [
        training.build(tiny_config(model__dim=dim), tiny_dataset()).init()
        for dim in (8, 4)
    ]
    saver = training.Checkpointer(tmp_path)
    saver.save(1, states[0], {})
    with pytest.raises(training.CheckpointError, match="another run|cannot be read"):
        saver.restore(states[1])


def test_checkpoint_round_trip_keeps_every_bit(tmp_path):
    parts = training.build(tiny_config(loss__name="adv_infonce"), tiny_dataset())
    state = parts.init()
    saver = training.Checkpointer(tmp_path)
    saver.save(3, state, {"epoch": 3, "score": 0.1})
    restored, record = saver.restore(state)
    assert leaves_equal(state, restored)
    assert record == {"epoch": 3, "score": 0.1}
    assert np.asarray(restored.step).dtype == np.int32


def test_a_folder_of_other_data_is_refused(tmp_path):
    """One config, another data set: neither its results nor its checkpoint are taken."""
    config = tiny_config(training__epochs=2)
    dataset = tiny_dataset()
    other = dataclasses.replace(
        dataset, test=dataset.test.select(range(1, len(dataset.test)))
    )
    assert other.fingerprint != dataset.fingerprint
    training.run(config, tmp_path, dataset=dataset, progress=False)
    sentence = r"holds a run on other data: their fingerprint is '\w{8}' there"
    with pytest.raises(ValueError, match=sentence):
        training.run(config, tmp_path, dataset=other, progress=False)
    (tmp_path / "results.json").unlink()
    with pytest.raises(ValueError, match=sentence):
        training.run(config, tmp_path, dataset=other, progress=False)
    training.run(config, tmp_path, dataset=dataset, progress=False)


def test_the_best_of_a_run_is_read_back(tmp_path):
    config = tiny_config(loss__name="sl_at_k", loss__gamma=None)
    results = training.run(config, tmp_path, dataset=tiny_dataset(), progress=False)
    parts, state = training.load_best(tmp_path, dataset=tiny_dataset())
    found = training.evaluate_state(parts, state.params, parts.test_split)
    assert found == results["test"]
    with pytest.raises(training.CheckpointError, match="is of another run"):
        training.load_best(tmp_path)
    with pytest.raises(ValueError, match="must hold a run; got no config.json"):
        training.load_best(tmp_path / "elsewhere")


def test_without_the_newest_checkpoint_the_one_before_it_serves(tmp_path):
    """As the sentence on a checkpoint that cannot be read says."""
    parts = training.build(tiny_config(), tiny_dataset())
    whole, _ = training.fit(parts, tmp_path, progress=False)
    shutil.rmtree(tmp_path / "checkpoints" / "4")
    assert training.Checkpointer(tmp_path / "checkpoints").latest == 2
    again, _ = training.fit(parts, tmp_path, progress=False)
    assert leaves_equal(whole, again)


def test_seconds_are_those_of_all_parts_of_a_run(tmp_path):
    parts = training.build(tiny_config(training__epochs=2), tiny_dataset())
    training.fit(parts, tmp_path, progress=False, watch=lambda *_: time.sleep(1))
    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    _, results = training.fit(parts, tmp_path, progress=False)
    assert results["seconds"] >= json.loads(line)["seconds"] >= 2


def test_a_run_that_stopped_early_goes_no_further(tmp_path):
    config = tiny_config(
        training__epochs=50,
        training__eval_every=1,
        training__patience=2,
        training__min_delta=2.0,
    )
    parts = training.build(config, tiny_dataset())
    epochs = [training.fit(parts, tmp_path, progress=False)[1]["epochs"] for _ in "12"]
    assert epochs == [3, 3]


def test_the_best_of_a_run_is_not_measured_on_other_data(tmp_path):
    dataset = tiny_dataset()
    config = tiny_config(training__epochs=1)
    training.run(config, tmp_path, dataset=dataset, progress=False)
    other = dataclasses.replace(dataset, test=dataset.valid, valid=dataset.test)
    with pytest.raises(ValueError, match="holds a run on other data"):
        training.load_best(tmp_path, dataset=other)


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        (OSError(28, "No space left on device"), "Free some space"),
        (FileNotFoundError(2, "No such file"), "Let no other run write there"),
    ],
)
def test_a_checkpoint_that_is_not_written_says_what_to_do(
    tmp_path, monkeypatch, error, cure
):
    def fails(*_, **__):
        raise error

    keeper = training.Checkpointer(tmp_path)
    monkeypatch.setattr(keeper._manager, "save", fails)
    with pytest.raises(training.CheckpointError, match=f"epoch 3 could not .* {cure}"):
        keeper.save(3, {"x": np.zeros(2)}, {})
