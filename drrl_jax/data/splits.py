"""Splits of one set of interactions into train, validation and test.

All are seeded, and the same on every platform (see ``drrl_jax.data.rng``).
"""

from collections.abc import Callable

import numpy as np

from drrl_jax._names import check_choice
from drrl_jax._numbers import amount
from drrl_jax.data import rng
from drrl_jax.data.interactions import Interactions

Split = tuple[Interactions, Interactions, Interactions]


def split_random(data: Interactions, *, seed: int = 0, test: float = 0.2) -> Split:
    """Hold out a share of each user's interactions, drawn at random.

    ``⌊test · n_u + ½⌋`` of a user's ``n_u`` interactions are held out, and at most
    ``n_u − 1``: nobody is tested without training.

    Args:
      data: all interactions, without duplicates.
      seed: of the draw.
      test: the share, in (0, 1).

    Returns:
      ``(train, valid, test)`` with an empty ``valid``.

    Raises:
      ValueError: if ``test`` is not in (0, 1).

    Example:
      >>> from drrl_jax.data import Interactions
      >>> from drrl_jax.data.splits import split_random
      >>> pairs = Interactions([0] * 10 + [1], list(range(10)) + [0])
      >>> [len(part) for part in split_random(pairs)]
      [9, 0, 2]
    """
    _check_share("test", test)
    degrees = np.bincount(data.users)
    held = np.minimum(np.floor(test * degrees + 0.5), np.maximum(degrees - 1, 0))
    out = _draw(data, held, seed, "split-random")
    return data.select(~out), data.select([]), data.select(out)


def split_leave_one_out(data: Interactions, *, seed: int = 0) -> Split:
    """Test each user's last interaction, validate on the one before.

    The order is that of the timestamps, ties and data without timestamps at random.
    A user with two interactions has no validation, one with one only training.

    Args:
      data: all interactions, without duplicates.
      seed: of the random order.

    Returns:
      ``(train, valid, test)``.

    Example:
      >>> from drrl_jax.data import Interactions
      >>> from drrl_jax.data.splits import split_leave_one_out
      >>> pairs = Interactions([0, 0, 0, 1], [5, 6, 7, 5], timestamps=[30, 10, 20, 0])
      >>> [part.items.tolist() for part in split_leave_one_out(pairs)]
      [[6, 5], [7], [5]]
    """
    shuffle = rng.raw(seed, "split-leave-one-out", len(data)).argsort(kind="stable")
    shuffled = data.select(shuffle)
    times = shuffled.timestamps
    keys = np.zeros(len(data), np.int64) if times is None else times
    from_end = np.empty(len(data), np.int64)
    order = rng.order_within(shuffled.users, keys)
    last = np.bincount(data.users) - 1
    from_end[shuffle] = last[shuffled.users] - order
    first = from_end == last[data.users]
    test = (from_end == 0) & ~first
    valid = (from_end == 1) & ~first
    return data.select(~test & ~valid), data.select(valid), data.select(test)


def split_temporal(
    data: Interactions, *, seed: int = 0, train: float = 0.6, test: float = 0.2
) -> Split:
    """Cut the time line: the first part trains, the last tests, the middle validates.

    Args:
      data: interactions with timestamps.
      seed: orders equal timestamps.
      train: share of the interactions, the oldest.
      test: share of the interactions, the newest.

    Returns:
      ``(train, valid, test)``.

    Raises:
      ValueError: without timestamps, or for shares that add up to more than 1.

    Example:
      >>> from drrl_jax.data import Interactions
      >>> from drrl_jax.data.splits import split_temporal
      >>> pairs = Interactions([0] * 5, list(range(5)), timestamps=[4, 3, 2, 1, 0])
      >>> [part.items.tolist() for part in split_temporal(pairs)]
      [[4, 3, 2], [1], [0]]
    """
    _check_share("train", train)
    _check_share("test", test)
    if train + test > 1:
        raise ValueError(f"train + test must be at most 1; got {train} + {test}.")
    order = time_order(data, seed)
    first = round(train * len(data))
    # Both may round up to the same row: it is the older part's.
    last = max(first, len(data) - round(test * len(data)))
    return (
        data.select(order[:first]),
        data.select(order[first:last]),
        data.select(order[last:]),
    )


