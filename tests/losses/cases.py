"""Every loss with fixed hyperparameters, as one function of arrays, compiled once."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from drrl_jax.losses import LOSSES, llpauc_variables

SHAPE = (4, 7)

# Orders of rows, both ends of the range among them.
ORDERS = np.array([1.0, 1.5, np.inf, 3.0])

# What a loss needs besides scores, by argument name: arrays to differentiate.
ARRAYS: dict[str, Callable[[tuple[int, ...], np.random.Generator], Any]] = {
    "threshold": lambda shape, rng: rng.uniform(-0.3, 0.3, shape[:-1]),
    "quantile": lambda shape, rng: rng.uniform(0.1, 0.4, shape[:-1]),
    "hardness": lambda shape, rng: rng.normal(size=shape),
    "variables": lambda shape, rng: (
        {k: float(v) for k, v in llpauc_variables().items()}
        | {"a": 0.9, "b": 0.1, "gamma": 0.05}
    ),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A loss and its hyperparameters."""

    name: str
    hyperparameters: dict[str, Any]
    orders: bool = False  # An order a row, traced, instead of one number.

    @property
    def id(self) -> str:
        values = "-".join(f"{k}={v}" for k, v in self.hyperparameters.items())
        values += "-gamma=rows" if self.orders else ""
        return f"{self.name}[{values}]"

    @property
    def arrays(self) -> tuple[str, ...]:
        parameters = inspect.signature(LOSSES[self.name]).parameters
        return tuple(name for name in ARRAYS if name in parameters)

    @property
    def grouped(self) -> bool:
        return "users" in inspect.signature(LOSSES[self.name]).parameters

    def loss(self, scores, **options):
        """The loss on a dict of arrays: pos, neg and those of ``arrays``."""
        extra = {k: v for k, v in scores.items() if k not in ("pos", "neg")}
        return LOSSES[self.name](
            scores["pos"], scores["neg"], **extra, **self.hyperparameters, **options
        )

    def scores(self, shape=SHAPE, seed=0, dtype=np.float32) -> dict[str, Any]:
        """Random inputs, cosine-like."""
        rng = np.random.default_rng(seed)
        scores = {
            "pos": rng.uniform(-0.1, 0.9, shape[:-1]),
            "neg": rng.uniform(-0.9, 0.9, shape),
        }
        scores |= {name: ARRAYS[name](shape, rng) for name in self.arrays}
        scores = jax.tree.map(lambda x: np.asarray(x, dtype), scores)
        if self.orders:
            scores["gamma"] = np.resize(ORDERS, shape[:-1]).astype(dtype)
        if self.grouped:
            users = np.arange(np.prod(shape[:-1], dtype=int)) // 2
            scores["users"] = users.reshape(shape[:-1])
        return scores


CASES = [
    Case("softmax", {"temperature": 0.2}),
    Case("softmax", {"temperature": 0.2, "include_positive": True}),
    Case("ccl", {"margin": 0.2, "negative_weight": 3.0}),
    Case("drrl", {"gamma": 1.5, "radius": 0.5}),
    Case("drrl", {"radius": 0.5}, orders=True),
    Case("drrl_dual", {"gamma": 2.0, "weight": 1.5, "epsilon": 0.1}),
    Case("drrl_dual", {"gamma": float("inf"), "weight": 1.5}),
    Case("drrl_tempered", {"gamma": 1.5, "temperature": 0.3}),
    Case("drrl_tempered", {"temperature": 0.3}, orders=True),
    Case("drrl_matched", {"gamma": 1.5, "temperature": 0.3}),
    Case("drrl_matched", {"temperature": 0.3}, orders=True),
    Case("bpr", {}),
    Case("bce", {}),
    Case("mse", {}),
    Case("bsl", {"pos_temperature": 0.5, "neg_temperature": 0.2}),
    Case("bsl_grouped", {"temperature": 0.2, "weight": 1.5}),
    Case("bilateral", {"gamma": 2.0, "radius": 0.5, "pos_radius": 0.2}),
    Case("bilateral", {"radius": 0.5, "direction": "pessimistic"}, orders=True),
    Case("bilateral_tempered", {"gamma": 1.5, "pos_gamma": 2.0}),
    Case("bilateral_tempered", {"direction": "pessimistic"}, orders=True),
    Case("psl", {"activation": "tanh"}),
    Case("psl", {"activation": "atan", "score_temperature": 2.0}),
    Case("psl", {"activation": "relu", "score_temperature": 2.0}),
    Case("sl_at_k", {"temperature": 0.2, "weight_temperature": 2.25}),
    Case("drrl_at_k", {"gamma": 1.5, "temperature": 0.3}),
    Case("drrl_at_k", {"temperature": 0.3}, orders=True),
    Case("adv_infonce", {"temperature": 0.2}),
    Case("llpauc", {"alpha": 0.7, "beta": 0.1}),
]


@functools.cache
def compiled(case: Case):
    """A case's ``(scores, where) -> rows, mean, gradients of the mean``, jitted."""

    def mean(inexact, exact, where):
        return case.loss(inexact | exact, where=where)

    @jax.jit
    def run(scores, where=None):
        # The order is differentiated in the tests of drrl_jax.dro.
        exact = {k: v for k, v in scores.items() if k in ("users", "gamma")}
        inexact = {k: v for k, v in scores.items() if k not in exact}
        rows = case.loss(scores, where=where, reduce_fn=None)
        value, gradients = jax.value_and_grad(mean)(inexact, exact, where)
        return rows, value, gradients

    return run


def assert_finite(tree):
    for path, leaf in jax.tree.leaves_with_path(tree):
        assert jnp.all(jnp.isfinite(leaf)), (jax.tree_util.keystr(path), leaf)
