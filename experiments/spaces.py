"""Search spaces of the losses: what is fixed in each method, and what is searched."""

import dataclasses
import math
from typing import Any

import numpy as np


def short(number: float) -> float:
    """Three digits: what a setting is reported by is what was run.

    Example:
      >>> short(0.123456)
      0.123
    """
    return float(f"{number:.3g}")


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers between two ends, evenly by value or, by default, by logarithm."""

    low: float
    high: float
    log: bool = True

    def points(self, count: int) -> list[float]:
        """``count`` numbers, evenly spaced; a single one lies in the middle."""
        ends = (self.low, self.high)
        low, high = map(math.log, ends) if self.log else ends
        middle = [0.5] if count == 1 else np.linspace(0, 1, count).tolist()
        found = [low + share * (high - low) for share in middle]
        return [short(math.exp(x) if self.log else x) for x in found]


Space = dict[str, Range | tuple]

_RATE: Space = {"training.learning_rate": Range(2e-3, 0.05)}
_TAU: Space = {"loss.temperature": Range(0.05, 0.5)}
_ORDER: Space = {"loss.gamma": Range(1.05, 5.0)}
# Narrower: there are more of them, and a trial is a long run.
_AT_K: Space = {
    "loss.temperature": Range(0.1, 0.4),
    "loss.weight_temperature": Range(1.0, 5.0),
    "loss.negative_weight": Range(16.0, 1000.0),
    "training.learning_rate": Range(5e-3, 0.02),
}
_RADIUS: Space = {"loss.radius": Range(0.1, 4.0)}

# What is fixed in each method, and what is searched.
SPACES: dict[str, tuple[dict[str, Any], Space]] = {
    "bpr": (
        {"loss.name": "bpr", "training.negatives": "1"},
        {
            "training.learning_rate": Range(5e-4, 0.02),
            "training.weight_decay": Range(1e-8, 1e-4),
        },
    ),
    "softmax": ({"loss.name": "softmax"}, {**_TAU, **_RATE}),
    "ccl": (
        {"loss.name": "ccl"},
        {
            "loss.margin": Range(0.0, 0.9, log=False),
            "loss.negative_weight": Range(0.5, 50.0),
            **_RATE,
        },
    ),
    "bsl": (
        {"loss.name": "bsl_grouped"},
        {**_TAU, "loss.weight": Range(0.3, 3.0), **_RATE},
    ),
    "psl": (
        {"loss.name": "psl", "loss.score_temperature": 2.0},
        {
            "loss.activation": ("tanh", "atan", "relu"),
            "loss.temperature": Range(0.02, 0.5),
            **_RATE,
        },
    ),
    "sl at k": (
        {"loss.name": "sl_at_k", "loss.refresh_every": 5.0},
        _AT_K,
    ),
    "adv_infonce": (
        {"loss.name": "adv_infonce"},
        {**_TAU, "loss.negative_weight": Range(1.0, 128.0), **_RATE},
    ),
    "llpauc": (
        {"loss.name": "llpauc"},
        {
            "loss.alpha": Range(0.1, 0.9, log=False),
            "loss.beta": Range(0.01, 0.5),
            **_RATE,
        },
    ),
    "drrl tempered": (
        {"loss.name": "drrl_tempered"},
        {**_TAU, **_ORDER, **_RATE},
    ),
    "drrl matched": (
        {"loss.name": "drrl_matched"},
        {**_TAU, **_ORDER, **_RATE},
    ),
    "drrl at k": (
        {"loss.name": "drrl_at_k", "loss.refresh_every": 5.0},
        {"loss.gamma": Range(1.05, 2.5), **_AT_K},
    ),
    "drrl solved": (
        {"loss.name": "drrl", "loss.threshold_mode": "solved"},
        {**_RADIUS, **_ORDER, **_RATE},
    ),
    "drrl learned": (
        {"loss.name": "drrl", "loss.threshold_mode": "learned"},
        {
            "loss.weight": Range(1.05, 8.0),
            **_ORDER,
            "loss.threshold_init": Range(-0.2, 0.8, log=False),
            **_RATE,
        },
    ),
    "drrl user": (
        {"loss.name": "drrl", "loss.threshold_mode": "user"},
        {**_RADIUS, **_ORDER, **_RATE},
    ),
}
