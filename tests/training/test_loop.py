"""The loop: learns, is deterministic, stops early, records, refuses."""

import dataclasses
import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorboardX

from drrl_jax import data, dro, losses, training
from drrl_jax.training import progress
from drrl_jax.training.baselines import baseline_config
from drrl_jax.training.epoch import shuffled, stream
from drrl_jax.training.records import Records
from drrl_jax.training.refresh import refresh
from drrl_jax.training.sampling import draw_batch
from drrl_jax.training.state import Stream
from tests.training.helpers import leaves_equal, tiny_config, tiny_dataset


def test_same_seed_same_bits_and_another_seed_others():
    run = [
        training.fit(
            training.build(tiny_config(seed=s), tiny_dataset()), progress=False
        )
        for s in (0, 0, 1)
    ]
    assert leaves_equal(run[0][0], run[1][0])
    assert run[0][1]["test"] == run[1][1]["test"]
    assert not leaves_equal(run[0][0].params, run[2][0].params)


def test_a_watcher_sees_every_epoch():
    seen = []
    parts = training.build(tiny_config(training__epochs=3), tiny_dataset())
    training.fit(
        parts,
        progress=False,
        watch=lambda epoch, state: seen.append((epoch, int(state.step))),
    )
    steps = parts.steps_per_epoch
    assert seen == [(1, steps), (2, 2 * steps), (3, 3 * steps)]


@pytest.mark.parametrize(
    "changes",
    [
        {"loss__name": "softmax", "training__negatives": "all"},
        {"loss__name": "drrl", "loss__threshold_mode": "solved"},
        {"loss__name": "drrl", "loss__threshold_mode": "learned", "loss__epsilon": 0.1},
        {"loss__name": "drrl", "loss__threshold_mode": "user"},
        {"loss__name": "drrl_tempered", "loss__threshold_mode": "user"},
        {"loss__name": "drrl", "loss__gamma": float("inf")},
        {"loss__name": "drrl_dual", "loss__weight": 3.0},
        {"loss__name": "bpr", "training__negatives": "1"},
        {"loss__name": "bsl_grouped"},
        {"loss__name": "bilateral", "loss__direction": "pessimistic"},
        {"loss__name": "bilateral_tempered", "loss__pos_gamma": 1.0},
        {"loss__name": "sl_at_k", "loss__top_k": 5},
        {"loss__name": "drrl_at_k", "loss__gamma": 1.5},
        {"loss__name": "drrl_matched", "loss__gamma": 2.0},
        {"loss__name": "adv_infonce", "loss__adversary_every": 2},
        {"loss__name": "llpauc"},
        {"training__negative_alpha": 0.5, "training__log_q_correction": True},
        {"training__negative_pool": "shared"},
        {"training__negative_pool": "batch"},
        {"training__false_negative_rate": 0.25},
        {"training__marked_rate": 0.3, "model__name": "lightgcn"},
        {"training__weight_decay_mode": "batch", "training__weight_decay": 1e-3},
        {"training__weight_decay_mode": "decoupled", "training__weight_decay": 1e-3},
        {"training__schedule": "cosine", "training__warmup_steps": 3},
        {"training__route": "gather", "training__clip_norm": 1.0},
        {"training__dtype": "bfloat16"},
    ],
    ids=lambda changes: ",".join(
        f"{k.split('__')[-1]}={v}" for k, v in changes.items()
    ),
)
def test_every_kind_of_run_learns(changes):
    config = tiny_config(training__epochs=2, **changes)
    parts = training.build(config, tiny_dataset())
    start = parts.init()
    before = jax.tree.map(np.asarray, start.params)
    state, losses = training.jit_epoch(parts.epoch)(start, parts.data, np.uint32(0), {})
    assert np.isfinite(losses).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    for name, tree in before.items():
        if name != "adversary":  # its turn has not come
            assert not leaves_equal(tree, state.params[name]), f"{name} did not move"


def test_routes_agree():
    states = []
    for route in ("dense", "gather"):
        parts = training.build(tiny_config(training__route=route), tiny_dataset())
        epoch = training.jit_epoch(parts.epoch)
        states.append(epoch(parts.init(), parts.data, np.uint32(0), {}))
    np.testing.assert_allclose(states[0][1], states[1][1], rtol=1e-5)


