"""Random numbers that are the same on every platform and with every NumPy.

NumPy promises the raw 64-bit stream of ``PCG64`` for good; it makes no such promise for
the distributions of ``Generator``. So everything here is made from raw words with
integer arithmetic or exact floating-point scaling, and orders are made with a stable
sort.
"""

import numpy as np


def raw(seed: int, stream: str, size: int) -> np.ndarray:
    """``size`` raw ``uint64`` words of the stream that ``seed`` and a name select.

    Example:
      >>> from drrl_jax.data.rng import raw
      >>> int(raw(0, "split", 2)[0]) == int(raw(0, "split", 1)[0])
      True
    """
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be a non-negative integer; got {seed!r}.")
    entropy = [int(seed), *stream.encode()]
    return np.random.PCG64(np.random.SeedSequence(entropy)).random_raw(size)


def uniform(seed: int, stream: str, size: int) -> np.ndarray:
    """``float64`` in [0, 1), multiples of 2⁻⁵³.

    Example:
      >>> from drrl_jax.data.rng import uniform
      >>> bool((uniform(1, "a", 100) < 1).all())
      True
    """
    return (raw(seed, stream, size) >> np.uint64(11)) * 2.0**-53


def below(seed: int, stream: str, bounds: np.ndarray) -> np.ndarray:
    """``int64`` in ``[0, bound)`` for each bound below 2³².

    Example:
      >>> import numpy as np
      >>> from drrl_jax.data.rng import below
      >>> int(below(0, "a", np.full(1000, 3)).max())
      2
    """
    words = raw(seed, stream, len(bounds)) >> np.uint64(32)
    return ((words * bounds.astype(np.uint64)) >> np.uint64(32)).astype(np.int64)


def order_within(groups: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Rank of each row among the rows of its group, by ascending key, ties by row.

    Example:
      >>> import numpy as np
      >>> from drrl_jax.data.rng import order_within
      >>> order_within(np.array([0, 1, 0]), np.array([5, 5, 4])).tolist()
      [1, 0, 0]
    """
    order = np.lexsort((keys, groups))  # mergesort underneath: stable
    ordered = groups[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(order)]
    starts = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order)) - starts
    return ranks
