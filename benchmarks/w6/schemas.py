"""What events hold and each query writes, by the names of Beam's models; no side needs anything of ours for it."""

from __future__ import annotations

import pyarrow as pa

_INTEGER, _FLOAT, _TEXT = pa.int64(), pa.float64(), pa.string()
PERSON = {
    "id": _INTEGER,
    "name": _TEXT,
    "email_address": _TEXT,
    "credit_card": _TEXT,
    "city": _TEXT,
    "state": _TEXT,
    "date_time": _INTEGER,
    "extra": _TEXT,
}
AUCTION = {
    "id": _INTEGER,
    "item_name": _TEXT,
    "description": _TEXT,
    "initial_bid": _INTEGER,
    "reserve": _INTEGER,
    "date_time": _INTEGER,
    "expires": _INTEGER,
    "seller": _INTEGER,
    "category": _INTEGER,
    "extra": _TEXT,
}
BID = {"auction": _INTEGER, "bidder": _INTEGER, "price": _INTEGER, "date_time": _INTEGER, "extra": _TEXT}
EVENT = {**PERSON, **AUCTION, **BID}
"""All fields, of which each kind of event has some; times are milliseconds."""

_WON = {f"bid_{name}": type for name, type in BID.items()}
WRITTEN = {
    number: pa.schema(columns)
    for number, columns in {
        0: EVENT,
        1: {**BID, "price": _FLOAT},
        2: {"auction_id": _INTEGER, "price": _INTEGER},
        3: {"name": _TEXT, "city": _TEXT, "state": _TEXT, "auction_id": _INTEGER},
        4: {"category": _INTEGER, "price": _FLOAT},
        5: {"auction_id": _INTEGER, "num": _INTEGER},
        7: BID,
        8: {"id": _INTEGER, "name": _TEXT, "reserve": _INTEGER},
        9: {**AUCTION, **_WON},
        11: {"bidder_id": _INTEGER, "bid_count": _INTEGER},
    }.items()
}
"""Query → the columns of its Parquet."""
