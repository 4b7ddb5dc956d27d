"""The orders that all examples are about, as a job has them in its hands: dicts."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pyarrow as pa

from beam_pipelines import Contract, Field, Mask
from beam_pipelines.contract.rules import QualityRule

Row = dict[str, Any]

ORDERS = Contract(
    "orders",
    (
        Field("id", pa.int64(), required=True, primary_key_position=1),
        Field("customer", pa.string(), mask=Mask("keep_last", "1")),
        Field("country", pa.string(), required=True, enum=("DE", "FR")),
        Field("amount", pa.float64(), minimum=0),
        Field("at", pa.timestamp("us", "UTC"), required=True, event_time=True),
    ),
    quality=(QualityRule("nullValues", "mustBe", 0, ("amount",)),),
)


def order(id: int, customer: str, country: str, amount: float | None, hour: int) -> Row:
    at = datetime(2024, 3, 1, hour, tzinfo=timezone.utc)
    return {"id": id, "customer": customer, "country": country, "amount": amount, "at": at}


SAMPLE = [order(1, "ann", "DE", 40.0, 9), order(2, "bob", "FR", 5.0, 9), order(3, "ann", "DE", 60.0, 10)]
