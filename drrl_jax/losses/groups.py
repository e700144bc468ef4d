"""Rows of one user brought together, with static shapes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from drrl_jax._numbers import is_cut
from drrl_jax.rows import take_rows


class Groups(NamedTuple):
    """Rows sorted by group.

    Attributes:
      order: the rows, group after group, ``[rows]``.
      group: number of the group of each sorted row, from 0, ``[rows]``.
      place: place of each sorted row within its group, from 0, ``[rows]``.
    """

    order: jax.Array
    group: jax.Array
    place: jax.Array


def sort_groups(names: jax.Array) -> Groups:
    """Sorts rows by the name of their group: O(B log B), no B x B comparison.

    Args:
      names: ``[...]`` integers; only their equality is used.

    Returns:
      The groups of the flattened rows.

    Example:
      >>> import jax.numpy as jnp
      >>> groups = sort_groups(jnp.array([7, 3, 7]))
      >>> groups.order.tolist(), groups.group.tolist(), groups.place.tolist()
      ([1, 0, 2], [0, 1, 1], [0, 0, 1])
    """
    names = flat(names)
    order = jnp.argsort(names)
    ordered = names[order]
    new = jnp.concatenate([jnp.zeros(1, bool), ordered[1:] != ordered[:-1]])
    new = new[: names.size]
    index = jnp.arange(names.size)
    first = jax.lax.cummax(jnp.where(new, index, 0))
    return Groups(order, jnp.cumsum(new), index - first)


def flat(x: jax.Array) -> jax.Array:
    """One number a row in a line, whole on each device where types say it is cut.

    Rows of one user may lie on any device, and a sort runs along no axis that is cut.

    Example:
      >>> import jax.numpy as jnp
      >>> flat(jnp.array([[7, 3], [7, 5]])).tolist()
      [7, 3, 7, 5]
    """
    if is_cut(x):
        whole = jax.typeof(x).sharding.update(spec=PartitionSpec())
        x = jax.sharding.reshard(x, whole)
    return x.reshape(-1)


def as_matrix(
    values: jax.Array, groups: Groups, keep: jax.Array, size: int
) -> tuple[jax.Array, jax.Array]:
    """A line for each group: ``(values [rows, size], where [rows, size])``.

    There are as many lines as rows; those without a group are masked. ``size`` is at
    least that of the largest group: what lies beyond is left out.

    Args:
      values: one a row, ``[rows]``.
      groups: of the rows.
      keep: rows to use, ``[rows]``.
      size: static width.

    Example:
      >>> import jax.numpy as jnp
      >>> groups = sort_groups(jnp.array([7, 3, 7]))
      >>> keep = jnp.ones(3, bool)
      >>> as_matrix(jnp.array([0.1, 0.2, 0.3]), groups, keep, 2)[1].tolist()
      [[True, False], [True, True], [False, False]]
    """
    shape = (values.size, size)
    place = (groups.group, groups.place)
    matrix = jnp.zeros(shape, values.dtype)
    matrix = matrix.at[place].set(values[groups.order], mode="drop")
    where = jnp.zeros(shape, bool).at[place].set(keep[groups.order], mode="drop")
    return matrix, where


def to_rows(values: jax.Array, groups: Groups) -> jax.Array:
    """The value of its group at each row, ``[groups] -> [rows]``.

    Example:
      >>> import jax.numpy as jnp
      >>> to_rows(jnp.array([0.5, 1.5]), sort_groups(jnp.array([7, 3, 7]))).tolist()
      [1.5, 0.5, 1.5]
    """
    sorted_rows = take_rows(values, groups.group)
    return jnp.zeros_like(sorted_rows).at[groups.order].set(sorted_rows)
