"""The order learned: exact outer gradients, and otherwise the run as it was."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drrl_jax import data, training
from drrl_jax.training import bilevel
from drrl_jax.training.optimiser import make_optimiser
from tests.training.helpers import tiny_config, tiny_dataset

SOLVED = {"loss__name": "drrl", "loss__radius": 0.5}
TEMPERED = {"loss__name": "drrl_tempered", "loss__temperature": 0.3}


def parts_of(**changes):
    return training.build(tiny_config(**changes), tiny_dataset())


@pytest.mark.parametrize("kind", [SOLVED, TEMPERED], ids=["solved", "tempered"])
def test_outer_gradient_is_a_finite_difference(kind):
    """Through four steps of Adam from a trained state, for each of two groups."""
    parts = parts_of(training__learning_rate=0.03, **kind)
    groups = bilevel.activity_groups(parts, 2)
    state = bilevel.learn_order(parts, groups, start=1.7).init()
    rule = make_optimiser(
        parts.config, parts.steps_per_epoch, eps_root=bilevel.EPS_ROOT
    )
    lookahead = bilevel.make_lookahead(parts, groups, rule, "softmax")
    rows = jnp.arange(512, dtype=jnp.int32).reshape(4, 128)

    @jax.jit
    def run(logits, state):
        def criterion(logits):
            return lookahead(logits, state, parts.data, np.uint32(0), rows)

        return jax.value_and_grad(criterion, has_aux=True)(logits)

    logits = state.params["order"]
    for _ in range(2):
        (_, (state, _)), _ = run(logits, state)
    gradient = np.asarray(run(logits, state)[1])
    step = 2e-2
    moves = step * jnp.eye(2)
    numeric = [
        (run(logits + move, state)[0][0] - run(logits - move, state)[0][0]) / step / 2
        for move in moves
    ]
    scale = np.abs(gradient).max()
    assert scale > 1e-3, "nothing to compare"
    np.testing.assert_allclose(gradient, numeric, atol=0.05 * scale)


def test_held_orders_are_the_run_itself():
    """At rate 0 the same ids are drawn and the same steps made, the rest included."""
    parts = parts_of(loss__gamma=1.5, **TEMPERED)
    learned = bilevel.learn_order(
        parts, bilevel.activity_groups(parts, 1), rate=0.0, inner_steps=4
    )
    assert parts.steps_per_epoch % 4, "no step is left over"
    states = []
    for run in (parts, learned):
        epoch = training.jit_epoch(run.epoch)
        state, losses = epoch(run.init(), run.data, np.uint32(0), {})
        states.append((state.params["model"], losses, state.step))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), *states
    )
    assert float(bilevel.order_of(state.params["order"])[0]) == pytest.approx(1.5)


def test_groups_are_of_equal_size_and_ordered_by_activity():
    parts = parts_of()
    groups = bilevel.activity_groups(parts, 4)
    assert np.bincount(groups).tolist() == [20, 20, 20, 20]
    degrees = np.bincount(parts.dataset.train.users, minlength=80)
    for group in range(3):
        assert degrees[groups == group].max() <= degrees[groups == group + 1].min()


@pytest.mark.parametrize("count", [0, 2.5, 81])
def test_as_many_groups_as_have_users(count):
    with pytest.raises(ValueError, match=r"groups in \[1, 80\]; got"):
        bilevel.activity_groups(parts_of(), count)


@pytest.mark.parametrize(
    "groups",
    [np.zeros(2, np.int32), np.full(80, -1), np.zeros(80), np.zeros((80, 1), int)],
)
def test_groups_are_one_whole_number_a_user(groups):
    with pytest.raises(
        ValueError, match=r"whole numbers from 0, \[num_users\], \(80,\)"
    ):
        bilevel.learn_order(parts_of(), groups)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"loss__name": "softmax"}, {}, "learned for loss.threshold_mode 'solved'"),
        (
            {"loss__name": "drrl", "loss__threshold_mode": "user"},
            {},
            "got 'drrl_dual' in mode 'user'",
        ),
        ({"training__optimiser": "sparse_adam"}, {}, "dense updates; got .*sparse_ada"),
        ({}, {"start": 1.0}, "start must be an order from 1.007 to 149.4; got 1.0"),
        ({}, {"start": 1e3}, "start must be an order from 1.007 to 149.4; got 1000"),
        ({}, {"rate": -1.0}, "rate must be at least 0 and finite; got -1"),
        ({}, {"rate": np.nan}, "rate must be at least 0 and finite; got nan"),
        ({}, {"inner_steps": 0}, "inner_steps must be a positive integer and at most"),
        (
            {},
            {"inner_steps": 2.5},
            "inner_steps must be a positive integer .*; got 2.5",
        ),
        ({}, {"inner_steps": 99}, "at most the steps of an epoch, .*; got 99"),
        ({"loss__name": "drrl", "loss__weight": 3.0}, {}, "got loss.weight=3.0"),
        ({}, {"criterion": "softmx"}, "Did you mean 'softmax'"),
    ],
)
def test_refused(changes, options, message):
    parts = parts_of(**changes)
    with pytest.raises(ValueError, match=message):
        bilevel.learn_order(parts, np.zeros(80, np.int32), **options)


def test_starts_as_often_as_one_likes_and_takes_no_other_settings():
    learned = bilevel.learn_order(
        parts_of(training__epochs=1), np.zeros(80, np.int32), inner_steps=2
    )
    first, second = (training.fit(learned, progress=False)[0] for _ in range(2))
    np.testing.assert_array_equal(first.params["order"], second.params["order"])
    with pytest.raises(ValueError, match="one setting; got overrides temperature"):
        training.train_grid(learned, {"temperature": [0.1, 0.9]})


def test_a_folder_belongs_to_one_way_to_learn_an_order(tmp_path):
    parts = parts_of(training__epochs=1, **TEMPERED)
    groups = bilevel.activity_groups(parts, 1)

    def learned(start):
        return bilevel.learn_order(parts, groups, start=start, rate=0.0, inner_steps=1)

    first = training.fit(learned(1.5), tmp_path, progress=False)[1]
    again = training.fit(learned(1.5), tmp_path, progress=False)[1]
    assert again["test"] == first["test"]
    with pytest.raises(ValueError, match="learn_order.start is 1.5 there and 4.0 here"):
        training.fit(learned(4.0), tmp_path, progress=False)
    with pytest.raises(ValueError, match="learn_order.* is .* there and None here"):
        training.run(parts.config, tmp_path, dataset=parts.dataset, progress=False)
    with pytest.raises(ValueError, match="holds a run of learn_order"):
        training.load_best(tmp_path, dataset=parts.dataset)


def test_negatives_of_validation_are_in_neither_split():
    parts = parts_of()
    users = jnp.arange(parts.dataset.num_users)
    sampler = bilevel._validation_data(parts).sampler
    drawn = np.asarray(data.sample_negatives(jax.random.key(0), sampler, users, 500))
    pairs = {(u, i) for u, row in enumerate(drawn) for i in row.tolist()}
    for part in (parts.dataset.train, parts.dataset.valid):
        assert not pairs & set(zip(part.users.tolist(), part.items.tolist()))


def test_orders_stay_within_their_bounds():
    parts = parts_of()
    learned = bilevel.learn_order(
        parts, bilevel.activity_groups(parts, 2), rate=50.0, inner_steps=2
    )
    state, step_losses = training.jit_epoch(learned.epoch)(
        learned.init(), learned.data, np.uint32(0), {}
    )
    logits = np.asarray(state.params["order"])
    assert (np.abs(logits) <= bilevel.MOST).all() and np.isfinite(step_losses).all()


def test_a_user_without_a_negative_to_measure_by_counts_nothing():
    """With equal scores the criterion is the logarithm of the number of negatives."""
    train = data.Interactions([0, 0, 0, 0, 1, 1], [0, 1, 2, 3, 0, 1])
    valid, test = data.Interactions([0, 1], [4, 2]), data.Interactions([1], [3])
    dataset = data.Dataset("full", 2, 5, train, valid, test)
    parts = training.build(tiny_config(training__negatives="3"), dataset)
    groups = np.zeros(2, np.int32)
    rule = make_optimiser(parts.config, 1, eps_root=bilevel.EPS_ROOT)
    lookahead = bilevel.make_lookahead(parts, groups, rule, "softmax")
    start = bilevel.learn_order(parts, groups, inner_steps=1).init()
    model = jax.tree.map(jnp.zeros_like, start.params["model"])
    state = start._replace(params={**start.params, "model": model})
    rows = jnp.zeros((1, parts.sampling.batch_size), jnp.int32)
    value, _ = lookahead(start.params["order"], state, parts.data, np.uint32(0), rows)
    np.testing.assert_allclose(value, np.log(3), rtol=1e-5)
