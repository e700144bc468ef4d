"""From a config to the parts of a run: data on the device, model, objective, rules."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import config_dict

from drrl_jax import data as data_lib
from drrl_jax import dro, evaluation, models, scores
from drrl_jax.data.cleaning import shared
from drrl_jax.evaluation.ranking import Scorer
from drrl_jax.training import config as config_lib
from drrl_jax.training.epoch import make_epoch, steps_per_epoch
from drrl_jax.training.objective import Objective
from drrl_jax.training.optimiser import auxiliary_form, make_optimiser
from drrl_jax.training.pool import PoolTable
from drrl_jax.training.sampling import Sampling, make_sampler
from drrl_jax.training.source import source_arguments
from drrl_jax.training.state import DeviceData, Stream, TrainState, start_of_stream
from drrl_jax.training.supply import needs, trained_variables
from drrl_jax.training.validation import validate


@dataclasses.dataclass(frozen=True)
class Parts:
    """Everything that ``fit`` drives; made once by ``build``."""

    config: config_dict.ConfigDict
    dataset: data_lib.Dataset
    data: DeviceData
    objective: Objective
    optimiser: optax.GradientTransformationExtraArgs
    sampling: Sampling
    steps_per_epoch: int
    epoch: Any  # epoch(state, data, seed, overrides, drawn=None), not jitted
    valid_split: evaluation.EvaluationPlan | None
    test_split: evaluation.EvaluationPlan
    # Scores blocks of users; one object for the run's life, since the ranking is
    # compiled for it.
    scorer: Scorer = evaluation.inner_products
    # Parameters beside the model's and the loss's own, as they start, and what tells such
    # a run from others of its config (see bilevel.py).
    extra_params: Mapping[str, jax.Array] = dataclasses.field(default_factory=dict)
    extra_config: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def embed(self) -> Callable[..., tuple[jax.Array, jax.Array]]:
        """``embed(params, data)``: the objective's embeddings, compiled once a run."""
        return jax.jit(self.objective.embeddings)

    def init(self, seed: int | jax.Array | None = None) -> TrainState:
        """The state before the first step, a pure function of the seed."""
        return init_state(self, self.config.seed if seed is None else seed)

    def scorer_inputs(
        self, params: Mapping[str, Any], embedded: tuple[jax.Array, jax.Array]
    ) -> tuple[Any, ...]:
        """What ``scorer`` takes, from ``embedded = objective.embeddings(params, …)``."""
        return (params, *embedded) if self.objective.pairwise else embedded


def load_dataset(
    config: config_dict.ConfigDict, *, cleaning: Mapping[str, str] | None = None
) -> data_lib.Dataset:
    """Reads, cleans, splits and, for the noise study, corrupts the data.

    Args:
      config: its ``data`` and ``evaluation.protocol`` are read.
      cleaning: an action for each kind of dirt, in place of ``data.cleaning``.
    """
    options = config.data
    dataset = data_lib.load(
        **source_arguments(options),
        split=options.split,
        seed=options.seed,
        cleaning=cleaning or options.cleaning,
        min_rating=options.min_rating,
        core=options.core,
        validation="benchmark" if config.evaluation.protocol == "benchmark" else "drrl",
    )
    if options.false_positive_rate:
        dataset = data_lib.add_false_positives(
            dataset, options.false_positive_rate, seed=options.seed
        )
    return dataset


