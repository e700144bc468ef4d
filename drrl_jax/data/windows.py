"""Streaming evaluation: train on a window of time, test on the next, slide on."""

import numpy as np

from drrl_jax._names import check_choice
from drrl_jax.data.interactions import Interactions
from drrl_jax.data.splits import time_order


def prequential_windows(
    data: Interactions,
    num_windows: int,
    *,
    cumulative: bool = False,
    by: str = "count",
    seed: int = 0,
) -> list[tuple[Interactions, Interactions]]:
    """Cut the time line into blocks; each block is tested after those before trained.

    ``num_windows + 1`` consecutive blocks give ``num_windows`` pairs: block ``t`` (or
    blocks ``0 … t``) to train, block ``t + 1`` to test. Test blocks hold whatever came
    next, repeats and newcomers too; ``clean({"train": …, "test": …})`` takes them out.

    Args:
      data: interactions with timestamps.
      num_windows: at least 1.
      cumulative: train on everything so far instead of the last block.
      by: ``"count"`` for blocks of as many interactions (up to one), ``"time"`` for
        blocks of equal duration, some of which may be empty.
      seed: orders equal timestamps where blocks are cut by count.

    Returns:
      ``(train, test)`` of each window, in order of time.

    Raises:
      ValueError: without timestamps, or with too few interactions.

    Example:
      >>> from drrl_jax.data import Interactions, prequential_windows
      >>> pairs = Interactions([0] * 6, range(6), timestamps=[5, 4, 3, 2, 1, 0])
      >>> for train, test in prequential_windows(pairs, 2):
      ...     print(train.items.tolist(), test.items.tolist())
      [5, 4] [3, 2]
      [3, 2] [1, 0]
    """
    if num_windows < 1 or num_windows + 1 > len(data):
        raise ValueError(
            f"num_windows must lie in [1, {len(data) - 1}] for {len(data)} "
            f"interactions; got {num_windows}."
        )
    check_choice("by", by, ("count", "time"))
    order = time_order(data, seed)
    if by == "count":
        cuts = np.arange(num_windows + 2) * len(data) // (num_windows + 1)
    else:
        times = data.timestamps[order]  # type: ignore[index]
        edges = np.linspace(times[0], times[-1], num_windows + 2)[1:-1]
        inner = np.searchsorted(times, edges, side="left")
        cuts = np.concatenate([[0], inner, [len(data)]])
    return [
        (
            data.select(order[cuts[0 if cumulative else t] : cuts[t + 1]]),
            data.select(order[cuts[t + 1] : cuts[t + 2]]),
        )
        for t in range(num_windows)
    ]
