"""Arrow schemas of W1's three outputs, for the sides that write rows one by one."""

from __future__ import annotations

import pyarrow as pa

ROWS = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "user", "country", "kind")),
        ("cents", pa.int64()),
        ("at", pa.timestamp("us", "UTC")),
        ("email", pa.string()),
    ]
)
LETTERS = pa.schema([("payload", pa.string()), ("field", pa.string())])
AGGREGATES = pa.schema(
    [
        ("window_start", pa.timestamp("us", "UTC")),
        ("country", pa.string()),
        ("kind", pa.string()),
        ("events", pa.int64()),
        ("total", pa.int64()),
        ("largest", pa.int64()),
    ]
)
