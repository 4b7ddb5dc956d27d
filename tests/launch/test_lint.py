"""`contract lint`: each finding with its file and line, and an exit code to build on."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode

GOOD = """apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - name: id
        logicalType: string
        required: true
"""


def test_a_good_contract_is_ok(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "orders.yaml"
    file.write_text(GOOD)
    assert main(["contract", "lint", str(file)]) == ExitCode.OK
    assert capsys.readouterr().out == f"{file}: ok\n"


def test_findings_have_their_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(GOOD)
    bad.write_text(GOOD.replace("logicalType: string", "logicalType: strin"))
    assert main(["contract", "lint", str(bad), str(good)]) == ExitCode.USAGE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{bad}: line 10: schema[orders].properties[id]")
    assert "strin" in lines[0]
    assert lines[-1] == f"{good}: ok"


def test_a_file_that_cannot_be_read_does_not_keep_the_others_from_being_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = tmp_path / "good.yaml"
    good.write_text(GOOD)
    assert main(["contract", "lint", str(tmp_path / "none.yaml"), str(good)]) == ExitCode.USAGE
    told = capsys.readouterr()
    assert told.out == f"{good}: ok\n"
    assert told.err.startswith("beam-pipelines: ")
    assert "none.yaml" in told.err
