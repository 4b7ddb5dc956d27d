"""Orders, a tenth of which come twice, and a table of customers, a tenth as many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scripts import cache

_AGAIN = 10  # every so manieth row is another one again
_START = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z, in microseconds


def folder(rows: int) -> Path:
    """A folder with `orders.parquet` and `customers.parquet`, made unless it is there."""
    made = cache.folder("benchmarks") / f"orders-{rows}"
    if not (made / "orders.parquet").exists():
        made.mkdir(exist_ok=True)
        chance = np.random.default_rng(13)
        customers = max(1, rows // 10)
        numbers = np.arange(customers)
        names = pa.array([f"customer {number}" for number in numbers.tolist()])
        pq.write_table(pa.table({"customer": numbers, "name": names}), made / "customers.parquet")
        # A row that comes again is the same in all columns: which of the two stays doesn't show.
        first = np.arange(rows - rows // _AGAIN)
        order = chance.permutation(np.concatenate([first, chance.choice(first, rows // _AGAIN, replace=False)]))
        # Most customers are in the table, some aren't.
        orders = {
            "id": order,
            "at": pa.array(_START + order * 1_000, pa.timestamp("us", "UTC")),
            "customer": (order * 7_919) % (customers + customers // 20 + 1),
            "cents": (order * 104_729) % 100_000,
        }
        pq.write_table(pa.table(orders), made / "orders.part", row_group_size=250_000)
        (made / "orders.part").rename(made / "orders.parquet")
    return made
