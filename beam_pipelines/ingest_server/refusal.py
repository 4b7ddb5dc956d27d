"""What a request is answered that isn't taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class RefusalError(Exception):
    """A request that isn't taken: the HTTP status, why, what is wrong with which record, and headers beside it."""

    def __init__(
        self,
        status: int,
        message: str,
        records: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.message = message
        self.records = records
        self.headers = dict(headers or {})
        super().__init__(f"{status} {message}")

    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        return {"error": self.message, **({"records": list(self.records)} if self.records else {})}
