"""One epoch: a single jitted, donated ``lax.scan`` over data that lies on the device."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from drrl_jax.training.objective import Objective
from drrl_jax.training.optimiser import (
    AUXILIARY_FORMS,
    of_row_sums,
    project,
    rate_override,
)
from drrl_jax.training.refresh import refresh
from drrl_jax.training.sampling import Sampling, draw_batch
from drrl_jax.training.sparse import sparse_step
from drrl_jax.training.state import (
    Batch,
    DeviceData,
    Stream,
    TrainState,
    start_of_stream,
)


def steps_per_epoch(num_interactions: int, batch_size: int) -> int:
    """Steps that see every interaction once; the last one may be padded."""
    return -(-num_interactions // batch_size)


def stream(seed: jax.Array, number: Stream, step: jax.Array) -> jax.Array:
    """The key of a step in one of a run's streams of randomness."""
    return jax.random.fold_in(start_of_stream(seed, number), step)


def shuffled(seed: jax.Array, step: jax.Array, count: int, size: int) -> jax.Array:
    """Rows of an epoch that begins at ``step``: ``int32 [steps, size]``.

    A permutation of ``0 … count - 1``; the last step is padded with ``count``.
    """
    order = jax.random.permutation(stream(seed, Stream.SHUFFLE, step), count).astype(
        jnp.int32
    )
    steps = steps_per_epoch(count, size)
    padding = jnp.full((steps * size - count,), count, jnp.int32)
    return jnp.concatenate([order, padding]).reshape(steps, size)


def draw_step(
    seed: jax.Array,
    step: jax.Array,
    data: DeviceData,
    rows: jax.Array,
    sampling: Sampling,
) -> tuple[Batch, jax.Array]:
    """The ids of a step, and the key of what its backbone draws."""
    negative_key, model_key = jax.random.split(stream(seed, Stream.STEP, step))
    return draw_batch(negative_key, data, rows, sampling), model_key


def draw_epoch(
    seed: jax.Array,
    step: jax.Array,
    data: DeviceData,
    sampling: Sampling,
    num_interactions: int,
) -> tuple[Batch, jax.Array]:
    """`draw_step` of all steps of an epoch, which several runs of one seed may share."""
    order = shuffled(seed, step, num_interactions, sampling.batch_size)
    steps = step + jnp.arange(len(order), dtype=step.dtype)
    return jax.lax.map(
        lambda x: draw_step(seed, x[0], data, x[1], sampling), (steps, order)
    )


Overrides = Mapping[str, jax.Array]
EpochFunction = Callable[..., tuple[TrainState, jax.Array]]


def make_epoch(
    objective: Objective,
    optimiser: optax.GradientTransformationExtraArgs,
    sampling: Sampling,
    *,
    num_interactions: int,
    refresh_steps: int,
    top_k: int = 20,
    sparse: bool = False,
    auxiliary_form: str = AUXILIARY_FORMS[0],
) -> EpochFunction:
    """Builds ``epoch(state, data, seed, overrides) -> (state, losses [steps])``.

    What ``draw_epoch`` gives may be handed over as ``drawn``; else it is drawn as it goes.
    It is neither jitted nor vmapped: ``jit_epoch`` makes the one run of it, a sweep maps
    it over states, seeds and ``overrides`` (traced hyperparameters).

    All randomness is a function of ``seed`` and the step number, so an epoch that is run
    again from the same state gives the same bits, resumed or not (on a GPU, where XLA
    picks kernels by timing them, as long as the compilation cache is the same).

    Args:
      objective: the bound loss.
      optimiser: rule for all parameters.
      sampling: batch size and negatives.
      num_interactions: training interactions.
      refresh_steps: steps between refreshes of the per-user statistics.
      top_k: rank of SL@K's quantile.
      sparse: update only the embedding rows of a batch (MF); see ``sparse.py``.
      auxiliary_form: how LLPAUC's variables move, one of ``AUXILIARY_FORMS``.
    """

    def epoch(
        state: TrainState,
        data: DeviceData,
        seed: jax.Array,
        overrides: Overrides,
        drawn: tuple[Batch, jax.Array] | None = None,
    ):
        def step(state: TrainState, given: Any):
            per_user = state.per_user
            if per_user:
                per_user = jax.lax.cond(
                    state.step % refresh_steps == 0,
                    lambda: refresh(
                        objective,
                        state.params,
                        state.per_user,
                        data,
                        overrides,
                        top_k=top_k,
                    ),
                    lambda: dict(state.per_user),
                )
            if drawn is None:
                given = draw_step(seed, state.step, data, given, sampling)
            batch, model_key = given
            if sparse:
                loss, params, opt_state = sparse_step(
                    objective,
                    optimiser,
                    state.params,
                    state.opt_state,
                    per_user,
                    data,
                    batch,
                    model_key,
                    overrides,
                )
            else:
                loss, gradients = jax.value_and_grad(objective)(
                    state.params, per_user, data, batch, model_key, overrides
                )
                updates, opt_state = optimiser.update(
                    of_row_sums(gradients, batch.valid.sum()),
                    state.opt_state,
                    state.params,
                    **rate_override(overrides),
                )
                params = optax.apply_updates(state.params, updates)
            params = project(params, auxiliary_form)
            state = TrainState(state.step + 1, params, opt_state, per_user)
            return state, loss

        if drawn is None:
            size = sampling.batch_size
            return jax.lax.scan(
                step, state, shuffled(seed, state.step, num_interactions, size)
            )
        return jax.lax.scan(step, state, drawn)

    return epoch


@functools.lru_cache(maxsize=1)
def jit_epoch(epoch: EpochFunction) -> EpochFunction:
    """Compiled with its state donated: the old state's buffers are reused.

    The last one is kept: what traces an epoch to check it, and what runs it then, trace
    it once.
    """
    return jax.jit(epoch, donate_argnums=0)
