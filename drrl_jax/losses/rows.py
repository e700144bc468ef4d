"""What every loss shares: static checks, masks, sampling weights, reduction.

A loss is one formula over a row: a positive score and its negatives. ``Rows`` holds
the scores in a form on which a formula needs no thought for masks: garbage replaced,
a row without negatives made harmless, float16 and bfloat16 lifted to float32.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from drrl_jax._numbers import (
    broadcasts,
    check_number,
    check_real,
    check_scores,
    is_number,
    spread,
    wide,
)
from drrl_jax.dro.sums import row_any
from drrl_jax.kernel import any_of

ReduceFn = Callable[..., jax.Array] | None


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows of one positive and its negatives, safe to compute with.

    Attributes:
      pos: ``[...]`` positive scores.
      neg: ``[..., negatives]`` negative scores, 0 where masked.
      gap: ``[..., negatives]``, by how much they exceed the positive one, 0 where masked.
        Not to be had from the other two for the same price: masked once, and last, its
        derivatives in both are made of one array.
      where: ``[..., negatives]``, or ``None`` if every negative counts. A row without
        any negative is shown as full, of zeros: its value is finite and is dropped.
      valid: ``[...]``, the rows that have a negative; ``None`` if all have.
      log_weights: ``[..., negatives]``, log of the importance weights, which average
        one over a row's negatives; ``None`` if sampling was uniform.
      dtype: the type of the result.
    """

    pos: jax.Array
    neg: jax.Array
    gap: jax.Array
    where: jax.Array | None
    valid: jax.Array | None
    log_weights: jax.Array | None
    dtype: jnp.dtype

    @property
    def count(self) -> jax.Array:
        """The number of negatives of each row, ``[...]``."""
        if self.where is None:
            return jnp.full(self.pos.shape, self.neg.shape[-1], self.neg.dtype)
        return jnp.sum(self.where, axis=-1, dtype=self.neg.dtype)

    @property
    def probs(self) -> jax.Array | None:
        """The base probabilities of a row's negatives; ``None`` if uniform."""
        if self.log_weights is None:
            return None
        probs = jnp.exp(self.log_weights) / self.count[..., None]
        return probs if self.where is None else jnp.where(self.where, probs, 0)

    def parameter(self, name: str, value: ArrayLike, **limits: float) -> jax.Array:
        """A hyperparameter, a scalar or one a row, checked, as one a row. [...]"""
        return spread(jnp.asarray(self.checked(name, value, **limits)), self.pos)

    def checked(self, name: str, value: ArrayLike, **limits: float) -> ArrayLike:
        """The same with numbers kept as they are, for solvers that branch on them."""
        check_number(name, value, **limits)
        if is_number(value):
            return float(value)
        if value is None or isinstance(value, str):
            raise ValueError(f"{name} must be a number or an array; got {value!r}.")
        check_real(name, value)
        array = jnp.asarray(value, self.pos.dtype)
        _check_broadcast(name, array.shape, "pos_scores", self.pos.shape)
        if self.valid is not None and array.ndim:
            # A row with nothing to use may hold anything, which must reach no gradient.
            array = spread(array, self.pos)
            safe = limits.get("above", limits.get("least", 0)) + 1
            array = jnp.where(self.valid, array, min(safe, limits.get("most", safe)))
        return array

    def one_number(self, name: str, value: ArrayLike, **limits: float) -> ArrayLike:
        """A hyperparameter that all rows share, checked."""
        number = self.checked(name, value, **limits)
        if jnp.ndim(number):
            raise ValueError(
                f"{name} must be one number; got shape {jnp.shape(number)}."
            )
        return number

    def labels(self, name: str, values: ArrayLike) -> jax.Array:
        """An integer a row."""
        given = values if isinstance(values, jax.Array) else np.asarray(values)
        if not jnp.issubdtype(given.dtype, jnp.integer):
            got = jax.dtypes.canonicalize_dtype(given.dtype).name
            raise ValueError(f"{name} must be integers; got {got}.")
        array = jnp.asarray(given)
        if isinstance(given, np.ndarray) and given.dtype.itemsize > 4:
            kept = jnp.iinfo(array.dtype)
            if given.size and not kept.min <= given.min() <= given.max() <= kept.max:
                raise ValueError(
                    f"{name} must fit {array.dtype.name}, which they would be cut to;"
                    f" got {given.min()} to {given.max()}. Number them first:"
                    f" np.unique({name}, return_inverse=True)[1]."
                )
        if array.shape != self.pos.shape:
            raise ValueError(
                f"{name} must have the shape of pos_scores; got {name} {array.shape}, "
                f"pos_scores {self.pos.shape}."
            )
        return array

    def per_negative(self, name: str, value: ArrayLike) -> jax.Array:
        """A second array over the negatives, 0 where masked."""
        check_real(name, value)
        array = jnp.asarray(value, self.neg.dtype)
        if array.shape != self.neg.shape:
            raise ValueError(
                f"{name} must have the shape of neg_scores; got {array.shape}, "
                f"neg_scores {self.neg.shape}."
            )
        if self.where is None:
            return array
        # Rows without a negative are shown as full, of whatever stood there.
        shown = self.where if self.valid is None else self.where & self.valid[..., None]
        return jnp.where(shown, array, 0)

    def mean(self, values: jax.Array) -> jax.Array:
        """The weighted mean over a row's negatives, ``[..., negatives] -> [...]``."""
        if self.log_weights is not None:
            values = jnp.exp(self.log_weights) * values
        return jnp.sum(values, axis=-1, where=self.where) / self.count

    def logsumexp(self, values: jax.Array) -> jax.Array:
        """Log of the weighted sum of exponentials, ``[..., negatives] -> [...]``."""
        if self.log_weights is not None:
            values = values + self.log_weights
        if self.where is not None:
            values = jnp.where(self.where, values, -jnp.inf)
        # As `jax.nn.logsumexp`, which masks twice and has XLA write twice as much down.
        top = jax.lax.stop_gradient(jnp.max(values, axis=-1))
        top = jnp.where(jnp.isfinite(top), top, 0)
        return jnp.log(jnp.sum(jnp.exp(values - top[..., None]), axis=-1)) + top

    def reduce(self, values: jax.Array, reduce_fn: ReduceFn) -> jax.Array:
        """Drops the rows without negatives and reduces, accumulating in float32.

        Where no row is left, the reducer sees zeros with every one in use, so a plain
        ``jnp.mean`` or a partial of it gives 0 too, not NaN.
        """
        where = self.valid
        if where is not None:
            values = jnp.where(where, values, 0)
            where = where | ~any_of(where)
        if reduce_fn is not None:
            if not values.size:  # an empty batch
                values, where = jnp.zeros((1,), values.dtype), jnp.ones((1,), bool)
            values = reduce_fn(values, where=where)
        return values.astype(self.dtype)


