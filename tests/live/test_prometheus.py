"""A run's numbers in the real Prometheus: read from the endpoint while it runs, pushed when it has ended."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.live import prometheus as endpoint
from tests.live.test_numbers import DASHBOARD, GONE, HERE, together
from tests.pipelines.test_windows import CONTRACT
from tests.servers.prometheus import ask, check, prometheus, pushgateway

SECONDS = 60


def _told(folder: Path, rows: int, *flags: str) -> list[str]:
    (folder / "visits.odcs.yaml").write_text(CONTRACT)
    lines = [
        f'{{"at": "2024-03-30T12:{n // 60 % 60:02}:{n % 60:02}Z", "user": "a", "pages": {n}}}' for n in range(rows)
    ]
    (folder / "visits.jsonl").write_text("\n".join([*lines, "{"]) + "\n")
    return [
        *("run", "event_analytics", "--input", f"{folder}/visits.jsonl", "--contract", f"{folder}/visits.odcs.yaml"),
        *("--output", f"{folder}/lake", "--run_id", "r1", *flags),
    ]


def test_a_batch_pushes_its_balance_and_prometheus_takes_every_query_of_the_dashboard(tmp_path: Path) -> None:
    with pushgateway(tmp_path) as gateway, prometheus(tmp_path, gateway.removeprefix("http://")) as server:
        assert main(_told(tmp_path, 100, "--metrics_push", gateway)) == ExitCode.OK
        with urllib.request.urlopen(f"{gateway}/metrics", timeout=10) as answer:
            told = answer.read().decode()
        found = dict(re.findall(r'beam_pipelines_rows_total\{.*outcome="(\w+)".*stage="(?:Read|Val)\w+"\} (\d+)', told))
        assert found == {"read": "101", "dead_lettered": "1"}
        until = time.monotonic() + SECONDS
        while not (read := ask(server, 'beam_pipelines_rows_total{outcome="read"}')):
            assert time.monotonic() < until, "Prometheus has read nothing"
            time.sleep(0.2)
        assert (
            read[0]["metric"].items() >= {"run_id": "r1", "pipeline": "event_analytics", "stage": "ReadFiles"}.items()
        )
        assert read[0]["value"][1] == "101"
        for panel in json.loads(DASHBOARD.read_text())["panels"]:
            for target in panel["targets"]:
                ask(server, target["expr"].replace("$run_id", ".*"))


def test_what_the_endpoint_tells_is_well_formed_and_holds_every_metric() -> None:
    with (
        endpoint.served(0, "127.0.0.1", lambda: together([GONE, HERE]), "event_analytics", "r1") as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer,
    ):
        told = answer.read().decode()
    check(told)
    assert 'circuit_state{endpoint="kafka://broker",pipeline="event_analytics",run_id="r1"} 2.0' in told
    assert 'backlog_rows{partition="0",pipeline="event_analytics",run_id="r1",source="orders"} 7.0' in told


@pytest.mark.parametrize("runner", ["fn_api", "flink"])
def test_a_stream_can_be_watched_while_it_runs(
    runner: str, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [] if runner == "fn_api" else [*request.getfixturevalue(f"{runner}_flags"), "--streaming"]
    command = _told(tmp_path, 1200, "--replay", "--replay_rate", "400", *flags)
    codes: list[int] = []
    running = threading.Thread(target=lambda: codes.append(main(command)))
    running.start()
    told, until = "", time.monotonic() + 2 * SECONDS
    while running.is_alive() and time.monotonic() < until and not re.search(r"rows +[\d,]+ +read", told):
        if main(["top", f"{tmp_path}/lake", "--once"]) == ExitCode.OK:
            told = capsys.readouterr().out
        time.sleep(0.2)
    running.join(2 * SECONDS)
    assert codes == [ExitCode.OK]
    assert "run r1" in told
    assert re.search(r"rows +[\d,]+ +read", told), told
    assert main(["top", f"{tmp_path}/lake", "--once"]) == ExitCode.USAGE
    assert "it has ended, or didn't begin yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--metrics_port", "70000"), "'70000' is not a port, from 0 (a free one) to 65535"),
        (("--metrics_push", "http://127.0.0.1:9"), "--metrics_push: nothing can be pushed to 'http://127.0.0.1:9'"),
    ],
)
def test_what_is_wrong_with_a_place_is_told_before_the_run_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], message: str
) -> None:
    assert main(_told(tmp_path, 1, *flags)) == ExitCode.USAGE
    assert message in capsys.readouterr().err
    assert not (tmp_path / "lake/_runs/r1/manifest.json").exists()
