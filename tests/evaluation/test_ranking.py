"""Full-ranking evaluation against brute force on the host."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from drrl_jax import data, evaluation
from drrl_jax.data.interactions import Csr
from drrl_jax.evaluation import (
    METRICS,
    EvaluationPlan,
    evaluate,
    ranking_metrics,
    selection,
)

KS, NAMES = (1, 5, 10), tuple(METRICS)


def csr(matrix):
    indptr = np.concatenate([[0], matrix.sum(-1).cumsum()]).astype(np.int32)
    return Csr(indptr=indptr, indices=np.nonzero(matrix)[1].astype(np.int32))


def problem(seed=0, num_users=47, num_items=83, dim=3, density=0.1):
    """Integer embeddings, so that scores are exact and full of ties."""
    rng = np.random.default_rng(seed)
    users = rng.integers(-2, 3, (num_users, dim)).astype(np.float32)
    items = rng.integers(-2, 3, (num_items, dim)).astype(np.float32)
    truth = rng.random((num_users, num_items)) < density / 2
    train = rng.random((num_users, num_items)) < density * 4 * rng.random(
        (num_users, 1)
    )
    truth[::7] = False  # users that don't count
    train[3], train[4] = False, True  # nothing excluded, everything excluded
    return users, items, truth, train


def brute_force(scores, truth, excluded, ks=KS, names=NAMES):
    scores = np.where(excluded, -np.inf, scores)
    order = np.argsort(-scores, axis=-1, kind="stable")
    hits = np.take_along_axis(truth & ~excluded, order, -1)
    keep = truth.any(-1)
    values = ranking_metrics(hits[keep], truth.sum(-1)[keep], ks, names)
    return {name: np.asarray(v) for name, v in values.items()}


@pytest.mark.parametrize("block", [1, 8, None])
def test_equals_brute_force_whatever_the_block(block):
    users, items, truth, train = problem()
    plan = EvaluationPlan.build(
        csr(truth), num_items=83, exclude=csr(train), block=block
    )
    assert plan.user_ids.tolist() == np.flatnonzero(truth.any(-1)).tolist()
    expected = brute_force(users @ items.T, truth, train)
    each = evaluate(users, items, plan, ks=KS, metrics=NAMES, per_user=True)
    means = evaluate(users, items, plan, ks=KS, metrics=NAMES)
    assert list(each) == list(means) == list(expected)
    for name, value in expected.items():
        assert_allclose(each[name], value, atol=1e-7, err_msg=name)
        assert means[name] == pytest.approx(value.mean(dtype=np.float64), abs=1e-9)
        assert isinstance(means[name], float)


def test_several_exclusions_and_an_item_mask():
    users, items, truth, train = problem(1)
    valid = problem(2)[2]
    mask = np.random.default_rng(3).random(83) < 0.7
    plan = EvaluationPlan.build(
        csr(truth), num_items=83, exclude=(csr(train), csr(valid)), item_mask=mask
    )
    values = evaluate(users, items, plan, ks=KS, metrics=NAMES, per_user=True)
    expected = brute_force(users @ items.T, truth, train | valid | ~mask)
    for name in expected:
        assert_allclose(values[name], expected[name], atol=1e-7, err_msg=name)


def test_lists_longer_than_the_catalogue():
    users, items, truth, train = problem(4, num_users=9, num_items=12, density=0.5)
    plan = EvaluationPlan.build(csr(truth), num_items=12, exclude=csr(train))
    values = evaluate(users, items, plan, ks=(50,), metrics=NAMES, per_user=True)
    expected = brute_force(users @ items.T, truth, train, ks=(50,))
    for name in expected:
        assert_allclose(values[name], expected[name], atol=1e-7, err_msg=name)


@pytest.mark.parametrize("num_items", [640, 643, 1000])
def test_two_stage_selection_is_exact_with_ties(num_items):
    rng = np.random.default_rng(5)
    scores = rng.integers(0, 12, (64, num_items)).astype(np.float32)
    scores[:8] = 1.0
    scores[8:16, 20:] = -np.inf
    select = jax.jit(evaluation.top_k, static_argnums=1)
    values, items = select(scores, 10)
    assert_allclose(items, np.argsort(-scores, axis=-1, kind="stable")[:, :10])
    assert_allclose(values, np.take_along_axis(scores, np.asarray(items), -1))


def test_relabelling_items_and_users_changes_nothing():
    rng = np.random.default_rng(6)
    _, _, truth, train = problem(6)
    users = rng.normal(size=(47, 4)).astype(np.float32)
    items = rng.normal(size=(83, 4)).astype(np.float32)
    p, q = rng.permutation(47), rng.permutation(83)

    def run(u, i, t, e):
        plan = EvaluationPlan.build(csr(t), num_items=83, exclude=csr(e))
        return evaluate(u, i, plan, ks=KS, metrics=NAMES)

    before = run(users, items, truth, train)
    after = run(users[p], items[q], truth[p][:, q], train[p][:, q])
    assert before == pytest.approx(after, abs=1e-7)


def test_popularity_ranks_by_training_count():
    _, _, truth, train = problem(7)
    plan = EvaluationPlan.build(csr(truth), num_items=83, exclude=csr(train))
    scores = evaluation.popularity_scores(np.nonzero(train)[1], 83)
    assert_allclose(scores, train.sum(0))
    values = evaluation.evaluate_item_scores(scores, plan, ks=KS, metrics=NAMES)
    expected = brute_force(np.broadcast_to(scores, truth.shape), truth, train)
    for name in expected:
        assert values[name] == pytest.approx(expected[name].mean(), abs=1e-6)


def test_one_compilation_serves_a_plan():
    users, items, truth, train = problem(8)
    plan = EvaluationPlan.build(csr(truth), num_items=83, exclude=csr(train), block=5)
    traces = []

    def scorer(inputs, rows):
        traces.append(rows.shape)
        return inputs[0][rows] @ inputs[1].T

    for scale in (1.0, 2.0):
        inputs = (jnp.asarray(users) * scale, jnp.asarray(items))
        evaluation.evaluate_scorer(scorer, inputs, plan, ks=(5,))
    assert len(set(traces)) == 1 and len(traces) <= 2


def test_blocks_share_the_exclusions_evenly():
    _, _, truth, _ = problem(9, num_users=400)
    heavy = np.zeros((400, 83), bool)
    heavy[:40, :50] = True
    plan = EvaluationPlan.build(csr(truth), num_items=83, exclude=csr(heavy), block=20)
    counted = heavy[truth.any(-1)].sum()
    assert plan.rows.size <= 1.25 * counted and plan.chunk <= 1.25 * counted / 4


def test_one_very_active_user_costs_its_own_exclusions():
    users, items, truth, train = problem(12, num_users=400)
    train[:] = False
    train[:, 3] = True
    train[5] = truth[5] = True
    truth[5, 7] = train[5, 7] = False
    truth[6, 1] = True
    plan = EvaluationPlan.build(csr(truth), num_items=83, exclude=csr(train), block=4)
    assert plan.rows.size <= 1.25 * train.sum() and plan.chunk < 10
    want = brute_force(users @ items.T, truth, train)
    found = evaluate(users, items, plan, ks=KS, metrics=NAMES, per_user=True)
    for name, values in found.items():
        assert_allclose(values, want[name], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("num_items", [4, 4000])
def test_a_nan_that_a_program_makes_is_one_too(num_items):
    items = np.ones((num_items, 2), np.float32)
    items[2] = 0  # whose cosine is 0 / 0, of the other sign than np.nan
    plan = EvaluationPlan.build(
        csr(np.eye(2, num_items, 1, bool)),
        num_items=num_items,
        exclude=csr(np.eye(2, num_items, dtype=bool)),
    )
    with pytest.raises(FloatingPointError, match="NaN"):
        evaluate(
            jnp.ones((2, 2)),
            jax.jit(lambda x: x / jnp.linalg.norm(x, axis=1, keepdims=True))(items),
            plan,
        )


def test_a_nan_behind_infinite_scores_is_seen():
    scores = jnp.zeros((2, 1000)).at[:, 0].set(jnp.inf)
    assert not selection.select(scores, 1)[2]
    assert selection.top_k(scores, 1)[0].tolist() == [[jnp.inf], [jnp.inf]]
    assert selection.select(scores.at[1, 100].set(jnp.nan), 1)[2]


@pytest.mark.filterwarnings("error")
def test_whole_scores_rank_as_the_sort_does():
    whole = jnp.arange(1001)[None]
    assert selection.top_k(whole, 2)[1].tolist() == [[1000, 999]]
    least = jnp.full_like(whole, jnp.iinfo(whole.dtype).min)
    assert selection.top_k(least, 3)[1].tolist() == [[0, 1, 2]]


def test_zeros_of_both_signs_tie():
    plan = EvaluationPlan.build(Csr(np.array([0, 1]), np.array([1])), num_items=3)
    for zeros in ([-1.0, -0.0, 0.0], [-1.0, 0.0, -0.0]):
        found = evaluation.evaluate_item_scores(
            jnp.array(zeros), plan, ks=(1,), metrics=("recall",)
        )
        assert found["recall@1"] == 1


def test_rows_that_do_not_hold_all_indices_are_refused():
    """A slice of a Csr has pointers into the whole: other items would be measured."""
    pointers, items = np.array([0, 2, 3, 5]), np.array([0, 1, 2, 0, 3])
    for csr in (
        Csr(pointers[1:], items[2:]),
        Csr(pointers[1:], items),
        Csr(pointers[:3], items),
        Csr(np.array([0, 2, 1]), items[:1]),
    ):
        with pytest.raises(ValueError, match="indptr of truth must rise from 0 to"):
            EvaluationPlan.build(csr, num_items=4)
    for block in (0, -3, 1.5, "a"):
        with pytest.raises(ValueError, match="block must be"):
            EvaluationPlan.build(Csr(pointers, items), num_items=4, block=block)


def test_selection_takes_what_top_k_takes():
    values = np.arange(300.0)[None]
    for scores in (values, jnp.asarray(values) == 5, np.asarray(values, np.int64)):
        for found, want in zip(
            evaluation.top_k(scores, 2), jax.lax.top_k(jnp.asarray(scores), 2)
        ):
            assert_allclose(found, want)
    with pytest.raises(ValueError, match=r"must be \[rows, num_items\]; got \(3,\)"):
        evaluation.top_k(jnp.ones(3), 2)


def test_nan_scores_are_an_error_and_not_a_ranking():
    users, items, truth, train = problem(10)
    plan = EvaluationPlan.build(csr(truth), num_items=83, exclude=csr(train))
    items[17, 1] = np.nan
    with pytest.raises(FloatingPointError, match="NaN"):
        evaluate(users, items, plan)


def test_what_does_not_fit_is_refused():
    users, items, truth, train = problem(11)
    build = EvaluationPlan.build
    with pytest.raises(ValueError, match="all 47 rows are empty"):
        build(csr(truth & False), num_items=83)
    with pytest.raises(ValueError, match=r"items of truth must lie in \[0, 50\)"):
        build(csr(truth), num_items=50)
    with pytest.raises(ValueError, match=r"exclude\[0\] must have 47 rows.*got 40"):
        build(csr(truth), num_items=83, exclude=csr(train[:40]))
    for mask in (np.ones(5, bool), np.arange(83), [0, 5]):
        with pytest.raises(ValueError, match=r"item_mask must be bool \(83,\); got"):
            build(csr(truth), num_items=83, item_mask=mask)
    twice = Csr(indptr=np.array([0, 2]), indices=np.array([3, 3]))
    with pytest.raises(ValueError, match="twice"):
        build(twice, num_items=83)
    plan = build(csr(truth), num_items=83)
    with pytest.raises(ValueError, match=r"user_emb must be \(47, dim\)"):
        evaluate(users[:3], items, plan)
    with pytest.raises(ValueError, match=r"item_emb must be \(83, dim\)"):
        evaluate(users, items[:3], plan)


@pytest.mark.parametrize("ks", [(2.7,), (), 20, (True,), (0,)])
def test_cut_offs_that_are_none(ks):
    hits = jnp.zeros((1, 3), bool)
    with pytest.raises(ValueError, match="ks must be"):
        evaluation.ranking_metrics(hits, jnp.ones(1), ks=ks)


def test_cut_offs_of_numpy_and_names_in_a_tuple():
    hits = jnp.ones((1, 3), bool)
    found = evaluation.ranking_metrics(hits, jnp.ones(1), np.array([1, 3]), ("recall",))
    assert list(found) == ["recall@1", "recall@3"]
    sentence = "metrics must be a tuple or list of at least one; got 'ndcg'"
    with pytest.raises(ValueError, match=sentence):
        evaluation.ranking_metrics(hits, jnp.ones(1), names="ndcg")


def test_item_scores_are_one_an_item_and_counts_of_items_that_are():
    truth = data.to_csr(data.Interactions(np.arange(3), np.arange(3)), 3)
    plan = evaluation.EvaluationPlan.build(truth, num_items=3)
    with pytest.raises(ValueError, match=r"one an item, \(3,\); got \(3, 3\)"):
        evaluation.evaluate_item_scores(jnp.ones((3, 3)), plan)
    with pytest.raises(ValueError, match=r"items must lie in \[0, 3\); got 5 to 5"):
        evaluation.popularity_scores(np.array([5]), 3)
    with pytest.raises(
        ValueError, match=r"items must be integers in .* got 0.9 to 0.9"
    ):
        evaluation.popularity_scores(np.array([0.9]), 3)
    assert evaluation.popularity_scores(np.array([]), 3).tolist() == [0, 0, 0]


def test_rows_of_the_truth_may_be_in_any_order():
    items = [[7, 2, 5, 0], [3], [6, 1]]
    truth = Csr(np.cumsum([0, *map(len, items)]), np.concatenate(items))
    plan = EvaluationPlan.build(truth, num_items=9)
    options = dict(ks=(9,), metrics=("recall",), per_user=True)
    found = evaluation.evaluate_item_scores(jnp.zeros(9), plan, **options)
    assert found["recall@9"].tolist() == [1, 1, 1]


def test_excluded_items_outside_the_catalogue_are_refused():
    truth = Csr(np.array([0, 1]), np.array([2]))
    for item in (-1, 4):
        outside = Csr(np.array([0, 1]), np.array([item]))
        with pytest.raises(
            ValueError, match=r"items of exclude\[0\] must lie in \[0, 4"
        ):
            EvaluationPlan.build(truth, num_items=4, exclude=outside)


def test_whole_scores_below_0_rank_before_what_fills_the_last_group():
    scores = jnp.arange(1001)[None] - 2000
    assert selection.top_k(scores, 2)[1].tolist() == [[1000, 999]]


@pytest.mark.parametrize("k", [0, -1, 2.5])
def test_a_list_has_a_whole_length(k):
    users, items, truth, train = problem()
    plan = EvaluationPlan.build(csr(truth), num_items=83, exclude=csr(train))
    inputs = jnp.asarray(users), jnp.asarray(items)
    with pytest.raises(ValueError, match="k must be a positive integer"):
        evaluation.rank(evaluation.inner_products, inputs, plan, k)
