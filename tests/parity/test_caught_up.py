"""When `parity` stops a stream that has no end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from beam_pipelines import ledger
from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.parity import _CaughtUp
from beam_pipelines.ledger import LedgerEntry, entry
from beam_pipelines.parity.lakes import Side
from beam_pipelines.sink import stream_commits
from beam_pipelines.sink.stream_commits import StreamRecord
from tests.pipelines.test_windows import CONTRACT

ROWS = 3


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Side:
    """A run that read, aggregated and wrote three rows."""
    folder = tmp_path_factory.mktemp("batch")
    (folder / "rows.jsonl").write_text(
        "".join(f'{{"user": "{user}", "at": "2024-05-01T00:00:00Z", "pages": 1}}\n' for user in "aab")
    )
    (folder / "c.odcs.yaml").write_text(CONTRACT)
    command = ["run", "event_analytics", "--input", f"{folder}/rows.jsonl", "--output", f"{folder}/lake"]
    command += ["--contract", f"{folder}/c.odcs.yaml"]
    options = ["--run_id", "r", "--window", "fixed:1m", "--group_by", "user", "--aggregate", "count(*) as n"]
    assert main([*command, *options]) == ExitCode.OK
    return Side(f"{folder}/lake", "r")


READ_AND_WRITTEN = [entry("ReadLines", ledger.READ, ROWS), entry("WriteToLake", ledger.WRITTEN, ROWS, output="rows")]
AGGREGATED = entry("AggregateBatches", ledger.AGGREGATED, ROWS, output="aggregates")
IN_PANES = entry("WriteToLake", ledger.IN_PANES, ROWS, output="aggregates")


@pytest.mark.parametrize(
    ("published", "caught_up"),
    [
        ([], False),
        (READ_AND_WRITTEN, False),  # even by itself, since nothing is aggregated yet
        ([*READ_AND_WRITTEN, AGGREGATED], False),
        ([READ_AND_WRITTEN[0], AGGREGATED, IN_PANES], False),
        ([*READ_AND_WRITTEN, AGGREGATED, IN_PANES], True),
    ],
)
def test_a_stream_has_caught_up_when_rows_and_panes_of_all_that_the_batch_read_are_published(
    published: Sequence[LedgerEntry], caught_up: bool, batch: Side, tmp_path: Path
) -> None:
    stream_commits.publish(str(tmp_path), "s", [StreamRecord(str(n), (), (each,)) for n, each in enumerate(published)])
    assert _CaughtUp(Side(str(tmp_path), "s"), batch)() is caught_up
