"""A user whose positives cover the catalogue has no negatives, and harms nobody."""

import os

import jax
import numpy as np
import pytest

from drrl_jax import data, training
from tests.forking import run_module
from tests.training.helpers import tiny_config

USERS, ITEMS = 12, 15  # fewer items than ranks, too


def parts():
    """User 0 has all items in train; of the others one pair in four is held out."""
    own = [(u, i) for u in range(1, USERS) for i in range(ITEMS) if (u * i) % 3 == 0]
    full = [(0, i) for i in range(ITEMS)]
    kept = [pair for row, pair in enumerate(own) if row % 4]
    held = own[::4]
    return {"train": full + kept, "valid": held[::2], "test": held[1::2]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("full")
    for name, pairs in parts().items():
        (path / f"{name}.txt").write_text("".join(f"{u} {i}\n" for u, i in pairs))
    return path


NOTE = "no negatives: 1 user with every item in train; such rows"


def test_the_report_says_so(folder):
    assert NOTE in str(data.load("files", folder).report)
    (folder / "twice").mkdir()
    for name in ("train", "test"):  # a pair that is kept twice is one item all the same
        pairs = parts()[name]
        text = "".join(f"{u} {i}\n" for u, i in [*pairs[1:], pairs[1], pairs[2]])
        (folder / "twice" / f"{name}.txt").write_text(text)
    kept = data.load("files", folder / "twice", cleaning="keep", validation="none")
    assert "no negatives" not in str(kept.report)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss__name": "softmax", "training__negatives": "all"},
        {"loss__name": "drrl", "loss__threshold_mode": "user"},
        {"training__optimiser": "sparse_adam"},
        {"training__negative_alpha": 0.5, "training__log_q_correction": True},
    ],
    ids=lambda changes: ",".join(map(str, changes.values())),
)
def test_training_stays_finite_and_the_row_counts_nothing(folder, changes):
    built = training.build(tiny_config(**changes), data.load("files", folder))
    state, losses = training.jit_epoch(built.epoch)(
        built.init(), built.data, np.uint32(0), {}
    )
    assert np.isfinite(losses).all()
    leaves = jax.tree.leaves((state.params, state.per_user))
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    users = [
        state.params["model"]["params"]["users"] for state in (built.init(), state)
    ]
    moved = np.abs(np.asarray(users[1] - users[0])).max(axis=1)
    assert moved[0] == 0 and (moved[1:] > 0).any()


def test_the_command_line_says_so_and_prints_its_table(folder, tmp_path):
    done = run_module(
        "experiments.train",
        ["--noprogress",
         f"--workdir={tmp_path}", "--config.data.source=files",
         f"--config.data.path={folder}", "--config.training.negatives=8",
         "--config.training.epochs=1", "--config.baselines=('popularity',)"],
        {**os.environ, "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "nan" not in done.stdout and "ndcg@20" in done.stdout
    assert done.stderr.count(NOTE) == 1, done.stderr
