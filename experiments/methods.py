"""The losses that studies compare, each with as many settings: equal budgets by count."""

from typing import Any

from experiments.study import grid

_DRRL = {"loss__name": ("drrl",)}
_SL_AT_K = {"loss.name": "sl_at_k", "loss.refresh_every": 5.0}
_DRRL_AT_K = {"loss.name": "drrl_at_k", "loss.refresh_every": 5.0}


def _rows(
    fixed: dict[str, Any], fields: tuple[str, ...], *rows: tuple[float, ...]
) -> list[dict[str, Any]]:
    """A setting a row, where ``grid`` would be too many: values of the loss's fields."""
    names = [f"loss.{field}" for field in fields]
    return [{**fixed, **dict(zip(names, row, strict=True))} for row in rows]


# Six settings each, the likelier ones first: a smaller budget takes the head.
METHODS: dict[str, list[dict[str, Any]]] = {
    "bpr": grid(
        loss__name=("bpr",),
        training__negatives=("1",),
        training__learning_rate=(1e-3, 3e-3),
        training__weight_decay=(0.0, 1e-6, 1e-5),
    ),
    "softmax": grid(
        loss__name=("softmax",),
        loss__temperature=(0.2, 0.15, 0.1, 0.25, 0.3, 0.4),
    ),
    "ccl": grid(
        loss__name=("ccl",),
        loss__margin=(0.4, 0.6),
        loss__negative_weight=(2.0, 5.0, 30.0),
    ),
    # Not `losses.bsl`, the form with one positive a row: it is SL times a constant, which
    # Adam does not see.
    "bsl": grid(
        loss__name=("bsl_grouped",),
        loss__weight=(1.0, 0.5),
        loss__temperature=(0.2, 0.15, 0.1),
    ),
    "psl": grid(
        loss__name=("psl",),
        loss__activation=("relu",),
        loss__score_temperature=(2.0,),
        loss__temperature=(0.1, 0.075, 0.05, 0.125, 0.15, 0.2),
    ),
    "drrl solved": grid(
        **_DRRL,
        loss__threshold_mode=("solved",),
        loss__radius=(1.0, 0.5, 2.0),
        loss__gamma=(1.5, 2.0),
    ),
    "drrl learned": grid(
        **_DRRL,
        loss__threshold_mode=("learned",),
        loss__threshold_init=(0.3,),
        loss__weight=(2.0, 1.5, 3.0),
        loss__gamma=(2.0, 1.5),
    ),
    "drrl tempered": grid(
        loss__name=("drrl_tempered",),
        loss__temperature=(0.3, 0.25, 0.2),
        loss__gamma=(1.5, 1.25),
    ),
    "drrl matched": grid(
        loss__name=("drrl_matched",),
        loss__gamma=(1.5, 1.25),
        loss__temperature=(0.3, 0.25, 0.2),
    ),
    "drrl user": grid(
        **_DRRL,
        loss__threshold_mode=("user",),
        loss__radius=(1.0, 1.5, 2.0),
        loss__gamma=(1.5, 1.25),
    ),
    "drrl user-tempered": grid(
        loss__name=("drrl_tempered",),
        loss__threshold_mode=("user",),
        loss__radius=(1.0, 1.5, 2.0),
        loss__gamma=(1.5, 1.25),
    ),
    "sl at k": grid(
        loss__name=("sl_at_k",),
        loss__refresh_every=(5.0,),
        loss__weight_temperature=(1.0, 1.5, 4.0),
        loss__temperature=(0.2, 0.15),
    ),
    "drrl at k": _rows(
        _DRRL_AT_K,
        ("gamma", "temperature", "weight_temperature"),
        (1.5, 0.3, 2.0), (1.25, 0.25, 2.0), (1.25, 0.2, 2.0),
        (1.25, 0.25, 4.0), (1.25, 0.15, 2.0), (1.1, 0.15, 4.0),
    ),
}  # fmt: skip

# The losses at K with the level that log N sets held at that of 64 negatives: for other
# numbers of negatives.
LEVEL = {"loss.negative_weight": 64.0}
HELD = {
    f"{name} (w=64)": [{**s, **LEVEL} for s in METHODS[name]]
    for name in ("sl at k", "drrl at k")
}

# Where many negatives are false, higher temperatures and margins serve than on clean data.
# Twelve settings each: the second six lie around what was best of the first.
NOISY: dict[str, list[dict[str, Any]]] = {
    "ccl (noise)": _rows(
        {"loss.name": "ccl"},
        ("margin", "negative_weight"),
        (0.7, 5.0), (0.8, 5.0), (0.6, 8.0), (0.7, 8.0), (0.6, 3.0), (0.8, 12.0),
        (0.7, 4.0), (0.65, 5.0), (0.75, 5.0), (0.8, 4.0), (0.9, 6.0), (0.65, 4.0),
    ),
    "sl at k (noise)": _rows(
        _SL_AT_K,
        ("weight_temperature", "temperature"),
        (4.0, 0.4), (4.0, 0.5), (4.0, 0.6), (4.0, 0.3), (6.0, 0.5), (2.5, 0.3),
        (3.0, 0.35), (2.5, 0.25), (2.0, 0.25), (3.0, 0.3), (5.0, 0.4), (1.5, 0.2),
    ),
    "drrl at k (noise)": _rows(
        _DRRL_AT_K,
        ("gamma", "temperature", "weight_temperature"),
        (1.25, 0.4, 4.0), (1.25, 0.5, 4.0), (1.5, 0.5, 4.0),
        (1.25, 0.3, 4.0), (1.5, 0.6, 6.0), (1.25, 0.3, 2.5),
        (1.25, 0.35, 3.0), (1.1, 0.4, 4.0), (1.25, 0.4, 3.0),
        (1.1, 0.35, 3.0), (1.5, 0.45, 4.0), (1.25, 0.45, 5.0),
    ),
}  # fmt: skip

# What a study runs that tunes nothing: the likeliest setting of each.
DEFAULTS: dict[str, dict[str, Any]] = {
    name: settings[0] for name, settings in METHODS.items()
}

# The two ends of the family and DrRL between them, for studies of many runs.
FAMILY = ("softmax", "ccl", "drrl tempered", "drrl solved")
