"""One table of what must hold for every loss."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drrl_jax.losses import LOSSES, llpauc_variables, masked_mean, project_llpauc
from tests.losses.cases import CASES, SHAPE, assert_finite, compiled


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.id)
def case(request):
    """Module scope makes pytest run a case's tests in a row, on one compilation."""
    return request.param


FULL = np.ones(SHAPE, bool)


def close(got, want, tolerance=2e-5):
    jax.tree.map(
        lambda g, w: np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance),
        got,
        want,
    )


def test_the_table_holds_every_loss():
    assert {case.name for case in CASES} == set(LOSSES)


def test_masking_is_deleting(case):
    scores = case.scores()
    where = FULL.copy()
    where[:, [1, 4]] = False
    kept = jax.tree.map(lambda x: x[:, where[0]] if x.shape == SHAPE else x, scores)
    garbage = jax.tree.map(lambda x: x, scores)
    for bad in (np.nan, np.inf, -np.inf):
        for name in ("neg", "hardness"):
            if name in garbage:
                garbage[name] = np.where(where, scores[name], bad).astype("float32")
        rows, value, gradients = compiled(case)(garbage, where)
        want_rows, want, want_gradients = compiled(case)(kept)
        close((rows, value), (want_rows, want))
        for name, gradient in gradients.items():
            if np.shape(gradient) == SHAPE:
                assert not np.any(gradient[~where]), name
                gradient = gradient[:, where[0]]
            close(gradient, want_gradients[name])


def test_a_row_with_nothing_is_out(case):
    """Value 0, gradient 0, and in no mean, whatever the row holds."""
    scores = case.scores()
    where = FULL.copy()
    where[2] = False
    scores["neg"][2], scores["pos"][2] = np.nan, np.inf
    rows, value, gradients = compiled(case)(scores, where)
    assert rows[2] == 0
    np.testing.assert_allclose(value, np.sum(rows) / 3, rtol=1e-5)
    assert_finite(gradients)
    for name in ("pos", "neg", "hardness", "threshold", "quantile"):
        assert name not in gradients or not np.any(gradients[name][2]), name


def test_nothing_at_all_is_zero(case):
    scores = case.scores()
    scores["neg"][:], scores["pos"][:] = np.nan, np.nan
    rows, value, gradients = compiled(case)(scores, ~FULL)
    assert value == 0 and not np.any(rows)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradients))


def test_permuting_negatives_changes_nothing(case):
    scores = case.scores()
    where = np.random.default_rng(1).random(SHAPE) < 0.7
    order = np.random.default_rng(2).permutation(SHAPE[1])
    moved = jax.tree.map(lambda x: x[:, order] if x.shape == SHAPE else x, scores)
    rows, value, gradients = compiled(case)(scores, where)
    gradients = jax.tree.map(
        lambda x: x[:, order] if x.shape == SHAPE else x, gradients
    )
    close(compiled(case)(moved, where[:, order]), (rows, value, gradients))


def test_jit_is_eager(case):
    scores = case.scores()
    close(case.loss(scores, where=FULL), compiled(case)(scores, FULL)[1])


def test_vmap_is_a_batch(case):
    """Whole batches for the loss that couples rows, single rows for the others."""
    scores = case.scores((2, *SHAPE) if case.grouped else SHAPE)
    extra = {k: scores[k] for k in scores if k == "variables"}

    @jax.jit
    @jax.vmap
    def rows(scores):
        return case.loss(scores | extra, reduce_fn=None)

    got = rows({k: v for k, v in scores.items() if k not in extra})
    close(got, compiled(case)(scores, np.ones(scores["neg"].shape, bool))[0])


def test_hard_scores_have_finite_gradients(case):
    """Ties, one negative, and scores as large as 1e4 either way."""
    one = ~FULL
    one[:, 3] = True
    for pos, neg in ((0.5, 0.5), (0.0, 0.0), (1e4, -1e4), (-1e4, 1e4), (1e4, 1e4)):
        scores = case.scores()
        scores["pos"][:], scores["neg"][:] = pos, neg
        assert_finite(compiled(case)(scores, FULL))
        assert_finite(compiled(case)(scores, one))
        scores["neg"][:, ::2] *= -1
        assert_finite(compiled(case)(scores, FULL))


adversarial = st.sampled_from([0.0, 1.0, -1.0, 0.5, 1e4, -1e4, 1e-30]) | st.floats(
    -1.0, 1.0, width=32
)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    pos=hnp.arrays("float32", SHAPE[:1], elements=adversarial),
    neg=hnp.arrays("float32", SHAPE, elements=adversarial),
    where=hnp.arrays(bool, SHAPE),
)
def test_always_finite(case, pos, neg, where):
    scores = case.scores() | {"pos": pos, "neg": neg}
    assert_finite(compiled(case)(scores, where))


