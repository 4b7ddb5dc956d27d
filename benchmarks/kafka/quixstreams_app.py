"""quixstreams, as its guide writes tumbling windows.

It has no end of a topic: it stops when nothing came for 10 s. A window closes when a later message of its partition
comes, so its last ones never do.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import datetime, timedelta
from typing import Any

from quixstreams import Application
from quixstreams.dataframe.windows import Count, Sum

from benchmarks.kafka.rules import WINDOW_SECONDS, is_good

_QUIET = 10.0  # seconds
_GRACE = 60_000  # milliseconds: partitions are read at different speeds


def _time(click: Any, *_: object) -> int:
    """Milliseconds; of what has no time, 0."""
    try:
        return int(datetime.fromisoformat(click["at"]).timestamp() * 1000)
    except (ValueError, KeyError, TypeError):
        return 0


def _result(found: dict[str, Any], key: Any, *_: object) -> dict[str, Any]:
    return {"window_start": found["start"] / 1000, "page": key, "n": found["n"], "cents": found["cents"]}


def main(broker: str, source: str, target: str, _: str) -> None:
    """Read until nothing comes any more."""
    app = Application(
        broker_address=broker,
        consumer_group=f"bench-{target}",
        auto_offset_reset="earliest",
        loglevel="ERROR",
        state_dir=tempfile.mkdtemp(),
        on_processing_error=lambda *_: True,
        on_consumer_error=lambda *_: True,
    )
    clicks = app.dataframe(app.topic(source, value_deserializer="json", timestamp_extractor=_time))
    clicks = clicks[clicks.apply(lambda click: is_good(click) and _time(click) > 0)].group_by("page")
    windows = clicks.tumbling_window(timedelta(seconds=WINDOW_SECONDS), grace_ms=_GRACE)
    totals = windows.agg(n=Count(), cents=Sum("cents")).final()
    totals.apply(_result, metadata=True).to_topic(app.topic(target, value_serializer="json"))
    app.run(timeout=_QUIET)


if __name__ == "__main__":
    main(*sys.argv[1:])
