"""The checks of a configuration before anything runs."""

import math

from ml_collections import config_dict

from drrl_jax import data, losses, models
from drrl_jax._names import check_choice as choice
from drrl_jax._names import nearest
from drrl_jax._numbers import amount, is_count
from drrl_jax.evaluation.metrics import check_metrics
from drrl_jax.losses.psl import ACTIVATIONS
from drrl_jax.training.config import (
    DRRL_MODES,
    PROTOCOLS,
    at_least,
    hyperparameter_types,
    model_option_types,
    model_options,
    num_negatives,
    taken,
    threshold_mode,
)
from drrl_jax.training.optimiser import (
    AUXILIARY_FORMS,
    OPTIMISERS,
    THRESHOLD_OPTIMISERS,
)
from drrl_jax.training.pool import POOLS
from drrl_jax.training.source import check_source
from drrl_jax.training.supply import needs


def validate(config: config_dict.ConfigDict) -> None:
    """Refuses impossible values before any data is read or any program compiled.

    Args:
      config: a tree of ``default_config``'s shape.

    Raises:
      ValueError: one sentence that names the field, what is expected and what was given.

    Example:
      >>> from drrl_jax.training import default_config
      >>> config = default_config()
      >>> config.loss.name = "sofmax"
      >>> validate(config)
      Traceback (most recent call last):
      ...
      ValueError: loss.name must be one of ...; got 'sofmax'. Did you mean 'softmax'?
    """
    loss, training, evaluation = config.loss, config.training, config.evaluation
    check_source(config.data)
    choice("data.split", config.data.split, ("given", *data.SPLITS))
    choice("data.cleaning", config.data.cleaning, ("clean", "keep", "error"))
    choice("model.name", config.model.name, models.MODELS)
    choice("model.similarity", config.model.similarity, ("auto", "cosine", "dot"))
    for name, _ in model_option_types():
        if config.model[name] is not None and name not in model_options(
            config.model.name
        ):
            raise ValueError(
                f"model.{name} is not a hyperparameter of {config.model.name!r}, which"
                f" takes {', '.join(sorted(model_options(config.model.name)))}."
                f"{nearest(name, model_options(config.model.name))}"
            )
    if not all(map(is_count, config.model.hidden or ())):
        raise ValueError(
            f"model.hidden must hold positive widths; got {tuple(config.model.hidden)}."
        )
    models.initialiser_of(config.model.initialiser or "auto", config.model.init_scale)
    choice("loss.name", loss.name, losses.LOSSES)
    _check_loss(config)
    if num_negatives(config) is None and config.model.scoring == "neumf":
        raise ValueError(
            "model.scoring='neumf' scores pairs one by one and needs a number of"
            " training.negatives; got 'all'."
        )
    if num_negatives(config) is None and needs(loss.name, "hardness"):
        raise ValueError(
            f"loss.name={loss.name!r} scores its negatives a second time and needs a"
            " number of training.negatives; got 'all'."
        )
    choice("loss.threshold_optimizer", loss.threshold_optimizer, THRESHOLD_OPTIMISERS)
    at_least("loss.threshold_learning_rate", loss.threshold_learning_rate, 0)
    at_least("loss.top_k", loss.top_k, 1)
    at_least("loss.adversary_every", loss.adversary_every, 1)
    at_least("loss.adversary_learning_rate", loss.adversary_learning_rate, 0, True)
    at_least("model.dim", config.model.dim, 1)
    at_least("training.batch_size", training.batch_size, 1)
    at_least("training.epochs", training.epochs, 0)
    at_least("training.learning_rate", training.learning_rate, 0, strict=True)
    at_least("training.weight_decay", training.weight_decay, 0)
    at_least("training.eval_every", training.eval_every, 1)
    at_least("training.patience", training.patience, 0)
    at_least("training.min_delta", training.min_delta, 0)
    at_least("training.negative_alpha", training.negative_alpha, 0)
    at_least("training.clip_norm", training.clip_norm, 0)
    at_least("training.warmup_steps", training.warmup_steps, 0)
    at_least("loss.refresh_every", loss.refresh_every, 0, strict=True)
    _check_noise(config)
    choice(
        "training.weight_decay_mode",
        training.weight_decay_mode,
        ("coupled", "decoupled", "batch"),
    )
    _check_optimiser(config)
    _check_pool(config)
    _check_popularity(config)
    choice("training.schedule", training.schedule, ("constant", "cosine"))
    choice("training.dtype", training.dtype, ("float32", "bfloat16"))
    choice("training.route", training.route, ("auto", "dense", "gather"))
    _check_scores(config)
    choice("evaluation.protocol", evaluation.protocol, PROTOCOLS)
    check_metrics(evaluation.ks, evaluation.metrics, where="evaluation.")
    at_least("evaluation.block", evaluation.block, 0)
    if not 0 <= config.seed < 2**32:
        raise ValueError(f"seed must lie in [0, 4294967296); got {config.seed!r}.")
    at_least("data.seed", config.data.seed, 0)
    at_least("data.core", config.data.core, 0)
    for field, value in (
        ("data.min_rating", config.data.min_rating),
        ("loss.threshold_init", loss.threshold_init),
    ):
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{field} must be finite; got {value!r}.")
    reported = [f"{m}@{k}" for m in evaluation.metrics for k in evaluation.ks]
    choice("evaluation.monitor", evaluation.monitor, reported)


