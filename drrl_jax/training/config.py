"""The one configuration tree, its defaults, and the checks before anything runs."""

import dataclasses
import inspect
from typing import Any

from ml_collections import config_dict

from drrl_jax import data, losses, models, scores
from drrl_jax._names import check_choice as choice
from drrl_jax._names import nearest
from drrl_jax.training.optimiser import AUXILIARY_FORMS, OPTIMISERS
from drrl_jax.training.pool import POOLS
from drrl_jax.training.source import check_source, source_fields

# Arguments of a loss that the training loop supplies; all others are hyperparameters.
SUPPLIED = frozenset(
    "where reduce_fn log_q quantile threshold users group_size hardness variables".split()
)
# The threshold modes that a loss allows, its default first.
DRRL_MODES = {
    "drrl": ("solved", "learned", "user"),
    "drrl_dual": ("learned", "user"),
    "drrl_tempered": ("row", "user"),
}
# What a loss of the DrRL family takes where the config sets nothing.
DRRL_DEFAULTS = {
    "drrl": {"gamma": 1.5, "radius": 1.0},
    "drrl_dual": {"gamma": 2.0, "weight": 2.0, "epsilon": 0.0, "margin": 1.0},
    "drrl_tempered": {"gamma": 1.5, "temperature": 0.3, "radius": 1.0},
}
DOT_PRODUCT_LOSSES = frozenset({"bpr", "bce", "mse"})
PROTOCOLS = ("strict", "benchmark", "drrl")


def default_config() -> config_dict.ConfigDict:
    """Defaults of every field: the offline quickstart on the synthetic set.

    Returns:
      A locked, type-safe ``ConfigDict``. Loss hyperparameters left at ``None`` take the
      default of the loss function.

    Example:
      >>> default_config().loss.name
      'drrl_tempered'
    """
    optional = config_dict.placeholder
    config = config_dict.ConfigDict(
        {
            "seed": 0,
            "data": {
                **source_fields(),
                "split": "given",
                "cleaning": "clean",
                "min_rating": optional(float),
                "core": 0,
                "seed": 0,
                "false_positive_rate": 0.0,
            },
            "model": {
                "name": "mf",
                "dim": 64,
                "similarity": "auto",
                **{name: optional(kind) for name, kind in _model_options()},
            },
            "loss": {
                "name": "drrl_tempered",
                "threshold_mode": optional(str),
                "threshold_learning_rate": 1e-3,
                "threshold_optimizer": "sgd",
                "threshold_init": 0.0,
                "refresh_every": 1.0,
                **{name: optional(kind) for name, kind in _hyperparameter_types()},
                "weight": optional(float),
                "radius": optional(float),
                "top_k": 20,
                "adversary_every": 5,
                "adversary_learning_rate": 5e-5,
                "auxiliary_learning_rate": optional(float),
                "auxiliary_form": optional(str),
            },
            "training": {
                "batch_size": 1024,
                "negatives": "64",
                "negative_pool": "row",
                "negative_alpha": 0.0,
                "log_q_correction": False,
                "false_negative_rate": 0.0,
                "marked_rate": 0.0,
                "marked_share": 0.1,
                "epochs": 60,
                "optimiser": "adam",
                "learning_rate": 0.01,
                "weight_decay": 0.0,
                "weight_decay_mode": "coupled",
                "schedule": "constant",
                "warmup_steps": 0,
                "clip_norm": 0.0,
                "eval_every": 5,
                "patience": 5,
                "min_delta": 1e-4,
                "dtype": "float32",
                "route": "auto",
            },
            "evaluation": {
                "ks": (20,),
                "metrics": ("recall", "ndcg"),
                "protocol": "strict",
                "monitor": "ndcg@20",
                "block": 0,
            },
            "baselines": (),
        }
    )
    config.lock()
    return config


def hyperparameters(loss_name: str) -> dict[str, inspect.Parameter]:
    """Keyword-only arguments of a loss that a config sets, by name."""
    parameters = inspect.signature(losses.LOSSES[loss_name]).parameters
    return {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in SUPPLIED
    }


