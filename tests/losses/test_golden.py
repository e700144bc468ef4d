"""Values and gradients against an independent implementation of each formula."""

import jax
import numpy as np
import pytest

from drrl_jax import losses
from tests.conftest import reference_path

GOLDEN = {
    "softmax_t0.2": ("softmax", dict(temperature=0.2)),
    "softmax_t0.2_include_positive": (
        "softmax",
        dict(temperature=0.2, include_positive=True),
    ),
    "ccl_m0.3_w5": ("ccl", dict(margin=0.3, negative_weight=5.0)),
    "bpr": ("bpr", {}),
    "bce": ("bce", {}),
    "mse": ("mse", {}),
    "bsl_t0.5_t0.2": ("bsl", dict(pos_temperature=0.5, neg_temperature=0.2)),
    "bsl_grouped_t0.2_w1.5": ("bsl_grouped", dict(temperature=0.2, weight=1.5)),
    **{
        f"psl_{activation}_s2_t0.1": (
            "psl",
            dict(activation=activation, score_temperature=2.0, temperature=0.1),
        )
        for activation in ("tanh", "atan", "relu")
    },
    "sl_at_k_t0.2_w2.25": (
        "sl_at_k",
        dict(temperature=0.2, weight_temperature=2.25),
    ),
    "adv_infonce_t0.2_w64": (
        "adv_infonce",
        dict(temperature=0.2, negative_weight=64.0),
    ),
    **{
        f"drrl_dual_g{gamma}_w{weight}_e{epsilon}": (
            "drrl_dual",
            dict(gamma=gamma, weight=weight, epsilon=epsilon),
        )
        for gamma, weight, epsilon in (
            (2.0, 1.5, 0.1),
            (150.0, 1.0, 0.1),
            (1.5, 2.0, 0.0),
            (5.0, 3.0, 0.0),
        )
    },
    "llpauc_a0.7_b0.1": ("llpauc", dict(alpha=0.7, beta=0.1)),
}
ARRAYS = {
    "bsl_grouped": ("users",),
    "sl_at_k": ("quantile",),
    "adv_infonce": ("hardness",),
    "drrl_dual": ("threshold",),
}


@pytest.fixture(scope="module")
def reference():
    with np.load(reference_path()) as file:
        return dict(file)


def expected(reference, name, what):
    # The two terms of these are stored apart.
    names = [f"{name}_pos", f"{name}_neg"] if name in ("bce", "mse") else [name]
    return sum(reference[f"{name}/{what}"] for name in names)


def test_every_golden_is_used(reference):
    stored = {name.split("/")[0] for name in reference if name.endswith("/grad_pos")}
    used = set(GOLDEN) - {"bce", "mse"} | {"bce_pos", "bce_neg", "mse_pos", "mse_neg"}
    assert stored == used


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name, dtype, reference):
    loss_name, hyperparameters = GOLDEN[name]
    loss = losses.LOSSES[loss_name]
    arrays = {key: reference[key] for key in ARRAYS.get(loss_name, ())}
    if loss_name == "llpauc":
        arrays["variables"] = {
            key: reference[f"llpauc_variables/{key}"]
            for key in losses.llpauc_variables()
        }
    arrays = jax.tree.map(
        lambda x: x.astype(dtype if x.dtype.kind == "f" else "int32"), arrays
    )
    pos, neg = reference["pos"].astype(dtype), reference["neg"].astype(dtype)

    @jax.jit
    def run(pos, neg, arrays):
        def mean(pos, neg):
            return loss(pos, neg, **arrays, **hyperparameters)

        rows = loss(pos, neg, reduce_fn=None, **arrays, **hyperparameters)
        value, gradients = jax.value_and_grad(mean, (0, 1))(pos, neg)
        return rows, value, *gradients

    with jax.enable_x64(dtype == "float64"):
        rows, value, grad_pos, grad_neg = jax.device_get(run(pos, neg, arrays))
    assert rows.dtype == value.dtype == grad_pos.dtype == grad_neg.dtype == dtype
    values = expected(reference, name, "value")
    tolerance = 1e-9 if dtype == "float64" else 2e-5
    for got, want in (
        (rows if values.size == rows.size else value[None], values),
        (value, values.mean()),
        (grad_pos, expected(reference, name, "grad_pos")),
        (grad_neg, expected(reference, name, "grad_neg")),
    ):
        scale = tolerance * np.abs(want).max()
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=scale)