def _check_pool(config: config_dict.ConfigDict) -> None:
    training = config.training
    choice("training.negative_pool", training.negative_pool, ("row", *POOLS))
    if training.negative_pool == "row":
        return
    allowed = {
        "training.negatives": num_negatives(config) is not None,
        # The only positive of a batch is no negative of its own row.
        "training.batch_size": training.negative_pool != "batch"
        or training.batch_size > 1,
        "training.negative_alpha": not training.negative_alpha,
        "training.false_negative_rate": not training.false_negative_rate,
        "training.marked_rate": not training.marked_rate,
        "training.optimiser": not training.optimiser.startswith("sparse_"),
        "model.scoring": config.model.scoring != "neumf",
    }
    for field, fits in allowed.items():
        if not fits:
            section, name = field.split(".")
            raise ValueError(
                f"training.negative_pool={training.negative_pool!r} needs a number of"
                " training.negatives without training.negative_alpha or noise, a dense"
                " training.optimiser, scores by inner products and, of a batch, two rows;"
                f" got {field}={config[section][name]!r}."
            )


def _check_scores(config: config_dict.ConfigDict) -> None:
    """Refuses settings of the score product where no such product is made."""
    training = config.training
    if config.model.scoring == "neumf":
        for field, value, only in (
            ("model.similarity", config.model.similarity, "auto"),
            ("training.dtype", training.dtype, "float32"),
            ("training.route", training.route, "auto"),
        ):
            if value != only:
                raise ValueError(
                    f"{field} is of scores by inner products; with model.scoring='neumf',"
                    f" which scores pairs by itself, it must be {only!r}; got {value!r}."
                )
    sampled = num_negatives(config) is not None and training.negative_pool == "row"
    if training.route != "auto" and not sampled:
        raise ValueError(
            "training.route is how the negatives sampled for each row are scored: it must"
            f" be 'auto' with training.negatives={training.negatives!r} and"
            f" training.negative_pool={training.negative_pool!r}; got {training.route!r}."
        )


