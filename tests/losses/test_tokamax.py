"""The softmax over the whole catalogue is tokamax's linear softmax cross-entropy."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags

from drrl_jax.losses import catalogue, from_lists, masked_mean, softmax

tokamax = pytest.importorskip("tokamax", reason="needs the extra test")

RNG = np.random.default_rng(0)
USERS = RNG.normal(size=(6, 8)).astype("float32")
ITEMS = RNG.normal(size=(40, 8)).astype("float32")
LABELS = RNG.integers(0, 40, 6)


@pytest.fixture(autouse=True)
def no_flags(monkeypatch):
    """It reads absl's flags from the command line, which is pytest's here."""
    before = flags.FLAGS.is_parsed()
    monkeypatch.setattr(sys, "argv", ["pytest"])
    yield
    if not before:
        flags.FLAGS.unparse_flags()


def theirs(users, items, temperature, reduction):
    return tokamax.linear_softmax_cross_entropy_loss(
        users / temperature,
        jnp.asarray(LABELS),
        items.T,
        reduction=reduction,
        implementation="xla",  # what runs on a CPU
    )


def by_rows(users, items, temperature, reduce_fn):
    scores = users @ items.T
    return softmax(
        scores[jnp.arange(6), LABELS],
        scores,
        temperature=temperature,
        include_positive=True,
        where=jnp.arange(40) != LABELS[:, None],
        reduce_fn=reduce_fn,
    )


def by_lists(users, items, temperature, reduce_fn):
    return from_lists(
        softmax,
        users @ items.T,
        jax.nn.one_hot(LABELS, 40),
        temperature=temperature,
        include_positive=True,
        reduce_fn=reduce_fn,
    )


def in_blocks(users, items, temperature, reduce_fn):
    """No score matrix, as in tokamax's kernel for TPU."""
    return catalogue(
        jnp.sum(users * items[LABELS], axis=-1),
        users,
        items,
        loss="softmax",
        exclude=jnp.asarray(LABELS)[:, None],
        weights=jnp.ones(6) if reduce_fn is jnp.sum else None,
        block=4,
        temperature=temperature,
        include_positive=True,
    )


@pytest.mark.parametrize(
    ("temperature", "reduce_fn", "reduction"),
    [(1.0, masked_mean, "mean"), (0.2, jnp.sum, "sum")],
)
@pytest.mark.parametrize("ours", [by_rows, by_lists, in_blocks])
def test_value_and_gradients_are_equal(ours, temperature, reduce_fn, reduction):
    @jax.jit
    def both(users, items):
        return (
            jax.value_and_grad(ours, (0, 1))(users, items, temperature, reduce_fn),
            jax.value_and_grad(theirs, (0, 1))(users, items, temperature, reduction),
        )

    got, want = both(USERS, ITEMS)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5)
