"""The whole-catalogue losses are the dense losses, in value and in gradient."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drrl_jax import losses

BATCH, ITEMS, DIM = 10, 37, 8

HYPER = {
    "softmax": {"temperature": 0.2},
    "ccl": {"margin": 0.1, "negative_weight": 2.0},
    "drrl": {"gamma": 1.5, "radius": 0.5},
    "drrl_dual": {"gamma": 2.0, "weight": 2.0},
    "drrl_tempered": {"gamma": 1.5, "temperature": 0.3},
    "drrl_matched": {"gamma": 1.5, "temperature": 0.3},
    "psl": {"temperature": 0.1, "score_temperature": 2.0},
    "bpr": {},
    "bce": {},
    "mse": {},
    "bsl": {},
    "sl_at_k": {},
    "drrl_at_k": {"gamma": 1.5, "temperature": 0.3},
}


def problem(seed=0, dtype=jnp.float32):
    rng = np.random.default_rng(seed)
    users, items = rng.normal(size=(BATCH, DIM)), rng.normal(size=(ITEMS, DIM))
    users /= np.linalg.norm(users, axis=1, keepdims=True)
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    exclude = rng.integers(0, ITEMS, (BATCH, 5))
    exclude[0] = -1
    exclude[1, 2:] = ITEMS + 3
    weights = rng.random(BATCH)
    rows = jnp.asarray(rng.normal(size=BATCH) * 0.1, dtype)
    arrays = [jnp.asarray(x, dtype) for x in (users, items, weights)]
    return *arrays, jnp.asarray(exclude, jnp.int32), rows


def per_row(name, rows):
    field = "threshold" if name == "drrl_dual" else "quantile"
    return {field: rows} if name == "drrl_dual" or name.endswith("_at_k") else {}


def dense(name, users, items, weights, exclude, rows):
    positive = jnp.sum(users * items[0], axis=-1)
    where = jnp.all(jnp.arange(ITEMS) != exclude[:, :, None], axis=1)
    values = losses.LOSSES[name](
        positive,
        users @ items.T,
        where=where,
        reduce_fn=None,
        **HYPER[name],
        **per_row(name, rows),
    )
    return jnp.sum(weights * values)


def blocked(name, users, items, weights, exclude, rows):
    return losses.catalogue(
        jnp.sum(users * items[0], axis=-1),
        users,
        items,
        loss=name,
        exclude=exclude,
        weights=weights,
        block=4,
        **HYPER[name],
        **per_row(name, rows),
    )


def with_gradients(function, name, dtype=jnp.float32):
    users, items, weights, exclude, rows = problem(dtype=dtype)
    return jax.jit(
        jax.value_and_grad(
            lambda u, i, r: function(name, u, i, weights, exclude, r), (0, 1, 2)
        )
    )(users, items, rows)


@pytest.mark.parametrize("name", losses.ROW_LOSSES)
def test_equals_the_dense_loss(name):
    value, gradients = with_gradients(blocked, name)
    expected, expected_gradients = with_gradients(dense, name)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
    for got, want in zip(gradients, expected_gradients):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["softmax", "drrl", "drrl_matched", "sl_at_k"])
def test_equals_the_dense_loss_to_ten_digits_in_float64(name):
    with jax.enable_x64(True):
        found = jax.tree.leaves(with_gradients(blocked, name, jnp.float64))
        expected = jax.tree.leaves(with_gradients(dense, name, jnp.float64))
        for got, want in zip(found, expected):
            assert got.dtype == jnp.float64
            np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("type_", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("name", losses.ROW_LOSSES)
def test_in_a_kernel_it_is_the_same(in_kernel, name, type_):
    expected = jax.tree.leaves(with_gradients(blocked, name, type_))
    in_kernel()
    found = jax.tree.leaves(with_gradients(blocked, name, type_))
    for got, want in zip(found, expected):
        assert got.dtype == want.dtype
        got, want = got.astype(jnp.float32), want.astype(jnp.float32)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", losses.ROW_LOSSES)
def test_the_kernel_has_what_triton_has(triton, name):
    users, items, weights, exclude, rows = problem()

    def value(users, items, rows):
        return blocked(name, users, items, weights, exclude, rows)

    text = triton(jax.value_and_grad(value, (0, 1, 2)), users, items, rows)
    assert text.count("gpu.triton") == 1


def test_rows_with_nothing_left_in_a_kernel(in_kernel):
    users, items, weights, exclude, _ = problem()
    exclude = jnp.where(jnp.arange(BATCH)[:, None] == 2, jnp.arange(ITEMS), -1)

    def found(name):
        def value(users, items):
            return losses.catalogue(
                users[:, 0], users, items, loss=name, exclude=exclude, weights=weights,
                **HYPER[name],
            )  # fmt: skip

        return jax.tree.leaves(jax.value_and_grad(value, (0, 1))(users, items))

    expected = [found(name) for name in ("softmax", "drrl")]
    in_kernel()
    for want, name in zip(expected, ("softmax", "drrl")):
        for x, y in zip(found(name), want):
            np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gamma", [3.0, jnp.linspace(1.0, 4.0, BATCH)])
def test_other_orders_are_not_for_a_kernel(triton, gamma):
    users, items, _, exclude, _ = problem()

    def value(users, items):
        return losses.catalogue(
            users[:, 0], users, items, loss="drrl", gamma=gamma, exclude=exclude
        )

    assert "gpu.triton" not in triton(jax.grad(value), users, items)


def test_row_losses_are_all_tried_here():
    assert set(HYPER) == set(losses.ROW_LOSSES) <= set(losses.LOSSES)


def test_traced_hyperparameters_and_the_mean():
    users, items, _, _, _ = problem()
    positive = jnp.zeros(BATCH)

    def value(tau):
        return losses.catalogue(positive, users, items, temperature=tau, block=3)

    def expected(tau):
        return losses.softmax(positive, users @ items.T, temperature=tau)

    tau = jnp.float32(0.3)
    np.testing.assert_allclose(value(tau), expected(tau), rtol=1e-5)
    np.testing.assert_allclose(jax.grad(value)(tau), jax.grad(expected)(tau), rtol=1e-4)


@pytest.mark.parametrize("two", [np.int64(2), jnp.array(2)], ids=["numpy", "jax"])
def test_whole_numbers_as_hyperparameters_have_a_gradient_around_them(two):
    users, items, _, _, _ = problem()

    def value(users, gamma):
        return losses.catalogue(
            jnp.zeros(BATCH), users, items, loss="drrl", gamma=gamma
        )

    want = jax.grad(value)(users, 2.0)
    np.testing.assert_allclose(jax.grad(value)(users, two), want, rtol=1e-4, atol=1e-6)


def test_memory_does_not_grow_with_the_batch():
    """Temporaries of the compiled gradient: a block of scores, not all of them."""

    def temporary(batch):
        users, items = jnp.zeros((batch, DIM)), jnp.zeros((4096, DIM))
        gradient = jax.grad(
            lambda u, i: losses.catalogue(u[:, 0], u, i, block=8), (0, 1)
        )
        compiled = jax.jit(gradient).lower(users, items).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    # What the product of no more than a block takes: on a GPU 32 MiB of its own.
    assert temporary(512) - temporary(8) < 512 * 4096 * 4 / 4


def test_refuses_what_does_not_fit():
    users, items, _, exclude, _ = problem()
    positive = jnp.zeros(BATCH)
    with pytest.raises(ValueError, match="loss must be one of .*'llpauc'"):
        losses.catalogue(positive, users, items, loss="llpauc")
    with pytest.raises(ValueError, match=r"users must be .*\(9, 8\)"):
        losses.catalogue(positive, users[:9], items)
    with pytest.raises(ValueError, match=r"items must be .*\(37, 3\)"):
        losses.catalogue(positive, users, items[:, :3])
    with pytest.raises(ValueError, match="exclude must be"):
        losses.catalogue(positive, users, items, exclude=exclude[:3])
    with pytest.raises(ValueError, match=r"weights must be .*\(10, 1\)"):
        losses.catalogue(positive, users, items, weights=jnp.ones((BATCH, 1)))
    with pytest.raises(ValueError, match=r"temperature must be one .*\(3,\)"):
        losses.catalogue(positive, users, items, temperature=jnp.ones(3))
    with pytest.raises(ValueError, match="temperature must be greater than 0; got 0"):
        losses.catalogue(positive, users, items, temperature=np.float32(0))
    for name, must, value in (
        ("temperature", "be an array of real numbers", jnp.array(0.2 + 1j)),
        ("weights", "be real", 1j),
    ):
        with pytest.raises(ValueError, match=f"{name} must {must}; got complex64"):
            losses.catalogue(positive, users, items, **{name: value})
    with pytest.raises(ValueError, match="must have rows; got 0 and 37"):
        losses.catalogue(positive[:0], users[:0], items)
    with pytest.raises(ValueError, match="block must be a positive integer; got 0"):
        losses.catalogue(positive, users, items, block=0)

    for mask in (jnp.zeros((BATCH, ITEMS), bool), jnp.zeros((BATCH, 1))):
        with pytest.raises(ValueError, match=r"exclude must hold ids .* got (bool|fl)"):
            losses.catalogue(positive, users, items, exclude=mask)
    for none in ([[]] * BATCH, np.zeros((BATCH, 0)), jnp.zeros((BATCH, 0))):
        losses.catalogue(positive, users, items, exclude=none)
    for flags in (jnp.array(True), np.array([True] * BATCH)):
        with pytest.raises(ValueError, match="include_positive must be .* of bool"):
            losses.catalogue(positive, users, items, include_positive=flags)
    for few in ([0.1, 0.2], [0.1] * 5):  # as many as a block has rows, or not
        with pytest.raises(ValueError, match="temperature must be one .* or one a row"):
            losses.catalogue(positive, users, items, temperature=few, block=2)


def test_numbers_of_any_kind():
    users, items, _, _, _ = problem()
    positive = jnp.zeros(BATCH)

    def value(users, items=items, **options):
        return losses.catalogue(positive, users, items, temperature=1.0, **options)

    whole = jnp.round(items * 5)
    for typed in (whole.astype(jnp.int8), np.asarray(whole, np.int64)):
        np.testing.assert_array_equal(
            jax.grad(value)(users, typed), jax.grad(value)(users, whole)
        )
    far = np.full((BATCH, 2), 2**32)
    np.testing.assert_array_equal(value(users, exclude=far), value(users))
    choice = value(users, include_positive=np.bool_(True))
    np.testing.assert_array_equal(choice, value(users, include_positive=True))
    taus = [0.1 * n for n in range(1, BATCH + 1)]
    by_list, by_array = (
        losses.catalogue(positive, users, items, temperature=t, block=3)
        for t in (taus, jnp.array(taus))
    )
    np.testing.assert_array_equal(by_list, by_array)
    with jax.numpy_dtype_promotion("strict"):
        narrow = (x.astype(jnp.bfloat16) for x in (positive, users, items))
        assert losses.catalogue(*narrow).dtype == jnp.float32
        tables = (x.astype(jnp.bfloat16) for x in (users, items))
        assert losses.catalogue(positive, *tables).dtype == jnp.float32


@pytest.mark.parametrize("type_", [jnp.float16, jnp.bfloat16])
def test_small_gradients_of_narrow_rows_do_not_vanish(type_):
    rng = np.random.default_rng(0)
    users, items = (jnp.asarray(rng.normal(size=(n, 8)), type_) for n in (4, 12_000))

    def value(users):
        # Rows of a batch of 4,096: the mean item weighs 2e-8, too little for float16.
        weights = jnp.full(len(users), 1 / 4096)
        options = {"loss": "softmax", "temperature": 1.0, "weights": weights}
        return losses.catalogue(jnp.zeros(len(users)), users, items, **options)

    found = jax.grad(value)(users)
    items = items.astype(jnp.float32)
    exact = jax.grad(value)(users.astype(jnp.float32))
    assert found.dtype == type_ and jnp.abs(exact).max() > 1e-4
    np.testing.assert_allclose(found.astype(jnp.float32), exact, rtol=0.02, atol=5e-6)


def test_the_cotangent_comes_before_the_narrow_type():
    rng = np.random.default_rng(0)
    users, items = (
        jnp.asarray(rng.normal(size=(n, 4)), jnp.float16) for n in (2, 50_000)
    )
    scale = 2.0**15

    def value(items, users):
        options = {"loss": "softmax", "temperature": 10.0}
        return scale * losses.catalogue(jnp.zeros(2), users, items, **options)

    found = jax.grad(value)(items, users).astype(jnp.float32)
    exact = jax.grad(value)(items.astype(jnp.float32), users.astype(jnp.float32))
    np.testing.assert_allclose(
        found, exact, rtol=0.02, atol=1e-4 * jnp.abs(exact).max()
    )


def test_nothing_excluded_and_what_only_samples_take():
    users, items = jnp.ones((4, 2)), jnp.ones((3, 2))
    none = losses.catalogue(jnp.ones(4), users, items, exclude=jnp.zeros((4, 0), int))
    assert none == losses.catalogue(jnp.ones(4), users, items)
    with pytest.raises(
        ValueError, match="takes exclude and weights .* got log_q, where"
    ):
        losses.catalogue(jnp.ones(4), users, items, where=None, log_q=jnp.ones(3))


@pytest.mark.parametrize("name", ["softmax", "ccl", "drrl", "drrl_tempered"])
def test_rows_on_their_devices_and_items_on_all(name):
    kind = jax.sharding.AxisType.Auto
    mesh = jax.make_mesh((1,), ("rows",), axis_types=(kind,))
    users, items, weights, exclude, pos = problem()

    def whole(pos, users, items):
        own = dict(exclude=exclude, weights=weights, block=4)
        return losses.catalogue(pos, users, items, loss=name, **own, **HYPER[name])

    def of_a_device(pos, users, items):
        return jax.lax.psum(whole(pos, users, items), "rows")

    here = jax.sharding.PartitionSpec("rows")
    all_of_it = jax.sharding.PartitionSpec()
    sharded = jax.shard_map(
        of_a_device, mesh=mesh, in_specs=(here, here, all_of_it), out_specs=all_of_it
    )
    every = (0, 1, 2)
    found = jax.jit(jax.value_and_grad(sharded, argnums=every))(pos, users, items)
    want = jax.value_and_grad(whole, argnums=every)(pos, users, items)
    chex.assert_trees_all_close(found, want, atol=1e-6)


def test_rows_that_axes_in_the_types_cut_are_refused():
    kind = jax.sharding.AxisType.Explicit
    mesh = jax.make_mesh((1,), ("rows",), axis_types=(kind,))
    users, items, _, _, pos = problem()
    with jax.set_mesh(mesh):
        cut = jax.device_put(users, jax.sharding.PartitionSpec("rows"))
        with pytest.raises(ValueError, match=r"users must be whole .* shard_map; got"):
            losses.catalogue(pos, cut, items)


@pytest.mark.parametrize("far", [2**32, -(2**32)])
def test_padding_beyond_int32_excludes_nothing(far):
    rng = np.random.default_rng(0)
    users, items = (jnp.asarray(rng.normal(size=(n, 4)), jnp.float32) for n in (3, 5))
    want = losses.catalogue(jnp.zeros(3), users, items)
    found = losses.catalogue(jnp.zeros(3), users, items, exclude=np.full((3, 2), far))
    np.testing.assert_array_equal(found, want)