def test_numeric_gradients(case):
    """Along random directions of the scores and every other array, in float64."""
    if case.name in ("drrl_matched", "drrl_at_k"):
        pytest.skip("their ball is held in the gradient: see test_limits, test_matched")
    where = np.random.default_rng(1).random(SHAPE) < 0.8
    with jax.enable_x64(True):
        scores = case.scores(dtype=np.float64)
        run = compiled(case)
        gradients = run(scores, where)[2]
        for name in gradients:
            draw = np.random.default_rng(3).normal
            direction = jax.tree.map(
                lambda x, draw=draw: draw(size=x.shape), scores[name]
            )

            def along(step, name=name, direction=direction):
                moved = jax.tree.map(lambda x, d: x + step * d, scores[name], direction)
                return run(scores | {name: moved}, where)[1]

            numeric = (along(1e-5) - along(-1e-5)) / 2e-5
            products = jax.tree.map(np.vdot, gradients[name], direction)
            analytic = jax.tree.reduce(lambda a, b: a + b, products)
            np.testing.assert_allclose(analytic, numeric, rtol=2e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "parameter", "options"),
    [
        ("softmax", "temperature", {}),
        ("sl_at_k", "quantile", {}),
        ("sl_at_k", "weight_temperature", {"quantile": 0.1}),
        ("drrl_at_k", "temperature", {"quantile": 0.1, "gamma": 1.5}),
        ("drrl_at_k", "gamma", {"quantile": 0.1}),
        ("drrl", "radius", {"gamma": 1.5}),
        ("drrl_dual", "threshold", {"gamma": 2.0}),
        ("drrl_tempered", "temperature", {"gamma": 1.5}),
        ("psl", "temperature", {}),
        ("bsl", "neg_temperature", {}),
    ],
)
def test_what_a_row_with_nothing_to_use_holds_reaches_no_gradient(
    name, parameter, options
):
    pos, neg = jnp.array([0.1, 0.2]), jnp.array([[0.3, 0.2], [0.1, 0.4]])
    where = jnp.array([[True, True], [False, False]])

    def value(numbers, rows=slice(None)):
        own = {parameter: numbers, **options}
        return LOSSES[name](pos[rows], neg[rows], where=where[rows], **own)

    def broadcast(numbers):
        """The same numbers over a second axis of rows, of which they are a suffix."""
        own = {parameter: numbers, **options}
        return LOSSES[name](pos[None], neg[None], where=where[None], **own)

    start = 1.5 if parameter == "gamma" else 0.2
    slope = jax.jit(jax.grad(value))
    alone = jax.jit(jax.grad(lambda x: value(x, slice(1))))(jnp.array([start]))
    for bad in (0.0, float("nan"), float("inf")):
        found = slope(jnp.array([start, bad]))
        np.testing.assert_allclose(found, [alone[0], 0], rtol=1e-6)
        found = jax.jit(jax.grad(broadcast))(jnp.array([start, bad]))
        np.testing.assert_allclose(found, [alone[0], 0], rtol=1e-6)


@pytest.mark.parametrize("where", [None, FULL])
@pytest.mark.parametrize("log_q", [None, jnp.zeros(SHAPE, "float32")])
def test_strict_promotion(case, where, log_q):
    """Of types and of ranks, of a batch of rows and of rows of rows."""
    scores = jax.tree.map(jnp.asarray, case.scores())
    deep = jax.tree.map(lambda x: x[None] if x.shape else x, scores)
    # Numbers of rows that broadcast: of the last axis of rows alone.
    deep |= {k: scores[k] for k in ("gamma", "threshold", "quantile") if k in scores}

    def both(scores, where, log_q):
        def value(pos):
            return case.loss(scores | {"pos": pos}, where=where, log_q=log_q)

        return jax.value_and_grad(value)(scores["pos"])

    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        out = jax.eval_shape(both, scores, where, log_q)
        where, log_q = (None if x is None else x[None] for x in (where, log_q))
        out = out, jax.eval_shape(both, deep, where, log_q)
    assert all(x.dtype == "float32" for x in jax.tree.leaves(out))


def test_bfloat16_in_and_out(case):
    """Computed in float32: the result is the float32 one, rounded once."""
    scores = case.scores()
    scores = jax.tree.map(lambda x: jnp.asarray(x).astype("bfloat16"), scores)
    if case.grouped:
        scores["users"] = case.scores()["users"]
    types = jax.tree.map(lambda x: x.dtype, jax.eval_shape(compiled(case), scores))
    assert types[0] == types[1] == types[2]["neg"] == jnp.bfloat16
    rows = jax.jit(lambda scores: case.loss(scores, reduce_fn=None))(scores)
    wide = jax.tree.map(
        lambda x: x.astype("float32") if x.dtype == jnp.bfloat16 else x, scores
    )
    close(rows.astype("float32"), compiled(case)(wide, FULL)[0], 4e-3)


