r"""The order learned: descended on validation positives, through the model's steps.

Training loss cannot choose the order. Balls of one radius nest: :math:`D_\gamma` never
falls with :math:`\gamma`, so the worst case :math:`V` never rises, and descending the loss
that the model is trained on would send :math:`\gamma` to infinity on any data. At a fixed
temperature an order comes with a threshold :math:`\max f - k\tau` of its own, and the
value moves with that: down to order 1 at small temperatures, whatever ranks well. What an
order is worth shows on interactions that it was not fitted to, by a measure in which it
does not occur:

.. math:: \min_\gamma \; C\big(\theta_K(\gamma); \text{valid}\big), \qquad
          \theta_{t+1} = \theta_t - u\big(\nabla_\theta L(\theta_t, \gamma)\big)

with :math:`u` the optimiser's update. The outer gradient is that of the unrolled
:math:`K` steps, second derivatives included (:func:`drrl_jax.dro.worst_case` has them by
the implicit function theorem). The unknown is :math:`\rho = \log(\gamma - 1)`, the logit
of :math:`\kappa = (\gamma - 1)/\gamma`; one for all users, or one for each group.
"""

import dataclasses
import math
import zlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import config_dict

from drrl_jax import data as data_lib
from drrl_jax import losses
from drrl_jax._names import check_choice as choice
from drrl_jax._numbers import is_count
from drrl_jax.losses.reduce import masked_mean
from drrl_jax.rows import take_rows
from drrl_jax.training.build import Parts
from drrl_jax.training.epoch import draw_step, shuffled, stream
from drrl_jax.training.optimiser import make_optimiser
from drrl_jax.training.sampling import Sampling, draw_batch
from drrl_jax.training.state import DeviceData, Stream, TrainState

CRITERIA = ("softmax", "bpr", "psl")
LEAST, MOST = -5.0, 5.0  # of the logit
ORDERS = 1 + math.exp(LEAST), 1 + math.exp(MOST)  # from 1.007 to 149
# Under the root of Adam's second moment: as small as its own epsilon is beside it.
EPS_ROOT = 1e-16


def order_of(logits: jax.Array) -> jax.Array:
    r"""The order :math:`\gamma = 1 + e^\rho` whose kappa has the logit :math:`\rho`.

    Example:
      >>> import jax.numpy as jnp
      >>> float(order_of(jnp.zeros(())))
      2.0
    """
    return 1 + jnp.exp(logits)