def model_options(model_name: str) -> dict[str, Any]:
    """Hyperparameters of a backbone beyond the shape of its tables, with defaults."""
    return {
        field.name: field.default
        for field in dataclasses.fields(models.MODELS[model_name])
        if field.name not in ("num_users", "num_items", "dim", "name", "parent")
    }


def _model_options() -> list[tuple[str, type]]:
    found: dict[str, type] = {}
    for model_name in models.MODELS:
        for name, default in model_options(model_name).items():
            found[name] = float if default is None else type(default)
    return sorted(found.items())


def _hyperparameter_types() -> list[tuple[str, type]]:
    found: dict[str, type] = {}
    for loss_name in losses.LOSSES:
        for name, parameter in hyperparameters(loss_name).items():
            default = parameter.default
            if name not in found or found[name] is float:
                kind = type(default) if isinstance(default, (bool, str)) else float
                found[name] = kind
    return sorted(found.items())


def _at_least(field: str, value: float, bound: float, strict: bool = False) -> None:
    bad = value <= bound if strict else value < bound
    if bad or value != value:
        sign = "greater than" if strict else "at least"
        raise ValueError(f"{field} must be {sign} {bound:g}; got {value!r}.")


def threshold_mode(config: config_dict.ConfigDict) -> str | None:
    """The threshold mode in force: the config's, or the loss's first; None without."""
    modes = DRRL_MODES.get(config.loss.name)
    if modes is None:
        return None
    return config.loss.threshold_mode or modes[0]


def num_negatives(config: config_dict.ConfigDict) -> int | None:
    """Negatives a row, or ``None`` for the whole catalogue."""
    value = config.training.negatives
    if value == "all":
        return None
    try:
        count = int(value)
    except ValueError:
        raise ValueError(
            f"training.negatives must be a number or 'all'; got {value!r}."
        ) from None
    _at_least("training.negatives", count, 1)
    return count


def similarity(config: config_dict.ConfigDict) -> scores.Similarity:
    """Score function in force: ``auto`` is dot for BPR, BCE and MSE, else cosine."""
    if config.model.similarity != "auto":
        return config.model.similarity
    return "dot" if config.loss.name in DOT_PRODUCT_LOSSES else "cosine"


