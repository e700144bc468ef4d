"""Many settings of a run in one program: shared data, a compile, a mapped epoch."""

import copy
import functools
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from drrl_jax import dro
from drrl_jax.products import cores
from drrl_jax.training.build import Parts, make_objective
from drrl_jax.training.config import defaults, has_budget, taken
from drrl_jax.training.epoch import draw_epoch
from drrl_jax.training.progress import finite_leaves
from drrl_jax.training.sampling import draw_batch
from drrl_jax.training.state import TrainState
from drrl_jax.training.validation import validate

# The most ids of an epoch that settings in turn share: 256 MB of them.
_SHARED_IDS = 1 << 26


class Grid(NamedTuple):
    """What a grid of runs returns.

    Attributes:
      states: the last state of every setting; leaves have a leading ``[settings]``.
      losses: mean loss of each epoch, ``float32 [epochs, settings]``.
      seconds: wall time of each epoch of all settings; the first one compiles.
    """

    states: TrainState
    losses: np.ndarray
    seconds: np.ndarray

    def state(self, setting: int) -> TrainState:
        """The state of one setting, as a single run returns it."""
        return jax.tree.map(lambda leaf: leaf[setting], self.states)


def _check_names(parts: Parts, overrides: Mapping[str, Any]) -> None:
    """Refuses names that no part of a step would read."""
    loss_name, mode = parts.config.loss.name, parts.objective.mode
    numeric = {
        name
        for name, parameter in taken(loss_name, mode).items()
        if parameter is None or not isinstance(parameter.default, bool | str)
    }
    for name in overrides:
        if name not in {*numeric, "learning_rate"}:
            raise ValueError(
                "overrides must be learning_rate or hyperparameters of"
                f" {loss_name!r}, which are {', '.join(sorted(numeric))};"
                f" got {name!r}."
            )
    if "radius" in overrides and "weight" in overrides:
        raise ValueError(
            "radius and weight are two names of one thing; got both in overrides."
        )


def _check_values(
    parts: Parts, overrides: Mapping[str, Sequence[float]], seeds: Sequence[int]
) -> None:
    """Refuses what a run of the setting alone would refuse."""
    # The loss itself refuses plain numbers out of range, while it is traced, once for
    # equal ones; those of the config have been.
    tried: list[dict[str, float]] = [{}]
    start, key = jax.eval_shape(parts.init), jax.random.key(0)
    state = start.params, start.per_user
    rows = jnp.zeros(parts.sampling.batch_size, jnp.int32)
    draw = functools.partial(draw_batch, sampling=parts.sampling)
    batch = jax.eval_shape(draw, key, parts.data, rows)
    for number, seed in enumerate(seeds):
        config = copy.deepcopy(parts.config)
        given = {name: float(values[number]) for name, values in overrides.items()}
        config.seed = int(seed)
        if "learning_rate" in given:
            config.training.learning_rate = given.pop("learning_rate")
        if "radius" in given or "weight" in given:
            config.loss.update({"radius": None, "weight": None})
        config.loss.update({k: v for k, v in given.items() if k in config.loss})
        try:
            validate(config)
            if given in tried:
                continue
            tried.append(given)
            objective = make_objective(
                config,
                parts.objective.model,
                max_positives=parts.objective.max_positives,
            )
            jax.eval_shape(objective, *state, parts.data, batch, key)
        except ValueError as error:
            raise ValueError(f"setting {number}: {error}") from error