def prepare(
    pos_scores: ArrayLike,
    neg_scores: ArrayLike,
    where: ArrayLike | None = None,
    log_q: ArrayLike | None = None,
) -> Rows:
    """Checks the arguments that every loss has and makes them safe.

    Args:
      pos_scores: ``[...]``.
      neg_scores: ``[..., negatives]``.
      where: ``[..., negatives]``, True = use.
      log_q: log of the probability by which each negative was sampled, up to a
        constant a row; broadcasts to ``neg_scores``.

    Returns:
      The rows.

    Raises:
      ValueError: shapes that do not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> rows = prepare(jnp.ones(2), jnp.ones((2, 3)), jnp.zeros((2, 3), bool))
      >>> rows.valid.tolist(), rows.mean(rows.neg).tolist()
      ([False, False], [0.0, 0.0])
      >>> prepare(jnp.ones(4), jnp.ones((3, 7)))
      Traceback (most recent call last):
      ...
      ValueError: neg_scores must be pos_scores plus a trailing axis; got pos_scores (4,), neg_scores (3, 7).
    """  # noqa: E501
    pos, neg = as_float(pos_scores), as_float(neg_scores)
    if neg.ndim != pos.ndim + 1 or neg.shape[:-1] != pos.shape:
        raise ValueError(
            "neg_scores must be pos_scores plus a trailing axis; got pos_scores "
            f"{pos.shape}, neg_scores {neg.shape}."
        )
    if neg.shape[-1] == 0:
        raise ValueError(f"neg_scores must hold a negative a row; got {neg.shape}.")
    dtype = jnp.promote_types(pos.dtype, neg.dtype)
    compute = wide(dtype)
    pos, neg = pos.astype(compute), neg.astype(compute)
    gap, valid = neg - pos[..., None], None
    if where is not None:
        where = jnp.asarray(where, bool)
        if where.shape != neg.shape:
            raise ValueError(
                f"where must have the shape of neg_scores; got where {where.shape}, "
                f"neg_scores {neg.shape}."
            )
        valid = row_any(where)
        neg, gap = jnp.where(where, neg, 0), jnp.where(where, gap, 0)
        pos = jnp.where(valid, pos, 0)
        where = where | ~valid[..., None]
    log_weights = None
    if log_q is not None:
        check_real("log_q", log_q)
        log_q = jnp.asarray(log_q, compute)
        _check_broadcast("log_q", log_q.shape, "neg_scores", neg.shape)
        log_q = spread(log_q, neg)
        if where is not None and valid is not None:
            # A masked entry's probability may be garbage, an empty row's too.
            log_q = jnp.where(where & valid[..., None], log_q, 0)
        total = jax.nn.logsumexp(-log_q, axis=-1, where=where, keepdims=True)
        log_weights = -log_q - total
    rows = Rows(pos, neg, gap, where, valid, log_weights, dtype)
    if log_weights is not None:
        log_weights = log_weights + jnp.log(rows.count)[..., None]
        rows = dataclasses.replace(rows, log_weights=log_weights)
    return rows


def as_float(values: ArrayLike, name: str = "scores") -> jax.Array:
    """An array of floats: whole numbers have no gradient; ``name`` is for the error."""
    array = jnp.asarray(values)
    check_scores(name, array)
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(float)


def _check_broadcast(
    name: str, shape: tuple[int, ...], target_name: str, target: tuple[int, ...]
) -> None:
    if not broadcasts(shape, target):
        raise ValueError(
            f"{name} must broadcast to {target_name}; got {name} {shape}, "
            f"{target_name} {target}."
        )
