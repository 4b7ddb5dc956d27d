"""Check what the contract says of the data set as a whole."""

from __future__ import annotations

import logging

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.contract import Contract
from beam_pipelines.pipelines.steps.account import Account
from beam_pipelines.validate.quality_transform import CheckQuality

_log = logging.getLogger(__name__)


def check_quality(rows: beam.PCollection[pa.RecordBatch], contract: Contract, account: Account) -> None:
    """Judge the contract's rules about the data set, if it has any; the run's last step refuses what fails them.

    A stream has no end at which they could hold: there they are named in a warning, and not judged.
    """
    rules = contract.data_set_rules
    if rules and rows.is_bounded:
        account.add(ledger=(rows | "CheckQuality" >> CheckQuality(contract)).ledger)
    elif rules:
        names = "; ".join(str(rule) for rule in rules)
        _log.warning("quality rules about the data set as a whole are not judged in a stream: %s", names)
