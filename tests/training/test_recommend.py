"""Recommendations: by the model's own scores, of what a user has not seen."""

import numpy as np
import pytest

from drrl_jax import training
from tests.training.helpers import tiny_config, tiny_dataset


@pytest.mark.parametrize(
    "model", [{}, {"model__name": "ncf", "model__scoring": "neumf"}]
)
def test_the_best_unseen_items_by_the_scores_of_the_model(model):
    dataset = tiny_dataset()
    parts = training.build(tiny_config(**model), dataset)
    state = parts.init()
    users, items = parts.objective.embeddings(state.params, parts.data)
    if model:
        inputs = (state.params, users, items)
        scores = np.array(parts.objective.pair_block(inputs, np.arange(80)))
    else:
        scores = np.array(users @ items.T)
    for seen in (dataset.train, dataset.valid):
        scores[seen.users, seen.items] = -np.inf
    want = np.argsort(-scores, axis=1, kind="stable")
    left = np.isfinite(scores).sum(1)
    assert left.min() < 100
    found = training.recommend(parts, state, k=120)
    assert found.shape == (80, 120) and found.dtype == np.int32
    for user in range(80):
        np.testing.assert_array_equal(found[user, left[user] :], -1)
        ranked, expected = found[user, : left[user]], want[user, : left[user]]
        np.testing.assert_allclose(
            scores[user, ranked], scores[user, expected], atol=1e-6
        )
        assert len(set(ranked)) == left[user]
    some = training.recommend(parts, state, [7, 3], k=5)
    np.testing.assert_array_equal(some, found[[7, 3], :5])
    assert training.recommend(parts, state, [], k=5).shape == (0, 5)
    np.testing.assert_array_equal(
        training.recommend(parts, state, [3, 7, 3], k=5), found[[3, 7, 3], :5]
    )


def test_a_split_is_ranked_by_the_metrics_one_asks_for():
    parts = training.build(tiny_config(), tiny_dataset())
    params = parts.init().params
    found = training.evaluate_state(
        parts, params, parts.test_split, ks=(3,), metrics=("hit",)
    )
    assert list(found) == ["hit@3"]
    assert set(training.evaluate_state(parts, params, parts.test_split)) > set(
        training.evaluate_state(parts, params, parts.test_split, ks=(5,))
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"users": [0, 80]}, r"users must lie in \[0, 80\); got 0 to 80"),
        ({"users": [0.5]}, "users must be integers"),
        ({"k": 0}, "k must be a positive integer; got 0"),
    ],
)
def test_what_is_no_user_or_no_number_of_items(arguments, sentence):
    parts = training.build(tiny_config(), tiny_dataset())
    with pytest.raises(ValueError, match=sentence):
        training.recommend(parts, parts.init(), **arguments)
