"""What goes wrong in the first hour is answered in one sentence."""

import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import user_environment
from tests.forking import run_module

ROOT = pathlib.Path(__file__).resolve().parent.parent


def start(workdir, *arguments, **environment):
    return subprocess.Popen(
        # A shell's background jobs ignore SIGINT, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        args=[sys.executable, "-m", "experiments.train", "--noprogress",
         f"--workdir={workdir}", *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=user_environment(**environment),
    )  # fmt: skip


def sentence(workdir, *arguments, **environment):
    """The one line that a failing run prints on stderr."""
    process = start(workdir, *arguments, **environment)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1, stderr
    lines = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "Traceback" not in stderr, stderr
    return lines[0]


FILES = "--config.data.source=files"
CASES = {
    "wrong path": ([FILES, "--config.data.path=/nope/x.csv"], "/nope/x.csv"),
    "no path": (["--config.data.source=tfds"], "such as movielens/100k; got None"),
    "empty file": ([FILES, "--config.data.path={empty}"], "empty file"),
    "not text": ([FILES, "--config.data.path={binary}"], "UTF-8"),
    "loss": (["--config.loss.name=sofmax"], "Did you mean 'softmax'?"),
    "backbone": (["--config.model.name=lightgnc"], "Did you mean 'lightgcn'?"),
    "gamma": (["--config.loss.gamma=.5"], "at least 1; got 0.5"),
    "tau": (["--config.loss.temperature=0"], "greater than 0; got 0"),
    "eta": (["--config.loss.name=drrl", "--config.loss.radius=-1"], "at least 0"),
    "negatives": (
        ["--config.training.negatives=5000", "--config.baselines=()"],
        "items, 1000; got 5000",
    ),
    "field": (["--config.training.epoch=3"], "did you mean 'epochs'?"),
    "section": (["--config.los.name=bpr"], "did you mean 'loss'?"),
    "number": (["--config.training.epochs=three"], "'three'"),
    "config": (["--config=nope.py"], "nope.py"),
    "ablation: field": (["--config.loss.nmae=x"], "did you mean 'name'?"),
    "ablation: method": (["--methods=foo"], 'methods must be among "neither: hinge'),
    "ablation: seed": (["--config.seed=3"], "run seeds 0, 1"),
    "ablation: value": (["--config.loss.gamma=.5"], "at least 1; got 0.5"),
    "workdir": (["--workdir={empty}/x", "--config.baselines=()"], "Not a directory"),
}


@pytest.mark.parametrize("name", CASES)
def test_one_sentence_each(name, tmp_path):
    empty, binary = tmp_path / "empty.csv", tmp_path / "binary.dat"
    empty.write_text("")
    binary.write_bytes(b"\x89PNG\r\n\x1a\n\x00")
    parts, expected = CASES[name]
    arguments = ["--noprogress", f"--workdir={tmp_path / 'run'}"]
    arguments += [part.format(empty=empty, binary=binary) for part in parts]
    script = name.split(":")[0] if ":" in name else "train"
    done = run_module(f"experiments.{script}", arguments, user_environment())
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and expected in lines[0], done.stderr
    assert "Traceback" not in done.stderr, done.stderr


def test_cuda_missing(tmp_path):
    if any(pathlib.Path("/dev").glob("nvidia*")):
        pytest.skip("this machine has an NVIDIA device")
    assert "'.[cuda]'" in sentence(tmp_path, JAX_PLATFORMS="cuda")


def test_interrupt_is_clean_and_resumes(tmp_path):
    short = ["--config.baselines=()", "--config.training.eval_every=1",
             "--config.training.patience=0"]  # fmt: skip
    process = start(tmp_path, *short, "--config.training.epochs=5000")
    metrics = tmp_path / "metrics.jsonl"
    deadline = time.monotonic() + 240
    try:
        while not (metrics.exists() and metrics.read_text()):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, stderr
    assert "resumes" in stderr and "Traceback" not in stderr
    assert any((tmp_path / "checkpoints").iterdir())
    # The folder now belongs to that config: another is refused.
    assert "another config" in sentence(tmp_path, *short, "--config.training.epochs=1")


def test_disk_full_at_a_checkpoint(tmp_path, monkeypatch):
    import numpy as np

    from drrl_jax import training

    checkpointer = training.Checkpointer(tmp_path / "checkpoints")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpointer._manager, "save", full)
    with pytest.raises(training.CheckpointError, match="No space left on device"):
        checkpointer.save(1, {"x": np.zeros(2)}, {"epoch": 1})