def build(
    config: config_dict.ConfigDict, dataset: data_lib.Dataset | None = None
) -> Parts:
    """Checks the config and prepares a run.

    Args:
      config: a tree of ``default_config``'s shape.
      dataset: data to use instead of what ``config.data`` names (studies share one); of
        that section only the seed is read then, for ``training.marked_share``.

    Returns:
      The parts of the run.

    Raises:
      ValueError: for a config that ``validate`` refuses, data without training or test
        interactions, more negatives a row than there are items, or a warm-up that
        lasts longer than the run.
    """
    validate(config)
    dataset = load_dataset(config) if dataset is None else dataset
    check_fit(config, dataset)
    # Marked positives are no positives to train on, yet drawn only at their own rate:
    # the sampler and the masks know them, the interactions and the graph do not.
    train, marked = dataset.train, None
    if config.training.marked_rate:
        train, taken = data_lib.mark_positives(
            dataset.train, config.training.marked_share, seed=config.data.seed
        )
        if not len(taken):
            raise ValueError(
                f"training.marked_share must mark one of the {len(dataset.train)} training"
                f" interactions at least; got {config.training.marked_share!r}."
            )
        marked = data_lib.to_csr(taken, dataset.num_users)
    positives = data_lib.to_csr(dataset.known, dataset.num_users)
    graph = None
    if config.model.name in models.GRAPH_MODELS:
        graph = models.make_graph(
            train.users,
            train.items,
            num_users=dataset.num_users,
            num_items=dataset.num_items,
        )
    on_device = DeviceData(
        users=jnp.asarray(train.users, jnp.int32),
        items=jnp.asarray(train.items, jnp.int32),
        sampler=make_sampler(
            positives,
            train.items,
            dataset.num_items,
            alpha=config.training.negative_alpha,
            pool=config.training.negative_pool,
        ),
        positives=jax.tree.map(jnp.asarray, positives),
        graph=graph,
        marked=None if marked is None else jax.tree.map(jnp.asarray, marked),
    )
    _check_negatives(on_device, dataset.name)
    # Not of the sets: a pair that is kept twice is two rows.
    degrees = np.bincount(dataset.known.users)
    objective = make_objective(
        config,
        models.build(
            config.model.name,
            dataset.num_users,
            dataset.num_items,
            dim=config.model.dim,
            **{
                name: config.model[name]
                for name in config_lib.model_options(config.model.name)
                if config.model[name] is not None
            },
        ),
        max_positives=max(int(np.max(degrees, initial=0)), 1),
    )
    sampling = Sampling(
        batch_size=config.training.batch_size,
        negatives=config_lib.num_negatives(config),
        false_negative_rate=config.training.false_negative_rate,
        log_q_correction=config.training.log_q_correction,
        marked_rate=config.training.marked_rate,
    )
    steps = steps_per_epoch(len(train), sampling.batch_size)
    _check_warm_up(config, steps)
    optimiser = make_optimiser(config, steps)
    valid_split, test_split = evaluation_splits(config, dataset)
    return Parts(
        config=config,
        dataset=dataset,
        data=on_device,
        objective=objective,
        optimiser=optimiser,
        sampling=sampling,
        steps_per_epoch=steps,
        epoch=make_epoch(
            objective,
            optimiser,
            sampling,
            num_interactions=len(train),
            refresh_steps=max(round(config.loss.refresh_every * steps), 1),
            top_k=config.loss.top_k,
            sparse=config.training.optimiser.startswith("sparse_"),
            auxiliary_form=auxiliary_form(config),
        ),
        valid_split=valid_split,
        test_split=test_split,
        scorer=_scorer(objective),
    )


def check_fit(config: config_dict.ConfigDict, dataset: data_lib.Dataset) -> None:
    """Refuses data that the config cannot be trained and tested on."""
    if len(dataset.train) == 0:
        raise ValueError(f"{dataset.name} has no training interactions.")
    if len(dataset.test) == 0:
        raise ValueError(
            f"{dataset.name} has no test interactions; is the file of another format,"
            " or are all users too short to split?"
        )
    # Train is the long part: it is sorted once for both of the others.
    both = data_lib.concatenate(dataset.valid, dataset.test)
    in_valid, in_test = np.split(shared(both, dataset.known), [len(dataset.valid)])
    if len(dataset.valid) and in_valid.all():
        raise ValueError(
            f"{dataset.name} has no validation interaction to find: all"
            f" {len(dataset.valid)} are in train, which is not ranked."
        )
    if config.evaluation.protocol != "benchmark":
        in_test |= shared(dataset.test, dataset.valid)
    if in_test.all():
        raise ValueError(
            f"{dataset.name} has no test interaction to find: all"
            f" {len(dataset.test)} are in train or valid, which are not ranked."
        )
    negatives = config_lib.num_negatives(config)
    drawn = config.training.negative_pool != "batch"
    if drawn and negatives is not None and negatives > dataset.num_items:
        raise ValueError(
            "training.negatives must be at most the number of items,"
            f" {dataset.num_items}; got {negatives}. 'all' takes each once."
        )
    if needs(config.loss.name, "quantile") and config.loss.top_k > dataset.num_items:
        raise ValueError(
            "loss.top_k must be at most the number of items,"
            f" {dataset.num_items}; got {config.loss.top_k}."
        )


def _check_negatives(on_device: DeviceData, name: str) -> None:
    """Refuses data of which no row would have a negative, and so none would count."""
    sampler = on_device.sampler
    if not isinstance(sampler, PoolTable):
        some = bool(data_lib.has_negatives(sampler, on_device.users).any())
    else:
        # A row's are the items of a pool, all or those of batches, that its user has not.
        held = jnp.full(sampler.num_items, sampler.kind != "batch")
        held = held.at[on_device.items].set(True)
        known = on_device.positives
        running = jnp.pad(jnp.cumsum(held[known.indices]), (1, 0))
        own = jnp.diff(running[known.indptr])[on_device.users]
        some = bool((own < held.sum()).any())
    if not some:
        raise ValueError(f"{name} has no user with an item to draw as a negative.")


