"""What cleaning found, in numbers and in sentences."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Finding:
    """One kind of dirt in one part of the data.

    Attributes:
      kind: ``"duplicates"``, ``"leaks"`` or ``"unseen"``.
      part: ``"train"``, ``"valid"`` or ``"test"``, or ``"all"`` before a split.
      rows: number of interactions concerned.
      removed: whether they were taken out.
      detail: the finding in words, with its counts.
    """

    kind: str
    part: str
    rows: int
    removed: bool
    detail: str

    def __str__(self) -> str:
        return f"{self.part}: {self.detail} ({'removed' if self.removed else 'kept'})"


@dataclasses.dataclass(frozen=True)
class CleaningReport:
    """Everything that reading, filtering, cleaning and splitting did to the data.

    Attributes:
      findings: dirt, in the order found.
      notes: other steps that changed the data (thresholds, k-core, hold-out).

    Example:
      >>> from drrl_jax.data import CleaningReport, Finding
      >>> found = Finding("duplicates", "train", 2, True, "2 duplicate pairs")
      >>> print(CleaningReport((found,), ("5-core: 10 of 12 interactions left",)))
      5-core: 10 of 12 interactions left
      train: 2 duplicate pairs (removed)
      >>> CleaningReport((found,)).count("duplicates", "train")
      2
    """

    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    def count(self, kind: str, part: str | None = None) -> int:
        """Interactions found of a kind, in one part or in all."""
        return sum(
            f.rows for f in self.findings if f.kind == kind and part in (None, f.part)
        )

    def __add__(self, other: "CleaningReport") -> "CleaningReport":
        return CleaningReport(self.findings + other.findings, self.notes + other.notes)

    def __str__(self) -> str:
        return "\n".join([*self.notes, *map(str, self.findings)]) or "nothing to clean"
