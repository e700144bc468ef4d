"""Impossible configs are refused with one sentence, before anything runs."""

import re

import pytest

from drrl_jax import data, training
from drrl_jax.training import config as config_lib
from drrl_jax.training import grid as grid_lib
from tests.training.helpers import tiny_config, tiny_dataset


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("loss.name", "sofmax", "Did you mean 'softmax'"),
        ("model.name", "lightgnc", "Did you mean 'lightgcn'"),
        ("loss.gamma", 0.5, "loss.gamma must be at least 1; got 0.5"),
        ("loss.gamma", float("nan"), "loss.gamma must be at least 1"),
        ("loss.temperature", 0.0, "loss.temperature must be greater than 0"),
        ("loss.margin", 0.3, "loss.margin is not a hyperparameter of 'drrl_tempered'"),
        ("loss.threshold_mode", "learnt", "loss.threshold_mode must be one of"),
        ("loss.threshold_optimizer", "rmsprop", "must be one of sgd, adam; got 'rms"),
        ("loss.threshold_learning_rate", -1.0, "must be at least 0; got -1.0"),
        ("training.min_delta", float("nan"), "training.min_delta must be at least 0"),
        ("loss.temperature", float("inf"), "loss.temperature must be finite; got inf"),
        ("training.learning_rate", float("inf"), "must be finite; got inf"),
        ("training.negatives", "many", "a number or 'all'; got 'many'"),
        ("training.negatives", "0", "training.negatives must be at least 1"),
        ("training.batch_size", 0, "training.batch_size must be at least 1"),
        ("training.learning_rate", 0.0, "greater than 0"),
        ("training.false_negative_rate", 1.5, r"must lie in \[0, 1\]"),
        ("training.marked_rate", -0.1, r"training.marked_rate must lie in \[0, 1\]"),
        ("training.marked_share", 2.0, r"training.marked_share must lie in \[0, 1\]"),
        ("model.initialiser", "xaver", "initialiser must be one of .*mean 'xavier'"),
        ("model.init_scale", 0.0, "init_scale must be greater than 0; got 0.0"),
        ("evaluation.ks", (), r"evaluation.ks must be a tuple or list of at least one"),
        ("evaluation.ks", (2.5, 20), "evaluation.ks must be positive integers"),
        ("evaluation.metrics", ("recall", "ndgc"), "Did you mean 'ndcg'"),
        ("evaluation.block", -5, "evaluation.block must be at least 0; got -5"),
        ("training.eval_every", 0, "training.eval_every must be at least 1; got 0"),
        ("seed", 2**32, r"seed must lie in \[0, 4294967296\); got 4294967296"),
        ("seed", -1, r"seed must lie in \[0, 4294967296\); got -1"),
        ("data.seed", -1, "data.seed must be at least 0; got -1"),
        ("data.core", -3, "data.core must be at least 0; got -3"),
        ("data.min_rating", float("nan"), "data.min_rating must be finite; got nan"),
        ("loss.threshold_init", float("inf"), "loss.threshold_init must be finite"),
        ("training.log_q_correction", True, "needs a training.negative_alpha above 0"),
        ("training.false_negative_rate", 0.01, "take one of training.negatives"),
        ("evaluation.monitor", "ndcg@50", "evaluation.monitor must be one of"),
        ("evaluation.protocol", "banchmark", "Did you mean 'benchmark'"),
        ("data.source", "file", "Did you mean 'files'"),
    ],
)
def test_refused(field, value, sentence):
    config = tiny_config()
    config.update_from_flattened_dict({field: value})
    with pytest.raises(ValueError, match=sentence):
        training.validate(config)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"loss__name": "sl_at_k", "loss__negative_weight": 0.0},
            "loss.negative_weight must be greater than 0; got 0.0",
        ),
        (
            {"loss__name": "psl", "loss__activation": "rleu"},
            "loss.activation must be one of .* mean 'relu'",
        ),
    ],
)
def test_what_a_loss_would_refuse_while_it_is_traced(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        training.validate(tiny_config(**changes))
    training.validate(tiny_config(loss__name="ccl", loss__negative_weight=0.0))


def test_a_layer_without_units():
    config = tiny_config(model__name="ncf", model__hidden=(8, 0))
    with pytest.raises(ValueError, match=r"must hold positive widths; got \('8',\)"):
        training.validate(tiny_config(model__name="ncf", model__hidden=("8",)))
    with pytest.raises(ValueError, match=r"must hold positive widths; got \(8, 0\)"):
        training.validate(config)


def test_a_warm_up_that_never_ends():
    config = tiny_config(training__epochs=1, training__warmup_steps=10_000)
    with pytest.raises(ValueError, match=r"less than the run's \d+ steps \(1 epochs\)"):
        training.build(config)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model__similarity": "dot"}, "model.similarity .* must be 'auto'; got 'dot'"),
        ({"training__dtype": "bfloat16"}, "must be 'float32'; got 'bfloat16'"),
        ({"training__route": "gather"}, "training.route .* 'auto'; got 'gather'"),
    ],
)
def test_settings_of_inner_products_where_pairs_score_themselves(changes, sentence):
    pairs = {"model__name": "ncf", "model__scoring": "neumf"}
    training.validate(tiny_config(**pairs))
    with pytest.raises(ValueError, match=sentence):
        training.validate(tiny_config(**pairs, **changes))


@pytest.mark.parametrize(
    "changes", [{"training__negatives": "all"}, {"training__negative_pool": "shared"}]
)
def test_a_route_where_no_negatives_are_sampled_for_each_row(changes):
    config = tiny_config(training__route="gather", **changes)
    with pytest.raises(ValueError, match=r"must be 'auto' .*; got 'gather'"):
        training.validate(config)


