"""Static mistakes are refused in one sentence, under jit too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drrl_jax import losses

POS, NEG = jnp.zeros(4), jnp.zeros((4, 7))
INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize("name", losses.LOSSES)
def test_shapes(name):
    loss = losses.LOSSES[name]
    extra = {
        "drrl_dual": dict(threshold=0.0),
        "sl_at_k": dict(quantile=0.0),
        "drrl_at_k": dict(quantile=0.0),
        "bsl_grouped": dict(users=jnp.arange(4)),
        "bilateral": dict(users=jnp.arange(4)),
        "bilateral_tempered": dict(users=jnp.arange(4)),
        "llpauc": dict(variables=losses.llpauc_variables()),
    }.get(name, {})

    def refused(message, pos, neg, **options):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(lambda p, n: loss(p, n, **extra, **options), pos, neg)

    refused(
        r"plus a trailing axis; got pos_scores \(4,\), neg_scores \(3, 7\)",
        POS,
        NEG[:3],
    )
    refused("plus a trailing axis", POS, NEG[0])
    refused("must hold a negative a row", POS, NEG[:, :0])
    refused("real numbers; got complex64", POS, NEG + 1j)
    refused(r"where \(4,\), neg_scores \(4, 7\)", POS, NEG, where=POS > 0)
    refused("log_q must broadcast to neg_scores", POS, NEG, log_q=POS)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("softmax", dict(temperature=0.0), "temperature must be greater than 0; got 0"),
        ("softmax", dict(temperature=NAN), "temperature must be greater than 0"),
        ("softmax", dict(temperature=jnp.ones(3)), "temperature must broadcast"),
        (
            "softmax",
            dict(temperature=0.2 + 1j),
            "temperature must be real; got complex",
        ),
        (
            "softmax",
            dict(temperature=POS + 1j),
            "temperature must be real; got complex",
        ),
        ("softmax", dict(log_q=NEG + 1j), "log_q must be real; got complex64"),
        ("softmax", dict(include_positive=POS > 0), "True or False; got bool\\[4\\]"),
        ("softmax", dict(include_positive="no"), "True or False; got 'no'"),
        (
            "adv_infonce",
            dict(hardness=NEG + 1j),
            "hardness must be real; got complex64",
        ),
        ("bsl_grouped", dict(users=["a"] * 4), "users must be integers; got str"),
        ("bsl_grouped", dict(users=[2**40] * 4), "users must fit int32"),
        ("ccl", dict(negative_weight=-1.0), "negative_weight must be at least 0"),
        ("bsl", dict(neg_temperature=-0.1), "neg_temperature must be greater than 0"),
        ("psl", dict(activation="arctan"), "got 'arctan'. Did you mean 'atan'"),
        ("psl", dict(activation=np.array("tanh")), "must be one of tanh, atan, relu"),
        ("llpauc", dict(variables=None), "variables must be a mapping of .*; got None"),
        ("psl", dict(score_temperature=0), "score_temperature must be greater than 0"),
        ("drrl", dict(gamma=0.5), "gamma must be at least 1; got 0.5"),
        ("drrl", dict(radius=-0.1), "radius must be at least 0; got -0.1"),
        ("drrl_tempered", dict(temperature=-1.0), "temperature must be"),
        ("drrl_tempered", dict(gamma=0.9), "gamma must be at least 1; got 0.9"),
        ("drrl_dual", dict(threshold=0.0, gamma=1.0), "gamma must be"),
        ("drrl_dual", dict(threshold=0.0, weight=0.5), "weight must be at least 1"),
        ("drrl_dual", dict(threshold=0.0, epsilon=-1.0), "epsilon must be at least 0"),
        ("drrl_dual", dict(threshold=0.0, epsilon=INF), "epsilon must be at most"),
        ("drrl_dual", dict(threshold=jnp.ones(3)), "threshold must broadcast"),
        ("sl_at_k", dict(quantile=jnp.ones(3)), "quantile must broadcast"),
        ("adv_infonce", dict(hardness=POS), r"hardness must have the shape .* \(4,\)"),
        ("bsl_grouped", dict(users=jnp.arange(3)), r"users \(3,\), pos_scores \(4,\)"),
        (
            "bsl_grouped",
            dict(users=np.arange(4) + 2**40),
            "users must fit int32, .* got 1099511627776 to 1099511627779. Number them",
        ),
        (
            "bsl_grouped",
            dict(users=jnp.arange(4), temperature=jnp.ones(4)),
            r"temperature must be one number; got shape \(4,\)",
        ),
        ("bilateral", dict(users=jnp.arange(3)), r"users \(3,\), pos_scores \(4,\)"),
        (
            "bilateral",
            dict(users=jnp.arange(4), pos_radius=-0.1),
            "pos_radius must be at least 0; got -0.1",
        ),
        (
            "bilateral",
            dict(users=jnp.arange(4), pos_gamma=jnp.ones(4)),
            r"pos_gamma must be one number; got shape \(4,\)",
        ),
        (
            "bilateral_tempered",
            dict(users=jnp.arange(4), pos_temperature=0.0),
            "pos_temperature must be greater than 0",
        ),
        (
            "bilateral_tempered",
            dict(users=jnp.arange(4), direction="pesimistic"),
            "Did you mean 'pessimistic'",
        ),
        (
            "bilateral_tempered",
            dict(users=jnp.arange(4), group_size=0),
            "group_size must be a positive integer; got 0",
        ),
        ("bsl_grouped", dict(users=np.ones(4)), "users must be integers; got float32"),
        (
            "bilateral",
            dict(users=jnp.arange(4), group_size=3.0),
            "group_size must be a positive integer; got 3.0",
        ),
        ("ccl", dict(margin=NAN), "margin must be a number; got nan"),
        ("drrl", dict(gamma="1.5"), "gamma must be a number or an array; got '1.5'"),
        ("llpauc", dict(variables={"a": 1.0}), "missing b, gamma"),
        (
            "llpauc",
            dict(variables=losses.llpauc_variables(), alpha=0.0),
            "alpha must be greater than 0",
        ),
        (
            "llpauc",
            dict(variables=losses.llpauc_variables(), beta=3.0),
            "beta must be at most 1; got 3.0",
        ),
        ("drrl_tempered", dict(temperature=INF), "at least 0 and finite; got inf"),
        ("drrl_matched", dict(temperature=INF), "greater than 0 and finite; got inf"),
    ],
)
def test_hyperparameters(name, options, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda p, n: losses.LOSSES[name](p, n, **options), POS, NEG)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("drrl_tempered", dict(temperature=0.0), "^temperature must be greater than 0"),
        (
            "bilateral",
            dict(users=jnp.arange(4), pos_gamma=0.5),
            "^pos_gamma must be at least 1; got 0.5",
        ),
    ],
)
def test_numbers_are_refused_by_their_own_names(name, options, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda p, n: losses.LOSSES[name](p, n, **options), POS, NEG)


def test_a_flag_of_numpy_is_one_too():
    scores = np.array([0.9], np.float32), np.array([[0.1, 0.5]], np.float32)
    for flag in (True, False):
        found = losses.softmax(*scores, include_positive=np.bool_(flag))
        assert found == losses.softmax(*scores, include_positive=flag)