def test_thresholds_follow_algorithm_1():
    """One step: β_u moves by its own rate along the sum of its rows' gradients."""
    config = tiny_config(
        loss__name="drrl_dual",
        loss__threshold_learning_rate=0.05,
        loss__epsilon=0.1,
        training__batch_size=2000,
    )
    parts = training.build(config, tiny_dataset())
    before = np.asarray(parts.init().params["threshold"])
    state, _ = training.jit_epoch(parts.epoch)(
        parts.init(), parts.data, np.uint32(0), {}
    )
    moved = np.asarray(state.params["threshold"]) - before
    # With one step an epoch every interaction is one row of the step's batch.
    start = parts.init()
    rows = shuffled(np.uint32(0), start.step, len(parts.data.users), 2000)[0]
    draw, noise = jax.random.split(stream(np.uint32(0), Stream.STEP, start.step))
    batch = draw_batch(draw, parts.data, rows, parts.sampling)
    scored = parts.objective.score(start.params, parts.data, batch, noise)

    def sum_of_rows(thresholds):
        values = losses.drrl_dual(
            scored.positive,
            scored.negative,
            threshold=thresholds[batch.users],
            epsilon=0.1,
            reduce_fn=None,
        )
        return jnp.sum(jnp.where(batch.valid, values, 0))

    downhill = -0.05 * jax.grad(sum_of_rows)(jnp.asarray(before))
    assert (moved != 0).all()
    np.testing.assert_allclose(moved, downhill, rtol=1e-4, atol=1e-6)


def test_user_thresholds_solve_the_catalogue():
    config = tiny_config(loss__name="drrl", loss__threshold_mode="user")
    parts = training.build(config, tiny_dataset())
    state = parts.init()
    fresh = refresh(parts.objective, state.params, state.per_user, parts.data)
    again = refresh(parts.objective, state.params, fresh, parts.data)
    np.testing.assert_allclose(again["threshold"], fresh["threshold"], atol=1e-4)
    users, items = parts.objective.embeddings(state.params, parts.data)
    train = parts.dataset.train
    negatives = np.ones((parts.dataset.num_users, parts.dataset.num_items), bool)
    negatives[train.users, train.items] = False
    exact = dro.worst_case(users @ items.T, gamma=1.5, radius=1.0, where=negatives)
    np.testing.assert_allclose(fresh["threshold"], exact.threshold, atol=1e-4)
    np.testing.assert_allclose(fresh["temperature"], exact.temperature, atol=1e-4)


@pytest.mark.parametrize("gamma", [1.5, 1.0001])
def test_user_thresholds_at_radius_0_give_the_mean(gamma):
    """Theirs is minus infinity, where float32 would lose the scores."""
    modes = {"threshold_mode": "user", "radius": 0.0, "gamma": gamma}
    modes = {f"loss__{name}": value for name, value in modes.items()}
    parts = training.build(tiny_config(loss__name="drrl", **modes), tiny_dataset())
    state = parts.init()
    fresh = refresh(parts.objective, state.params, state.per_user, parts.data)
    users, items = parts.objective.embeddings(state.params, parts.data)
    scores = users @ items.T
    found = dro.dual(scores, fresh["threshold"], gamma=gamma, weight=1.0)
    rounded = 2e-3 if gamma > 1.1 else 3e-2  # it lies 1e5 ranges below the scores
    np.testing.assert_allclose(found, scores.mean(axis=1), atol=rounded)
    weights = jax.grad(
        lambda f: dro.dual(f, fresh["threshold"], gamma=gamma, weight=1.0).sum()
    )(scores)
    np.testing.assert_allclose(weights * scores.shape[1], 1, atol=0.12)


def test_user_thresholds_near_order_1_keep_their_temperature():
    modes = {"threshold_mode": "user", "radius": 1.0, "gamma": 1.00001}
    changes = {f"loss__{name}": value for name, value in modes.items()}
    parts = training.build(tiny_config(loss__name="drrl", **changes), tiny_dataset())
    state = parts.init()
    fresh = refresh(parts.objective, state.params, state.per_user, parts.data)
    users, items = parts.objective.embeddings(state.params, parts.data)
    best = np.asarray((users @ items.T).max(axis=1))
    implied = (best - fresh["threshold"]) * (1e-5 / 1.00001)
    np.testing.assert_allclose(implied, fresh["temperature"], rtol=0.05)


def test_quantiles_of_a_model_that_scores_pairs_are_of_its_own_scores():
    config = tiny_config(
        model__name="ncf", model__scoring="neumf", loss__name="sl_at_k", loss__top_k=5
    )
    parts = training.build(config, tiny_dataset())
    state = parts.init()
    users, items = parts.objective.embeddings(state.params, parts.data)
    everyone = jnp.arange(parts.dataset.num_users)
    scores = parts.objective.pair_block((state.params, users, items), everyone)
    found = refresh(parts.objective, state.params, state.per_user, parts.data, top_k=5)
    fifth = np.sort(np.asarray(scores), axis=1)[:, -5]
    np.testing.assert_allclose(found["quantile"], fifth, atol=1e-6)


