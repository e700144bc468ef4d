r"""Losses over the whole catalogue, straight from embeddings.

The scores ``[batch, items]`` are never held: blocks of rows go through the loss one
after the other, and each block's gradient is finished while its scores are still in
cache. The loss being a weighted sum over rows whose weights are known beforehand, the
gradient in the embeddings is a byproduct of the forward pass, so nothing is computed
twice: three matrix products a step, as many as a dense loss takes. On an NVIDIA GPU
what lies between them is one kernel (`drrl_jax.kernel`), for up to `MAX_WIDTH` items.
"""

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from drrl_jax import kernel
from drrl_jax._names import check_choice
from drrl_jax._numbers import check_count, check_real, is_cut, is_number
from drrl_jax.dro.order import whole_power
from drrl_jax.losses.rows import as_float
from drrl_jax.products import entries_in_flight, product, weights_for, wide_type
from drrl_jax.scores import all_but, catalogue_scores

# The longest row that the registers of a kernel's program hold with its derivative.
MAX_WIDTH = 2**14


def catalogue(
    pos_scores: jax.Array,
    users: jax.Array,
    items: jax.Array,
    *,
    loss: str = "softmax",
    exclude: jax.Array | None = None,
    weights: ArrayLike | None = None,
    block: int | None = None,
    **hyperparameters: Any,
) -> jax.Array:
    r"""A loss with every item as a negative, in memory for a block of rows.

    .. math:: \sum_b w_b \, \ell\big(s^+_b, \{u_b \cdot v_j : j \notin E_b\}\big)

    with :math:`\ell` any loss that treats rows apart: value and gradient are those of
    the dense loss on the score matrix, to rounding. DrRL solves its threshold exactly
    for each row on the whole catalogue.

    Args:
      pos_scores: ``[batch]``.
      users: rows whose inner products with ``items`` are scores, ``[batch, dim]``;
        normalise before for cosines.
      items: ``[num_items, dim]``.
      loss: name of the loss, one of ``ROW_LOSSES``.
      exclude: columns that are no negatives of a row, such as the user's positives,
        ``int [batch, width]``; numbers outside ``[0, num_items)`` are padding.
      weights: weight of each row in the sum, ``[batch]``; by default one over the
        batch, rows without a negative included. They are constants: no gradient flows
        into them.
      block: rows at a time; by default as many as keep 2²¹ scores in flight on a CPU,
        2²⁶ on a GPU.
      **hyperparameters: of the loss. Arrays are a scalar or one a row, ``[batch]``,
        and differentiable.

    Returns:
      A scalar, differentiable once in reverse mode in the scores, the embeddings and
      array hyperparameters. Under ``shard_map`` over rows it is the sum of a device's own
      rows: give them their ``weights`` in the whole batch, and ``psum`` the results.

    Raises:
      ValueError: for a loss that is not one a row, shapes that do not fit, or arrays
        that explicit axes of a mesh cut.

    Source:
      This project; the gradient in the forward pass is an idea of Hsu et al., "Liger
      Kernel: Efficient Triton Kernels for LLM Training", 2024.

    Example:
      >>> import jax.numpy as jnp
      >>> from drrl_jax.losses import catalogue
      >>> users, items = jnp.array([[1.0, 0.0]]), jnp.array([[0.9, 0.1], [0.5, 0.5]])
      >>> value = catalogue(jnp.array([0.9]), users, items, loss="drrl",
      ...                   exclude=jnp.array([[0]]), gamma=1.5, radius=0.5)
      >>> print(f"{value:.4f}")
      -0.4000
    """
    check_choice("loss", loss, ROW_LOSSES)
    if taken := sorted({"where", "log_q", "reduce_fn"} & set(hyperparameters)):
        raise ValueError(
            "catalogue takes exclude and weights and every item once; got"
            f" {', '.join(taken)}, which a loss of sampled negatives takes."
        )
    pos_scores, users, items = map(as_float, (pos_scores, users, items))
    for name, value in (("pos_scores", pos_scores), ("users", users), ("items", items)):
        if is_cut(value):
            raise ValueError(
                f"{name} must be whole on each device, or the call within shard_map;"
                f" got {jax.typeof(value)}."
            )
    batch = pos_scores.shape[0] if pos_scores.ndim == 1 else -1
    if users.ndim != 2 or users.shape[0] != batch:
        raise ValueError(
            "users must be [batch, dim] with pos_scores [batch]; got users "
            f"{users.shape}, pos_scores {pos_scores.shape}."
        )
    if items.ndim != 2 or items.shape[1] != users.shape[1]:
        raise ValueError(
            "items must be [num_items, dim] of the dim of users; got items "
            f"{items.shape}, users {users.shape}."
        )
    num_items = items.shape[0]
    if exclude is not None:
        exclude = _ids(exclude, num_items)
        if exclude.ndim != 2 or exclude.shape[0] != batch:
            raise ValueError(
                f"exclude must be [batch, width] with batch {batch}; got"
                f" {exclude.shape}."
            )
    if block is not None:
        check_count("block", block)
    if not batch or not num_items:
        raise ValueError(
            f"a batch and a catalogue must have rows; got {batch} and {num_items}."
        )
    size = min(block or _rows_in_flight(batch, num_items), batch)
    static = {k: v for k, v in hyperparameters.items() if not _is_array(v)}
    traced = {
        name: jnp.broadcast_to(_one_a_row(name, value, batch), (batch,))
        for name, value in hyperparameters.items()
        if _is_array(value)
    }
    if weights is None:
        weights = jnp.full((batch,), 1 / batch)
    wide = wide_type(pos_scores, users, items)
    check_real("weights", weights)
    weights = jax.lax.stop_gradient(jnp.asarray(weights, wide))
    if weights.shape != (batch,):
        raise ValueError(f"weights must be [batch], {(batch,)}; got {weights.shape}.")
    if exclude is None or not exclude.shape[1]:
        exclude = jnp.full((batch, 1), -1, jnp.int32)

    # Whole blocks: the rows that pad the last one have weight 0.
    padding = -batch % size

    def blocks(x: jax.Array) -> jax.Array:
        whole = jnp.pad(x, [(0, padding)] + [(0, 0)] * (x.ndim - 1))
        return whole.reshape(-1, size, *x.shape[1:])

    extra = jax.tree.map(
        # Not zeros: a temperature of a padding row must be one.
        lambda x: jnp.pad(x, (0, padding), mode="edge").reshape(-1, size),
        traced,
    )
    rows = (blocks(pos_scores), blocks(users), extra)
    constants = (blocks(weights), blocks(exclude))
    rows, items, constants = _varying_alike((rows, items, constants))
    return _summed(loss, tuple(sorted(static.items())), rows, items, constants)


