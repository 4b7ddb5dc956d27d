"""The graph of the tally."""

from __future__ import annotations

import apache_beam as beam

from beam_pipelines import ledger
from beam_pipelines.errors import UsageError
from beam_pipelines.ledger import LedgerEntry
from beam_pipelines.sink import FinalizeRun, RunIdentity, fingerprint
from tests.launch.tally import TallyOptions


def identify(options: TallyOptions) -> RunIdentity:
    if options.read < 0:
        raise UsageError(f"--read: can't read {options.read} rows")
    assert options.run_id is not None
    return RunIdentity(options.run_id, "tally", fingerprint({"read": options.read}, []))


def build(pipeline: beam.Pipeline, options: TallyOptions) -> None:
    entries = [
        ledger.entry("ReadFiles", ledger.READ, options.read),
        ledger.entry("DeduplicateBatches", ledger.DUPLICATE, options.duplicate),
    ]
    ledgers = pipeline | beam.Create(entries).with_output_types(LedgerEntry)
    _ = ([], [ledgers]) | FinalizeRun(options.output, identify(options))
