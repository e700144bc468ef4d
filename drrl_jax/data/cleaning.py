"""Duplicates, leaks between parts, unseen users and items: counted and cleaned."""

from collections.abc import Mapping

import numpy as np

from drrl_jax._names import check_choice
from drrl_jax.data.interactions import Interactions, pair_keys
from drrl_jax.data.report import CleaningReport, Finding

KINDS = ("duplicates", "leaks", "unseen")
ACTIONS = ("clean", "keep", "error")

Parts = dict[str, Interactions]


def resolve_actions(cleaning: str | Mapping[str, str]) -> dict[str, str]:
    """An action for each kind of dirt, from one action for all or a partial mapping.

    Raises:
      ValueError: for an unknown kind or action.

    Example:
      >>> from drrl_jax.data.cleaning import resolve_actions
      >>> resolve_actions({"leaks": "error"})
      {'duplicates': 'clean', 'leaks': 'error', 'unseen': 'clean'}
    """
    if isinstance(cleaning, str):
        cleaning = dict.fromkeys(KINDS, cleaning)
    actions = dict.fromkeys(KINDS, "clean")
    for kind, action in cleaning.items():
        if kind not in KINDS:
            raise ValueError(
                f"cleaning must be given for {', '.join(KINDS)}; got {kind!r}."
            )
        check_choice("cleaning", action, ACTIONS)
        actions[kind] = action
    return actions


def clean(
    parts: Mapping[str, Interactions],
    cleaning: str | Mapping[str, str] = "clean",
    *,
    kinds: tuple[str, ...] = KINDS,
) -> tuple[Parts, CleaningReport]:
    """Count dirt in the parts of a data set, and remove, keep or refuse it.

    - ``duplicates``: a pair that occurs again in its part. Cleaning keeps the first.
    - ``leaks``: a pair of ``train`` that is also in ``valid`` or ``test``, or one of
      ``valid`` that is also in ``test``. Cleaning takes it out of the later part, since
      strict evaluation leaves known positives out of the candidates anyway.
    - ``unseen``: interactions of ``valid`` and ``test`` whose user or item never occurs
      in ``train``, and of which a collaborative model knows nothing. Cleaning takes
      them out; the ids stay in the catalogue, so the others keep theirs.

    Counts of leaks and unseen ids are those left when the kinds above are cleaned.

    Args:
      parts: interactions by part, in the order train, valid, test.
      cleaning: ``"clean"``, ``"keep"`` or ``"error"``, or a mapping from kind to these
        (a kind left out is cleaned).
      kinds: which kinds to look for.

    Returns:
      The parts, and a report with a finding for every kind of dirt found.

    Raises:
      ValueError: for unknown names, or dirt of a kind whose action is ``"error"``.

    Example:
      >>> from drrl_jax.data import Interactions, clean
      >>> parts, report = clean({
      ...     "train": Interactions([0, 0, 1], [0, 0, 1]),
      ...     "test": Interactions([0, 1, 1], [0, 0, 2]),
      ... })
      >>> print(report)
      train: 1 duplicate pair (removed)
      test: 1 pair that is in train already (removed)
      test: 1 interaction of 0 users and 1 item unseen in train (removed)
      >>> len(parts["train"]), len(parts["test"])
      (2, 1)
    """
    actions = resolve_actions(cleaning)
    cleaned = dict(parts)
    findings: list[Finding] = []

    def settle(kind: str, part: str, bad: np.ndarray, detail: str) -> None:
        rows = int(bad.sum())
        if not rows:
            return
        if actions[kind] == "error":
            raise ValueError(
                f"{part} must be free of {kind} (cleaning={{'{kind}': 'error'}}); "
                f"got {detail}."
            )
        remove = actions[kind] == "clean"
        findings.append(Finding(kind, part, rows, remove, detail))
        if remove:
            cleaned[part] = cleaned[part].select(~bad)

    if "duplicates" in kinds:
        for part in cleaned:
            bad = _repeats(cleaned[part])
            settle("duplicates", part, bad, _count(bad.sum(), "duplicate pair"))
    if "leaks" in kinds:
        names = list(cleaned)
        for later in names[1:]:
            for earlier in names[: names.index(later)]:
                bad = shared(cleaned[later], cleaned[earlier])
                detail = f"{_count(bad.sum(), 'pair')} that is in {earlier} already"
                if bad.sum() > 1:
                    detail = detail.replace("that is", "that are")
                settle("leaks", later, bad, detail)
    if "unseen" in kinds and "train" in cleaned:
        train = cleaned["train"]
        for part in [name for name in cleaned if name != "train"]:
            users = ~_member(cleaned[part].users, train.users)
            items = ~_member(cleaned[part].items, train.items)
            num_users = _distinct(cleaned[part].users[users])
            num_items = _distinct(cleaned[part].items[items])
            bad = users | items
            settle(
                "unseen",
                part,
                bad,
                f"{_count(bad.sum(), 'interaction')} of {_count(num_users, 'user')} "
                f"and {_count(num_items, 'item')} unseen in train",
            )
    return cleaned, CleaningReport(tuple(findings))


def core(data: Interactions, k: int) -> tuple[Interactions, CleaningReport]:
    """The k-core: users and items with at least ``k`` interactions each, repeatedly.

    Args:
      data: interactions without duplicates.
      k: least number of interactions of each user and item; 0 or 1 keep all.

    Returns:
      The interactions left (ids unchanged), and a report with one note.

    Raises:
      ValueError: if ``k`` is negative or nothing is left.

    Example:
      >>> from drrl_jax.data import Interactions, core
      >>> pairs = Interactions([0, 0, 1, 1, 2], [0, 1, 0, 1, 1])
      >>> left, report = core(pairs, 2)
      >>> left.users.tolist(), str(report)
      ([0, 0, 1, 1], '2-core: 4 of 5 interactions left')
    """
    if k < 0:
        raise ValueError(f"core must be at least 0; got {k}.")
    if k < 2:
        return data, CleaningReport()
    left = data
    while len(left):
        users, items = np.bincount(left.users), np.bincount(left.items)
        good = (users[left.users] >= k) & (items[left.items] >= k)
        if good.all():
            break
        left = left.select(good)
    if not len(left):
        raise ValueError(f"core must leave interactions; the {k}-core is empty.")
    note = f"{k}-core: {len(left):,} of {len(data):,} interactions left"
    return left, CleaningReport(notes=(note,))


def _repeats(data: Interactions) -> np.ndarray:
    """Mask of rows whose pair occurred before."""
    keys = pair_keys(data)
    order = np.argsort(keys, kind="stable")
    bad = np.zeros(len(data), bool)
    bad[order[1:]] = keys[order[1:]] == keys[order[:-1]]
    return bad


def shared(later: Interactions, earlier: Interactions) -> np.ndarray:
    """Mask of rows whose pair is in another part, ``bool [len(later)]``."""
    keys, known = pair_keys(later), np.sort(pair_keys(earlier))
    if not len(known):
        return np.zeros(len(keys), bool)
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return known[places] == keys


def _member(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    seen = np.zeros(max(values.max(initial=-1), of.max(initial=-1)) + 1, bool)
    seen[of] = True
    return seen[values]


def _distinct(ids: np.ndarray) -> int:
    return int(np.count_nonzero(np.bincount(ids)))


def _count(number: int | np.integer, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
