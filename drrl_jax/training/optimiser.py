"""The optimiser of a run, from Optax parts: one rule for each kind of parameter."""

from collections.abc import Mapping
from typing import Any

import jax
import optax
from ml_collections import config_dict

from drrl_jax import losses

_RULES = {
    "adam": optax.scale_by_adam,
    # Its sums start at 0.1: there is no root of zero.
    "adagrad": lambda eps_root: optax.scale_by_rss(),
}
# With the prefix "sparse_" the rule sees only the rows of the batch; see sparse.py.
OPTIMISERS = (*_RULES, *(f"sparse_{name}" for name in _RULES))

THRESHOLD_OPTIMISERS = {"sgd": optax.sgd, "adam": optax.adam}

# How LLPAUC's variables move: all down, as in the code of the published figures, or
# the maximised ones up. The rates, as multiples of the model's, are that code's.
AUXILIARY_FORMS = ("descend", "ascend")
_LLPAUC_MAXIMISED = ("gamma", "sp")
_LLPAUC_RATES = {"gamma": 2.0, "sp": 2.0, "sn": 2.0}


def learning_rate(config: config_dict.ConfigDict, total_steps: int) -> optax.Schedule:
    """Learning rate by step: constant or cosine, after a linear warm-up."""
    training = config.training
    peak, warmup = training.learning_rate, training.warmup_steps
    if training.schedule == "cosine":
        rest = max(total_steps - warmup, 1)
        schedule = optax.cosine_decay_schedule(peak, rest)
    else:
        schedule = optax.constant_schedule(peak)
    if warmup:
        ramp = optax.linear_schedule(0.0, peak, warmup)
        schedule = optax.join_schedules([ramp, schedule], [warmup])
    return schedule


def make_optimiser(
    config: config_dict.ConfigDict, steps_per_epoch: int, *, eps_root: float = 0.0
) -> optax.GradientTransformationExtraArgs:
    """Adam or Adagrad for the model; the auxiliary variables by their own rules.

    Args:
      config: the run's config.
      steps_per_epoch: for schedules and the adversary's turns.
      eps_root: added under the square root of the model's rule, whose derivative at a
        row that has had no gradient is else infinite (for updates differentiated).

    Returns:
      A transformation over ``{"model": …, "threshold": …, …}``. Its update takes a
      traced ``learning_rate`` as a keyword, in place of the config's (sweeps).
    """
    training, loss = config.training, config.loss
    steps: list[optax.GradientTransformation] = []
    if training.clip_norm:
        steps.append(optax.clip_by_global_norm(training.clip_norm))
    if training.weight_decay and training.weight_decay_mode == "coupled":
        steps.append(optax.add_decayed_weights(training.weight_decay))
    rule_name = training.optimiser.removeprefix("sparse_")
    steps.append(_RULES[rule_name](eps_root=eps_root))
    if training.weight_decay and training.weight_decay_mode == "decoupled":
        steps.append(optax.add_decayed_weights(training.weight_decay))
    total = steps_per_epoch * training.epochs
    schedule = learning_rate(config, total)
    steps.append(optax.scale_by_learning_rate(schedule))
    rules = {"model": _at_rate(optax.chain(*steps), training.learning_rate)}

    threshold_rule = THRESHOLD_OPTIMISERS[loss.threshold_optimizer]
    rules["threshold"] = threshold_rule(loss.threshold_learning_rate)

    every = loss.adversary_every * steps_per_epoch

    def adversary_turn(step, **_: Any):
        return step % every >= every - steps_per_epoch

    rules["adversary"] = optax.conditionally_mask(
        optax.chain(optax.scale(-1.0), optax.adam(loss.adversary_learning_rate)),
        adversary_turn,
    )
    rules["llpauc"] = _llpauc_rule(
        loss.auxiliary_learning_rate or training.learning_rate, auxiliary_form(config)
    )
    if not loss.auxiliary_learning_rate:
        rules["llpauc"] = _at_rate(rules["llpauc"], training.learning_rate)
    return optax.partition(rules, lambda params: {name: name for name in params})


def _at_rate(
    rule: optax.GradientTransformation, rate: float
) -> optax.GradientTransformationExtraArgs:
    """A rule made for a rate, at the traced ``learning_rate`` its update may be given."""
    inner = optax.with_extra_args_support(rule)

    def update(updates, state, params=None, *, learning_rate=None, **extra):
        updates, state = inner.update(updates, state, params, **extra)
        if learning_rate is not None:
            factor = learning_rate / rate
            updates = jax.tree.map(lambda u: factor * u, updates)
        return updates, state

    return optax.GradientTransformationExtraArgs(inner.init, update)


def rate_override(overrides: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """The part of the overrides that goes to the optimiser's update."""
    return {name: overrides[name] for name in ("learning_rate",) if name in overrides}


def of_row_sums(gradients: dict[str, Any], num_rows: jax.Array) -> dict[str, Any]:
    """Gradients of a mean over rows, those of the thresholds turned into the sum's.

    The paper descends the *sum* over the batch: a user's threshold moves by its own
    rows' gradients, however many others the batch has (the last one may have few).

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.training.optimiser import of_row_sums
      >>> gradients = {"model": jnp.ones(1), "threshold": jnp.ones(1)}
      >>> of_row_sums(gradients, jnp.array(4.0))["threshold"].tolist()
      [4.0]
    """
    if "threshold" not in gradients:
        return gradients
    return {**gradients, "threshold": gradients["threshold"] * num_rows}


def auxiliary_form(config: config_dict.ConfigDict) -> str:
    """The form of LLPAUC's variables in force: the config's, or the published code's."""
    return config.loss.auxiliary_form or AUXILIARY_FORMS[0]


def _llpauc_rule(rate: float, form: str) -> optax.GradientTransformation:
    """Adam on LLPAUC's variables, each at its own rate and in its own direction."""
    # Adam is odd in the gradient, so the sign may as well be turned after it.
    steps = {
        name: rate * _LLPAUC_RATES.get(name, 1.0) for name in losses.llpauc_variables()
    }
    if form == "ascend":
        steps |= {name: -steps[name] for name in _LLPAUC_MAXIMISED}

    def scale(updates, _):
        return jax.tree_util.tree_map_with_path(
            lambda path, update: -steps[path[-1].key] * update, updates
        )

    return optax.chain(optax.scale_by_adam(), optax.stateless(scale))


def project(params: dict[str, Any], form: str = AUXILIARY_FORMS[0]) -> dict[str, Any]:
    """Auxiliary variables clipped to their domains after an update.

    Args:
      params: all parameters of the run.
      form: one of ``AUXILIARY_FORMS``; multipliers are non-negative where they bind.
    """
    if "llpauc" not in params:
        return params
    clipped = losses.project_llpauc(params["llpauc"], multipliers=form == "ascend")
    return {**params, "llpauc": clipped}