@pytest.mark.parametrize(
    "changes",
    [{"training__negatives": "all"}, {"training__negative_alpha": 0.5}],
    ids=["catalogue", "popularity"],
)
@pytest.mark.parametrize("noise", ["false_negative_rate", "marked_rate"])
def test_noise_among_negatives_that_are_not_drawn_uniformly(noise, changes):
    config = tiny_config(**changes, **{f"training__{noise}": 0.1})
    with pytest.raises(ValueError, match="they need a number of training.negatives"):
        training.validate(config)


def test_popularity_needs_negatives_that_are_drawn():
    changes = {"training__negatives": "all", "training__negative_alpha": 0.5}
    with pytest.raises(ValueError, match="needs a number of training.negatives"):
        training.validate(tiny_config(**changes))


def test_a_weight_is_above_0_or_at_least_1_by_its_loss():
    training.validate(tiny_config(loss__name="bsl_grouped", loss__weight=0.5))
    config = tiny_config(loss__name="bsl_grouped", loss__weight=0.0)
    with pytest.raises(ValueError, match="loss.weight must be greater than 0; got 0.0"):
        training.validate(config)
    config = tiny_config(loss__name="drrl", loss__weight=0.5)
    with pytest.raises(ValueError, match="loss.weight must be at least 1; got 0.5"):
        training.validate(config)


def test_negative_radius():
    config = tiny_config(loss__name="drrl", loss__radius=-0.1)
    with pytest.raises(ValueError, match="loss.radius must be at least 0; got -0.1"):
        training.validate(config)


@pytest.mark.parametrize(
    ("name", "mode", "takes"),
    [
        ("softmax", None, "include_positive temperature"),
        ("drrl", "solved", "gamma radius weight"),
        ("drrl", "learned", "epsilon gamma margin radius weight"),
        ("drrl", "user", "epsilon gamma margin radius weight"),
        ("drrl_dual", "learned", "epsilon gamma margin radius weight"),
        ("drrl_tempered", "row", "gamma temperature"),
        ("drrl_tempered", "user", "gamma radius weight"),
    ],
)
def test_what_a_loss_takes_in_a_mode(name, mode, takes):
    """The config accepts it, the grid maps it, and the objective holds it."""
    assert sorted(config_lib.taken(name, mode)) == takes.split()
    for field, value in (
        ("gamma", 1.5),
        ("temperature", 0.3),
        ("radius", 0.5),
        ("weight", 1.5),
        ("epsilon", 0.1),
        ("margin", 0.9),
    ):
        config = tiny_config(loss__name=name, **{f"loss__{field}": value})
        config.loss.threshold_mode = mode
        if field not in takes.split():
            with pytest.raises(ValueError, match=f"loss.{field} is not a hyperparam"):
                training.validate(config)
            continue
        training.validate(config)
        parts = training.build(config, tiny_dataset())
        grid_lib._check_names(parts, {field: [value]})


def test_radius_and_weight_exclude_each_other():
    config = tiny_config(loss__name="drrl", loss__radius=0.1, loss__weight=2.0)
    with pytest.raises(ValueError, match="two names of one thing"):
        training.validate(config)


def test_all_negatives_where_a_number_is_needed():
    for changes in ({"loss__name": "adv_infonce"}, {"model__name": "ncf"}):
        config = tiny_config(training__negatives="all", **changes)
        if config.model.name == "ncf":
            config.model.scoring = "neumf"
        with pytest.raises(ValueError, match="number of training.negatives; got 'all'"):
            training.validate(config)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"training__negatives": "101"},
            "training.negatives must be at most the number of items, 100; got 101."
            " 'all' takes each once.",
        ),
        (
            {"loss__name": "sl_at_k", "loss__top_k": 101},
            "loss.top_k must be at most the number of items, 100; got 101.",
        ),
    ],
)
def test_more_than_the_catalogue_has(changes, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        training.build(tiny_config(**changes), tiny_dataset())
    training.build(tiny_config(training__negatives="100"), tiny_dataset())


def test_unknown_field_names_the_nearest():
    with pytest.raises(AttributeError, match="Did you mean.*gamma"):
        training.default_config().loss.gama = 2.0


def test_default_is_valid():
    training.validate(training.default_config())


def test_nothing_to_find():
    pairs = data.Interactions([0, 1, 1], [0, 1, 2])
    last = data.Interactions([0, 1], [1, 0])
    config = tiny_config(training__negatives="1")
    for train, valid, test in ((pairs, last, pairs), (pairs, last, last)):
        dataset = data.Dataset("copy", 2, 3, train, valid, test)
        with pytest.raises(ValueError, match="copy has no test interaction to find"):
            training.build(config, dataset)
    config.evaluation.protocol = "benchmark"  # whose candidates keep what validates
    training.build(config, data.Dataset("copy", 2, 3, pairs, last, last))


def test_a_rank_may_be_the_last_of_the_catalogue():
    training.build(tiny_config(loss__name="sl_at_k", loss__top_k=100), tiny_dataset())


def test_a_warm_up_ends_within_the_run():
    steps = training.build(tiny_config(), tiny_dataset()).steps_per_epoch

    def built(warmup):
        config = tiny_config(training__epochs=1, training__warmup_steps=warmup)
        return training.build(config, tiny_dataset())

    built(steps - 1)
    with pytest.raises(
        ValueError, match=f"than the run's {steps} steps .*; got {steps}"
    ):
        built(steps)