def _check_noise(config: config_dict.ConfigDict) -> None:
    training = config.training
    for field, rate in (
        ("training.false_negative_rate", training.false_negative_rate),
        ("training.marked_rate", training.marked_rate),
        ("training.marked_share", training.marked_share),
        ("data.false_positive_rate", config.data.false_positive_rate),
    ):
        if not 0 <= rate <= 1:
            raise ValueError(f"{field} must lie in [0, 1]; got {rate!r}.")
    if training.marked_rate and not training.marked_share:
        raise ValueError(
            "training.marked_rate draws marked positives: training.marked_share must be"
            " greater than 0; got 0."
        )
    noisy = training.false_negative_rate or training.marked_rate
    if noisy and (num_negatives(config) is None or training.negative_alpha):
        raise ValueError(
            "training.false_negative_rate and training.marked_rate replace sampled"
            " negatives: they need a number of training.negatives and"
            f" training.negative_alpha 0; got {training.negatives!r} and"
            f" {training.negative_alpha!r}."
        )
    drawn = num_negatives(config)
    if drawn is not None and 0 < amount(training.false_negative_rate, drawn) < 1:
        raise ValueError(
            "training.false_negative_rate must be 0 or take one of training.negatives at"
            f" least; got {training.false_negative_rate!r} of {drawn}."
        )


def _check_popularity(config: config_dict.ConfigDict) -> None:
    training = config.training
    if training.negative_alpha and num_negatives(config) is None:
        raise ValueError(
            "training.negative_alpha draws negatives by popularity and needs a number of"
            " training.negatives; got 'all'."
        )
    if training.log_q_correction and not training.negative_alpha:
        raise ValueError(
            "training.log_q_correction corrects draws by popularity and needs a"
            " training.negative_alpha above 0; got 0."
        )


def _check_optimiser(config: config_dict.ConfigDict) -> None:
    rule = config.training.optimiser
    choice("training.optimiser", rule, OPTIMISERS)
    if rule.startswith("sparse_") and (
        config.model.name != "mf"
        or num_negatives(config) is None
        or needs(config.loss.name, "hardness")
    ):
        raise ValueError(
            "training.optimiser='sparse_…' updates the rows of a batch: it needs"
            " model.name 'mf', a number of training.negatives and a loss without an"
            f" adversary; got {config.model.name!r},"
            f" {config.training.negatives!r} and {config.loss.name!r}."
        )


def _check_loss(config: config_dict.ConfigDict) -> None:
    loss = config.loss
    mode = threshold_mode(config)
    if mode is None and loss.threshold_mode is not None:
        raise ValueError(
            f"loss.threshold_mode belongs to {', '.join(DRRL_MODES)};"
            f" loss.name is {loss.name!r}."
        )
    if mode is not None:
        choice("loss.threshold_mode", mode, DRRL_MODES[loss.name])
    takes = taken(loss.name, mode)
    for name, _ in hyperparameter_types():
        if loss[name] is not None and name not in takes:
            raise ValueError(
                f"loss.{name} is not a hyperparameter of {loss.name!r}"
                f"{'' if mode is None else f' in mode {mode!r}'}, which takes"
                f" {', '.join(sorted(takes)) or 'none'}.{nearest(name, takes)}"
            )
    for name, bound, strict in (
        ("gamma", 1, False),
        ("pos_gamma", 1, False),
        ("radius", 0, False),
        ("pos_radius", 0, False),
        # The size of DrRL's ball, or BSL's power of the negatives.
        ("weight", 0, True) if mode is None else ("weight", 1, False),
        ("temperature", 0, True),
        ("pos_temperature", 0, True),
        ("neg_temperature", 0, True),
        ("score_temperature", 0, True),
        ("weight_temperature", 0, True),
        ("negative_weight", 0, loss.name != "ccl"),
        ("auxiliary_learning_rate", 0, True),
    ):
        if loss.get(name) is not None:
            at_least(f"loss.{name}", loss[name], bound, strict)
    if loss.activation is not None:
        choice("loss.activation", loss.activation, ACTIVATIONS)
    if loss.auxiliary_form is not None:
        choice("loss.auxiliary_form", loss.auxiliary_form, AUXILIARY_FORMS)
    for name in ("auxiliary_form", "auxiliary_learning_rate"):
        if loss[name] is not None and not needs(loss.name, "variables"):
            raise ValueError(
                f"loss.{name} belongs to 'llpauc'; loss.name is {loss.name!r}."
            )
    if loss.radius is not None and loss.weight is not None:
        raise ValueError(
            "loss.radius and loss.weight are two names of one thing; set one of them,"
            f" got {loss.radius!r} and {loss.weight!r}."
        )
