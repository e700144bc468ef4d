"""Row-sparse updates: the dense rule on the rows of a batch, nothing elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drrl_jax import training
from drrl_jax.training.sparse import unique_rows
from tests.training.helpers import tiny_config, tiny_dataset


def run(optimiser, steps=2, **changes):
    config = tiny_config(training__optimiser=optimiser, **changes)
    parts = training.build(config, tiny_dataset())
    state, losses = jax.jit(parts.epoch)(parts.init(), parts.data, np.uint32(0), {})
    return state, np.asarray(losses)


def test_unique_rows_of_a_whole_table():
    rows, places = unique_rows(jnp.array([3, 0, 3, 1, 2, 0]), 4)
    assert rows.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(rows[places], [3, 0, 3, 1, 2, 0])


@pytest.mark.parametrize("loss", ["drrl_tempered", "drrl_dual", "sl_at_k"])
def test_sparse_adagrad_is_adagrad(loss):
    """A row with a zero gradient stays where it is: duplicates summed, all equal."""
    dense, dense_losses = run("adagrad", loss__name=loss)
    sparse, sparse_losses = run("sparse_adagrad", loss__name=loss)
    np.testing.assert_allclose(sparse_losses, dense_losses, rtol=1e-4)
    for got, want in zip(jax.tree.leaves(sparse.params), jax.tree.leaves(dense.params)):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("rows", [[0, 1, 2, 2], [0, 1, 10**6, 10**6]])
def test_sparse_adam_moves_only_the_rows_of_the_batch(rows):
    config = tiny_config(training__optimiser="sparse_adam", training__batch_size=4)
    config.training.negatives = "2"
    dataset = tiny_dataset()
    parts = training.build(config, dataset)
    from drrl_jax.training.sampling import draw_batch
    from drrl_jax.training.sparse import sparse_step

    state = parts.init()
    key = jax.random.key(0)
    batch = draw_batch(key, parts.data, jnp.array(rows), parts.sampling)
    _, params, opt_state = jax.jit(
        lambda p, o: sparse_step(
            parts.objective, parts.optimiser, p, o, {}, parts.data, batch, key, {}
        )
    )(state.params, state.opt_state)
    tables = params["model"]["params"]
    before = state.params["model"]["params"]
    some = np.asarray(batch.valid)  # what fills a last batch is of no row
    users, items, negatives = (
        np.ravel(ids[some]).tolist()
        for ids in (batch.users, batch.items, batch.negatives)
    )
    touched = {"users": set(users), "items": {*items, *negatives}}
    for name, ids in touched.items():
        moved = np.any(np.asarray(tables[name]) != np.asarray(before[name]), axis=1)
        assert set(np.flatnonzero(moved).tolist()) == ids
    assert jax.tree.structure(opt_state) == jax.tree.structure(state.opt_state)


def test_sparse_keeps_the_dropout():
    (_, without), (_, dropped) = (
        run("sparse_adam", model__dropout=rate) for rate in (0.0, 0.5)
    )
    assert np.isfinite(dropped).all() and not np.allclose(without, dropped)


def test_sparse_needs_matrix_factorisation():
    with pytest.raises(ValueError, match="needs model.name 'mf'"):
        training.validate(
            tiny_config(training__optimiser="sparse_adam", model__name="lightgcn")
        )
    with pytest.raises(ValueError, match="Did you mean 'sparse_adam'"):
        training.validate(tiny_config(training__optimiser="sparse_adm"))


@pytest.mark.parametrize(
    "changes", [{"training__negatives": "all"}, {"loss__name": "adv_infonce"}]
)
def test_sparse_needs_the_rows_of_a_batch(changes):
    config = tiny_config(training__optimiser="sparse_adam", **changes)
    with pytest.raises(
        ValueError, match="a number of training.negatives and a loss wi"
    ):
        training.validate(config)
