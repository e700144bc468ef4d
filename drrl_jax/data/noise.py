"""Noise put into the data on purpose, to see which loss bears it.

Study (a), false negatives among the sampled ones, is ``sample_with_false_negatives``.
Here are (b), known positives fed back as negatives, and (c), false positives.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from drrl_jax._numbers import amount
from drrl_jax.data import rng
from drrl_jax.data.cleaning import shared
from drrl_jax.data.interactions import Csr, Dataset, Interactions, concatenate, to_csr
from drrl_jax.data.negatives import random_below, segments
from drrl_jax.data.report import CleaningReport


def mark_positives(
    train: Interactions, share: float = 0.1, *, seed: int = 0
) -> tuple[Interactions, Interactions]:
    """Study (b): take a share of the training positives out and mark them.

    Train on the first result (or on all of ``train``, for pairs that are told to be
    both); ``replace_with_marked`` feeds the second back as negatives.

    Args:
      train: training interactions.
      share: in [0, 1]; ``round(share · n)`` rows are marked, but no user's last.
      seed: of the draw.

    Returns:
      ``(kept, marked)``.

    Raises:
      ValueError: if ``share`` is not in [0, 1].

    Example:
      >>> from drrl_jax.data import Interactions, mark_positives
      >>> kept, marked = mark_positives(Interactions([0] * 10, range(10)), 0.2)
      >>> len(kept), len(marked)
      (8, 2)
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in [0, 1]; got {share}.")
    keys = rng.raw(seed, "mark", len(train))
    ranks = rng.order_within(train.users, keys)
    order = np.lexsort((keys, ranks == 0))  # each user's first row comes last
    chosen = order[: min(round(share * len(train)), int((ranks > 0).sum()))]
    marked = np.zeros(len(train), bool)
    marked[chosen] = True
    return train.select(~marked), train.select(marked)


def replace_with_marked(
    key: jax.Array,
    negatives: jax.Array,
    marked: Csr,
    users: jax.Array,
    probability: float,
) -> jax.Array:
    """Study (b): put a user's marked positives in the place of negatives.

    Each entry is replaced with the given probability by one of the marked items of its
    row's user, drawn uniformly; users without marked items keep their negatives. Runs
    on the device, under ``jit``.

    Args:
      key: a JAX random key.
      negatives: ``int32[batch, num]`` item ids.
      marked: ``to_csr`` of the marked interactions (NumPy or JAX arrays).
      users: ``int32[batch]``.
      probability: of replacing an entry; the studies use .05 to .5.

    Returns:
      ``int32[batch, num]`` item ids.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from drrl_jax.data import Interactions, replace_with_marked, to_csr
      >>> marked = to_csr(Interactions([0], [7]), num_rows=2)
      >>> replace_with_marked(
      ...     jax.random.key(0), jnp.zeros((2, 3), jnp.int32), marked,
      ...     jnp.array([0, 1]), probability=1.0).tolist()
      [[7, 7, 7], [0, 0, 0]]
    """
    if not marked.indices.shape[0]:
        return negatives
    which, whether = jax.random.split(key)
    start, length = segments(jnp.asarray(marked.indptr), users)
    draws = random_below(which, jnp.maximum(length, 1), negatives.shape)
    items = jnp.asarray(marked.indices).at[start + draws].get(mode="clip")
    replace = jax.random.bernoulli(whether, probability, negatives.shape)
    return jnp.where(replace & (length > 0), items, negatives)


def add_false_positives(dataset: Dataset, rate: float, *, seed: int = 0) -> Dataset:
    """Study (c): flip ``⌈rate · n_u⌉`` random items of each user to training positives.

    The items are drawn uniformly, without replacement, from those that are in no part
    of the user's data (history, train, valid or test); a user with fewer such items
    gets all.

    Args:
      dataset: any data set.
      rate: in [0, 1].
      seed: of the draw.

    Returns:
      The data set with more training interactions (without timestamps and ratings,
      which false positives do not have) and a note in its report. A hidden positive of
      synthetic data that is drawn is hidden no more.

    Raises:
      ValueError: if ``rate`` is not in [0, 1].

    Example:
      >>> from drrl_jax.data import add_false_positives, load
      >>> clean = load(num_users=200, num_items=100, num_interactions=4000)
      >>> noisy = add_false_positives(clean, 0.1)
      >>> print(noisy.report.notes[-1])
      false positives: ... random interactions added to train (rate 0.1)
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate must lie in [0, 1]; got {rate}.")
    degrees = np.bincount(dataset.train.users, minlength=dataset.num_users)
    wanted = np.ceil(amount(rate, degrees)).astype(np.int64)
    known = to_csr(
        concatenate(dataset.known, dataset.valid, dataset.test), dataset.num_users
    )
    free = dataset.num_items - np.diff(known.indptr)
    wanted = np.minimum(wanted, free)
    users = np.repeat(np.arange(dataset.num_users), wanted)
    ranks = _distinct_ranks(free, wanted, seed)
    items = np.empty_like(ranks)
    ends = np.cumsum(wanted)
    for user in np.flatnonzero(wanted):
        rows = slice(ends[user] - wanted[user], ends[user])
        own = known.indices[known.indptr[user] : known.indptr[user + 1]]
        # The r-th non-positive; see negatives.py.
        shifted = own - np.arange(len(own))
        items[rows] = ranks[rows] + np.searchsorted(shifted, ranks[rows], side="right")
    train = Interactions(dataset.train.users, dataset.train.items)
    drawn, hidden = Interactions(users, items), dataset.false_negatives
    note = (
        f"false positives: {len(users):,} random interactions added to train "
        f"(rate {rate:g})"
    )
    return dataclasses.replace(
        dataset,
        train=concatenate(train, drawn),
        false_negatives=hidden and hidden.select(~shared(hidden, drawn)),
        report=dataset.report + CleaningReport(notes=(note,)),
    )


def _distinct_ranks(free: np.ndarray, wanted: np.ndarray, seed: int) -> np.ndarray:
    """``wanted[u]`` distinct integers in ``[0, free[u])``, by Floyd's algorithm."""
    bounds = np.concatenate(
        [np.arange(f - w, f) + 1 for f, w in zip(free, wanted, strict=True)]
    )
    draws = rng.below(seed, "false-positives", bounds)
    result = np.empty(len(draws), np.int64)
    row = 0
    for count in wanted.tolist():
        taken: set[int] = set()
        for _ in range(count):
            draw = int(draws[row])
            # Floyd: a draw that was taken is replaced by the bound's own new value.
            value = int(bounds[row]) - 1 if draw in taken else draw
            taken.add(value)
            result[row] = value
            row += 1
    return result