def _varying_alike(tree: Any) -> Any:
    """Under ``shard_map``, arrays that vary over all mesh axes that any of them does.

    A sum over rows varies as they do, and so must a table that all devices share to have
    its gradient taken; JAX adds up what each device's rows have to say of it. XLA leaves
    nothing of the zeros.
    """
    zero = jnp.zeros((), jnp.float32)
    for leaf in jax.tree.leaves(tree):
        zero = zero + jnp.zeros_like(leaf[(0,) * leaf.ndim], jnp.float32)
    return jax.tree.map(lambda x: x + zero.astype(x.dtype), tree)


def _is_array(value: Any) -> bool:
    """Not a plain number, as NumPy's scalars are, nor a choice or a name."""
    choice = value is None or isinstance(value, str | np.bool_)
    return not choice and not is_number(value)


def _ids(exclude: ArrayLike, num_items: int) -> jax.Array:
    """Items by id, padding within the reach of int32: a mask would be read as ids."""
    given = exclude if isinstance(exclude, jax.Array) else np.asarray(exclude)
    if not given.size:  # NumPy takes empty lists for floats
        given = given.astype(np.int32)
    if not jnp.issubdtype(given.dtype, jnp.integer):
        raise ValueError(
            "exclude must hold ids of items, [batch, width] integers; got"
            f" {given.dtype.name}."
        )
    if isinstance(given, np.ndarray):
        given = np.clip(given, -1, num_items)
    return jnp.asarray(given)


def _one_a_row(name: str, value: ArrayLike, batch: int) -> jax.Array:
    array = jnp.asarray(value)
    if array.dtype == bool:
        raise ValueError(
            f"{name} must be an array of numbers, one a row, or a plain choice; got an"
            " array of bool."
        )
    array = as_float(array, name)  # all of these are differentiated
    if array.shape not in ((), (1,), (batch,)):
        raise ValueError(
            f"{name} must be one number or one a row, {(batch,)}; got {array.shape}."
        )
    return array