def test_rows_are_fetched_first_where_they_are_few():
    config = tiny_config(training__batch_size=4, training__negatives="3")
    scored = []
    for route in ("dense", "gather"):
        config.training.route = route
        parts = training.build(config, tiny_dataset())
        batch = draw_batch(jax.random.key(1), parts.data, jnp.arange(4), parts.sampling)
        assert parts.objective._rows_first(batch.negatives) == (route == "gather")
        state = parts.init()
        scored.append(
            parts.objective.score(state.params, parts.data, batch, jax.random.key(2))
        )
    for name in ("positive", "negative"):
        a, b = (getattr(s, name) for s in scored)
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss__name": "llpauc", "loss__alpha": 2.0},
        {"loss__name": "bilateral", "loss__direction": "up"},
        {"model__name": "ncf", "model__scoring": "neumff"},
    ],
)
def test_a_loss_or_a_model_that_refuses_owns_no_folder(changes, tmp_path):
    with pytest.raises(ValueError, match="must"):
        training.run(tiny_config(**changes), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_early_stopping_counts_checks_without_gain():
    config = tiny_config(
        training__epochs=50,
        training__eval_every=1,
        training__patience=3,
        training__min_delta=2.0,  # no gain is ever that large
    )
    _, results = training.fit(training.build(config, tiny_dataset()), progress=False)
    # The first check beats "nothing yet"; three more do not.
    assert results["epochs"] == 4


def test_records(tmp_path):
    config = tiny_config()
    results = training.run(config, tmp_path, dataset=tiny_dataset(), progress=False)
    assert json.loads((tmp_path / "results.json").read_text()) == results
    lines = [
        json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().split("\n")[:-1]
    ]
    assert [line["epoch"] for line in lines] == [2, 4]
    assert set(results) >= {"test", "valid", "best_epoch", "seconds", "config"}
    assert (tmp_path / "curve.png").stat().st_size > 1000
    assert any((tmp_path / "tensorboard").iterdir())


def test_a_finished_run_reads_no_data(tmp_path, monkeypatch):
    config = tiny_config(training__epochs=1, training__eval_every=1)
    config.baselines = ("bpr",)
    results = training.run_with_baselines(
        config, tmp_path, load=lambda _: tiny_dataset(), progress=False
    )
    assert sorted(results) == ["bpr", "drrl_tempered (mf)"]

    def refuse(*_):
        raise AssertionError("the data were read again")

    monkeypatch.setattr("drrl_jax.data.load", refuse)
    again = training.run_with_baselines(config, tmp_path, load=refuse, progress=False)
    assert again == results
    assert (
        training.run(config, tmp_path, progress=False) == results["drrl_tempered (mf)"]
    )


def test_baselines_may_join_a_finished_run(tmp_path):
    config = tiny_config(training__epochs=1)
    load = {"load": lambda _: tiny_dataset(), "progress": False}
    alone = training.run_with_baselines(config, tmp_path, **load)
    config.baselines = ("popularity", "softmax")
    beside = training.run_with_baselines(config, tmp_path, **load)
    assert list(beside) == ["popularity", "softmax", *alone]
    assert beside["drrl_tempered (mf)"] == alone["drrl_tempered (mf)"]


def test_a_run_that_never_started_leaves_the_folder_free(tmp_path):
    config = tiny_config(data__source="files", data__path=str(tmp_path / "typo.csv"))
    with pytest.raises(FileNotFoundError):
        training.run(config, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_model_that_refuses_its_options_leaves_the_folder_free(tmp_path):
    options = {"model__name": "ncf", "model__scoring": "neumf", "model__dim": 7}
    with pytest.raises(ValueError, match="needs an even dim"):
        training.run(tiny_config(**options), tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_workdir_of_another_config_is_refused(tmp_path):
    config = tiny_config(training__epochs=1)
    training.run(config, tmp_path, dataset=tiny_dataset(), progress=False)
    config.loss.gamma = 3.0
    with pytest.raises(ValueError, match=r"loss\.gamma is None there and 3\.0 here"):
        training.run(config, tmp_path, dataset=tiny_dataset(), progress=False)


def test_non_finite_loss_names_the_step_and_keeps_the_checkpoint(tmp_path):
    config = tiny_config(
        training__epochs=6, training__eval_every=1, model__similarity="dot"
    )
    config.loss.name = "softmax"
    parts = training.build(config, tiny_dataset())
    epoch = parts.epoch

    def breaks_in_third(carry, data, seed, overrides):
        carry, losses = epoch(carry, data, seed, overrides)
        third = carry.step > 2 * parts.steps_per_epoch
        return carry, losses.at[2].set(jnp.where(third, jnp.nan, losses[2]))

    parts = dataclasses.replace(parts, epoch=breaks_in_third)
    with pytest.raises(training.NonFiniteLossError, match=r"nan at step \d+ \(epoch 3"):
        training.fit(parts, tmp_path, progress=False)
    assert training.Checkpointer(tmp_path / "checkpoints").latest == 2


@pytest.mark.parametrize("value", [jnp.nan, 1e20])
def test_what_the_last_step_broke_is_neither_ranked_nor_kept(tmp_path, value):
    """Its loss was of the parameters before; a row of 1e20 would have no direction."""
    parts = training.build(tiny_config(training__epochs=1), tiny_dataset())
    epoch = parts.epoch

    def breaks_at_the_end(carry, *rest):
        carry, losses = epoch(carry, *rest)
        broken = jax.tree.map(lambda leaf: leaf.at[0].set(value), carry.params)
        return carry._replace(params=broken), losses

    parts = dataclasses.replace(parts, epoch=breaks_at_the_end)
    sentence = r"parameters \['model'\].* left the finite numbers in epoch 1; no check"
    with pytest.raises(training.NonFiniteLossError, match=sentence):
        training.fit(parts, tmp_path, progress=False)
    assert training.Checkpointer(tmp_path / "checkpoints").latest is None


def test_many_small_gains_are_one():
    """The bar of early stopping rises with a gain of min_delta, not with smaller ones."""
    config = tiny_config(training__min_delta=0.1, training__patience=3)
    record = {"epoch": 0, "best_epoch": 0, "best_score": -1, "bar": -1, "bad_checks": 0}
    stopped = []
    for score in (0.5, 0.55, 0.59, 0.61, 0.65, 0.64, 0.69, 0.9):
        record["epoch"] += 1
        progress.update_best(config, record, {config.evaluation.monitor: score})
        stopped.append(progress.patience_spent(config, record))
    assert stopped == [False] * 6 + [True, False]
    assert record["best_epoch"] == 8


def test_thresholds_of_a_short_last_batch_move_by_its_rows():
    """The sum over the rows that are there, not the mean times the batch size."""
    count, moved = len(tiny_dataset().train), []
    for batch_size in (count, 3 * count):
        config = tiny_config(
            loss__name="drrl_dual",
            training__batch_size=batch_size,
            training__negatives="all",
        )
        parts = training.build(config, tiny_dataset())
        state, _ = training.jit_epoch(parts.epoch)(
            parts.init(), parts.data, np.uint32(0), {}
        )
        moved.append(np.asarray(state.params["threshold"]))
    np.testing.assert_allclose(moved[0], moved[1], rtol=1e-4, atol=1e-7)


def test_a_user_of_the_whole_catalogue_counts_nothing():
    """Half of the rows have no negative: the mean is that of the others."""
    everything = np.arange(5)
    users, items = np.repeat([0, 1], [5, 2]), np.concatenate([everything, [1, 3]])
    train = data.Interactions(users, items)
    test = data.Interactions([1], [0])
    dataset = data.Dataset("full", 2, 5, train, train.select([]), test)
    for negatives in ("3", "all"):
        config = tiny_config(
            training__negatives=negatives, training__batch_size=8, model__dim=4
        )
        parts = training.build(config, dataset)
        batch = draw_batch(jax.random.key(0), parts.data, np.arange(8), parts.sampling)
        assert batch.valid.tolist() == [False] * 5 + [True] * 2 + [False]


def test_bfloat16_scores_do_not_round_the_ranking():
    parts = training.build(tiny_config(training__dtype="bfloat16"), tiny_dataset())
    users, items = parts.objective.embeddings(parts.init().params, parts.data)
    assert users.dtype == items.dtype == np.float32


def _penalty(rows, **changes):
    """What a decay of .5 by the batch adds to its loss; the parameters, the batch."""
    values = []
    for decay in (0.0, 0.5):
        config = tiny_config(
            training__weight_decay=decay, training__weight_decay_mode="batch", **changes
        )
        parts = training.build(config, tiny_dataset())
        params, key = parts.init().params, jax.random.key(1)
        batch = draw_batch(key, parts.data, rows, parts.sampling)
        values.append(parts.objective(params, {}, parts.data, batch, key))
    return values[1] - values[0], params, batch


@pytest.mark.parametrize(
    "changes",
    [
        {"training__negatives": "all"},
        {"training__route": "gather"},
        {"training__route": "dense"},
    ],
)
def test_decay_by_the_batch_is_half_the_squared_rows_of_the_batch(changes):
    few = {"loss__name": "softmax", "training__batch_size": 4} | {
        "training__negatives": "3",
        **changes,
    }
    penalty, params, batch = _penalty(jnp.arange(4), **few)
    ids = batch.items[:, None]
    if batch.negatives is not None:
        ids = jnp.concatenate([ids, batch.negatives], axis=1)
    tables = params["model"]["params"]
    squared = jnp.sum(jnp.square(tables["users"][batch.users]), axis=1)
    squared += jnp.sum(jnp.square(tables["items"][ids]), axis=(1, 2))
    np.testing.assert_allclose(penalty, 0.5 * 0.5 * squared.mean(), rtol=1e-4)


def test_bfloat16_rounds_the_scores_that_are_trained_on():
    scored = []
    for dtype in ("float32", "bfloat16"):
        parts = training.build(tiny_config(training__dtype=dtype), tiny_dataset())
        key = jax.random.key(1)
        batch = draw_batch(key, parts.data, jnp.arange(128), parts.sampling)
        scored.append(
            parts.objective.score(parts.init().params, parts.data, batch, key)
        )
    for name in ("positive", "negative"):
        exact, rounded = (getattr(s, name) for s in scored)
        assert 0 < jnp.abs(exact - rounded).max() < 0.02


def test_a_baseline_has_the_similarity_of_its_own_loss():
    config = tiny_config(model__similarity="dot", training__negatives="all")
    for name in ("softmax", "bpr"):
        assert baseline_config(config, name).model.similarity == "auto"
    assert config.model.similarity == "dot"


@pytest.fixture
def board(monkeypatch):
    """What TensorBoard is told: from where on to forget, and ``(name, value, step)``."""
    told = types.SimpleNamespace(purged=[], points=[])

    class Writer:
        def __init__(self, folder, purge_step):
            told.purged.append(purge_step)  # that step and all after it

        def add_scalar(self, *point):
            told.points.append(point)

        def close(self):
            pass

    monkeypatch.setattr(tensorboardX, "SummaryWriter", Writer)
    return told


def test_a_resumed_run_takes_back_what_came_after_its_last_line(tmp_path, board):
    for history in ([], [{"epoch": 2, "loss": 2.0}, {"epoch": 4, "loss": 1.0}]):
        Records(tmp_path, history).append({"epoch": 6, "loss": 0.5})
    assert board.purged == [0, 5]


def test_an_epoch_is_shuffled_by_a_stream_of_its_own():
    seed, step = jnp.uint32(3), jnp.int32(7)
    want = jax.random.permutation(stream(seed, Stream.SHUFFLE, step), 10)
    np.testing.assert_array_equal(shuffled(seed, step, 10, 5).ravel(), want)


def test_what_a_run_scores_in_the_end_is_at_its_last_epoch(tmp_path, board):
    history = [{"epoch": 2, "loss": 2.0, "valid/ndcg@10": 0.5}]
    results = {"test": {"ndcg@10": 0.4}, "epochs": 6, "best_epoch": 2}
    Records(tmp_path, history).finish(results)
    assert board.points == [("test/ndcg_at_10", 0.4, 6)]


@pytest.mark.parametrize("corrected", [False, True])
def test_log_q_reaches_the_loss_where_it_is_asked_for_alone(corrected):
    config = tiny_config(
        training__negative_alpha=0.5, training__log_q_correction=corrected
    )
    parts = training.build(config, tiny_dataset())
    rows = jnp.arange(parts.sampling.batch_size)
    batch = draw_batch(jax.random.key(0), parts.data, rows, parts.sampling)
    assert (batch.log_q is not None) == corrected


@pytest.mark.parametrize("loss", ["softmax", "bsl_grouped"])
def test_decay_on_the_whole_catalogue_is_of_the_rows_that_count(loss):
    count = len(tiny_dataset().train)
    rows = jnp.minimum(jnp.arange(count - 3, count + 125), count)
    penalty, params, batch = _penalty(rows, loss__name=loss, training__negatives="all")
    tables = params["model"]["params"]
    users, items = batch.users[:3], batch.items[:3]
    squared = jnp.square(tables["users"][users]) + jnp.square(tables["items"][items])
    want = 0.5 * 0.5 * squared.sum(axis=1).mean()
    np.testing.assert_allclose(penalty, want, rtol=1e-4)