def split_popularity(data: Interactions, *, seed: int = 0, test: float = 0.2) -> Split:
    """A test set in which every item is as likely as any other.

    Repeatedly draw an item uniformly among those that have interactions left, then one
    of its remaining users, until a share ``test`` of the interactions is drawn: popular
    items are tested far below their share of training. A draw that would take a user's
    last training interaction is skipped, and an item is out of the draw when it has one
    interaction left, which trains.

    Args:
      data: all interactions, without duplicates.
      seed: of the draws.
      test: the share, in (0, 1).

    Returns:
      ``(train, valid, test)`` with an empty ``valid``.

    Example:
      >>> from drrl_jax.data import Interactions
      >>> from drrl_jax.data.splits import split_popularity
      >>> pairs = Interactions([0, 1, 2, 3, 0, 1], [0, 0, 0, 0, 1, 1])
      >>> [len(part) for part in split_popularity(pairs, test=0.2)]
      [5, 0, 1]
    """
    _check_share("test", test)
    wanted = round(test * len(data))
    shuffle = rng.raw(seed, "split-popularity-users", len(data)).argsort(kind="stable")
    queues: dict[int, list[int]] = {}
    for row in shuffle.tolist():
        queues.setdefault(int(data.items[row]), []).append(row)
    left = np.bincount(data.users).tolist()
    items = sorted(item for item, queue in queues.items() if len(queue) > 1)
    draws = rng.uniform(seed, "split-popularity-items", len(data)).tolist()
    users = data.users.tolist()
    drawn: list[int] = []
    for draw in draws:  # every draw takes a row off a queue, so len(data) suffice
        if len(drawn) == wanted or not items:
            break
        place = int(draw * len(items))
        queue = queues[items[place]]
        row = queue.pop()
        if len(queue) == 1:
            items[place] = items[-1]
            items.pop()
        if left[users[row]] > 1:
            left[users[row]] -= 1
            drawn.append(row)
    out = np.zeros(len(data), bool)
    out[drawn] = True
    return data.select(~out), data.select([]), data.select(out)


def hold_out_validation(
    train: Interactions, *, rule: str = "benchmark", seed: int = 0, share: float = 0.1
) -> tuple[Interactions, Interactions]:
    """Set aside a share of each user's training interactions for validation.

    Rule ``"benchmark"`` takes ``max(⌊share · n_u⌋, 1)`` (the SL@K and PSL benchmark),
    rule ``"drrl"`` takes ``⌈share · n_u⌉`` (the DrRL authors). Either takes at most
    ``n_u − 1``: a user with one interaction keeps it.

    Args:
      train: training interactions.
      rule: ``"benchmark"`` or ``"drrl"``.
      seed: of the draw.
      share: in (0, 1).

    Returns:
      ``(train, valid)``.

    Raises:
      ValueError: for an unknown rule, or a share outside (0, 1).

    Example:
      >>> from drrl_jax.data import Interactions, hold_out_validation
      >>> pairs = Interactions([0] * 15 + [1], list(range(15)) + [0])
      >>> [[len(p) for p in hold_out_validation(pairs, rule=rule)]
      ...  for rule in ("benchmark", "drrl")]
      [[15, 1], [14, 2]]
    """
    _check_share("share", share)
    check_choice("rule", rule, ("benchmark", "drrl"))
    degrees = np.bincount(train.users)
    wanted = amount(share, degrees)
    if rule == "benchmark":
        held = np.maximum(np.floor(wanted), 1)
    else:
        held = np.ceil(wanted)
    held = np.minimum(held, np.maximum(degrees - 1, 0))
    out = _draw(train, held, seed, "validation")
    return train.select(~out), train.select(out)


def time_order(data: Interactions, seed: int = 0) -> np.ndarray:
    """Rows from the oldest to the newest; equal timestamps in random order.

    Raises:
      ValueError: if the interactions have no timestamps.

    Example:
      >>> from drrl_jax.data import Interactions
      >>> from drrl_jax.data.splits import time_order
      >>> time_order(Interactions([0, 0], [1, 2], timestamps=[9, 3])).tolist()
      [1, 0]
    """
    if data.timestamps is None:
        raise ValueError("order in time needs timestamps; the interactions have none.")
    return np.lexsort((rng.raw(seed, "time-order", len(data)), data.timestamps))


SPLITS: dict[str, Callable[..., Split]] = {
    "random": split_random,
    "leave_one_out": split_leave_one_out,
    "temporal": split_temporal,
    "popularity": split_popularity,
}


def _draw(data: Interactions, held: np.ndarray, seed: int, stream: str) -> np.ndarray:
    """Mask of ``held[u]`` random rows of each user."""
    keys = rng.raw(seed, stream, len(data))
    return rng.order_within(data.users, keys) < held[data.users]


def _check_share(name: str, share: float) -> None:
    if not 0 < share < 1:
        raise ValueError(f"{name} must lie in (0, 1); got {share}.")
