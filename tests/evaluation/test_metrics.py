"""Metrics against ir-measures, hand-made cases and what must not change them."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from drrl_jax.evaluation import METRICS, ranking_metrics

KS = (1, 3, 5, 20)


def cases(num_users=60, num_items=25, seed=0):
    """Random scores with many ties, and at least one relevant item a user."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, (num_users, num_items)).astype(np.float32)
    relevant = (
        rng.random((num_users, num_items)) < rng.uniform(0.02, 0.6, num_users)[:, None]
    )
    relevant[np.arange(num_users), rng.integers(0, num_items, num_users)] = True
    return scores, relevant


def ranked_hits(scores, relevant):
    order = np.argsort(-scores, axis=-1, kind="stable")
    return np.take_along_axis(relevant, order, -1)


def test_equals_ir_measures_for_every_user_and_on_average():
    ir = pytest.importorskip("ir_measures")
    scores, relevant = cases()
    hits = ranked_hits(scores, relevant)
    ours = ranking_metrics(hits, relevant.sum(-1), KS, tuple(METRICS))
    order = np.argsort(-scores, axis=-1, kind="stable")
    # ir-measures sorts by score itself: hand it the places, which have no ties.
    run = [
        ir.ScoredDoc(str(u), str(i), float(-place))
        for u, items in enumerate(order)
        for place, i in enumerate(items)
    ]
    qrels = [ir.Qrel(str(u), str(i), 1) for u, i in zip(*np.nonzero(relevant))]
    theirs = {
        "recall": ir.R,
        "ndcg": ir.nDCG,
        "precision": ir.P,
        "hit": ir.Success,
        "mrr": ir.RR,
        "map": ir.AP,
    }
    measures = {str(m @ k): f"{n}@{k}" for n, m in theirs.items() for k in KS}
    parsed = [m @ k for m in theirs.values() for k in KS]
    for row in ir.iter_calc(parsed, qrels, run):
        name = measures[str(row.measure)]
        assert_allclose(ours[name][int(row.query_id)], row.value, atol=1e-6)
    for measure, mean in ir.calc_aggregate(parsed, qrels, run).items():
        assert_allclose(ours[measures[str(measure)]].mean(), mean, atol=1e-6)


def test_one_pass_equals_one_metric_at_a_time_and_cut_lists():
    scores, relevant = cases(seed=1)
    hits, n = ranked_hits(scores, relevant), relevant.sum(-1)
    together = ranking_metrics(hits, n, KS, tuple(METRICS))
    assert list(together)[:2] == ["recall@1", "recall@3"]
    for name, metric in METRICS.items():
        for k in KS:
            assert_allclose(together[f"{name}@{k}"], metric(hits, n, k))
            assert_allclose(together[f"{name}@{k}"], metric(hits[:, :k], n, k))


def test_best_list_scores_one_and_empty_list_scores_zero():
    n = jnp.array([1, 3, 7])
    ideal = jnp.arange(10) < n[:, None]
    for name, value in ranking_metrics(ideal, n, (5,), tuple(METRICS)).items():
        if name == "precision@5":
            assert_allclose(value, [0.2, 0.6, 1.0])
        elif name in ("recall@5", "map@5"):
            assert_allclose(value, [1, 1, 5 / 7], rtol=1e-6)
        else:
            assert_allclose(value, 1, rtol=1e-6)
    for value in ranking_metrics(ideal & False, n, (5,), tuple(METRICS)).values():
        assert_allclose(value, 0)


def test_a_hit_moved_up_never_lowers_a_metric():
    rng = np.random.default_rng(2)
    hits = rng.random((200, 12)) < 0.3
    better = hits.copy()
    better[:, 4] |= better[:, 9]
    better[:, 9] = hits[:, 4] & hits[:, 9]
    before = ranking_metrics(hits, np.full(200, 12), KS, tuple(METRICS))
    after = ranking_metrics(better, np.full(200, 12), KS, tuple(METRICS))
    for name in before:
        assert np.all(np.asarray(after[name]) >= np.asarray(before[name]) - 1e-7), name


def test_user_without_relevant_items_scores_zero():
    hits = jnp.zeros((1, 4), bool)
    for value in ranking_metrics(hits, jnp.array([0]), (4,), tuple(METRICS)).values():
        assert value.tolist() == [0.0]


@pytest.mark.parametrize(
    ("ks", "names", "message"),
    [
        ((0,), ("recall",), "ks must be positive integers; got 0"),
        ((20,), ("ndgc",), "Did you mean 'ndcg'"),
    ],
)
def test_impossible_requests_are_refused(ks, names, message):
    with pytest.raises(ValueError, match=message):
        ranking_metrics(jnp.zeros((2, 4), bool), jnp.ones(2), ks, names)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"got hits \(2, 4\), num_relevant \(3,\)"):
        METRICS["recall"](jnp.zeros((2, 4), bool), jnp.ones(3), 2)