def _with_budget(parts: Parts, traced: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Radius and weight of every setting where a ball has a size.

    Whichever of the two is not overridden follows from the other and the order, as it
    does in ``build``, where the config holds the one that it sets.
    """
    objective, loss = parts.objective, parts.config.loss
    changed = {"gamma", "radius", "weight"} & set(traced)
    if not has_budget(objective.mode) or not changed:
        return traced
    gamma = traced.get("gamma", objective.hyperparameters["gamma"])
    default = defaults(loss.name).get("weight") if loss.radius is None else None
    weight: Any = traced.get("weight", default if loss.weight is None else loss.weight)
    radius: Any = traced.get("radius")
    if radius is None and weight is not None:
        radius = dro.radius_from_weight(weight, gamma)
    else:
        radius = objective.radius if radius is None else radius
        weight = dro.weight_from_radius(radius, gamma)
    count = len(next(iter(traced.values())))
    return {
        **traced,
        "radius": jnp.broadcast_to(jnp.asarray(radius, jnp.float32), (count,)),
        "weight": jnp.broadcast_to(jnp.asarray(weight, jnp.float32), (count,)),
    }


def train_grid(
    parts: Parts,
    overrides: Mapping[str, Sequence[float]],
    *,
    seeds: Sequence[int] | None = None,
    epochs: int | None = None,
    side_by_side: bool | None = None,
) -> Grid:
    """Trains several settings at once, each as it would be trained alone.

    One jitted program maps the epoch over the settings: side by side, or one after the
    other, an equal share of them on each core. With equal seeds the ids of every step
    are drawn once for all.

    Args:
      parts: what ``build`` returns; its data is shared.
      overrides: numbers of each setting, all of one length, by name: numeric
        hyperparameters of the loss (``gamma``, ``temperature``, …), ``radius`` or
        ``weight`` in every threshold mode of DrRL, and ``learning_rate``, the model's.
        They are traced, so they take the place of the config's whatever their values.
      seeds: a seed for each setting; the config's for all by default.
      epochs: how many; the config's by default.
      side_by_side: whether every step is one of all settings; by default on
        accelerators. On a CPU what a step works on stays in cache only where the
        settings take turns, which is two to three times faster (benchmarks/grid.py).

    Returns:
      A ``Grid``, equal to separate runs to float tolerance.

    Raises:
      ValueError: for lengths that differ, a name that cannot be mapped, ``radius``
        and ``weight`` together, or a value that a run of its own would not take.

    Example:
      >>> from drrl_jax import training
      >>> config = training.default_config()
      >>> config.training.epochs, config.model.dim = 1, 8
      >>> parts = training.build(config)
      >>> grid = train_grid(parts, {"temperature": [0.2, 0.3]})
      >>> grid.losses.shape
      (1, 2)
    """
    lengths = {name: len(values) for name, values in overrides.items()}
    if seeds is not None:
        lengths["seeds"] = len(seeds)
    if len(set(lengths.values())) != 1:
        raise ValueError(
            f"overrides and seeds must be of one length of at least 1; got {lengths}."
        )
    _check_names(parts, overrides)
    count = next(iter(lengths.values()))
    if not count:
        raise ValueError("overrides and seeds must hold a setting; got none.")
    chosen = [parts.config.seed] * count if seeds is None else list(seeds)
    _check_values(parts, overrides, chosen)
    traced = _with_budget(
        parts, {name: jnp.asarray(v, jnp.float32) for name, v in overrides.items()}
    )

    if side_by_side is None:
        side_by_side = jax.default_backend() != "cpu"
    start = time.perf_counter()
    mapped = jax.jit(_mapped(parts, chosen, side_by_side), donate_argnums=0)
    seed = jnp.asarray(chosen, jnp.uint32)
    # Settings that take turns take them on every core: a step's own work keeps two cores
    # busy for two thirds of its time.
    shares = np.array_split(
        np.arange(count), 1 if side_by_side else min(cores(), count)
    )
    given = [jax.tree.map(lambda x, at=at: x[at], (seed, traced)) for at in shares]
    states = [jax.vmap(parts.init)(seeds) for seeds, _ in given]

    # Here, since JAX's settings, such as x64, are those of a thread.
    compiled = {
        len(some): mapped.lower(state, parts.data, *own).compile()
        for some, state, own in zip(shares, states, given)
    }

    def one_epoch(share: int) -> np.ndarray:
        run = compiled[len(shares[share])]
        states[share], losses = run(states[share], parts.data, *given[share])
        return np.asarray(losses).mean(axis=1)

    history, seconds = [], []
    with futures.ThreadPoolExecutor(len(shares)) as threads:
        for _ in range(parts.config.training.epochs if epochs is None else epochs):
            means = threads.map(one_epoch, range(len(shares)))
            history.append(np.concatenate(list(means)))
            start, begun = time.perf_counter(), start
            seconds.append(start - begun)
    last = jax.tree.map(lambda *x: jnp.concatenate(x), *states)
    whole = np.isfinite(history).all(axis=0) & np.all(
        jax.tree.leaves(jax.vmap(finite_leaves)(last.params)), axis=0
    )
    if not whole.all():
        warnings.warn(
            f"setting {', '.join(map(str, np.flatnonzero(~whole)))} left the finite"
            " numbers (its loss or its parameters); alone, a run of it would have ended"
            " there.",
            stacklevel=2,
        )
    losses = np.asarray(history, np.float32).reshape(-1, count)
    return Grid(last, losses, np.asarray(seconds))


def _mapped(
    parts: Parts, seeds: list[int], side_by_side: bool
) -> Callable[..., tuple[TrainState, jax.Array]]:
    """An epoch of every setting: ``(states, data, seeds, overrides)`` to the same."""

    # Of one seed the ids are drawn once; of many, each setting draws its own. The step
    # number is the same in all settings, and the ids are a function of it.
    shared = len(set(seeds)) == 1
    interactions = parts.data.users.shape[0]
    ids = interactions * (1 + (parts.sampling.negatives or 0))

    def in_turn(states: TrainState, data: Any, seeds: jax.Array, overrides: Any):
        drawn = None
        if shared and ids <= _SHARED_IDS:
            start = seeds[0], states.step[0]
            drawn = draw_epoch(*start, data, parts.sampling, interactions)

        def one(setting: tuple[TrainState, jax.Array, Any]):
            state, seed, changes = setting
            return parts.epoch(state, data, seed, changes, drawn=drawn)

        return jax.lax.map(one, (states, seeds, overrides))

    axes: Any = TrainState(None, 0, 0, 0)  # type: ignore[arg-type]
    epoch = jax.vmap(
        parts.epoch, in_axes=(axes, None, None if shared else 0, 0), out_axes=(axes, 0)
    )

    def at_once(states: TrainState, data: Any, seeds: jax.Array, overrides: Any):
        seed = seeds[0] if shared else seeds
        states = states._replace(step=states.step[0])
        states, losses = epoch(states, data, seed, overrides)
        step = jnp.broadcast_to(states.step, seeds.shape)
        return states._replace(step=step), losses

    return at_once if side_by_side else in_turn
