"""Beam's monitoring infos as the client of Dataflow wants them."""

from __future__ import annotations

from typing import Any

from apache_beam.metrics import monitoring_infos
from google.protobuf import json_format

from beam_pipelines.dataflow_emulator import metrics


def counter(value: int, name: str = "rows") -> Any:
    return monitoring_infos.int64_user_counter("ns", name, value, ptransform="step-1")


def shown(attempted: list[Any], committed: list[Any]) -> dict[tuple[str, bool], Any]:
    """Name and whether tentative, to what the entry says."""
    found = json_format.MessageToDict(metrics.updates(attempted, committed))
    return {
        (each["name"]["name"], each["name"]["context"].get("tentative") == "true"): each
        for each in found.get("metrics", [])
    }


def test_each_counter_is_shown_tentative_and_committed_with_its_step_and_namespace() -> None:
    found = shown([], [counter(7)])

    assert {key: each["scalar"] for key, each in found.items()} == {("rows", True): 7, ("rows", False): 7}
    assert found["rows", False]["name"] == {
        "origin": "user",
        "name": "rows",
        "context": {"step": "step-1", "namespace": "ns"},
    }


def test_what_was_never_committed_is_committed_as_zero() -> None:
    found = shown([counter(3)], [])

    assert {key: each["scalar"] for key, each in found.items()} == {("rows", True): 3, ("rows", False): 0}


def test_attempted_is_never_below_committed() -> None:
    # Prism's attempted value is the running bundle's alone.
    assert shown([counter(2)], [counter(9)])["rows", True]["scalar"] == 9


def test_a_distribution_keeps_its_four_numbers() -> None:
    info = monitoring_infos.int64_user_distribution(
        "ns", "sizes", monitoring_infos.DistributionData(10, 3, 1, 6), ptransform="step-1"
    )

    found = shown([info], [])

    assert found["sizes", True]["distribution"] == {"count": 3, "sum": 10, "min": 1, "max": 6}
    assert found["sizes", False]["distribution"] == {"count": 0, "sum": 0, "min": 0, "max": 0}


def test_what_users_did_not_define_is_left_out() -> None:
    system = monitoring_infos.int64_counter("beam:metric:element_count:v1", 5, ptransform="step-1")

    assert shown([system], [system]) == {}
