"""Change rows as the options say, from validated to masked ones."""

from __future__ import annotations

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.contract import Contract
from beam_pipelines.pipelines.steps.account import Account
from beam_pipelines.transform.deduplicate_transform import DeduplicateBatches


def distinct_rows(
    rows: beam.PCollection[pa.RecordBatch], contract: Contract, account: Account
) -> beam.PCollection[pa.RecordBatch]:
    """Rows without duplicates, if the contract wants that."""
    if not contract.deduplicate:
        return rows
    unique = rows | "Deduplicate" >> DeduplicateBatches(contract)
    account.add(ledger=unique.ledger)
    return unique.good
