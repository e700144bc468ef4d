"""Every backbone: shapes, numerics against NumPy, gradients, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from drrl_jax.models import (
    GRAPH_MODELS,
    MODELS,
    build,
    info_nce,
    initialiser_of,
    make_graph,
)
from drrl_jax.models.xsimgcl import first_occurrences
from tests.models.test_graph import dense_adjacency, interactions

USERS, ITEMS, DIM = 23, 17, 6
NOISE = {"noise": jax.random.key(5)}


def graph_and_adjacency(seed=0):
    matrix, users, items = interactions(seed)
    graph = make_graph(users, items, num_users=USERS, num_items=ITEMS)
    return graph, dense_adjacency(matrix)


def made(name, **hyper):
    graph, adjacency = graph_and_adjacency()
    model = build(name, USERS, ITEMS, dim=DIM, **hyper)
    return model, model.init(jax.random.key(0), graph), graph, adjacency


def layers_of(variables, adjacency, count):
    users = np.asarray(variables["params"]["users"], np.float64)
    items = np.asarray(variables["params"]["items"], np.float64)
    layers = [(users, items)]
    for _ in range(count):
        users, items = adjacency @ items, adjacency.T @ users
        layers.append((users, items))
    return layers


CASES = [*((name, {}) for name in sorted(MODELS)), ("ncf", {"scoring": "neumf"})]


@pytest.mark.parametrize(("name", "hyper"), CASES)
def test_contract_of_a_backbone(name, hyper):
    model, variables, graph, _ = made(name, dropout=0.2, **hyper)
    users, items = model.apply(variables, graph)
    assert users.shape == (USERS, DIM) and items.shape == (ITEMS, DIM)
    ids, positives = jnp.array([1, 2, 1]), jnp.array([0, 3, 3])

    def loss(variables, key):
        tables = model.apply(
            variables, graph, train=True, method="tables", rngs={"noise": key}
        )
        rows = model.apply(variables, tables.users[ids], method="user_tower")
        other = model.apply(variables, tables.items[positives], method="item_tower")
        if model.scores_pairs:
            scores = model.apply(variables, rows, other, method="pair_scores")
        else:
            scores = jnp.sum(rows * other, -1)
        own = model.apply(variables, tables, ids, positives, method="auxiliary_loss")
        return jnp.sum(scores) + own

    value = jax.jit(jax.value_and_grad(loss))
    first, grads = value(variables, jax.random.key(1))
    assert jax.tree.structure(grads) == jax.tree.structure(variables)
    assert all(np.isfinite(g).all() and g.any() for g in jax.tree.leaves(grads))
    assert first == value(variables, jax.random.key(1))[0]  # same key, same step
    assert first != value(variables, jax.random.key(2))[0]  # dropout follows the key
    again = model.apply(variables, graph)
    assert_allclose(again[0], users)  # no noise outside training


@pytest.mark.parametrize(("layers", "layer0"), [(1, True), (3, True), (2, False)])
def test_lightgcn_equals_dense_numpy(layers, layer0):
    model, variables, graph, adjacency = made(
        "lightgcn", layers=layers, layer0_averaged=layer0
    )
    expected = layers_of(variables, adjacency, layers)[0 if layer0 else 1 :]
    users, items = model.apply(variables, graph)
    assert_allclose(users, np.mean([u for u, _ in expected], 0), atol=1e-6)
    assert_allclose(items, np.mean([i for _, i in expected], 0), atol=1e-6)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_simplex_equals_dense_numpy(weight):
    model, variables, graph, adjacency = made("simplex", user_weight=weight)
    params = jax.device_get(variables["params"])
    taken = adjacency > 0
    counts = np.maximum(taken.sum(1, keepdims=True), 1)
    history = taken @ params["items"] / counts @ params["projection"]["kernel"]
    users, items = model.apply(variables, graph)
    expected = weight * params["users"] + (1 - weight) * history
    assert_allclose(users, expected, atol=1e-6)
    assert_allclose(items, params["items"])
    # A user without items is its own embedding alone.
    assert_allclose(users[5], weight * params["users"][5], atol=1e-7)


@pytest.mark.parametrize("repeats", [False, True])
def test_xsimgcl_without_noise_equals_dense_numpy_loss_included(repeats):
    model, variables, graph, adjacency = made(
        "xsimgcl",
        layers=2,
        noise_scale=0.0,
        contrast_weight=0.3,
        contrast_layer=1,
        contrast_repeats=repeats,
    )
    layers = layers_of(variables, adjacency, 2)
    final = [np.mean([layer[side] for layer in layers[1:]], 0) for side in (0, 1)]
    tables = model.apply(variables, graph, train=True, method="tables")
    assert_allclose(tables.users, final[0], atol=1e-6)
    assert_allclose(tables.items, final[1], atol=1e-6)
    ids, positives = np.array([4, 7, 4, 9, 22]), np.array([3, 3, 1, 0, 3])

    def reference(table, view, ids):
        ids = ids if repeats else np.unique(ids)
        z, v = (t[ids] / np.linalg.norm(t[ids], axis=1)[:, None] for t in (table, view))
        logits = z @ v.T / 0.1
        return np.mean(np.log(np.exp(logits).sum(1)) - np.diag(logits))

    expected = 0.3 * (
        reference(final[0], layers[1][0], ids)
        + reference(final[1], layers[1][1], positives)
    )
    value = model.apply(
        variables, tables, jnp.array(ids), jnp.array(positives), method="auxiliary_loss"
    )
    assert value == pytest.approx(expected, rel=1e-4)
    # Padding the batch with rows that are not used changes nothing.
    padded = model.apply(
        variables,
        tables,
        jnp.array([0, *ids, 4]),
        jnp.array([2, *positives, 5]),
        jnp.array([False, *[True] * 5, False]),
        method="auxiliary_loss",
    )
    assert padded == pytest.approx(float(value), rel=1e-5)


def test_xsimgcl_noise_has_its_length_and_stays_in_the_orthant():
    model, variables, graph, adjacency = made(
        "xsimgcl", layers=1, noise_scale=0.1, contrast_layer=1
    )
    clean = layers_of(variables, adjacency, 1)[1]
    noisy = model.apply(variables, graph, train=True, method="tables", rngs=NOISE)
    shift = noisy.users - clean[0]
    linked = np.abs(clean[0]).sum(1) > 0
    assert_allclose(np.linalg.norm(shift[linked], axis=1), 0.1, rtol=1e-4)
    assert np.all((shift * clean[0])[linked] >= 0)
    assert_allclose(shift[~linked], 0, atol=1e-7)
    assert_allclose(noisy.views[0], noisy.users)  # one layer: the mean is the layer


def test_xsimgcl_normal_noise_has_its_length_and_no_direction():
    model, variables, graph, adjacency = made(
        "xsimgcl", layers=1, noise_scale=0.1, contrast_layer=1, noise="normal"
    )
    clean = layers_of(variables, adjacency, 1)[1][0]
    linked = np.abs(clean).sum(1) > 0
    shifts = []
    for seed in range(50):
        noise = {"noise": jax.random.key(seed)}
        tables = model.apply(variables, graph, train=True, method="tables", rngs=noise)
        shifts.append((tables.users - clean)[linked])
    assert_allclose(np.linalg.norm(shifts[0], axis=1), 0.1, rtol=1e-4)
    along = np.mean(shifts * np.sign(clean[linked]))
    assert abs(along) < 4 * 0.1 / np.sqrt(DIM) / np.sqrt(np.size(shifts))


@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_the_contrasted_layer_is_counted_in_propagations(layer):
    """0 is the embeddings themselves, 1 what the first propagation gives."""
    model, variables, graph, adjacency = made(
        "xsimgcl", layers=3, noise_scale=0.0, contrast_layer=layer
    )
    views = model.apply(variables, graph, train=True, method="tables").views
    for view, expected in zip(views, layers_of(variables, adjacency, 3)[layer]):
        assert_allclose(view, expected, atol=1e-6)


def test_contrast_layer_zero_is_the_parameter_table():
    model, variables, graph, _ = made("xsimgcl", contrast_layer=0)
    tables = model.apply(variables, graph, train=True, method="tables", rngs=NOISE)
    assert_allclose(tables.views[0], variables["params"]["users"])
    assert model.apply(variables, graph, method="tables").views is None


def test_info_nce_masks_like_deleting_and_survives_zero_rows():
    rng = np.random.default_rng(0)
    z, v = rng.normal(size=(2, 6, 4)).astype(np.float32)
    where = np.array([True, False, True, True, False, True])
    deleted = info_nce(z[where], v[where], temperature=0.2)
    assert info_nce(z, v, temperature=0.2, where=where) == pytest.approx(deleted)
    assert info_nce(z, v, temperature=0.2, where=where & False) == 0
    z[0] = 0
    grad = jax.grad(lambda z: info_nce(z, v, temperature=0.2, where=where))(z)
    assert np.isfinite(grad).all() and not grad[1].any()


def test_first_occurrences_equals_numpy():
    ids = np.random.default_rng(1).integers(0, 9, 40)
    marked = first_occurrences(jnp.array(ids), 9)
    assert np.flatnonzero(marked).tolist() == sorted(
        np.unique(ids, return_index=True)[1].tolist()
    )


def test_ncf_tower_equals_numpy():
    model, variables, _, _ = made("ncf", hidden=(8, 4))
    params = jax.device_get(variables["params"])
    rows = params["users"]
    hidden = rows
    for layer in range(3):
        weights = params[f"user_layers_{layer}"]
        hidden = hidden @ weights["kernel"] + weights["bias"]
        hidden = hidden if layer == 2 else np.maximum(hidden, 0)
    assert_allclose(model.apply(variables)[0], rows + hidden, atol=1e-6)


def test_neumf_equals_numpy_for_all_pairs_at_once():
    model, variables, _, _ = made("ncf", scoring="neumf", hidden=(8, 4))
    params = jax.device_get(variables["params"])
    users, items = model.apply(variables)
    scores = model.apply(variables, users[:, None], items, method="pair_scores")
    assert scores.shape == (USERS, ITEMS)
    u, i = params["users"][4], params["items"][9]
    kernel = np.concatenate(
        [params["first_user"]["kernel"], params["first_item"]["kernel"]]
    )
    hidden = np.maximum(
        np.concatenate([u[3:], i[3:]]) @ kernel + params["first_user"]["bias"], 0
    )
    layer = params["pair_layers_0"]
    hidden = np.maximum(hidden @ layer["kernel"] + layer["bias"], 0)
    expected = np.concatenate([u[:3] * i[:3], hidden]) @ params["output"]["kernel"]
    assert scores[4, 9] == pytest.approx(expected[0], abs=1e-5)


def test_dropout_keeps_the_mean_and_the_share():
    model = build("mf", 400, 300, dim=16, dropout=0.25, init_scale=1.0)
    variables = model.init(jax.random.key(0))
    dropped = model.apply(variables, train=True, method="tables", rngs=NOISE).users
    kept = dropped != 0
    assert kept.mean() == pytest.approx(0.75, abs=0.02)
    table = variables["params"]["users"]
    assert_allclose(dropped[kept], table[kept] / 0.75, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "hyper", "message"),
    [
        ("lightgnc", {}, "got 'lightgnc'. Did you mean 'lightgcn'"),
        (
            "mf",
            {"layers": 2},
            "mf takes dim, dropout, init_scale, initialiser; got 'layers'",
        ),
        ("xsimgcl", {"noise_scal": 2}, "Did you mean 'noise_scale'"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(name, hyper, message):
    with pytest.raises(ValueError, match=message):
        build(name, 3, 4, **hyper)


@pytest.mark.parametrize(
    ("name", "hyper", "message"),
    [
        ("mf", {"dropout": 1.0}, r"dropout must be in \[0, 1\); got 1.0"),
        ("ncf", {"scoring": "mlp"}, "one of towers, neumf; got 'mlp'"),
        ("ncf", {"scoring": "neumf", "dim": 5}, "even dim"),
        ("simplex", {"user_weight": 1.5}, r"user_weight must be in \[0, 1\]; got 1.5"),
        ("lightgcn", {"layers": 0}, "layers must be 1 or more; got 0"),
        ("xsimgcl", {"noise": "norma"}, "noise must be one of uniform, normal"),
        ("xsimgcl", {"contrast_layer": 4}, r"in \[0, layers = 3\]; got 4"),
        ("xsimgcl", {"contrast_weight": -1.0}, "contrast_weight must be at least 0"),
        ("xsimgcl", {"noise_scale": -0.1}, "noise_scale must be at least 0; got -0.1"),
        ("xsimgcl", {"contrast_temperature": 0.0}, "must be greater than 0; got 0.0"),
    ],
)
def test_impossible_hyperparameters_are_refused(name, hyper, message):
    graph, _ = graph_and_adjacency()
    with pytest.raises(ValueError, match=message):
        build(name, USERS, ITEMS, **hyper).init(jax.random.key(0), graph)


@pytest.mark.parametrize("name", sorted(GRAPH_MODELS))
def test_graph_models_need_their_own_graph(name):
    graph, _ = graph_and_adjacency()
    with pytest.raises(ValueError, match="needs the training graph; got None"):
        build(name, USERS, ITEMS).init(jax.random.key(0))
    with pytest.raises(ValueError, match=r"of \(5, 17\) users and items; got \(23, 17"):
        build(name, 5, ITEMS).init(jax.random.key(0), graph)


@pytest.mark.parametrize(
    ("name", "scale", "deviation"),
    [
        ("auto", None, (2 / 516) ** 0.5),
        ("xavier", None, (2 / 516) ** 0.5),
        ("xavier_normal", None, (2 / 516) ** 0.5),
        ("auto", 0.3, 0.3),
        ("normal", 0.3, 0.3),
        ("normal", None, 0.1),
        ("uniform", 0.3, 0.3 / 3**0.5),
    ],
)
def test_initialisers(name, scale, deviation):
    model = build("mf", 500, 300, dim=16, initialiser=name, init_scale=scale)
    users = model.apply(model.init(jax.random.key(0)))[0]
    assert abs(float(users.mean())) < 0.05 * deviation
    assert float(users.std()) == pytest.approx(deviation, rel=0.05)


def test_a_scale_that_is_not_taken_is_refused():
    with pytest.raises(ValueError, match="'xavier' takes no init_scale; got 0.1"):
        initialiser_of("xavier", 0.1)