def activity_groups(parts: Parts, count: int) -> np.ndarray:
    """Users in ``count`` groups of equal size by their number of training positives.

    Args:
      parts: what ``build`` returns.
      count: number of groups; 1 puts all users in one.

    Returns:
      The group of each user, ``int32 [num_users]``; the last is the most active.

    Raises:
      ValueError: for no group, or more than users.
    """
    num_users = parts.dataset.num_users
    if not (isinstance(count, (int, np.integer)) and 1 <= count <= num_users):
        raise ValueError(
            f"count must be a whole number of groups in [1, {num_users}]; got {count!r}."
        )
    degrees = np.bincount(parts.dataset.train.users, minlength=num_users)
    rank = degrees.argsort(kind="stable").argsort(kind="stable")
    return (rank * count // len(rank)).astype(np.int32)


def check_dense(config: config_dict.ConfigDict) -> None:
    """Refuses an optimiser through whose updates no order is learned."""
    if config.training.optimiser.startswith("sparse_"):
        raise ValueError(
            "an order is learned through dense updates; got training.optimiser"
            f" {config.training.optimiser!r}."
        )


def learn_order(
    parts: Parts,
    groups: np.ndarray,
    *,
    start: float = 1.5,
    rate: float = 0.05,
    inner_steps: int = 4,
    criterion: str = "softmax",
) -> Parts:
    """A run whose order is a parameter, descended on the validation split.

    Every ``inner_steps`` steps of the model, Adam moves ``params["order"]`` (logits, one
    a group) by the gradient of the criterion after those steps. Everything else is the
    run that ``parts`` describes: ``fit`` drives either.

    Args:
      parts: a built run of ``drrl`` (solved) or ``drrl_tempered`` (at a temperature).
      groups: the group of each user, ``[num_users]``, from 0.
      start: the order to start from, between 1.007 and 149, which bound it throughout.
      rate: Adam's learning rate of the logits; 0 holds them.
      inner_steps: steps of the model that are unrolled, at most those of an epoch.
      criterion: loss of the validation positives, at its default hyperparameters.

    Returns:
      The parts, with another epoch and another optimiser.

    Raises:
      ValueError: for a run without an order to learn, without validation interactions,
        with a sparse optimiser or with a ``weight``, whose radius moves with the order,
        and for groups and numbers out of range.
    """
    choice("criterion", criterion, CRITERIA)
    if parts.objective.mode not in ("solved", "row"):
        raise ValueError(
            "an order is learned for loss.threshold_mode 'solved' or 'row'; got"
            f" {parts.objective.loss_name!r} in mode {parts.objective.mode!r}."
        )
    check_dense(parts.config)
    if not len(parts.dataset.valid):
        raise ValueError(f"{parts.dataset.name} has no validation interactions.")
    if parts.config.loss.weight is not None:
        raise ValueError(
            "an order is learned at a loss.radius, not at a loss.weight, whose radius"
            f" follows from the order; got loss.weight={parts.config.loss.weight}."
        )
    lowest, highest = ORDERS
    if not lowest <= start <= highest:
        raise ValueError(
            f"start must be an order from {lowest:.4g} to {highest:.4g}; got {start!r}."
        )
    if not 0 <= rate < np.inf:
        raise ValueError(f"rate must be at least 0 and finite; got {rate!r}.")
    if not (is_count(inner_steps) and inner_steps <= parts.steps_per_epoch):
        raise ValueError(
            "inner_steps must be a positive integer and at most the steps of an epoch,"
            f" {parts.steps_per_epoch}; got {inner_steps!r}."
        )
    groups = _checked_groups(groups, parts.dataset.num_users)
    rule = make_optimiser(parts.config, parts.steps_per_epoch, eps_root=EPS_ROOT)
    logits = jnp.full((int(groups.max()) + 1,), np.log(start - 1), jnp.float32)
    both = optax.GradientTransformation(
        lambda params: {
            "model": rule.init({"model": params["model"]}),
            "order": optax.adam(rate).init(params["order"]),
        },
        _no_update,
    )
    lookahead = make_lookahead(parts, groups, rule, criterion)
    return dataclasses.replace(
        parts,
        optimiser=both,
        extra_params={"order": logits},
        extra_config={
            "learn_order": {
                "start": float(start),
                "rate": float(rate),
                "inner_steps": int(inner_steps),
                "criterion": criterion,
                "groups": f"{zlib.crc32(groups.astype(np.int64).tobytes()):08x}",
            }
        },
        epoch=_make_epoch(parts, lookahead, optax.adam(rate), inner_steps),
    )


def _checked_groups(groups: np.ndarray, num_users: int) -> np.ndarray:
    groups = np.asarray(groups)
    whole = np.issubdtype(groups.dtype, np.integer)
    if groups.shape != (num_users,) or not whole or groups.min() < 0:
        least = groups.min() if groups.size else "none"
        raise ValueError(
            f"groups must be whole numbers from 0, [num_users], ({num_users},); got"
            f" {groups.dtype} {groups.shape} from {least}."
        )
    return groups


Lookahead = Callable[..., tuple[jax.Array, tuple[TrainState, jax.Array]]]


def make_lookahead(
    parts: Parts,
    groups: np.ndarray,
    rule: optax.GradientTransformation,
    criterion: str,
) -> Lookahead:
    """``lookahead(logits, state, data, seed, rows [K, batch], outer)``: some steps ahead.

    It makes a step of the model for each line of ``rows`` (all but the logits move) and
    returns the criterion on validation positives, with the state and the steps' losses;
    ``outer=False`` leaves the criterion out. Differentiable in the logits.
    """
    objective, sampling = parts.objective, parts.sampling
    of_user = jnp.asarray(groups, jnp.int32)
    valid = _validation_data(parts)
    measured = Sampling(sampling.batch_size, sampling.negatives or 1024)

    def one_step(logits, state: TrainState, data: DeviceData, seed, rows):
        batch, model_key = draw_step(seed, state.step, data, rows, sampling)
        own = {"gamma": take_rows(order_of(logits), of_user[batch.users])}
        params, opt_state = state.params, state.opt_state
        loss, gradients = jax.value_and_grad(
            lambda model: objective({"model": model}, {}, data, batch, model_key, own)
        )(params["model"])
        model = {"model": params["model"]}
        updates, inner = rule.update({"model": gradients}, opt_state["model"], model)
        return TrainState(
            state.step + 1,
            params | optax.apply_updates(model, updates),
            {**opt_state, "model": inner},
            state.per_user,
        ), loss

    def lookahead(logits, state: TrainState, data, seed, rows, outer: bool = True):
        key = stream(seed, Stream.LOOKAHEAD, state.step)
        state, step_losses = jax.lax.scan(
            lambda state, rows: one_step(logits, state, data, seed, rows), state, rows
        )
        aux = state, step_losses
        if not outer:
            return jnp.zeros(()), aux
        row_key, draw_key, model_key = jax.random.split(key, 3)
        size = (sampling.batch_size,)
        chosen = jax.random.randint(row_key, size, 0, valid.users.shape[0])
        batch = draw_batch(draw_key, valid, chosen, measured)
        scored = objective.score(state.params, data, batch, model_key)
        value = losses.LOSSES[criterion](
            scored.positive, scored.negative, where=scored.where, reduce_fn=None
        )
        return masked_mean(value, batch.valid), aux

    return lookahead


def _make_epoch(
    parts: Parts,
    lookahead: Lookahead,
    outer_rule: optax.GradientTransformation,
    inner_steps: int,
):
    """The epoch of ``epoch.py``, the order moved after every ``inner_steps`` steps."""
    count, size = parts.data.users.shape[0], parts.sampling.batch_size
    steps = parts.steps_per_epoch
    whole = steps // inner_steps * inner_steps

    def epoch(
        state: TrainState,
        data: DeviceData,
        seed: jax.Array,
        overrides: Any,
        drawn: Any = None,
    ):
        del drawn  # by the look-ahead itself, the same
        if overrides:
            raise ValueError(
                "the run of a learned order has one setting; got overrides"
                f" {', '.join(overrides)}."
            )
        rows = shuffled(seed, state.step, count, size)

        def outer_step(state: TrainState, rows: jax.Array):
            (_, (ahead, step_losses)), gradient = jax.value_and_grad(
                lookahead, has_aux=True
            )(state.params["order"], state, data, seed, rows)
            updates, outer = outer_rule.update(gradient, state.opt_state["order"])
            logits = optax.apply_updates(state.params["order"], updates)
            return ahead._replace(
                params={**ahead.params, "order": jnp.clip(logits, LEAST, MOST)},
                opt_state={**ahead.opt_state, "order": outer},
            ), step_losses

        groups_of_rows = rows[:whole].reshape(-1, inner_steps, size)
        state, step_losses = jax.lax.scan(outer_step, state, groups_of_rows)
        step_losses = step_losses.reshape(-1)
        if whole < steps:  # too few steps are left to unroll
            logits = state.params["order"]
            _, (state, rest) = lookahead(logits, state, data, seed, rows[whole:], False)
            step_losses = jnp.concatenate([step_losses, rest])
        return state, step_losses

    return epoch


def _validation_data(parts: Parts) -> DeviceData:
    """Validation positives; their negatives are in neither split."""
    dataset = parts.dataset
    known = data_lib.concatenate(dataset.known, dataset.valid)
    table = data_lib.negative_table(
        data_lib.to_csr(known, dataset.num_users), dataset.num_items
    )
    return DeviceData(
        users=jnp.asarray(dataset.valid.users, jnp.int32),
        items=jnp.asarray(dataset.valid.items, jnp.int32),
        sampler=table,
        positives=parts.data.positives,
    )


def _no_update(updates, state, params=None):
    raise NotImplementedError("the epoch of a learned order updates by itself.")
