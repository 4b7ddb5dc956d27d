"""W5 in Polars."""

from __future__ import annotations

import polars as pl


def plans(source: str) -> dict[str, pl.LazyFrame]:
    """One for each folder."""
    customers = pl.scan_parquet(f"{source}/customers.parquet")
    orders = pl.scan_parquet(f"{source}/orders.parquet").unique("id", keep="any")
    return {"rows": orders.join(customers, on="customer", how="left")}
