"""W1 in Beam YAML: `beam_yaml.yaml`, with callables of this module, by Beam's own main."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks.events.rules import broken_field, event_time, hashed


class Event(NamedTuple):
    """A good event, cleaned; its time as text, since Beam's rows have none that WriteToParquet knows."""

    id: str
    user: str
    country: str
    kind: str
    cents: int
    at: str
    email: str | None


class RefusedError(ValueError):
    """A line is no good event; the message is the field that is wrong."""


def parsed(row: object) -> Event:
    """The event in a line. Raises RefusedError."""
    try:
        event = json.loads(row.line)  # type: ignore[attr-defined]
    except ValueError:
        event = None
    field = broken_field(event)
    if field is not None:
        raise RefusedError(field)
    names = ("id", "user", "country", "kind", "cents", "at")
    return Event(*(event[name] for name in names), hashed(event.get("email")))


def seconds(row: object) -> float:
    """When the event was."""
    time = event_time(row.at)  # type: ignore[attr-defined]
    if time is None:
        raise AssertionError("it was judged before")
    return time.timestamp()


if __name__ == "__main__":
    from apache_beam.yaml import main

    variables = {"source": sys.argv[1], "output": sys.argv[2]}
    file = Path(__file__).with_suffix(".yaml")
    main.run([f"--yaml_pipeline_file={file}", f"--jinja_variables={json.dumps(variables)}", "--runner=FnApiRunner"])
