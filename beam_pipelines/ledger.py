"""The ledger: what became of each row, as small entries that travel with the data.

Stages emit entries on a tagged output, so they commit with their bundle and a retry can't count
twice. Summed, they end in a balance per output; a run that doesn't balance fails.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import NamedTuple

ALL_OUTPUTS = ""
"""Output of an entry that counts towards every output (reading, validating)."""

ROWS = "rows"
AGGREGATES = "aggregates"

READ = "read"
WRITTEN = "written"
DEAD_LETTERED = "dead_lettered"
DUPLICATE = "duplicate"
FILTERED = "filtered"
ADDED = "added"
"""Rows that came of others, beyond one for one: of an exploded array, or of several matches of a join."""
MERGED = "merged"
"""Rows that went into others, beyond one for one, as pivoted ones do."""
LATE = "late"
AGGREGATED = "aggregated"
"""Rows that reached the aggregation, each counted once however many windows it falls into."""
IN_PANES = "in_panes"
"""Rows in the final panes that were written."""
DEAD_LETTERS_WRITTEN = "dead_letters_written"
LATE_WRITTEN = "late_written"
NULLED = "nulled"
"""Values set to null by `onFailure: null`; the row itself is counted where it ends."""
WARNED = "warned"
UNMATCHED = "unmatched"
"""Rows of a join for which the other side has none; what becomes of them is counted elsewhere."""

QUALITY_PASSED = "quality_passed"
QUALITY_WARNED = "quality_warned"
QUALITY_FAILED = "quality_failed"
"""Rules about the data set: what they say of it is the entry's rule, what was counted is rows of all."""


class LedgerKey(NamedTuple):
    """What is counted. `rule` is set for refusals and for values nulled or warned about."""

    output: str
    stage: str
    outcome: str
    rule: str


LedgerEntry = tuple[tuple[str, str, str, str], int]
"""A LedgerKey and a number of rows, as plain tuples: what travels between stages."""


def entry(stage: str, outcome: str, rows: int, rule: str = "", output: str = ALL_OUTPUTS) -> LedgerEntry:
    """Make one entry.

    >>> entry("ReadFiles", READ, 10)
    (('', 'ReadFiles', 'read', ''), 10)
    """
    return (output, stage, outcome, rule), int(rows)


@dataclasses.dataclass(frozen=True)
class Balance:
    """The ledger's sums and the checks they have to pass."""

    totals: Mapping[LedgerKey, int]

    @classmethod
    def of(cls, entries: Iterable[LedgerEntry]) -> Balance:
        """Sum entries into a balance."""
        totals: dict[LedgerKey, int] = {}
        for key, rows in entries:
            totals[LedgerKey(*key)] = totals.get(LedgerKey(*key), 0) + rows
        return cls(totals)

    def count(self, outcome: str, output: str | None = None) -> int:
        """Rows of one outcome; with an output, those of that output and of all outputs."""
        return sum(
            rows
            for key, rows in self.totals.items()
            if key.outcome == outcome and (output is None or key.output in (ALL_OUTPUTS, output))
        )

    @property
    def row_outputs(self) -> list[str]:
        return sorted({key.output for key in self.totals if key.outcome == WRITTEN} | {ROWS})

    @property
    def differences(self) -> list[str]:
        """One sentence for each equation that doesn't hold; empty when the run balances."""
        found = []
        for output in self.row_outputs:
            read, added, merged = (self.count(name, output) for name in (READ, ADDED, MERGED))
            parts = {name: self.count(name, output) for name in (WRITTEN, DEAD_LETTERED, DUPLICATE, FILTERED)}
            if merged:
                parts[MERGED] = merged
            if read + added != sum(parts.values()):
                sums = " + ".join(f"{rows} {name}" for name, rows in parts.items())
                came = f"read {read} + {added} added" if added else f"read {read}"
                found.append(f"{output}: {came} is not {sums} = {sum(parts.values())}")
        letters, written = self.count(DEAD_LETTERED), self.count(DEAD_LETTERS_WRITTEN)
        if letters != written:
            found.append(f"dead letters: {letters} rows were refused, {written} dead letters were written")
        reached, panes, late = self.count(AGGREGATED), self.count(IN_PANES), self.count(LATE)
        if reached != panes + late:
            found.append(f"aggregates: {reached} rows reached the aggregation, {panes} in panes + {late} late")
        kept = self.count(LATE_WRITTEN)
        if kept not in (0, late):  # whoever writes late rows writes all of them
            found.append(f"late rows: {late} rows were late, {kept} were written")
        return found

    @property
    def by_rule(self) -> dict[str, int]:
        """Dead-lettered rows by the first rule they broke, most frequent first."""
        rules: dict[str, int] = {}
        for key, rows in self.totals.items():
            if key.outcome == DEAD_LETTERED:
                rules[key.rule] = rules.get(key.rule, 0) + rows
        return dict(sorted(rules.items(), key=lambda item: (-item[1], item[0])))

    @property
    def quality(self) -> dict[str, list[str]]:
        """What rules about the data set found, by outcome (`passed`, `warned`, `failed`)."""
        outcomes = (QUALITY_PASSED, QUALITY_WARNED, QUALITY_FAILED)
        return {
            outcome.removeprefix("quality_"): sorted(key.rule for key in self.totals if key.outcome == outcome)
            for outcome in outcomes
        }

    def to_json(self) -> dict[str, object]:
        """The content of `balance.json`."""
        counts: dict[str, object] = {
            name: self.count(name) for name in (READ, ADDED, WRITTEN, DEAD_LETTERED, DUPLICATE, FILTERED, MERGED, LATE)
        }
        # With several row outputs a row is written to each: the headline counts the main one.
        counts[WRITTEN] = self.count(WRITTEN, ROWS)
        return {
            **counts,
            "balanced": not self.differences,
            "differences": self.differences,
            "dead_letters_by_rule": self.by_rule,
            "quality": self.quality,
            "outputs": {
                ROWS: {
                    name: self.count(name, ROWS)
                    for name in (READ, ADDED, WRITTEN, DEAD_LETTERED, DUPLICATE, FILTERED, MERGED)
                },
                AGGREGATES: {name: self.count(name) for name in (AGGREGATED, IN_PANES, LATE)},
            },
            "stages": [{**key._asdict(), "rows": rows} for key, rows in sorted(self.totals.items())],
        }