def validate(config: config_dict.ConfigDict) -> None:
    """Refuses impossible values before any data is read or any program compiled.

    Args:
      config: a tree of ``default_config``'s shape.

    Raises:
      ValueError: one sentence that names the field, what is expected and what was given.

    Example:
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
    for name, _ in _model_options():
        if config.model[name] is not None and name not in model_options(
            config.model.name
        ):
            raise ValueError(
                f"model.{name} is not a hyperparameter of {config.model.name!r}, which"
                f" takes {', '.join(sorted(model_options(config.model.name)))}."
                f"{nearest(name, model_options(config.model.name))}"
            )
    models.initialiser_of(config.model.initialiser or "auto", config.model.init_scale)
    choice("loss.name", loss.name, losses.LOSSES)
    _check_loss(config)
    if num_negatives(config) is None and config.model.scoring == "neumf":
        raise ValueError(
            "model.scoring='neumf' scores pairs one by one and needs a number of"
            " training.negatives; got 'all'."
        )
    if num_negatives(config) is None and loss.name == "adv_infonce":
        raise ValueError(
            "loss.name='adv_infonce' scores its negatives a second time and needs a"
            " number of training.negatives; got 'all'."
        )
    _at_least("loss.top_k", loss.top_k, 1)
    _at_least("loss.adversary_every", loss.adversary_every, 1)
    _at_least("loss.adversary_learning_rate", loss.adversary_learning_rate, 0, True)
    _at_least("model.dim", config.model.dim, 1)
    _at_least("training.batch_size", training.batch_size, 1)
    _at_least("training.epochs", training.epochs, 0)
    _at_least("training.learning_rate", training.learning_rate, 0, strict=True)
    _at_least("training.weight_decay", training.weight_decay, 0)
    _at_least("training.eval_every", training.eval_every, 1)
    _at_least("training.patience", training.patience, 0)
    _at_least("training.negative_alpha", training.negative_alpha, 0)
    _at_least("training.clip_norm", training.clip_norm, 0)
    _at_least("training.warmup_steps", training.warmup_steps, 0)
    _at_least("loss.refresh_every", loss.refresh_every, 0, strict=True)
    _check_noise(config)
    choice(
        "training.weight_decay_mode",
        training.weight_decay_mode,
        ("coupled", "decoupled", "batch"),
    )
    _check_optimiser(config)
    _check_pool(config)
    choice("training.schedule", training.schedule, ("constant", "cosine"))
    choice("training.dtype", training.dtype, ("float32", "bfloat16"))
    choice("training.route", training.route, ("auto", "dense", "gather"))
    choice("evaluation.protocol", evaluation.protocol, PROTOCOLS)
    if not evaluation.ks or any(int(k) < 1 for k in evaluation.ks):
        raise ValueError(
            f"evaluation.ks must be positive numbers; got {evaluation.ks!r}."
        )
    reported = [f"{m}@{k}" for m in evaluation.metrics for k in evaluation.ks]
    choice("evaluation.monitor", evaluation.monitor, reported)


def _check_pool(config: config_dict.ConfigDict) -> None:
    training = config.training
    choice("training.negative_pool", training.negative_pool, ("row", *POOLS))
    if training.negative_pool == "row":
        return
    allowed = {
        "training.negatives": num_negatives(config) is not None,
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
                " training.optimiser and scores by inner products;"
                f" got {field}={config[section][name]!r}."
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
    noisy = training.false_negative_rate or training.marked_rate
    if noisy and (num_negatives(config) is None or training.negative_alpha):
        raise ValueError(
            "training.false_negative_rate and training.marked_rate replace sampled"
            " negatives: they need a number of training.negatives and"
            f" training.negative_alpha 0; got {training.negatives!r} and"
            f" {training.negative_alpha!r}."
        )


def _check_optimiser(config: config_dict.ConfigDict) -> None:
    rule = config.training.optimiser
    choice("training.optimiser", rule, OPTIMISERS)
    if rule.startswith("sparse_") and (
        config.model.name != "mf"
        or num_negatives(config) is None
        or config.loss.name == "adv_infonce"
    ):
        raise ValueError(
            "training.optimiser='sparse_…' updates the rows of a batch: it needs"
            " model.name 'mf', a number of training.negatives and a loss other than"
            f" 'adv_infonce'; got {config.model.name!r},"
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
    takes = set(hyperparameters(loss.name))
    if mode is not None:
        takes |= {"gamma", "radius", "weight", "epsilon", "margin"}
        if mode not in ("learned",):
            takes -= set() if mode == "user" else {"epsilon", "margin"}
        if loss.name == "drrl_tempered" and mode == "row":
            takes -= {"radius", "weight"}
    for name, _ in _hyperparameter_types():
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
        ("negative_weight", 0, False),
        ("auxiliary_learning_rate", 0, True),
    ):
        if loss.get(name) is not None:
            _at_least(f"loss.{name}", loss[name], bound, strict)
    if loss.auxiliary_form is not None:
        choice("loss.auxiliary_form", loss.auxiliary_form, AUXILIARY_FORMS)
    for name in ("auxiliary_form", "auxiliary_learning_rate"):
        if loss[name] is not None and loss.name != "llpauc":
            raise ValueError(
                f"loss.{name} belongs to 'llpauc'; loss.name is {loss.name!r}."
            )
    if loss.radius is not None and loss.weight is not None:
        raise ValueError(
            "loss.radius and loss.weight are two names of one thing; set one of them,"
            f" got {loss.radius!r} and {loss.weight!r}."
        )
