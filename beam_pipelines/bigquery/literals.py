r"""Values as texts of options, and as BigQuery's literals. Pure.

>>> literal("2024-05-01", {"name": "at", "type": "TIMESTAMP"}), literal("it's \\", {"name": "n", "type": "STRING"})
("TIMESTAMP '2024-05-01T00:00:00+00:00'", "'it\\'s \\\\'")
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

from beam_pipelines.bigquery.types import kind_of


def literal(text: str, field: Mapping[str, Any]) -> str:
    """A value of a column as BigQuery's SQL has it. ValueError for what is none, and for types without an order."""
    kind = kind_of(field)
    if field.get("mode") == "REPEATED" or kind in ("RECORD", "JSON", "GEOGRAPHY", "BYTES"):
        raise ValueError(f"column '{field['name']}' is {kind}, which has no order")
    try:
        if kind == "TIMESTAMP":
            found = datetime.fromisoformat(text)
            found = found if found.tzinfo else found.replace(tzinfo=timezone.utc)
            return f"TIMESTAMP '{found.astimezone(timezone.utc).isoformat()}'"
        if kind == "DATETIME":
            return f"DATETIME '{datetime.fromisoformat(text).replace(tzinfo=None).isoformat()}'"
        if kind == "DATE":
            return f"DATE '{date.fromisoformat(text).isoformat()}'"
        if kind == "TIME":
            return f"TIME '{time.fromisoformat(text).isoformat()}'"
        if kind == "INT64":
            return str(int(text))
        if kind in ("NUMERIC", "BIGNUMERIC"):
            return f"{kind} '{Decimal(text)}'"
        if kind == "FLOAT64":
            return repr(float(text))
    except (ValueError, InvalidOperation):
        raise ValueError(f"'{text}' is no value of '{field['name']}', which is {kind}") from None
    return quoted_text(text)


def quoted_text(text: str) -> str:
    """A text in quotes."""
    escapes = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\0": "\\0"}
    return "'" + "".join(escapes.get(each, each) for each in text) + "'"


def text_of(value: object) -> str:
    """A value as the text that reads back as it."""
    return value.isoformat() if isinstance(value, (date, time)) else str(value)
