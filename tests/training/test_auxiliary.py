"""Auxiliary variables and statistics: which way each moves, how far, and when."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from drrl_jax import losses, models, training
from drrl_jax.training.optimiser import auxiliary_form, make_optimiser, project
from drrl_jax.training.sampling import draw_batch
from drrl_jax.training.supply import Sources, supply, trained_variables
from tests.training.helpers import leaves_equal, tiny_config, tiny_dataset

RATES = {"a": 1, "b": 1, "gamma": 2, "sp": 2, "sn": 2, "theta_a": 1, "theta_b": 1}
MAXIMISED = {"gamma", "sp"}


def llpauc_config(form, rate=0.01):
    return tiny_config(
        loss__name="llpauc",
        loss__auxiliary_form=form,
        loss__auxiliary_learning_rate=rate,
    )


def epochs(parts, count, state=None):
    """States after 0, 1, … epochs, off the device."""
    epoch = training.jit_epoch(parts.epoch)
    state = parts.init() if state is None else state
    states = [jax.tree.map(np.array, state)]
    for _ in range(count):
        state, _ = epoch(state, parts.data, np.uint32(0), {})
        states.append(jax.tree.map(np.array, state))
    return states


@pytest.mark.parametrize("form", ["descend", "ascend"])
def test_llpauc_steps_each_variable_its_own_way_at_its_own_rate(form):
    rule = make_optimiser(llpauc_config(form), steps_per_epoch=10)
    # Inside all ranges, so that no clip hides a direction.
    variables = losses.llpauc_variables() | {"a": jnp.array(0.6), "b": jnp.array(0.4)}
    params = {"llpauc": variables}
    rng = np.random.default_rng(0)
    pos, neg = rng.normal(size=(6,)), rng.normal(size=(6, 9))

    def loss(params):
        return losses.llpauc(pos, neg, variables=params["llpauc"])

    gradients = jax.grad(loss)(params)
    updates, _ = rule.update(gradients, rule.init(params), params)
    moved = project(optax.apply_updates(params, updates), form)["llpauc"]
    for name, gradient in gradients["llpauc"].items():
        assert abs(gradient) > 1e-3, name
        up = form == "ascend" and name in MAXIMISED
        # Adam's first step is the rate, whatever the size of the gradient.
        expected = 0.01 * RATES[name] * np.sign(gradient) * (1 if up else -1)
        assert moved[name] - variables[name] == pytest.approx(expected, rel=1e-3), name


def settled(form, pos, neg, steps=2000):
    """The loss on fixed scores and the variables where the rule has taken them."""
    rule = make_optimiser(llpauc_config(form, rate=0.02), steps_per_epoch=10)
    decay = optax.scale_by_schedule(optax.exponential_decay(1.0, steps // 8, 0.5))
    rule = optax.chain(rule, decay)

    def loss(params):
        rows = jnp.broadcast_to(neg, (len(pos), len(neg)))
        variables = params["llpauc"]
        options = {"variables": variables, "alpha": 1.0, "beta": 1.0, "kappa": 200.0}
        return losses.llpauc(pos, rows, **options)

    def step(carry, _):
        params, state = carry
        updates, state = rule.update(jax.grad(loss)(params), state, params)
        return (project(optax.apply_updates(params, updates), form), state), None

    params = {"llpauc": losses.llpauc_variables()}
    start = (params, rule.init(params))
    (params, _), _ = jax.jit(lambda c: jax.lax.scan(step, c, None, length=steps))(start)
    return float(loss(params)), params["llpauc"]


def test_ascent_settles_at_the_pairwise_loss_and_descent_does_not():
    """With all of both classes, the min-max is the mean of (1 - difference)² - 1."""
    rng = np.random.default_rng(0)
    pos, neg = rng.normal(size=40) + 1, rng.normal(size=50)
    f_pos, f_neg = (1 / (1 + np.exp(-x)) for x in (pos, neg))
    pairs = np.mean(np.square(1 - f_pos[:, None] + f_neg)) - 1
    value, variables = settled("ascend", pos, neg)
    assert value == pytest.approx(pairs, abs=1e-3)
    assert variables["a"] == pytest.approx(f_pos.mean(), abs=0.01)
    assert variables["b"] == pytest.approx(f_neg.mean(), abs=0.01)
    difference = f_neg.mean() - f_pos.mean()
    assert variables["gamma"] == pytest.approx(difference, abs=0.01)
    assert variables["theta_a"] >= 0 and variables["theta_b"] >= 0
    # All down: free multipliers sink, and drive a, b and gamma to their bounds.
    value, variables = settled("descend", pos, neg)
    assert value < -10 and variables["theta_a"] < 0
    assert (variables["a"], variables["b"], variables["gamma"]) == (1, 0, 1)


def test_the_form_reaches_the_run():
    assert auxiliary_form(llpauc_config(None)) == "descend"
    found = {}
    for form in ("descend", "ascend"):
        parts = training.build(llpauc_config(form, rate=0.1), tiny_dataset())
        found[form] = epochs(parts, 1)[-1].params["llpauc"]
    assert found["descend"]["theta_a"] < 0 <= found["ascend"]["theta_a"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"loss__name": "llpauc", "loss__auxiliary_form": "ascent"},
            "loss.auxiliary_form must be one of descend, ascend; got 'ascent'. Did you",
        ),
        (
            {"loss__name": "softmax", "loss__auxiliary_form": "ascend"},
            "loss.auxiliary_form belongs to 'llpauc'; loss.name is 'softmax'",
        ),
        (
            {"loss__name": "llpauc", "loss__auxiliary_learning_rate": 0.0},
            "loss.auxiliary_learning_rate must be greater than 0; got 0.0",
        ),
        (
            {"loss__name": "bpr", "loss__auxiliary_learning_rate": 0.1},
            "loss.auxiliary_learning_rate belongs to 'llpauc'; loss.name is 'bpr'",
        ),
        (
            {"loss__name": "adv_infonce", "loss__adversary_every": 0},
            "loss.adversary_every must be at least 1; got 0",
        ),
        (
            {"loss__name": "adv_infonce", "loss__adversary_learning_rate": -1.0},
            "loss.adversary_learning_rate must be greater than 0; got -1.0",
        ),
        (
            {"training__warmup_steps": -1},
            "training.warmup_steps must be at least 0; got -1",
        ),
    ],
)
def test_impossible_auxiliary_settings_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        training.validate(tiny_config(**changes))


def test_the_adversary_moves_at_its_turns_only():
    config = tiny_config(loss__name="adv_infonce", loss__adversary_every=3)
    states = epochs(training.build(config, tiny_dataset()), 6)
    moved = [
        not leaves_equal(before.params["adversary"], after.params["adversary"])
        for before, after in zip(states, states[1:])
    ]
    assert moved == [False, False, True, False, False, True]
    model = [
        leaves_equal(before.params["model"], after.params["model"])
        for before, after in zip(states, states[1:])
    ]
    assert not any(model)


def test_the_adversary_makes_the_loss_larger():
    config = tiny_config(
        loss__name="adv_infonce",
        loss__adversary_every=1,
        loss__adversary_learning_rate=1e-3,
    )
    parts = training.build(config, tiny_dataset())
    state, key = parts.init(), jax.random.key(3)
    batch = draw_batch(key, parts.data, jnp.arange(128), parts.sampling)

    @jax.jit
    def loss(params):
        return parts.objective(params, {}, parts.data, batch, key)

    value, gradients = jax.value_and_grad(loss)(state.params)
    updates, _ = parts.optimiser.update(gradients, state.opt_state, state.params)
    moved = optax.apply_updates(state.params, updates)
    assert loss({**state.params, "adversary": moved["adversary"]}) > value
    assert loss({**state.params, "model": moved["model"]}) < value
    for gradient, update in zip(
        jax.tree.leaves(gradients["adversary"]), jax.tree.leaves(updates["adversary"])
    ):
        known = np.abs(gradient) > 1e-6
        assert known.any()
        np.testing.assert_array_equal(np.sign(update)[known], np.sign(gradient)[known])


def test_quantiles_are_refreshed_at_the_asked_epochs_from_the_whole_catalogue():
    config = tiny_config(loss__name="sl_at_k", loss__top_k=5, loss__refresh_every=2.0)
    parts = training.build(config, tiny_dataset())
    states = epochs(parts, 5)
    quantiles = [state.per_user["quantile"] for state in states]
    assert not quantiles[0].any()  # before the first step
    fresh = [not np.array_equal(a, b) for a, b in zip(quantiles, quantiles[1:])]
    assert fresh == [True, False, True, False, True]
    # In force during the third epoch: the K-th score of the state at its start.
    users, items = parts.objective.embeddings(states[2].params, parts.data)
    expected = np.sort(np.asarray(users @ items.T), axis=1)[:, -5]
    np.testing.assert_allclose(quantiles[3], expected, rtol=1e-5)


def test_a_loss_gets_what_its_signature_names(monkeypatch):
    seen = {}

    def mine(
        pos_scores,
        neg_scores,
        *,
        quantile,
        users,
        where=None,
        log_q=None,
        reduce_fn=losses.masked_mean,
    ):
        seen.update(quantile=quantile.shape, users=users.shape)
        return losses.softmax(
            pos_scores - quantile,
            neg_scores - quantile[:, None],
            where=where,
            reduce_fn=reduce_fn,
        )

    monkeypatch.setitem(losses.LOSSES, "mine", mine)
    parts = training.build(tiny_config(loss__name="mine"), tiny_dataset())
    state, results = training.fit(parts, progress=False)
    assert seen == {"quantile": (128,), "users": (128,)}
    assert np.asarray(state.per_user["quantile"]).any(), "never refreshed"
    assert results["epochs"] == 4


def test_padding_is_no_row_of_the_last_user():
    parts = training.build(tiny_config(loss__name="bsl_grouped"), tiny_dataset())
    count = len(parts.data.users)
    rows = jnp.minimum(jnp.arange(count - 3, count + 125), count)
    batch = draw_batch(jax.random.key(0), parts.data, rows, parts.sampling)
    sources = Sources({}, {}, batch, None, "dense", 1)
    users = np.asarray(supply("bsl_grouped", sources)["users"])
    np.testing.assert_array_equal(users[:3], parts.data.users[-3:])
    assert len(set(users[3:])) == 125 and (users[3:] < 0).all()


def test_rows_of_the_adversary_are_as_long_as_the_root_of_the_dimension():
    model = models.MF(300, 400, 16)
    found = trained_variables("adv_infonce", model, jax.random.key(0))["adversary"]
    for table in found.values():
        lengths = np.linalg.norm(table, axis=1)
        assert np.mean(lengths) == pytest.approx(4, rel=0.05)
