"""The drawing's counts are the ledger's."""

from __future__ import annotations

from beam_pipelines.report.flow import flow
from beam_pipelines.report.plots import BOX_HEIGHT, drawing

STEPS = [
    {"name": "Read", "transform": "ReadFiles", "inputs": []},
    {"name": "Decode", "transform": "DecodeBatches", "inputs": ["Read"]},
    {"name": "Validate", "transform": "ValidateBatches", "inputs": ["Decode"]},
    {"name": "Deduplicate", "transform": "DeduplicateBatches", "inputs": ["Validate"]},
    {"name": "WriteRows", "transform": "WriteToLake(rows)", "inputs": ["Deduplicate"]},
    {"name": "WriteUnreadable", "transform": "WriteDeadLetters", "inputs": ["Read"]},
    {"name": "WriteInvalid", "transform": "WriteDeadLetters", "inputs": ["Validate"]},
    {"name": "Aggregate", "transform": "AggregateBatches", "inputs": ["Deduplicate"]},
    {"name": "WriteAggregates", "transform": "WriteToLake(aggregates)", "inputs": ["Aggregate"]},
    {"name": "Finalize", "transform": "FinalizeRun", "inputs": ["WriteRows", "Read", "Validate"]},
]
STAGES = [
    {"output": "", "stage": "ReadFiles", "outcome": "read", "rule": "", "rows": 100},
    {"output": "", "stage": "ReadFiles", "outcome": "dead_lettered", "rule": "file.truncated", "rows": 1},
    {"output": "", "stage": "ValidateBatches", "outcome": "dead_lettered", "rule": "type", "rows": 7},
    {"output": "", "stage": "ValidateBatches", "outcome": "dead_lettered", "rule": "enum", "rows": 3},
    {"output": "", "stage": "DeduplicateBatches", "outcome": "duplicate", "rule": "", "rows": 9},
]


def test_edges_carry_what_went_from_step_to_step() -> None:
    drawn = flow(STEPS, STAGES, {"rows": 80, "aggregates": 12})
    assert {(edge.source.name, edge.target.name): edge.rows for edge in drawn.edges} == {
        ("Read", "Decode"): 99,
        ("Decode", "Validate"): 99,
        ("Validate", "Deduplicate"): 89,
        ("Deduplicate", "WriteRows"): 80,
        ("Read", "WriteUnreadable"): 1,
        ("Validate", "WriteInvalid"): 10,
        ("Deduplicate", "Aggregate"): 80,
        ("Aggregate", "WriteAggregates"): 12,
    }
    assert {edge.target.name for edge in drawn.edges if edge.refused} == {"WriteUnreadable", "WriteInvalid"}


def test_steps_that_read_a_table_for_a_join_are_not_drawn() -> None:
    tables = [
        {"name": "Table", "transform": "ReadFiles", "inputs": []},
        {"name": "Trust", "transform": "ParDo(_Trust)", "inputs": ["Table"]},
    ]
    assert [node.name for node in flow([*tables, *STEPS], STAGES, {}).nodes] == [step["name"] for step in STEPS[:-1]]


def test_no_two_steps_stand_at_one_place_and_arrows_go_down() -> None:
    drawn = flow(STEPS, STAGES, {"rows": 80, "aggregates": 12})
    assert len({(node.layer, node.column) for node in drawn.nodes}) == len(drawn.nodes) == 9
    assert all(edge.target.layer > edge.source.layer for edge in drawn.edges)
    picture = drawing(drawn)
    assert max(box.y + BOX_HEIGHT for box in picture.boxes) <= picture.height


def test_a_run_without_a_graph_has_no_drawing() -> None:
    assert flow([], STAGES, {}).nodes == []
