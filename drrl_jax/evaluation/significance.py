"""Paired significance tests between methods, over seeds or over users."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class PairedTests:
    """Outcome of comparing paired values ``a`` with ``b``.

    Attributes:
      mean_difference: mean of ``b - a``; positive where ``b`` is better.
      relative: ``mean_difference / mean(a)``; nan where that mean is 0.
      interval: 95 % confidence interval of the mean difference (Student's t).
      t_p: two-sided p-value of the paired t-test.
      wilcoxon_p: two-sided p-value of Wilcoxon's signed-rank test.
      num_pairs: pairs compared.
    """

    mean_difference: float
    relative: float
    interval: tuple[float, float]
    t_p: float
    wilcoxon_p: float
    num_pairs: int


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A method against the baseline, corrected for the number of methods.

    Attributes:
      tests: the uncorrected outcome.
      t_p_holm: Holm-corrected p-value of the t-test.
      wilcoxon_p_holm: Holm-corrected p-value of Wilcoxon's test.
    """

    tests: PairedTests
    t_p_holm: float
    wilcoxon_p_holm: float

    def significant(self, level: float = 0.05) -> bool:
        """Whether both corrected tests reject equality at ``level``."""
        return max(self.t_p_holm, self.wilcoxon_p_holm) < level


def paired_tests(a: Sequence[float], b: Sequence[float]) -> PairedTests:
    r"""Student's paired t-test and Wilcoxon's signed-rank test of :math:`b - a`.

    Values are paired by position: the same seed, or the same user (``evaluate`` with
    ``per_user=True``). With few seeds Wilcoxon's p-value has a floor of
    :math:`2^{1 - n}` for ``n`` pairs: 5 seeds cannot reach 0.05, 6 can. Equal values
    throughout give p = 1.

    Args:
      a: values of the baseline.
      b: values of the method, in the same order.

    Returns:
      The outcome.

    Raises:
      ValueError: lengths differ, fewer than 2 pairs, or a value is not finite.

    Example:
      >>> outcome = paired_tests([0.10, 0.20, 0.30], [0.12, 0.21, 0.33])
      >>> round(outcome.mean_difference, 3), round(outcome.t_p, 4), outcome.wilcoxon_p
      (0.02, 0.0742, 0.25)
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.ndim != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError(
            "a and b must be vectors of the same length, 2 or more; got shapes "
            f"{first.shape} and {second.shape}."
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("a and b must be finite; got nan or inf.")
    from scipy import stats  # half a second that only tests of significance need

    difference = second - first
    # What the order of a sum leaves of equal values is no difference.
    dust = 8 * np.finfo(np.float64).eps
    size = np.maximum(np.abs(first), np.abs(second))
    difference = np.where(np.abs(difference) <= dust * size, 0, difference)
    mean = float(difference.mean())
    error = float(stats.sem(difference))
    # Identical differences (zero ones above all) leave both tests undefined.
    if np.all(difference == 0):
        t_p = wilcoxon_p = 1.0
    else:
        # A mean of constant differences has no error: scipy warns and returns p = 0.
        constant = error <= dust * float(size.mean())
        t_p = 0.0 if constant else float(stats.ttest_1samp(difference, 0).pvalue)
        wilcoxon_p = float(stats.wilcoxon(difference).pvalue)
    half = float(stats.t.ppf(0.975, len(first) - 1)) * error
    baseline = float(first.mean())
    return PairedTests(
        mean_difference=mean,
        relative=mean / baseline if baseline else float("nan"),
        interval=(mean - half, mean + half),
        t_p=t_p,
        wilcoxon_p=wilcoxon_p,
        num_pairs=len(first),
    )


def holm(p_values: Sequence[float]) -> np.ndarray:
    r"""Holm's step-down correction for several tests.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min\{1, (m - j + 1)\, p_{(j)}\}

    Args:
      p_values: ``m`` p-values, in any order.

    Returns:
      ``[m]`` corrected p-values in the same order.

    Raises:
      ValueError: a value outside [0, 1], or no vector.

    Source: Holm, Scandinavian Journal of Statistics, 1979.

    Example:
      >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
      [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, np.float64)
    if values.ndim != 1:
        raise ValueError(f"p_values must be a vector; got shape {values.shape}.")
    if not np.all((values >= 0) & (values <= 1)):
        raise ValueError(f"p_values must be in [0, 1]; got {values.tolist()}.")
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(1, np.maximum.accumulate(factors * values[order]))
    return corrected


def compare(
    baseline: Sequence[float], methods: Mapping[str, Sequence[float]]
) -> dict[str, Comparison]:
    """Each method against one baseline, Holm-corrected over the methods.

    Args:
      baseline: per-seed or per-user values.
      methods: name to values in the same order.

    Returns:
      Name to comparison, in the order given.

    Raises:
      ValueError: as :func:`paired_tests`.

    Example:
      >>> result = compare([1, 2, 3, 4], {"a": [2, 3, 5, 5], "b": [1, 3, 2, 4]})
      >>> {name: round(c.t_p_holm, 3) for name, c in result.items()}
      {'a': 0.031, 'b': 1.0}
    """
    tests = {name: paired_tests(baseline, values) for name, values in methods.items()}
    t_p = holm([t.t_p for t in tests.values()])
    wilcoxon_p = holm([t.wilcoxon_p for t in tests.values()])
    return {
        name: Comparison(outcome, float(t), float(w))
        for (name, outcome), t, w in zip(tests.items(), t_p, wilcoxon_p)
    }
