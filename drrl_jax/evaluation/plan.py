"""What a full-ranking evaluation needs to know, laid out once for the device."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from drrl_jax._numbers import check_count, check_ids
from drrl_jax.data.interactions import Csr
from drrl_jax.products import entries_in_flight

# Scores held at a time on a CPU: on 2 cores 2^21 (8 MB, a quarter of the last-level
# cache) was within 3 % of the best of 2^20 .. 2^23.
_BLOCK_SCORES = 2**21


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class EvaluationPlan:
    """The users, candidates and relevant items of one split, in equal padded blocks.

    Build it once a split with :meth:`build` and evaluate every few epochs: all blocks
    have one static shape, so that one compiled program serves them all. Users are dealt
    to blocks such that the blocks hold about equally many exclusions, which are kept as
    (row, item) pairs in the order of the blocks, and worked off in chunks of one size, of
    which a block with a very active user takes more than others: memory grows with the
    interactions, never with users × items.

    Attributes:
      users: ``[blocks, block]`` user of each row; the padding repeats user 0.
      rows: ``[pairs]`` row of each exclusion in its block; the padding is in no block.
      items: ``[pairs]`` item of each exclusion.
      starts: ``[blocks + 1]`` where the exclusions of each block begin.
      masked: ``[num_items]`` True for items that are no candidates, or ``None``.
      indptr: ``[num_users + 1]`` truth, CSR.
      indices: ``[truth]`` truth, CSR, sorted within a row.
      position: ``[evaluated users]`` place of each evaluated user in ``users.ravel()``.
      num_relevant: ``[evaluated users]`` relevant items of each.
      chunk: exclusions written at a time.
      one_chunk: whether every block's exclusions are one chunk (static).
      num_users: users of the model.
      num_items: items of the model.
      max_relevant: the largest of ``num_relevant``.
    """

    users: jax.Array
    rows: jax.Array
    items: jax.Array
    starts: jax.Array
    masked: jax.Array | None
    indptr: jax.Array
    indices: jax.Array
    position: jax.Array
    num_relevant: jax.Array
    chunk: int = dataclasses.field(metadata={"static": True})
    one_chunk: bool = dataclasses.field(metadata={"static": True})
    num_users: int = dataclasses.field(metadata={"static": True})
    num_items: int = dataclasses.field(metadata={"static": True})
    max_relevant: int = dataclasses.field(metadata={"static": True})

    @property
    def user_ids(self) -> np.ndarray:
        """``[evaluated users]`` ids of the users that count, ascending."""
        return np.asarray(self.users).ravel()[np.asarray(self.position)]

    @classmethod
    def build(
        cls,
        truth: Csr,
        *,
        num_items: int,
        exclude: Csr | Sequence[Csr] = (),
        item_mask: np.ndarray | None = None,
        block: int | None = None,
    ) -> "EvaluationPlan":
        """Lays a split out for the device.

        Args:
          truth: relevant (test) items of each user; users without any don't count.
          num_items: items of the model.
          exclude: items that are no candidates for a user (training positives, and at
            test under the strict protocol the validation positives): one Csr or more.
            An excluded item that is also in ``truth`` can never be found.
          item_mask: ``[num_items]`` bool, True for candidates; all by default.
          block: users scored at a time; chosen from ``num_items`` by default.

        Returns:
          The plan.

        Raises:
          ValueError: rows or items that do not fit together, or no user to evaluate.

        Example:
          >>> import numpy as np
          >>> from drrl_jax.data.interactions import Csr
          >>> truth = Csr(indptr=np.array([0, 2, 2, 3]), indices=np.array([0, 3, 1]))
          >>> plan = EvaluationPlan.build(truth, num_items=4, block=2)
          >>> plan.user_ids.tolist(), plan.num_relevant.tolist()
          ([0, 2], [2, 1])
        """
        excludes = [exclude] if isinstance(exclude, Csr) else list(exclude)
        indptr, indices = _check(truth, "truth", len(truth.indptr) - 1, num_items)
        num_users = len(indptr) - 1
        counts = np.diff(indptr)
        users = np.flatnonzero(counts)
        if not len(users):
            raise ValueError(
                f"truth must hold an item; all {num_users} rows are empty."
            )
        if item_mask is not None:
            mask = np.asarray(item_mask)
            if mask.dtype != bool or mask.shape != (num_items,):
                raise ValueError(  # ids would be read as a mask
                    f"item_mask must be bool {(num_items,)}; got {mask.dtype.name}"
                    f" {mask.shape}."
                )
        checked = [
            _check(e, f"exclude[{n}]", num_users, num_items)
            for n, e in enumerate(excludes)
        ]
        load = sum(
            (np.diff(pointer) for pointer, _ in checked), np.zeros(num_users, int)
        )

        if block is not None:
            check_count("block", block)
        else:
            block = entries_in_flight(_BLOCK_SCORES) // num_items
        block = int(np.clip(block, 1, len(users)))
        num_blocks = -(-len(users) // block)
        block = -(-len(users) // num_blocks)  # the last block as full as the others
        slot = _deal(load[users], num_blocks) * block
        slot += _rank_within(slot)
        where = np.full(num_users, -1)
        where[users] = slot

        pairs = [_pairs(pointer, ids, where) for pointer, ids in checked]
        slots = np.concatenate([s for s, _ in pairs] or [np.zeros(0, int)])
        excluded = np.concatenate([i for _, i in pairs] or [np.zeros(0, int)])
        order = np.lexsort((excluded, slots))
        slots, excluded = slots[order], excluded[order]
        counted = np.bincount(slots // block, minlength=num_blocks)
        rows = _padded(slots % block)
        chunk, most = -(-len(slots) // num_blocks), int(counted.max())
        chunk = min(_rounded(most if most < 2 * chunk else chunk), len(rows))
        grid = np.zeros(num_blocks * block, np.int32)
        grid[slot] = users
        return cls(
            users=jnp.asarray(grid.reshape(num_blocks, block)),
            rows=jnp.asarray(rows),
            items=jnp.asarray(_padded(excluded)),
            starts=jnp.asarray(np.concatenate([[0], np.cumsum(counted)]), jnp.int32),
            masked=None if item_mask is None else ~jnp.asarray(item_mask),
            indptr=jnp.asarray(indptr, jnp.int32),
            indices=jnp.asarray(indices, jnp.int32),
            position=jnp.asarray(slot, jnp.int32),
            num_relevant=jnp.asarray(counts[users], jnp.int32),
            chunk=chunk,
            one_chunk=0 < most <= chunk,
            num_users=num_users,
            num_items=num_items,
            max_relevant=int(counts.max()),
        )


def _check(
    csr: Csr, name: str, num_users: int, num_items: int
) -> tuple[np.ndarray, np.ndarray]:
    """The two arrays of a Csr with sorted rows, on the host."""
    indptr, indices = np.asarray(csr.indptr), np.asarray(csr.indices)
    if len(indptr) != num_users + 1:
        raise ValueError(
            f"{name} must have {num_users} rows, as truth has; got {len(indptr) - 1}."
        )
    counts = np.diff(indptr)
    falls = bool(np.any(counts < 0))
    if falls or indptr[0] != 0 or indptr[-1] != len(indices):
        raise ValueError(
            f"indptr of {name} must rise from 0 to {len(indices)}, the number of its"
            f" indices; got {indptr[0]} to {indptr[-1]}{' with a fall' if falls else ''}."
        )
    check_ids(f"items of {name}", indices, num_items)
    rows = np.repeat(np.arange(num_users), counts)
    if np.any((rows[1:] == rows[:-1]) & (indices[1:] <= indices[:-1])):
        if name == "truth" and len(np.unique(rows * num_items + indices)) < len(
            indices
        ):
            raise ValueError("truth must not hold an item twice for one user.")
        indices = indices[np.lexsort((indices, rows))]
    return indptr, indices


def _rounded(count: int) -> int:
    """At least ``count``, to three binary digits: few sizes, hence few programs."""
    unit = 1 << max(count.bit_length() - 3, 0)
    return -(-count // unit) * unit


def _padded(values: np.ndarray) -> np.ndarray:
    """As int32, with zeros up to a round number."""
    return np.pad(values, (0, _rounded(len(values)) - len(values))).astype(np.int32)


def _deal(load: np.ndarray, num_blocks: int) -> np.ndarray:
    """A block for each user: heaviest first, dealt there and back again."""
    order = np.argsort(-load, kind="stable")
    turn, place = np.divmod(np.arange(len(load)), num_blocks)
    blocks = np.empty(len(load), np.int64)
    blocks[order] = np.where(turn % 2, num_blocks - 1 - place, place)
    return blocks


def _rank_within(groups: np.ndarray) -> np.ndarray:
    """Position of each element among the equal ones before it."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    first = np.searchsorted(ordered, ordered, side="left")
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - first
    return ranks


def _pairs(
    indptr: np.ndarray, indices: np.ndarray, where: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(slot, item) of the entries whose user is evaluated."""
    slots = np.repeat(where, np.diff(indptr))
    keep = slots >= 0
    return slots[keep], indices[keep]
