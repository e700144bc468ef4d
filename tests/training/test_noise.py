"""The noise studies that live in the sampling of a step."""

import jax
import numpy as np
import pytest

from drrl_jax import data, training
from drrl_jax.training.sampling import draw_batch
from tests.training.helpers import tiny_config, tiny_dataset


def drawn(parts, steps=20):
    """``(users, items, negatives)`` of many steps."""
    size = parts.sampling.batch_size
    rows = np.arange(steps * size).reshape(steps, size) % len(parts.data.users)
    keys = jax.random.split(jax.random.key(0), steps)
    batch = jax.vmap(lambda k, r: draw_batch(k, parts.data, r, parts.sampling))(
        keys, rows
    )
    shape = steps * size
    return (
        np.asarray(batch.users).reshape(shape),
        np.asarray(batch.items).reshape(shape),
        np.asarray(batch.negatives).reshape(shape, -1),
    )


def pairs_of(users, items):
    return set(zip(users.tolist(), items.tolist()))


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_marked_positives_are_negatives_at_the_rate_that_was_asked_for(rate):
    config = tiny_config(training__marked_rate=rate, training__marked_share=0.2)
    parts = training.build(config, tiny_dataset())
    train = parts.dataset.train
    kept, marked = data.mark_positives(train, 0.2, seed=config.data.seed)
    assert abs(len(marked) - 0.2 * len(train)) <= 1
    assert parts.steps_per_epoch == -(-len(kept) // config.training.batch_size)
    users, items, negatives = drawn(parts)
    marked_pairs = pairs_of(marked.users, marked.items)
    assert pairs_of(users, items) == pairs_of(kept.users, kept.items)
    false = np.array(
        [[(u, i) in marked_pairs for i in row] for u, row in zip(users, negatives)]
    )
    has_marked = np.isin(users, marked.users)
    spread = np.sqrt(rate * (1 - rate) / false[has_marked].size)
    assert abs(false[has_marked].mean() - rate) < 4 * spread
    assert not false[~has_marked].any()
    others = pairs_of(np.repeat(users, negatives.shape[1]), negatives.ravel())
    assert not others & pairs_of(kept.users, kept.items), "no other positive comes"


def test_a_share_that_marks_nothing_is_refused():
    changes = {"training__marked_rate": 0.5, "training__marked_share": 1e-5}
    with pytest.raises(ValueError, match="marked_share must mark one of the"):
        training.build(tiny_config(**changes), tiny_dataset())
    with pytest.raises(ValueError, match="marked_share must be greater than 0; got 0"):
        training.validate(tiny_config(**changes | {"training__marked_share": 0.0}))


def test_without_a_rate_nothing_is_marked():
    parts = training.build(tiny_config(), tiny_dataset())
    assert parts.data.marked is None
    assert len(parts.data.users) == len(parts.dataset.train)
