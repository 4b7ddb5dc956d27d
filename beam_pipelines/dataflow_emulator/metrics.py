"""Beam's monitoring infos as the metrics of the Dataflow API.

The client wants each metric twice: with `tentative: true` in its context (attempted) and without
(committed). A metric of a bundle that was never committed has a committed entry of zero. Prism's own
attempted values are those of one running bundle, not a sum: they count only until one is committed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apache_beam.metrics import monitoring_infos
from google.cloud import dataflow_v1beta3 as dataflow
from google.protobuf import json_format

from beam_pipelines.dataflow_emulator.jobs import now

_Name = tuple[str, str, str]  # step, namespace, name
_Value = int | dict[str, int]
_NO_DISTRIBUTION = {"count": 0, "sum": 0, "min": 0, "max": 0}


def updates(attempted: Iterable[Any], committed: Iterable[Any]) -> Any:
    """A JobMetrics proto with the user's counters and distributions among these monitoring infos."""
    time = now().isoformat().replace("+00:00", "Z")
    final = _values(committed)
    tentative = _values(attempted) | final
    found = []
    for (step, namespace, name), value in sorted(tentative.items()):
        context = {"step": step, "namespace": namespace}
        zero: _Value = dict(_NO_DISTRIBUTION) if isinstance(value, dict) else 0
        for seen, extra in ((tentative, {"tentative": "true"}), (final, {})):
            number = seen.get((step, namespace, name), zero)
            found.append(
                {
                    "name": {"origin": "user", "name": name, "context": context | extra},
                    "cumulative": True,
                    "updateTime": time,
                    **({"kind": "Distribution", "distribution": number} if isinstance(number, dict) else {}),
                    **({"kind": "Sum", "scalar": number} if isinstance(number, int) else {}),
                }
            )
    return json_format.ParseDict({"metricTime": time, "metrics": found}, dataflow.JobMetrics.pb(dataflow.JobMetrics()))


def _values(infos: Iterable[Any]) -> dict[_Name, _Value]:
    values: dict[_Name, _Value] = {}
    for info in infos:
        if not monitoring_infos.is_user_monitoring_info(info):
            continue
        namespace, name = monitoring_infos.parse_namespace_and_name(info)
        key = (info.labels.get("PTRANSFORM", ""), namespace, name)
        if monitoring_infos.is_counter(info):
            values[key] = monitoring_infos.extract_counter_value(info)
        elif monitoring_infos.is_distribution(info):
            count, total, least, most = monitoring_infos.extract_distribution(info)
            values[key] = {"count": count, "sum": total, "min": least, "max": most}
    return values
