"""A data set made on the spot, whose truth is known.

Users and items have latent factors around shared centres of taste, and items a
power-law popularity. A user's *true* positives are the items of highest utility: taste,
plus popularity, plus chance. What is *observed* is a part of them, and exposure favours
the popular, so true positives from the tail stay hidden: known false negatives, which
real data has but cannot show. A few observed positives are clicks without taste.

All randomness comes from ``drrl_jax.data.rng``, sums are taken one term at a time, and
utilities are rounded before they are compared: the set is the same on all platforms.
"""

import numpy as np

from drrl_jax.data import rng
from drrl_jax.data.interactions import Dataset, Interactions
from drrl_jax.data.splits import split_random

DIM = 16  # of the latent factors
CENTRES = 24  # of taste, which users and items gather around
SPREAD = 0.6  # length of the deviation from a centre, whose own length is 1
TASTE = 7.0  # weight of the cosine in the utility, where chance is standard Gumbel
POPULARITY = 0.9  # exponent of the power law
EXPOSURE = 0.5  # further exponent by which popularity is seen
HIDDEN = 0.25  # share of the true positives that is never observed
CLICKS = 0.05  # share of the observed positives that are clicks
LEAST = 8  # observed positives of the least active user


def synthetic(
    num_users: int = 1500,
    num_items: int = 1000,
    num_interactions: int | None = None,
    *,
    seed: int = 0,
) -> Dataset:
    """Make the synthetic data set.

    Args:
      num_users: at least 2.
      num_items: at least 40.
      num_interactions: observed positives, about; at least 8 a user, and at most a
        quarter of all pairs. By default 80 / 3 a user, within these bounds.
      seed: another seed, another world.

    Returns:
      A ``Dataset`` with 80 % of each user's observed positives in ``train``, the rest
      in ``test``, an empty ``valid`` (``load`` holds one out), random timestamps, and
      in ``false_negatives`` the true positives that were never observed.

    Raises:
      ValueError: if a size is out of range.

    Example:
      >>> from drrl_jax.data import synthetic
      >>> data = synthetic(num_users=200, num_items=100, num_interactions=4000)
      >>> data.num_users, data.num_items, len(data.train) > 3 * len(data.test)
      (200, 100, True)
    """
    num_interactions = _size(num_users, num_items, num_interactions)
    shape = (num_users, num_items)
    utility, appeal = _utility(seed, shape)
    observed = _activity(seed, num_users, num_items, num_interactions)
    true = np.minimum(np.ceil(observed / (1 - HIDDEN)), num_items // 2).astype(int)
    clicks = np.floor(CLICKS * observed + 0.5).astype(int)

    positive = _top(utility, true)
    seen = EXPOSURE * appeal + _gumbel(seed, "exposure", shape)
    kept = _top(np.where(positive, seen, -np.inf), observed - clicks)
    click = appeal + _gumbel(seed, "clicks", shape)
    clicked = _top(np.where(positive, -np.inf, click), clicks)

    users, items = np.nonzero(kept | clicked)
    times = 1_600_000_000 + rng.below(seed, "times", np.full(len(users), 31_536_000))
    train, valid, test = split_random(Interactions(users, items, times), seed=seed)
    hidden = Interactions(*np.nonzero(positive & ~kept))
    return Dataset(
        "synthetic",
        num_users,
        num_items,
        train,
        valid,
        test,
        false_negatives=hidden,
    )


def _utility(seed: int, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """``[users, items]`` utilities, and what popularity adds to those of each item."""
    num_users, num_items = shape
    centres = _unit(_normal(seed, "centres", (CENTRES, DIM)))
    first, second, of_items = (
        centres[_centre(seed, stream, size)]
        for stream, size in (("u1", num_users), ("u2", num_users), ("i", num_items))
    )
    # Two centres of length 1 that are nearly orthogonal sum to length √2.
    users = (first + second) * 0.5**0.5 + _deviation(seed, "users", num_users)
    items = of_items + _deviation(seed, "items", num_items)
    users, items = _unit(users), _unit(items)
    cosine = np.zeros(shape)
    for d in range(DIM):  # BLAS would sum in an order of its own
        cosine += users[:, d, None] * items[None, :, d]
    rank = rng.raw(seed, "ranks", num_items).argsort(kind="stable")
    appeal = -POPULARITY * np.log(rank + 0.01 * num_items)
    return TASTE * cosine + appeal + _gumbel(seed, "chance", shape), appeal


def _activity(
    seed: int, num_users: int, num_items: int, num_interactions: int
) -> np.ndarray:
    """Observed positives of each user: a power law, cut off below and above."""
    rank = rng.raw(seed, "activity", num_users).argsort(kind="stable")
    share = (rank + 0.1 * num_users) ** -0.7
    wanted = share * ((num_interactions - LEAST * num_users) / _sum(share))
    most = int(num_items // 2 * (1 - HIDDEN))
    return np.clip(LEAST + np.floor(wanted + 0.5), LEAST, most).astype(int)


def _centre(seed: int, stream: str, size: int) -> np.ndarray:
    """A centre for each row; the k-th is drawn in proportion to ``k^-1/2``."""
    edges = np.cumsum((1.0 + np.arange(CENTRES)) ** -0.5)
    draws = rng.uniform(seed, "centre-" + stream, size) * edges[-1]
    return np.minimum(np.searchsorted(edges, draws, side="right"), CENTRES - 1)


def _deviation(seed: int, stream: str, size: int) -> np.ndarray:
    return _normal(seed, stream, (size, DIM)) * (SPREAD / DIM**0.5)


def _normal(seed: int, stream: str, shape: tuple[int, int]) -> np.ndarray:
    """Nearly standard normal: twelve uniforms less six, exact in floating point."""
    total = np.full(shape[0] * shape[1], -6.0)
    for term in rng.uniform(seed, stream, 12 * total.size).reshape(12, -1):
        total += term
    return total.reshape(shape)


def _gumbel(seed: int, stream: str, shape: tuple[int, int]) -> np.ndarray:
    draws = rng.uniform(seed, stream, shape[0] * shape[1]) + 2.0**-54
    return -np.log(-np.log(draws)).reshape(shape)


def _unit(rows: np.ndarray) -> np.ndarray:
    squares = np.zeros(len(rows))
    for d in range(rows.shape[1]):
        squares += rows[:, d] ** 2
    return rows / np.sqrt(squares)[:, None]


def _sum(values: np.ndarray) -> float:
    return float(np.cumsum(values)[-1])  # one term at a time, unlike np.sum


def _top(scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mask of the ``counts[u]`` highest finite scores of each row.

    Scores are rounded to 2⁻³⁰ and ties broken by column: the last bit of a platform's
    logarithm does not decide.
    """
    rounded = np.floor(scores * 2.0**30)
    order = np.argsort(-rounded, axis=1, kind="stable")
    mask = np.zeros(scores.shape, bool)
    chosen = np.arange(scores.shape[1]) < counts[:, None]
    np.put_along_axis(mask, order, chosen, axis=1)
    return mask & np.isfinite(scores)


def _size(num_users: int, num_items: int, num_interactions: int | None) -> int:
    """The number of interactions, checked or by default."""
    if num_users < 2:
        raise ValueError(f"num_users must be at least 2; got {num_users}.")
    if num_items < 40:
        raise ValueError(f"num_items must be at least 40; got {num_items}.")
    least, most = LEAST * num_users, num_users * num_items // 4
    if num_interactions is None:
        return max(least, min(num_users * 80 // 3, most))
    if not least <= num_interactions <= most:
        raise ValueError(
            f"num_interactions must lie in [{least}, {most}] for "
            f"{num_users} users and {num_items} items; got {num_interactions}."
        )
    return num_interactions
