"""Lower-left partial AUC: a min-max loss with seven variables of its own."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from drrl_jax.losses.reduce import masked_mean
from drrl_jax.losses.rows import ReduceFn, prepare


def llpauc_variables() -> dict[str, jax.Array]:
    r"""The variables of :func:`llpauc` at their published start.

    They are parameters of the training, beside the model's. The loss is a min-max,

    .. math:: \min_{a, b, s_-} \max_{s_+, \gamma} \min_{\theta_a, \theta_b \ge 0},

    so ``gamma`` and ``sp`` ascend and the others descend. The multipliers descend too:
    they belong to the constraints :math:`a + \gamma \ge 0` and
    :math:`\gamma + 1 - b \ge 0` of a variable that is maximised. The code of the
    benchmark that published figures are from steps all seven *down* by Adam, ``sp``,
    ``sn`` and ``gamma`` at twice the model's rate, and leaves the multipliers free;
    there they sink, which drives a to 1, b to 0 and :math:`\gamma` to 1. The config
    field ``loss.auxiliary_form`` chooses between the two.

    Example:
      >>> {name: float(value) for name, value in llpauc_variables().items()}
      {'a': 1.0, 'b': 0.0, 'gamma': 0.0, 'sp': 0.5, 'sn': 0.5,
       'theta_a': 0.5, 'theta_b': 0.5}
    """
    start = {"a": 1.0, "b": 0.0, "gamma": 0.0, "sp": 0.5, "sn": 0.5}
    start |= {"theta_a": 0.5, "theta_b": 0.5}
    return {name: jnp.asarray(value, jnp.float32) for name, value in start.items()}


def project_llpauc(
    variables: Mapping[str, jax.Array], *, multipliers: bool = False
) -> dict[str, jax.Array]:
    r"""Clips the variables of :func:`llpauc` to their ranges; call it after each step.

    :math:`a, b \in [0, 1]`, :math:`s_+ \in [-1, 4]`, :math:`s_- \in [0, 5]`, then
    :math:`\gamma \in [\max(-a, b - 1), 1]`.

    Args:
      variables: the scalars of :func:`llpauc_variables`, by name.
      multipliers: whether :math:`\theta_a, \theta_b \ge 0`, as the min-max demands;
        free by default, as in the code that published figures are from.

    Returns:
      The clipped variables.

    Example:
      >>> import jax.numpy as jnp
      >>> moved = llpauc_variables() | {"a": jnp.array(0.4), "gamma": jnp.array(-0.7)}
      >>> print(f"{project_llpauc(moved)['gamma']:.1f}")
      -0.4
    """
    clipped = dict(variables)
    for name, low, high in (("a", 0, 1), ("b", 0, 1), ("sp", -1, 4), ("sn", 0, 5)):
        clipped[name] = jnp.clip(clipped[name], low, high)
    lowest = jnp.maximum(-clipped["a"], clipped["b"] - 1)
    clipped["gamma"] = jnp.clip(clipped["gamma"], lowest, 1)
    if multipliers:
        for name in ("theta_a", "theta_b"):
            clipped[name] = jnp.maximum(clipped[name], 0)
    return clipped


def llpauc(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    *,
    variables: Mapping[str, ArrayLike],
    alpha: ArrayLike = 0.7,
    beta: ArrayLike = 0.1,
    kappa: ArrayLike = 5.0,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
    reduce_fn: ReduceFn = masked_mean,
) -> jax.Array:
    r"""Lower-left partial AUC (LLPAUC), a surrogate for the head of the ranking.

    With :math:`f = \sigma(s)` and :math:`r(x) = \log(1 + e^{\kappa x})/\kappa`,

    .. math:: -s_+ - \tfrac1\alpha r\big({-(f^+ - a)^2} + 2(1+\gamma) f^+ - s_+\big)
        + s_- + \tfrac{1}{\beta N} \sum_j r\big((f^-_j - b)^2 + 2(1+\gamma) f^-_j
        - s_-\big) - \gamma^2 + \theta_a (a + \gamma) + \theta_b (\gamma + 1 - b)

    This is the form of the authors' code, in which positives beyond a true positive
    rate of :math:`\alpha` and negatives beyond a false positive rate of :math:`\beta`
    are left out. The constants stand in each row, so the mean is the published loss.

    Args:
      pos_scores: ``[...]``, dot products in the paper; the sigmoid is taken here.
      neg_scores: ``[..., negatives]``.
      variables: the scalars of :func:`llpauc_variables`, by name. Whether one descends
        or ascends is the optimiser's matter; :func:`project_llpauc` clips them.
      alpha: true positive rate, in (0, 1].
      beta: false positive rate, in (0, 1].
      kappa: sharpness of the softplus, > 0.
      where: ``[..., negatives]``, True = use.
      log_q: log-probabilities of sampling, if not uniform: the mean becomes a
        self-normalised weighted one.
      reduce_fn: called as ``reduce_fn(values, where=...)``; ``None`` keeps ``[...]``.

    Returns:
      The loss, in the type of the scores.

    Source:
      Shi et al., "Lower-Left Partial AUC: An Effective and Efficient Optimization
      Metric for Recommendation", WWW 2024.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import llpauc, llpauc_variables
      >>> pos, neg = jnp.array([2.0]), jnp.array([[1.0, -1.0]])
      >>> print(f"{llpauc(pos, neg, variables=llpauc_variables()):.4f}")
      7.7070
    """
    rows = prepare(pos_scores, neg_scores, where, log_q)
    alpha = rows.parameter("alpha", alpha, above=0, most=1)
    beta = rows.parameter("beta", beta, above=0, most=1)
    kappa = rows.parameter("kappa", kappa, above=0)
    names = tuple(llpauc_variables())
    if not isinstance(variables, Mapping):
        raise ValueError(
            f"variables must be a mapping of {', '.join(names)}; got {variables!r}."
        )
    missing = sorted(set(names) - set(variables))
    if missing:
        raise ValueError(
            f"variables must hold {', '.join(names)}; missing {', '.join(missing)}."
        )
    a, b, gamma, sp, sn, theta_a, theta_b = (
        rows.parameter(name, variables[name]) for name in names
    )

    def hinge(x: jax.Array, kappa: jax.Array) -> jax.Array:
        return jax.nn.softplus(kappa * x) / kappa

    def column(x: jax.Array) -> jax.Array:
        return x[..., None]

    f_pos, f_neg = jax.nn.sigmoid(rows.pos), jax.nn.sigmoid(rows.neg)
    slope = 2 * (1 + gamma)
    pos_excess = hinge(slope * f_pos - jnp.square(f_pos - a) - sp, kappa)
    beyond = jnp.square(f_neg - column(b)) + column(slope) * f_neg - column(sn)
    neg_excess = rows.mean(hinge(beyond, column(kappa)))
    constraints = theta_a * (a + gamma) + theta_b * (gamma + 1 - b)
    value = -sp - pos_excess / alpha + sn + neg_excess / beta - jnp.square(gamma)
    return rows.reduce(value + constraints, reduce_fn)