def _rows_in_flight(batch: int, num_items: int) -> int:
    """Rows a block: as many as fit, in equal blocks of whole vectors."""
    # 2^21 fit a CPU's cache beside their weights (benchmarks/catalogue.py).
    most = max(entries_in_flight(1 << 21) // num_items, 8)
    equal = -(-batch // -(-batch // most))
    return -(-equal // 8) * 8


def _row_values(loss, static, rows, product, weights, where):
    """The weighted loss of each of one block's rows, from its score matrix."""
    from drrl_jax.losses import LOSSES  # the table holds modules that load after this

    pos_scores, traced = rows
    values = LOSSES[loss](
        pos_scores.astype(weights.dtype),  # as the product is: no implicit promotion
        product,
        where=where,
        reduce_fn=None,
        **dict(static),
        **traced,
    )
    return weights * values.astype(weights.dtype)


def _values_and_slopes(loss, static, rows, product, weights, where):
    """The same, and the derivatives of their sum in the rows' numbers and scores."""

    def values(rows, product):
        return _row_values(loss, static, rows, product, weights, where)

    found, back = jax.vjp(values, rows, product)
    return found, *back(jnp.ones_like(found))


def _slopes(loss, static, rows, product, weights, where):
    """`_values_and_slopes`, on a GPU in one kernel, as far as its registers go."""
    operands = (rows, product, weights, where)
    passes = functools.partial(_values_and_slopes, loss, static)
    if not _by_products(loss, static, rows):
        return passes(*operands)
    in_kernel = functools.partial(_in_kernel, loss, static)
    return kernel.choose(in_kernel, passes, product, *operands, most=MAX_WIDTH)


def _by_products(loss, static, rows):
    """Whether the loss solves nothing, or at an order that a kernel does (`dro.solve`)."""
    from drrl_jax.losses import LOSSES

    if loss != "drrl":
        return True
    default = inspect.signature(LOSSES[loss]).parameters["gamma"].default
    gamma = {**dict(static), **rows[1]}.get("gamma", default)
    return whole_power(gamma) is not None


def _in_kernel(loss, static, rows, product, weights, where):
    """`_values_and_slopes` of rows each of which is read once and written once."""
    thin, tree = jax.tree.flatten((rows, weights))
    narrow = [x.astype(weights.dtype) for x in thin]
    rows = jax.tree.unflatten(tree, narrow)[0]

    def program(inside, scores, used, *thin):
        rows, weights = jax.tree.unflatten(tree, thin)
        return _values_and_slopes(
            loss, static, rows, scores, weights, inside & (used > 0)
        )

    values, by_rows, by_scores = kernel.map_rows(
        program,
        [product, where.astype(jnp.int8)],
        narrow,
        (weights, rows, product),
        per_thread=32,  # fewer to wait for in its many sums
        name=loss,
    )
    types = jax.tree.unflatten(tree, thin)[0]
    return (
        values,
        jax.tree.map(lambda x, t: x.astype(t.dtype), by_rows, types),
        by_scores,
    )


def _with_scores(block, items):
    """A block as `_row_values` takes it, its scores and its mask made."""
    (pos_scores, users, traced), (weights, exclude) = block
    where = all_but(exclude, len(items))
    return (pos_scores, traced), catalogue_scores(users, items), weights, where


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _summed(loss, static, rows, items, constants):
    def step(total, block):
        values = _row_values(loss, static, *_with_scores(block, items))
        return total + jnp.sum(values), None

    zero = jnp.zeros_like(constants[0][0, 0])  # varies as the rows do
    return jax.lax.scan(step, zero, (rows, constants))[0]


def _summed_forward(loss, static, rows, items, constants):
    wide = constants[0].dtype

    def step(carry, block):
        total, by_items = carry
        (_, users, _), _ = block
        found = _slopes(loss, static, *_with_scores(block, items))
        values, (by_pos, by_traced), by_scores = found
        by_scores = weights_for(by_scores, items)
        by_users = product(by_scores, items)
        by_items += product(by_scores.T, users)
        total += jnp.sum(values)
        return (total, by_items), (by_pos, by_users, by_traced)

    start = (jnp.zeros_like(constants[0][0, 0]), jnp.zeros_like(items, wide))
    (total, by_items), by_rows = jax.lax.scan(step, start, (rows, constants))
    types = jax.tree.map(lambda x: jnp.zeros((), x.dtype), (rows, items))
    return total, ((by_rows, by_items), types)


def _summed_backward(loss, static, residuals, cotangent):
    del loss, static
    # Narrowed after the cotangent, which may be a scale that keeps them in range.
    by_rows, by_items = jax.tree.map(
        lambda g, like: (g * cotangent).astype(like.dtype), *residuals
    )
    return by_rows, by_items, None


_summed.defvjp(_summed_forward, _summed_backward)

ROW_LOSSES = (
    "softmax",
    "ccl",
    "drrl",
    "drrl_dual",
    "drrl_tempered",
    "drrl_matched",
    "psl",
    "bpr",
    "bce",
    "mse",
    "bsl",
    "sl_at_k",
    "drrl_at_k",
)
"""Losses that ``catalogue`` takes, each of which treats every row apart."""
