"""A tiny run that trains in a second, shared by the training tests."""

import functools

import numpy as np

from drrl_jax import data, training


@functools.cache
def tiny_dataset():
    return data.load("synthetic", num_users=80, num_items=100, num_interactions=1600)


def tiny_config(**changes):
    config = training.default_config()
    config.update_from_flattened_dict(
        {
            "model.dim": 8,
            "training.batch_size": 128,
            "training.negatives": "8",
            "training.epochs": 4,
            "training.eval_every": 2,
            "training.patience": 0,
            "evaluation.ks": (5, 10),
            "evaluation.monitor": "ndcg@10",
            **{name.replace("__", "."): value for name, value in changes.items()},
        }
    )
    return config


def leaves_equal(a, b):
    import jax

    a, b = jax.tree.leaves(a), jax.tree.leaves(b)
    return len(a) == len(b) and all(
        np.array_equal(np.asarray(x), np.asarray(y)) for x, y in zip(a, b)
    )