@pytest.mark.parametrize(
    "reduce_fn", [masked_mean, jnp.mean, functools.partial(jnp.mean, axis=0), jnp.sum]
)
def test_no_reducer_sees_an_empty_mask(reduce_fn):
    pos, neg = jnp.ones(3), jnp.full((3, 2), jnp.nan)
    value, gradient = jax.value_and_grad(
        lambda pos: LOSSES["softmax"](
            pos, neg, where=jnp.zeros((3, 2), bool), reduce_fn=reduce_fn
        )
    )(pos)
    assert value == 0 and not jnp.any(gradient)
    assert LOSSES["drrl"](pos[:0], neg[:0], reduce_fn=reduce_fn) == 0
    users = jnp.zeros((0,), int)
    assert LOSSES["bilateral"](pos[:0], neg[:0], users=users, reduce_fn=reduce_fn) == 0


def test_parameters_of_rows_and_traced_ones():
    scores = CASES[0].scores()
    temperature = np.array([0.1, 0.2, 0.3, 0.4], "float32")
    loss = jax.jit(
        lambda t: LOSSES["softmax"](
            scores["pos"], scores["neg"], temperature=t, reduce_fn=None
        )
    )
    want = [loss(np.float32(t))[i] for i, t in enumerate(temperature)]
    close(loss(temperature), np.array(want))


def test_orders_and_radii_of_users():
    scores = CASES[0].scores()
    gamma = np.array([1.0, 1.5, 3.0, np.inf], "float32")
    radius = np.array([0.2, 0.4, 0.6, 0.0], "float32")
    for name, other in (("drrl", "radius"), ("drrl_tempered", "temperature")):
        second = radius + np.float32(name == "drrl_tempered") / 10

        @jax.jit
        def loss(gamma, second, name=name, other=other):
            options = {"gamma": gamma, other: second, "reduce_fn": None}
            return LOSSES[name](scores["pos"], scores["neg"], **options)

        want = [loss(g, r)[i] for i, (g, r) in enumerate(zip(gamma, second))]
        close(loss(gamma, second), np.array(want))


def test_projection_of_llpauc_variables():
    out = project_llpauc(
        llpauc_variables()
        | {"a": jnp.array(1.5), "sn": jnp.array(-1.0), "gamma": jnp.array(-3.0)}
    )
    assert (out["a"], out["sn"], out["gamma"]) == (1, 0, -1)
    sunk = llpauc_variables() | {"theta_a": jnp.array(-2.0)}
    assert project_llpauc(sunk)["theta_a"] == -2
    assert project_llpauc(sunk, multipliers=True)["theta_a"] == 0


def test_masked_mean_over_an_axis():
    values = jnp.array([[1.0, 2.0], [3.0, jnp.nan]])
    where = jnp.array([[True, True], [True, False]])
    assert masked_mean(values, where, axis=1).tolist() == [1.5, 3.0]
    assert masked_mean(jnp.zeros((0,))) == 0


def test_masked_mean_counts_beyond_the_type():
    many = jnp.full(100_000, 0.5, jnp.float16)
    assert masked_mean(many) == 0.5 and masked_mean(many).dtype == jnp.float16
    processor = jax.devices("cpu")[0]  # a GPU's 300 / 300 is 1 but for a bit
    with jax.default_device(processor):
        assert masked_mean(jnp.ones(300, jnp.int8)) == 1
    assert masked_mean(jnp.array([True, True, False, False])) == 0.5


def test_a_sharpness_of_rows_is_that_of_each_row():
    rng = np.random.default_rng(0)
    pos, neg = (jnp.asarray(rng.normal(size=shape)) for shape in ((3,), (3, 3)))
    options = {"variables": llpauc_variables(), "reduce_fn": None}
    kappa = jnp.array([1.0, 5.0, 20.0])
    found = LOSSES["llpauc"](pos, neg, kappa=kappa, **options)
    alone = [
        LOSSES["llpauc"](p, n, kappa=k, **options) for p, n, k in zip(pos, neg, kappa)
    ]
    np.testing.assert_allclose(found, jnp.stack(alone), rtol=1e-6)


def test_garbage_of_a_row_with_nothing_stays_out_of_gradients():
    where = jnp.array([[True, False], [False, False]])
    hardness = jnp.array([[0.1, jnp.nan], [jnp.nan, jnp.inf]])

    def value(hardness):
        scores = jnp.zeros(2), jnp.zeros((2, 2))
        return LOSSES["adv_infonce"](*scores, hardness=hardness, where=where)

    assert np.isfinite(jax.grad(value)(hardness)).all()


