"""Every backbone trains through the same loop."""

import jax
import numpy as np
import pytest

from drrl_jax import training
from tests.training.helpers import tiny_config, tiny_dataset


@pytest.mark.parametrize(
    "changes",
    [
        {"model__name": "ncf"},
        {"model__name": "ncf", "model__scoring": "neumf"},
        {"model__name": "lightgcn", "model__layers": 2, "model__dropout": 0.1},
        {"model__name": "xsimgcl", "training__negatives": "all"},
        {"model__name": "simplex", "model__user_weight": 0.3},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_backbone_learns(changes):
    config = tiny_config(training__epochs=8, loss__name="softmax", **changes)
    parts = training.build(config, tiny_dataset())
    before = jax.tree.map(np.asarray, parts.init().params)
    state, results = training.fit(parts, progress=False)
    assert np.isfinite(results["test"]["ndcg@10"])
    assert results["valid"]["ndcg@10"] > 0.05
    moved = jax.tree.map(
        lambda a, b: bool((a != np.asarray(b)).any()), before, state.params
    )
    assert all(jax.tree.leaves(moved))


def test_an_option_of_another_backbone_is_refused():
    with pytest.raises(
        ValueError, match="model.layers is not a hyperparameter of 'mf'"
    ):
        training.validate(tiny_config(model__layers=3))
