"""The logs a process has open, and how far each of them was committed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import cast

from beam_pipelines.ingest.streams.log import PartitionedLog
from beam_pipelines.ingest.streams.pool import Pool, Share


def _open(share: Share) -> PartitionedLog:
    return cast("PartitionedLog", share.address.open(share.shard, share.shards))


_pool: Pool[PartitionedLog] = Pool(_open)
_committed: dict[Share, dict[str, int]] = {}


@contextlib.contextmanager
def using(share: Share) -> Iterator[PartitionedLog]:
    """Have a log to oneself for a moment. One that raised is closed, and opened again when it is next used."""
    with _pool.using(share) as log:
        yield log


def commit(share: Share, positions: Mapping[str, int]) -> None:
    """Commit positions that are further than those committed already: marks come out of order."""
    with using(share) as log:
        committed = _committed.setdefault(share, {})
        further = {name: at for name, at in positions.items() if at > committed.get(name, -1)}
        if further:
            log.commit(further)
            committed.update(further)


close_all = _pool.close_all