def _check_warm_up(config: config_dict.ConfigDict, steps_an_epoch: int) -> None:
    """Refuses a rate that never gets to its height."""
    training = config.training
    steps = training.epochs * steps_an_epoch
    if 0 < steps <= training.warmup_steps:
        raise ValueError(
            f"training.warmup_steps must be less than the run's {steps} steps"
            f" ({training.epochs} epochs); got {training.warmup_steps}."
        )


def _scorer(objective: Objective) -> Scorer:
    if not objective.pairwise:
        return evaluation.inner_products
    return lambda inputs, users: objective.pair_block(inputs, users)


def make_objective(
    config: config_dict.ConfigDict, model: models.Backbone, *, max_positives: int
) -> Objective:
    """Binds the config's loss, with defaults filled in and the weight derived."""
    loss, mode = config.loss, config_lib.threshold_mode(config)
    name = config_lib.effective_loss(loss.name, mode)
    takes = config_lib.taken(loss.name, mode)
    hyper = {} if mode is None else config_lib.defaults(loss.name)
    hyper |= {key: loss[key] for key in takes if loss.get(key) is not None}
    radius = 0.0
    if config_lib.has_budget(mode):
        # One budget, two names: whichever the user set wins over the default's.
        gamma = hyper["gamma"]
        if loss.weight is not None:
            hyper["radius"] = float(dro.radius_from_weight(loss.weight, gamma))
        elif loss.radius is not None or "weight" not in hyper:
            hyper["weight"] = float(dro.weight_from_radius(hyper["radius"], gamma))
        if "radius" not in hyper:
            hyper["radius"] = float(dro.radius_from_weight(hyper["weight"], gamma))
        radius = hyper["radius"]
    route = config.training.route
    if route == "auto":
        route = scores.choose_route(
            config.training.batch_size,
            config_lib.num_negatives(config) or model.num_items,
            model.num_items,
            model.dim,
        )
    decay_batch = config.training.weight_decay_mode == "batch"
    return Objective(
        model=model,
        loss_name=name,
        hyperparameters={
            key: hyper[key]
            for key in config_lib.hyperparameters(name)
            if key in takes and key in hyper
        },
        mode=mode,
        radius=radius,
        similarity=config_lib.similarity(config),
        route=route,
        dtype=jnp.dtype(config.training.dtype),
        batch_regulariser=config.training.weight_decay if decay_batch else 0.0,
        max_positives=max_positives,
    )


def init_state(parts: Parts, seed: int | jax.Array) -> TrainState:
    """Parameters, auxiliary variables and optimiser state; jit- and vmap-safe in seed."""
    objective, config = parts.objective, parts.config
    model_key, extra_key = jax.random.split(start_of_stream(seed, Stream.START))
    variables = objective.model.init(model_key, parts.data.graph)
    params: dict[str, Any] = {
        "model": variables,
        **trained_variables(objective.loss_name, objective.model, extra_key),
        **jax.tree.map(jnp.copy, dict(parts.extra_params)),  # an epoch's are donated
    }
    per_user: dict[str, jax.Array] = {}
    zeros = jnp.zeros((objective.model.num_users,), jnp.float32)
    if objective.mode == "learned":
        params["threshold"] = zeros + config.loss.threshold_init
    elif objective.mode == "user":
        per_user = {"threshold": zeros, "temperature": jnp.copy(zeros)}
    if needs(objective.loss_name, "quantile"):
        per_user = {"quantile": zeros}
    return TrainState(
        jnp.zeros((), jnp.int32), params, parts.optimiser.init(params), per_user
    )


def evaluation_splits(
    config: config_dict.ConfigDict, dataset: data_lib.Dataset
) -> tuple[evaluation.EvaluationPlan | None, evaluation.EvaluationPlan]:
    """Who is ranked against what: validation candidates and test candidates.

    Validation ranks everything but the training items. At test the ``benchmark``
    protocol leaves the validation items among the candidates, as the published tables
    do; ``strict`` and ``drrl`` take them out.
    """
    train, valid, test = (
        data_lib.to_csr(part, dataset.num_users)
        for part in (dataset.known, dataset.valid, dataset.test)
    )
    keep_valid = config.evaluation.protocol == "benchmark"
    excluded = (train,) if keep_valid else (train, valid)
    size: dict[str, Any] = {
        "num_items": dataset.num_items,
        "block": config.evaluation.block or None,
    }
    valid_split = None
    if len(dataset.valid):
        valid_split = evaluation.EvaluationPlan.build(valid, exclude=(train,), **size)
    return valid_split, evaluation.EvaluationPlan.build(test, exclude=excluded, **size)
