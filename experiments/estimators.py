"""What solving a row on sampled negatives gets wrong, on the scores of a trained model."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from drrl_jax import data, dro, training
from experiments.study import Row, Study


def estimators(
    study: Study,
    changes: Mapping[str, Any],
    num_rows: int,
    draws: int,
    sizes: Sequence[str],
    *,
    gamma: float,
    radius: float,
) -> list[Row]:
    """Errors of each estimator of a row's worst case over the catalogue.

    Args:
      study: the base config and its data.
      changes: of the model whose scores are looked at.
      num_rows: users.
      draws: samples of negatives for each of them.
      sizes: numbers of negatives.
      gamma: the order, above 1.
      radius: the radius.

    Raises:
      ValueError: for an order of 1, where no threshold is finite.
    """
    if not gamma > 1:
        raise ValueError(
            f"gamma must be greater than 1, for a threshold to exist; got {gamma}."
        )
    parts = training.build(study.configured(changes), study.dataset)
    state, _ = training.fit(parts, progress=False)
    users, items = parts.objective.embeddings(state.params, parts.data)
    positives = data.to_csr(study.dataset.train, study.dataset.num_users)
    table = data.negative_table(positives, study.dataset.num_items)
    ids = jnp.arange(min(num_rows, study.dataset.num_users))
    scores = (users[ids] @ items.T).astype(jnp.float32)
    mask = parts.objective.catalogue_mask(parts.data, ids)
    truth = dro.worst_case(scores, gamma=gamma, radius=radius, where=mask)
    # The gradient in the user's embedding, the direction that training follows.
    exact = truth.weights @ items
    norm = float(jnp.sqrt(jnp.mean(jnp.sum(exact**2, -1))))

    def errors(key: jax.Array, size: int) -> dict[str, dict[str, jax.Array]]:
        chosen = data.sample_negatives(key, table, ids, size)
        sampled = jnp.take_along_axis(scores, chosen, axis=1)
        return {
            name: {
                "value": found["value"] - truth.value,
                "threshold": found["threshold"] - truth.threshold,
                "log tau": jnp.log(found["temperature"] / truth.temperature),
                "gradient": jnp.einsum("bn,bnd->bd", found["weights"], items[chosen])
                - exact,
            }
            for name, found in _estimate(sampled, truth, gamma, radius).items()
        }

    lines = []
    for size in map(int, sizes):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(0), size), draws)
        found = jax.jit(lambda keys, n=size: jax.lax.map(lambda k: errors(k, n), keys))
        for name, stack in jax.device_get(found(keys)).items():
            error, bias = stack["gradient"], stack["gradient"].mean(0)
            lines.append(
                {
                    "N": size,
                    "estimator": name,
                    "bias of value": float(stack["value"].mean()),
                    "bias of threshold": float(stack["threshold"].mean()),
                    "std of threshold": float(stack["threshold"].std(0).mean()),
                    "bias of log tau": float(stack["log tau"].mean()),
                    "std of log tau": float(stack["log tau"].std(0).mean()),
                    "gradient error": float(np.sqrt((error**2).sum(-1).mean()) / norm),
                    "gradient bias": float(np.sqrt((bias**2).sum(-1).mean()) / norm),
                }
            )
    return lines


def _estimate(sampled: jax.Array, truth: dro.WorstCase, gamma: float, radius: float):
    """Temperatures of each estimator, and the weights that they give on the sample."""
    solved = dro.worst_case(sampled, gamma=gamma, radius=radius)
    logs = jnp.log(jnp.maximum(solved.temperature, 1e-6))
    mean = logs.mean()
    temperatures = {
        "shrunk 1/2": jnp.exp(0.5 * (logs + mean)),
        "batch mean": jnp.exp(jnp.broadcast_to(mean, logs.shape)),
        "user catalogue": truth.temperature,
    }
    kappa = (gamma - 1) / gamma
    found = {"solved": solved._asdict()}
    for name, temperature in temperatures.items():
        case = dro.worst_case_at_temperature(sampled, temperature, gamma=gamma)
        value = dro.value_at_temperature(
            sampled, temperature, gamma=gamma, radius=radius
        )
        found[name] = {
            "weights": case.weights,
            "value": value,
            "threshold": sampled.max(-1) - temperature / kappa,
            "temperature": temperature,
        }
    # The catalogue's own threshold: weights by where a score lies, not by its rank
    # within the sample.
    weight = dro.weight_from_radius(radius, gamma)

    def at_threshold(sampled: jax.Array) -> jax.Array:
        return dro.dual(sampled, truth.threshold, gamma=gamma, weight=weight)

    value, back = jax.vjp(at_threshold, sampled)
    steep = back(jnp.ones_like(value))[0]  # of the weights' direction
    total = jnp.sum(steep, -1, keepdims=True)
    above = jnp.maximum(sampled.max(-1) - truth.threshold, 0)
    found["user threshold"] = {
        "weights": steep / jnp.where(total > 0, total, 1),
        "value": value,
        "threshold": truth.threshold,
        "temperature": jnp.maximum(kappa * above, truth.temperature),
    }
    return found
