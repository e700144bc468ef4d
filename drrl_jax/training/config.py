"""The one configuration tree, its defaults, and what follows from its values."""

import dataclasses
import inspect
import math
from typing import Any

from ml_collections import config_dict

from drrl_jax import losses, models, scores
from drrl_jax.training.source import source_fields
from drrl_jax.training.supply import SUPPLIED

# The threshold modes that a loss allows, its default first.
DRRL_MODES = {
    "drrl": ("solved", "learned", "user"),
    "drrl_dual": ("learned", "user"),
    "drrl_tempered": ("row", "user"),
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
                **{name: optional(kind) for name, kind in model_option_types()},
            },
            "loss": {
                "name": "drrl_tempered",
                "threshold_mode": optional(str),
                "threshold_learning_rate": 1e-3,
                "threshold_optimizer": "sgd",
                "threshold_init": 0.0,
                "refresh_every": 1.0,
                **{name: optional(kind) for name, kind in hyperparameter_types()},
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


def effective_loss(loss_name: str, mode: str | None) -> str:
    """The loss function that a loss is in a threshold mode.

    Example:
      >>> effective_loss("drrl", "solved"), effective_loss("drrl", "learned")
      ('drrl', 'drrl_dual')
    """
    held = loss_name == "drrl" and mode in ("learned", "user")
    return "drrl_dual" if held else loss_name


def has_budget(mode: str | None) -> bool:
    """Whether a threshold mode takes the size of its ball, as a radius or a weight."""
    return mode in ("solved", "learned", "user")


def taken(
    loss_name: str, mode: str | None = None
) -> dict[str, inspect.Parameter | None]:
    """Hyperparameters that something reads where a loss runs in a threshold mode.

    Returns:
      The parameters by name; ``None`` for the second name of a ball's size.

    Example:
      >>> sorted(taken("drrl_tempered", "row")), sorted(taken("drrl_tempered", "user"))
      (['gamma', 'temperature'], ['gamma', 'radius', 'weight'])
    """
    found: dict[str, inspect.Parameter | None] = {}
    if has_budget(mode):
        found |= {"radius": None, "weight": None}
    found |= hyperparameters(effective_loss(loss_name, mode))
    if has_budget(mode):  # what is solved for the radius is not taken
        found.pop("temperature", None)
    return found


def defaults(loss_name: str) -> dict[str, Any]:
    """What a loss of the DrRL family takes where the config sets nothing.

    Example:
      >>> defaults("drrl_tempered")
      {'gamma': 1.5, 'temperature': 0.3, 'radius': 1.0}
    """
    own = {name: p.default for name, p in hyperparameters(loss_name).items()}
    # A temperature a user is solved for the radius, which the loss does not take.
    return own | ({"radius": 1.0} if loss_name == "drrl_tempered" else {})


def model_options(model_name: str) -> dict[str, Any]:
    """Hyperparameters of a backbone beyond the shape of its tables, with defaults."""
    return {
        field.name: field.default
        for field in dataclasses.fields(models.MODELS[model_name])
        if field.name not in ("num_users", "num_items", "dim", "name", "parent")
    }


def model_option_types() -> list[tuple[str, type]]:
    """Options of all backbones, with the type that a flag of that name has."""
    found: dict[str, type] = {}
    for model_name in models.MODELS:
        for name, default in model_options(model_name).items():
            found[name] = float if default is None else type(default)
    return sorted(found.items())


def hyperparameter_types() -> list[tuple[str, type]]:
    """Hyperparameters of all losses, with the type that a flag of that name has."""
    found: dict[str, type] = {}
    for loss_name in losses.LOSSES:
        for name, parameter in hyperparameters(loss_name).items():
            default = parameter.default
            if name not in found or found[name] is float:
                kind = type(default) if isinstance(default, (bool, str)) else float
                found[name] = kind
    return sorted(found.items())


def at_least(field: str, value: float, bound: float, strict: bool = False) -> None:
    """Refuses a value below a bound, at it if ``strict``, NaN, or, of most, infinity."""
    bad = value <= bound if strict else value < bound
    if value == math.inf and not field.endswith(("gamma", "radius")):
        raise ValueError(f"{field} must be finite; got {value!r}.")
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
    at_least("training.negatives", count, 1)
    return count


def similarity(config: config_dict.ConfigDict) -> scores.Similarity:
    """Score function in force: ``auto`` is dot for BPR, BCE and MSE, else cosine."""
    if config.model.similarity != "auto":
        return config.model.similarity
    return "dot" if config.loss.name in DOT_PRODUCT_LOSSES else "cosine"
