"""Significance tests against exact enumeration and known behaviour under the null."""

import itertools
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from drrl_jax.evaluation import compare, holm, paired_tests


def test_t_test_equals_its_formula():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 12))
    outcome = paired_tests(a, b)
    d = b - a
    assert outcome.mean_difference == pytest.approx(d.mean())
    low, high = outcome.interval
    assert (low + high) / 2 == pytest.approx(d.mean())
    # t quantile of 11 degrees of freedom, from tables.
    assert high - d.mean() == pytest.approx(2.2009852 * d.std(ddof=1) / math.sqrt(12))
    assert (outcome.t_p < 0.05) == (low > 0 or high < 0)


def test_wilcoxon_equals_enumeration_of_signs():
    d = np.array([0.3, -0.1, 0.5, 0.7, 0.2, -0.05, 0.9])
    ranks = np.argsort(np.argsort(np.abs(d))) + 1
    seen = abs(ranks @ np.sign(d))
    signs = np.array(list(itertools.product([-1, 1], repeat=len(d))))
    exact = np.mean(np.abs(signs @ ranks) >= seen)
    assert paired_tests(np.zeros(7), d).wilcoxon_p == pytest.approx(exact)


def test_swapping_the_two_flips_the_sign_only():
    a, b = np.random.default_rng(1).random((2, 9))
    one, other = paired_tests(a, b), paired_tests(b, a)
    assert one.mean_difference == -other.mean_difference
    assert (one.t_p, one.wilcoxon_p) == pytest.approx((other.t_p, other.wilcoxon_p))


@pytest.mark.filterwarnings("error")
def test_equal_values_are_no_evidence_and_constant_gains_are():
    same = paired_tests([0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    assert (same.t_p, same.wilcoxon_p, same.mean_difference) == (1.0, 1.0, 0.0)
    gain = paired_tests([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    assert gain.t_p == 0.0 and gain.wilcoxon_p == pytest.approx(0.25)
    assert gain.relative == pytest.approx(0.5)


def test_what_rounding_leaves_of_equal_values_is_no_evidence():
    found = paired_tests([0.1 + 0.2] * 10, [0.3] * 10)
    assert (found.mean_difference, found.t_p, found.wilcoxon_p) == (0, 1, 1)
    gains = np.arange(20) / 10
    assert paired_tests(gains, gains + 0.1).t_p == 0  # and SciPy warns of nothing


def test_holm_is_no_smaller_than_raw_keeps_order_and_handles_one():
    p = np.random.default_rng(2).random(20)
    corrected = holm(p)
    assert np.all(corrected >= p) and np.all(corrected <= 1)
    assert np.all(np.diff(corrected[np.argsort(p)]) >= 0)
    assert_allclose(holm([0.2]), [0.2])
    assert holm([]).shape == (0,)


def test_false_discoveries_under_the_null_stay_rare():
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(100):
        base, *others = rng.normal(size=(6, 10))
        results = compare(base, dict(enumerate(others)))
        found += any(r.significant() for r in results.values())
    assert found <= 12


def test_a_real_gain_is_found_among_the_others():
    rng = np.random.default_rng(4)
    base = rng.random(400)
    results = compare(
        base,
        {"better": base + 0.02 + 0.05 * rng.normal(size=400), "same": base[::-1]},
    )
    assert results["better"].significant() and not results["same"].significant()
    assert results["better"].t_p_holm >= results["better"].tests.t_p


@pytest.mark.parametrize(
    ("a", "b"), [([1.0], [2.0]), ([1.0, 2.0], [1.0]), ([1.0, np.nan], [1.0, 2.0])]
)
def test_unpairable_values_are_refused(a, b):
    with pytest.raises(ValueError, match="a and b must be"):
        paired_tests(a, b)


def test_both_tests_must_reject():
    """A constant gain on three pairs: t is sure of it, Wilcoxon cannot be."""
    found = compare([1.0, 2.0, 3.0], {"a": [2.0, 3.0, 4.0]})["a"]
    assert (found.t_p_holm, found.wilcoxon_p_holm) == (0, 0.25)
    assert not found.significant() and found.significant(0.3)


@pytest.mark.parametrize("values", [[0.2, 1.5], [-0.1], [np.nan]])
def test_what_is_no_p_value_is_refused(values):
    with pytest.raises(ValueError, match=r"p_values must be in \[0, 1\]; got"):
        holm(values)


@pytest.mark.filterwarnings("error")
def test_a_constant_gain_over_nothing_is_one_up_to_rounding():
    gain = paired_tests([0.0] * 10, [0.3, 0.1 + 0.2] * 5)
    assert gain.t_p == 0 and gain.mean_difference == pytest.approx(0.3)
