"""``log_q``: corrected samples stand for the catalogue."""

import functools

import jax
import numpy as np
import pytest

from tests.losses.cases import CASES, SHAPE, compiled

ITEMS, DRAWS = 20, 4000


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.id)
def case(request):
    return request.param


@functools.cache
def corrected(case):
    return jax.jit(
        lambda scores, where, log_q: case.loss(
            scores, where=where, log_q=log_q, reduce_fn=None
        )
    )


def test_constant_log_q_is_none(case):
    scores, where = case.scores(), np.random.default_rng(1).random(SHAPE) < 0.7
    # One constant a row, and garbage where masked.
    log_q = np.broadcast_to(np.array([-8.0, 0, 2, -30])[:, None], SHAPE)
    log_q = np.where(where, log_q, np.nan).astype("float32")
    got = corrected(case)(scores, where, log_q)
    want = compiled(case)(scores, where)[0]
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6)


def test_corrected_samples_match_the_catalogue(case):
    """Against the catalogue repeated to as many negatives, so without constants."""
    rng = np.random.default_rng(5)
    full = case.scores((2, ITEMS))
    popularity = 1 / np.arange(1, ITEMS + 1)
    probs = popularity / popularity.sum()
    picks = {
        "all": np.tile(np.arange(ITEMS), DRAWS // ITEMS),
        "drawn": rng.choice(ITEMS, DRAWS, p=probs),
    }
    log_q = {"all": np.zeros(DRAWS), "drawn": np.log(probs[picks["drawn"]])}
    got = {
        key: corrected(case)(
            jax.tree.map(
                lambda x, key=key: x[:, picks[key]] if x.shape == (2, ITEMS) else x,
                full,
            ),
            np.ones((2, DRAWS), bool),
            log_q[key].astype("float32"),
        )
        for key in picks
    }
    # A loss moves by the log of its sum, or by its mean: noise near 1 / sqrt(DRAWS).
    np.testing.assert_allclose(got["drawn"], got["all"], rtol=0.03, atol=0.15)
    uncorrected = corrected(case)(
        jax.tree.map(
            lambda x: x[:, picks["drawn"]] if x.shape == (2, ITEMS) else x, full
        ),
        np.ones((2, DRAWS), bool),
        log_q["all"].astype("float32"),
    )
    gap = np.abs(got["drawn"] - got["all"]).sum()
    assert gap < np.abs(uncorrected - got["all"]).sum()
