"""What the host knows of a run: its best epoch, its patience, whether it is finite."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import config_dict

from drrl_jax.products import wide_type
from drrl_jax.training.checkpoint import Checkpointer


class NonFiniteLossError(FloatingPointError):
    """The loss, or a parameter, became NaN or infinite."""


def new_record(fingerprint: str) -> dict[str, Any]:
    """What the host knows of a run, kept with its checkpoints, before the first epoch."""
    return {
        "epoch": 0,
        "best_epoch": 0,
        "best_score": -1.0,
        "bar": -1.0,
        "bad_checks": 0,
        "seconds": 0.0,
        "valid": {},
        "history": [],
        "dataset": fingerprint,
    }


def update_best(
    config: config_dict.ConfigDict, record: dict[str, Any], scores: dict[str, float]
) -> None:
    """Notes the scores of a check of the validation split.

    Args:
      config: names the metric that counts, and the least gain.
      record: changed in place.
      scores: of the check, by metric.
    """
    score = scores[config.evaluation.monitor]
    # Patience counts checks since the score last rose by min_delta; the bar stays where
    # it was then, so that many small gains count as one. The checkpoint that is tested is
    # the one with the best score all the same.
    first = record["best_epoch"] == 0
    if first or score > record["bar"] + config.training.min_delta:
        record["bad_checks"], record["bar"] = 0, score
    else:
        record["bad_checks"] += 1
    if first or score > record["best_score"]:
        record["best_score"], record["best_epoch"] = score, record["epoch"]


def patience_spent(config: config_dict.ConfigDict, record: dict[str, Any]) -> bool:
    """Whether as many checks in a row as the config allows brought no gain."""
    patience = config.training.patience
    return bool(patience) and record["bad_checks"] >= patience


def check_finite(
    step_losses: np.ndarray, epoch: int, checkpointer: Checkpointer | None
) -> None:
    """Refuses an epoch with a loss that is no number.

    Args:
      step_losses: of the epoch's steps.
      epoch: its number, from 1.
      checkpointer: of the run; the error names its last checkpoint.

    Raises:
      NonFiniteLossError: names the step, and what may help.
    """
    if np.isfinite(step_losses).all():
        return
    first = int(np.argmin(np.isfinite(step_losses)))
    step = (epoch - 1) * len(step_losses) + first
    raise NonFiniteLossError(
        f"The loss became {step_losses[first]} at step {step} (epoch {epoch}, step"
        f" {first} of {len(step_losses)}); {_advice(checkpointer)}"
    )


def check_finite_parameters(
    params: Any, epoch: int, checkpointer: Checkpointer | None
) -> None:
    """Refuses to rank or keep parameters that are no numbers, or too large to square.

    A loss is of the parameters before its step: what the last step did shows only here.

    Args:
      params: a pytree of arrays.
      epoch: that ended with them, from 1.
      checkpointer: of the run; the error names its last checkpoint.

    Raises:
      NonFiniteLossError: names a leaf of ``params``, and what may help.
    """
    for path, finite in jax.tree_util.tree_leaves_with_path(finite_leaves(params)):
        if not finite:
            raise NonFiniteLossError(
                f"The parameters {jax.tree_util.keystr(path)} left the finite numbers in"
                f" epoch {epoch}; {_advice(checkpointer)}"
            )


@jax.jit
def finite_leaves(params: Any) -> Any:
    """Whether the squared norm of each leaf is a finite number."""

    def finite(leaf: jax.Array) -> jax.Array:
        return jnp.isfinite(jnp.sum(jnp.square(leaf.astype(wide_type(leaf)))))

    return jax.tree.map(finite, params)


def _advice(checkpointer: Checkpointer | None) -> str:
    kept = checkpointer.latest if checkpointer is not None else None
    saved = (
        f"the last good checkpoint, of epoch {kept}, is in {checkpointer.directory}"
        if checkpointer is not None and kept is not None
        else "no checkpoint was written before it"
    )
    return (
        f"{saved}. A smaller training.learning_rate or a larger temperature usually"
        " helps."
    )
