"""Lists in, and the same numbers as rax and optax where the loss is the same."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from drrl_jax.losses import LOSSES, bce, bpr, from_lists, masked_mean, softmax

rax = pytest.importorskip("rax")

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(5, 8)).astype("float32")
ONE = np.eye(8, dtype="float32")[RNG.integers(8, size=5)]
MANY = (RNG.random((5, 8)) < 0.4).astype("float32")
MANY[:, 0], MANY[:, 1] = 1, 0  # A positive and a negative in every list.
WHERE = RNG.random((5, 8)) < 0.8
WHERE[:, :2] = True


def per_list(loss, scores, labels, where=None, **options):
    rows = from_lists(loss, scores, labels, where=where, reduce_fn=None, **options)
    return rows.sum(-1)


def same(ours, theirs):
    """Values, and gradients in the scores."""

    @jax.jit
    def both(scores):
        def run(f):
            values, pull = jax.vjp(f, scores)
            return values, pull(jnp.ones_like(values))[0]

        return run(ours), run(theirs)

    (value, gradient), (want_value, want_gradient) = both(SCORES)
    np.testing.assert_allclose(value, want_value, rtol=1e-5)
    np.testing.assert_allclose(gradient, want_gradient, rtol=1e-4, atol=1e-6)


def test_one_positive_is_the_softmax_of_rax_and_optax():
    def ours(scores):
        return per_list(softmax, scores, ONE, temperature=1.0, include_positive=True)

    same(ours, lambda s: rax.softmax_loss(s, ONE, reduce_fn=None))
    same(ours, lambda s: optax.softmax_cross_entropy(s, ONE))
    labels = ONE.argmax(-1)
    same(ours, lambda s: optax.softmax_cross_entropy_with_integer_labels(s, labels))


@pytest.mark.parametrize("where", [None, WHERE], ids=["full", "masked"])
def test_many_positives_are_the_unique_softmax_of_rax(where):
    def ours(scores):
        options = dict(temperature=1.0, include_positive=True)
        return per_list(softmax, scores, MANY, where, **options)

    def theirs(scores):
        # A list a call: its own reducer would mean over lists.
        mask = np.ones_like(WHERE) if where is None else where
        return jax.vmap(lambda s, y, w: rax.unique_softmax_loss(s, y, where=w))(
            scores, MANY, mask
        )

    same(ours, theirs)


@pytest.mark.parametrize("where", [None, WHERE], ids=["full", "masked"])
def test_bpr_is_the_pairwise_logistic_loss_of_rax(where):
    mask = np.ones_like(WHERE) if where is None else where
    negatives = ((MANY <= 0) & mask).sum(-1)

    def ours(scores):
        return per_list(bpr, scores, MANY, where) * negatives

    def theirs(scores):
        return jax.vmap(
            lambda s, y, w: rax.pairwise_logistic_loss(s, y, where=w, reduce_fn=jnp.sum)
        )(scores, MANY, mask)

    same(ours, theirs)


def test_bce_is_the_pointwise_sigmoid_loss_of_rax():
    """One positive; the negatives are a mean here and a sum there."""

    def ours(scores):
        positive = jax.nn.softplus(-jnp.sum(scores * ONE, -1))
        return 7 * (per_list(bce, scores, ONE) - positive) + positive

    same(ours, lambda s: rax.pointwise_sigmoid_loss(s, ONE, reduce_fn=None).sum(-1))


def test_lists_are_rows():
    """Each positive against its list's negatives; other entries are in no mean."""
    run = jax.jit(
        lambda scores, log_q=None, reduce_fn=masked_mean: from_lists(
            softmax, scores, MANY, where=WHERE, log_q=log_q, reduce_fn=reduce_fn
        ),
        static_argnames="reduce_fn",
    )
    rows = run(SCORES, reduce_fn=None)
    for i, j in np.ndindex(SCORES.shape):
        want = 0.0
        if MANY[i, j] and WHERE[i, j]:
            negatives = SCORES[i][(MANY[i] == 0) & WHERE[i]]
            top = np.log(np.sum(np.exp(negatives / 0.2)))
            want = top - SCORES[i, j] / 0.2
        np.testing.assert_allclose(rows[i, j], want, rtol=1e-5, atol=1e-6)
    count = ((MANY > 0) & WHERE).sum()
    mean = run(SCORES)
    np.testing.assert_allclose(mean, rows.sum() / count, rtol=1e-5)
    log_q = np.full_like(SCORES, -3.0)
    corrected = run(SCORES, log_q)
    np.testing.assert_allclose(corrected, mean, rtol=1e-5)


def test_lists_without_a_pair_are_zero_with_zero_gradient():
    for labels in (np.zeros_like(SCORES), np.ones_like(SCORES)):
        value, gradient = jax.value_and_grad(
            lambda s, labels=labels: from_lists(softmax, s, labels)
        )(SCORES)
        assert value == 0 and not np.any(gradient)


@pytest.mark.parametrize("name", ["softmax", "drrl", "drrl_tempered", "psl", "ccl"])
def test_an_optax_loop_ranks_the_positives_first(name):
    optimiser = optax.adam(0.1)

    def loss(scores):
        return from_lists(LOSSES[name], jnp.tanh(scores), MANY)

    @jax.jit
    def step(scores, state, _):
        updates, state = optimiser.update(jax.grad(loss)(scores), state)
        return optax.apply_updates(scores, updates), state

    scores = jnp.asarray(SCORES)
    scores, _ = jax.lax.fori_loop(
        0, 60, lambda i, carry: step(*carry, i), (scores, optimiser.init(scores))
    )
    worst_positive = np.where(MANY > 0, scores, np.inf).min(-1)
    best_negative = np.where(MANY > 0, -np.inf, scores).max(-1)
    assert np.all(worst_positive > best_negative)


def test_shapes_are_refused():
    with pytest.raises(ValueError, match=r"labels \(4, 8\), scores \(5, 8\)"):
        from_lists(softmax, SCORES, MANY[:4])
    with pytest.raises(ValueError, match=r"where \(5,\), scores \(5, 8\)"):
        from_lists(softmax, SCORES, MANY, where=WHERE[:, 0])


def test_only_the_sign_of_a_label_counts():
    scores = np.array([[0.3, 0.1, -0.2, 0.6, 0.5]], np.float32)
    graded = np.array([[0.5, 0.0, -1.0, 3.0, -0.5]])
    found, plain = (
        from_lists(softmax, scores, labels, reduce_fn=None)
        for labels in (graded, np.array([[1, 0, 0, 1, 0]]))
    )
    assert (plain != 0).tolist() == [[True, False, False, True, False]]
    np.testing.assert_array_equal(found, plain)
