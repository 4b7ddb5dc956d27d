"""W1 in Beam with what a tuner would do and still have rows: msgspec decodes and checks types in one step."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
import sys
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import apache_beam as beam
import msgspec
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from benchmarks.w1 import beam_idiomatic
from benchmarks.w1.row_rules import KEY, broken_field


class Event(msgspec.Struct):
    """An event and its rules."""

    id: Annotated[str, msgspec.Meta(pattern="^e[0-9]+$")]
    at: Annotated[datetime.datetime, msgspec.Meta(tz=True)]
    user: Annotated[str, msgspec.Meta(min_length=1)]
    country: Literal["AT", "BR", "DE", "ES", "FR", "IT", "JP", "US"]
    kind: Literal["buy", "cart", "click", "view"]
    cents: Annotated[int, msgspec.Meta(ge=1)]
    email: str | None = None


class Parse(beam.DoFn):
    """A line to a clean row, or to a dead letter."""

    def setup(self) -> None:
        self._decode = msgspec.json.Decoder(Event).decode
        self._key = hmac.new(KEY, digestmod=hashlib.sha256)
        self._field = re.compile(r"`\$\.(\w+)")

    def process(self, line: str) -> Iterator[Any]:
        try:
            event = self._decode(line)
        except msgspec.ValidationError:
            yield beam.pvalue.TaggedOutput(
                "refused", {"payload": line, "field": broken_field(msgspec.json.decode(line))}
            )
            return
        except ValueError:
            yield beam.pvalue.TaggedOutput("refused", {"payload": line, "field": "record"})
            return
        row = msgspec.structs.asdict(event)
        if event.email is not None:
            digest = self._key.copy()
            digest.update(event.email.encode())
            row["email"] = digest.hexdigest()[:32]
        yield TimestampedValue(row, Timestamp.of(event.at.timestamp()))


if __name__ == "__main__":
    beam_idiomatic.run(sys.argv[1], sys.argv[2], Parse())