@pytest.mark.parametrize(
    "case",
    [c for c in CASES if c.grouped and not c.orders or c.name in ("drrl", "softmax")],
    ids=lambda case: case.id,
)
def test_rows_cut_by_axes_in_the_types_are_those_of_whole_ones(case):
    """Two axes of rows, each on an axis of the mesh, with and without a mask."""
    kind = (jax.sharding.AxisType.Explicit,) * 2
    mesh = jax.make_mesh((1, 1), ("a", "b"), axis_types=kind)
    scores = case.scores((2, 4, 3))
    where = np.arange(24).reshape(2, 4, 3) % 5 != 0
    exact = {k: v for k, v in scores.items() if k == "users"}

    def both(exact, inexact, where):
        def loss(inexact):
            return case.loss(inexact | exact, where=where)

        return jax.jit(jax.value_and_grad(loss))(inexact)

    inexact = {k: v for k, v in scores.items() if k not in exact}
    want = [both(exact, inexact, mask) for mask in (None, where)]
    spec = jax.sharding.PartitionSpec("a", "b")
    with jax.set_mesh(mesh):
        cut = jax.tree.map(lambda x: jax.device_put(x, spec), (exact, inexact, where))
        found = [both(*cut[:2], mask) for mask in (None, cut[2])]
    close(found, want)


def test_second_derivatives_are_differences_of_gradients(case):
    if case.name == "drrl_at_k":
        pytest.skip("its value and its gradient are of two losses, by definition")
    if case.name.startswith("bsl_grouped") and jax.default_backend() == "gpu":
        pytest.skip("sums of rows are differentiated in reverse only there")
    with jax.enable_x64(True):
        scores = case.scores(dtype=np.float64)
        where = FULL.copy()
        where[0], where[1, 1:] = False, False
        exact = {k: scores.pop(k) for k in ("users", "gamma") if k in scores}
        rng = np.random.default_rng(1)
        along = jax.tree.map(
            lambda x: jnp.asarray(rng.normal(size=np.shape(x))), scores
        )

        @jax.jit
        def both(scores):
            slope = jax.grad(lambda scores: case.loss(scores | exact, where=where))
            step = 1e-6

            def moved(by):
                return slope(jax.tree.map(lambda x, d: x + by * d, scores, along))

            ends = moved(step), moved(-step)
            differences = jax.tree.map(lambda a, b: (a - b) / (2 * step), *ends)
            return jax.jvp(slope, (scores,), (along,))[1], differences

        close(*both(scores), tolerance=1e-5)


def test_every_variable_of_llpauc_has_its_range():
    far = {name: jnp.array(9.0) for name in llpauc_variables()}
    names = ("a", "b", "sp", "sn", "gamma")
    high = project_llpauc(far)
    assert [float(high[name]) for name in names] == [1, 1, 4, 5, 1]
    low = project_llpauc({name: -value for name, value in far.items()})
    assert [float(low[name]) for name in names] == [0, 0, -1, 0, 0]


def test_the_probabilities_of_a_row_with_nothing_stay_out_of_gradients():
    where = jnp.array([[True, True], [False, False]])
    log_q = jnp.array([[0.0, 1.0], [jnp.nan, jnp.inf]])

    def value(pos, neg, log_q):
        return LOSSES["softmax"](pos, neg, where=where, log_q=log_q)

    scores = jnp.zeros(2), jnp.array([[0.1, 0.2], [0.3, 0.4]])
    found = jax.value_and_grad(value, argnums=(0, 1, 2))(*scores, log_q)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


def test_a_positive_without_negatives_is_out_however_far_above_the_others():
    where = jnp.array([[True, True], [False, False]])
    options = {"users": jnp.zeros(2, int), "temperature": 0.005, "reduce_fn": None}
    pos, neg = jnp.array([-1.0, 1.0]), jnp.zeros((2, 2))
    found = LOSSES["bsl_grouped"](pos, neg, where=where, **options)
    np.testing.assert_allclose(found, [200, 0], rtol=1e-6)


def test_a_mask_of_columns_counts_every_row():
    values = jnp.arange(6.0).reshape(2, 3)
    assert masked_mean(values, jnp.array([True, False, True])) == 2.5


def test_the_mean_of_integers_has_the_width_of_a_float():
    assert masked_mean(jnp.array([1, 2])).dtype == jnp.float32
    with jax.enable_x64(True):
        assert masked_mean(jnp.array([1, 2])).dtype == jnp.float64
