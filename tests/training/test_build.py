"""Data that would train or validate nothing are refused before a run."""

import dataclasses
import doctest
import pathlib

import numpy as np
import pytest

from drrl_jax import data, training
from tests.training.helpers import tiny_config, tiny_dataset

ROOT = pathlib.Path(__file__).resolve().parents[2]


def pairs(users, items):
    return data.Interactions(np.array(users), np.array(items))


def test_a_validation_split_inside_train_decides_nothing():
    dataset = tiny_dataset()
    dataset = dataclasses.replace(dataset, valid=dataset.train.select([0, 1, 2, 3, 4]))
    with pytest.raises(ValueError, match="no validation interaction to find: all 5"):
        training.build(tiny_config(), dataset)


@pytest.mark.parametrize("pool", ["row", "batch", "shared"])
def test_no_row_has_a_negative(pool):
    dataset = data.Dataset(
        name="full",
        train=pairs([0, 0, 0], [0, 1, 2]),
        valid=pairs([], []),
        test=pairs([1], [2]),
        num_users=2,
        num_items=3,
    )
    config = tiny_config(training__negative_pool=pool, training__negatives="2")
    with pytest.raises(ValueError, match="full has no user with an item to draw"):
        training.build(config, dataset)


def test_users_of_the_same_items_are_no_negatives_of_a_batch():
    dataset = data.Dataset(
        name="twins",
        train=pairs([0, 0, 1, 1], [0, 1, 0, 1]),
        valid=pairs([], []),
        test=pairs([0, 1], [2, 3]),
        num_users=2,
        num_items=4,
    )
    config = tiny_config(training__negative_pool="batch")
    with pytest.raises(ValueError, match="twins has no user with an item to draw"):
        training.build(config, dataset)
    other = dataclasses.replace(dataset, train=pairs([0, 0, 1, 1], [0, 1, 1, 3]))
    training.build(config, other)  # one has as many as the other, but not the same


def test_recommendations_as_the_faq_makes_them(tmp_path, monkeypatch):
    dataset = tiny_dataset()
    training.run(
        tiny_config(training__epochs=1), tmp_path, dataset=dataset, progress=False
    )
    load = training.load_best
    monkeypatch.setattr(training, "load_best", lambda w: load(w, dataset=dataset))
    globs = {"workdir": tmp_path}
    page = str(ROOT / "docs" / "faq.md")
    parser = doctest.DocTestParser()
    text = pathlib.Path(page).read_text()
    test = parser.get_doctest(text, globs, "faq", page, 0)
    runner = doctest.DocTestRunner()
    runner.run(test, clear_globs=False)
    assert runner.tries and not runner.failures
    assert test.globs["best"].shape == (3, 20)
