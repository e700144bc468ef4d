"""The optimiser of a run, from Optax parts: one rule for each kind of parameter."""

from typing import Any

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
) -> optax.GradientTransformation:
    """Adam or Adagrad for the model; the auxiliary variables by their own rules.

    Args:
      config: the run's config.
      steps_per_epoch: for schedules and the adversary's turns.
      eps_root: added under the square root of the model's rule, whose derivative at a
        row that has had no gradient is else infinite (for updates differentiated).

    Returns:
      A transformation over ``{"model": …, "threshold": …, …}``.
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
    rules = {"model": optax.chain(*steps)}

    own_rate = loss.threshold_learning_rate
    # The paper descends the *sum* over the batch: a user's threshold moves by its own
    # rows' gradients, however large the batch. The objective is a mean, so scale back.
    per_row = optax.scale(float(training.batch_size))
    rule = {"sgd": optax.sgd, "adam": optax.adam}[loss.threshold_optimizer]
    rules["threshold"] = optax.chain(per_row, rule(own_rate))

    every = loss.adversary_every * steps_per_epoch

    def adversary_turn(step, **_: Any):
        return step % every >= every - steps_per_epoch

    rules["adversary"] = optax.conditionally_mask(
        optax.chain(optax.scale(-1.0), optax.adam(loss.adversary_learning_rate)),
        adversary_turn,
    )
    rules["llpauc"] = _ascend_descend(
        loss.auxiliary_learning_rate or training.learning_rate
    )
    return optax.partition(rules, lambda params: {name: name for name in params})


def _ascend_descend(rate: float) -> optax.GradientTransformation:
    """LLPAUC's variables: descent on all, as in the reference form."""
    return optax.sgd(rate)


def project(params: dict[str, Any]) -> dict[str, Any]:
    """Auxiliary variables clipped to their domains after an update."""
    if "llpauc" not in params:
        return params
    return {**params, "llpauc": losses.project_llpauc(params["llpauc"])}
