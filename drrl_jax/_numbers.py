"""Numbers that a user gives: which are plain, and checks before any tracing."""

import math
import numbers
from typing import TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike


def is_number(x: object) -> TypeGuard[float]:
    """Whether ``x`` is a plain number, of Python or NumPy, whose value is known.

    Example:
      >>> is_number(2), is_number(np.float32(2)), is_number(jnp.array(2.0))
      (True, True, False)
    """
    if isinstance(x, np.generic):  # bfloat16 is no ``numbers.Real``
        return bool(jnp.issubdtype(x.dtype, jnp.floating)) or isinstance(x, np.integer)
    return isinstance(x, numbers.Real)


def check_number(
    name: str,
    value: object,
    *,
    above: float | None = None,
    least: float = -math.inf,
    most: float = math.inf,
) -> None:
    """Refuses a plain number outside its range; arrays are not looked at.

    Args:
      name: what to call it in the error.
      value: a plain number, or anything else, which passes unchecked.
      above: the number must be greater than this, where given.
      least: the number must be at least this.
      most: the number must be at most this.

    Raises:
      ValueError: one sentence with the range and the number.

    Example:
      >>> check_number("temperature", 0.0, above=0)
      Traceback (most recent call last):
      ...
      ValueError: temperature must be greater than 0; got 0.0.
    """
    if not is_number(value):
        return
    number = float(value)
    if above is not None and not number > above:
        raise ValueError(f"{name} must be greater than {above}; got {value}.")
    if least > -math.inf and not number >= least:
        raise ValueError(f"{name} must be at least {least}; got {value}.")
    if number != number:
        raise ValueError(f"{name} must be a number; got {value}.")
    if not number <= most:
        raise ValueError(f"{name} must be at most {most}; got {value}.")


def wide(dtype: jnp.dtype) -> jnp.dtype:
    """The type to compute in: float32, and float64 for float64.

    By no promotion, which may be strict. Narrow types will not do: a sum of bfloat16
    numbers stops at 256 of them.
    """
    fine = jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits >= 32
    return jnp.dtype(dtype if fine else jnp.float32)


def check_real(name: str, value: object) -> None:
    """Refuses complex numbers, whose imaginary part a cast would cut.

    Example:
      >>> check_real("temperature", 0.2 + 1j)
      Traceback (most recent call last):
      ...
      ValueError: temperature must be real; got complex64.
    """
    if isinstance(value, complex) or jnp.iscomplexobj(value):
        raise ValueError(f"{name} must be real; got {jnp.result_type(value).name}.")


def check_scores(name: str, scores: object) -> None:
    """Refuses what JAX would take apart, as lists, or cut, as imaginary parts.

    Example:
      >>> check_scores("scores", [0.1, 0.5])
      Traceback (most recent call last):
      ...
      ValueError: scores must be an array of real numbers; got a list.
    """
    got = f"a {type(scores).__name__}" if isinstance(scores, list | tuple) else None
    if got is None and jnp.iscomplexobj(scores):
        got = jnp.result_type(scores).name
    if got:
        raise ValueError(f"{name} must be an array of real numbers; got {got}.")


def check_whole(
    name: str, values: np.ndarray, low: int, high: int, must: str = "be integers"
) -> None:
    """Refuses what a cast to integers in ``[low, high)`` would change.

    ``must`` is how the sentence says so.

    Example:
      >>> check_whole("items", np.array([0.0, 1.5]), 0, 2**31)
      Traceback (most recent call last):
      ...
      ValueError: items must be integers in [0, 2147483648); got 0.0 to 1.5.
    """
    if not values.size:
        return
    kind = values.dtype.kind
    whole = kind in "iu" or (kind == "f" and not np.any(values % 1))  # NaN has a rest
    if not whole or values.min() < low or values.max() >= high:
        got = f"{values.min()} to {values.max()}" if kind in "iuf" else values.dtype
        raise ValueError(f"{name} must {must} in [{low}, {high}); got {got}.")


def check_ids(name: str, ids: np.ndarray, size: int) -> None:
    """Refuses ids that are no whole numbers or outside ``[0, size)``.

    Example:
      >>> check_ids("items", np.array([1, 5]), 3)
      Traceback (most recent call last):
      ...
      ValueError: items must lie in [0, 3); got 1 to 5.
    """
    check_whole(name, ids, 0, size, "lie" if ids.dtype.kind in "iu" else "be integers")


def as_ids(name: str, ids: ArrayLike, size: int) -> np.ndarray:
    """Ids as int32, refused by :func:`check_ids` before the cast could change them.

    Example:
      >>> as_ids("items", [1, 2], 3)
      array([1, 2], dtype=int32)
    """
    given = np.asarray(ids)
    check_ids(name, given, size)
    return given.astype(np.int32)


def check_flag(name: str, value: object) -> None:
    """Refuses what is neither true nor false before a trace: an array, a name.

    Example:
      >>> check_flag("include_positive", jnp.array([True, False]))
      Traceback (most recent call last):
      ...
      ValueError: include_positive must be True or False; got bool[2].
    """
    if not isinstance(value, bool | np.bool_):
        got = repr(value)
        if isinstance(value, jax.Array | np.ndarray):
            got = f"{value.dtype.name}[{','.join(map(str, value.shape))}]"
        raise ValueError(f"{name} must be True or False; got {got}.")


def is_count(x: object) -> TypeGuard[int]:
    """Whether ``x`` is a whole number of at least 1, of Python or NumPy.

    Example:
      >>> is_count(np.int64(3)), is_count(0), is_count(3.0), is_count(True)
      (True, False, False, False)
    """
    return isinstance(x, int | np.integer) and x is not True and bool(x >= 1)


def check_count(name: str, value: object) -> None:
    """Refuses what counts nothing: numbers below 1, fractions and floats.

    Example:
      >>> check_count("k", 0)
      Traceback (most recent call last):
      ...
      ValueError: k must be a positive integer; got 0.
    """
    if not is_count(value):
        raise ValueError(f"{name} must be a positive integer; got {value!r}.")


def amount(share: float, of: ArrayLike) -> np.ndarray:
    """``share · of`` without the dust of binary fractions, to be rounded up or down.

    0.07 · 100 is 7.000000000000001, and 0.29 · 100 is 28.999999999999996.

    Example:
      >>> float(amount(0.1, 30)), amount(0.29, [100, 10])
      (3.0, array([29. ,  2.9]))
    """
    return np.round(share * np.asarray(of), 9)


def spread(x: jax.Array, like: jax.Array) -> jax.Array:
    """``x``, which broadcasts to ``like``, in its shape and laid out as it is.

    Not `broadcast_to`: what that makes lies on no mesh, where ``like`` may. Nor a sum of
    arrays of other ranks, which JAX can be told to refuse.

    Example:
      >>> spread(jnp.array([1, 2]), jnp.zeros((2, 2))).tolist()
      [[1.0, 2.0], [1.0, 2.0]]
    """
    x = jax.lax.expand_dims(x, range(like.ndim - x.ndim)) if x.ndim else x
    return x.astype(like.dtype) + jnp.zeros_like(jax.lax.stop_gradient(like))


def is_cut(x: jax.Array) -> bool:
    """Whether its type says that an axis lies on several devices of a mesh.

    Example:
      >>> is_cut(jnp.array([7, 3]))
      False
    """
    return any(axis is not None for axis in jax.typeof(x).sharding.spec)


def broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether an array of ``shape`` broadcasts to ``target``, which stays as it is.

    Example:
      >>> broadcasts((1, 3), (2, 3)), broadcasts((2, 3), (3,))
      (True, False)
    """
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False
