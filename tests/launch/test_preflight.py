"""Places that options name and that aren't there, or aren't what they should be: one message each, soon."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_fn_api_pb2_grpc
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

from beam_pipelines.errors import UsageError
from beam_pipelines.launch import preflight
from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode

PORTABLE = "--runner=PortableRunner"


def _free_port() -> int:
    """A port at which nothing listens."""
    with socket.create_server(("localhost", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def _http(answers: dict[str, object]) -> Iterator[str]:
    """A web server with a few pages of JSON."""

    class _Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in answers else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answers.get(self.path)).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("localhost", 0), _Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"localhost:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def web_server() -> Iterator[str]:
    with _http({"/": "welcome"}) as address:
        yield address


@pytest.fixture
def worker_pool() -> Iterator[str]:
    """Speaks gRPC, and is no job server."""
    server = grpc.server(futures.ThreadPoolExecutor(1))
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(BeamFnExternalWorkerPoolServicer(), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    yield f"localhost:{port}"
    server.stop(None).wait()


@pytest.fixture
def silent_server() -> Iterator[str]:
    with socket.create_server(("localhost", 0)) as server:
        yield f"localhost:{server.getsockname()[1]}"


def _refusal(*flags: str) -> str:
    with pytest.raises(UsageError) as refused:
        preflight.check(PipelineOptions(list(flags)))
    return str(refused.value)


def test_an_unreachable_job_server_ends_the_run_within_the_stated_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    command = ["run", "tests.launch.tiny", "--result", str(tmp_path / "sum"), PORTABLE, "--job_endpoint=localhost:1"]
    assert main(command) == ExitCode.USAGE
    assert time.monotonic() - started < preflight.LONGEST_SECONDS
    assert capsys.readouterr() == (
        "",
        "beam-pipelines: --job_endpoint: nothing listens at 'localhost:1'. Is the job server running, "
        "and is this its port?\n",
    )


def test_a_web_server_is_no_job_server(web_server: str) -> None:
    told = _refusal(PORTABLE, f"--job_endpoint={web_server}")
    assert told.startswith(f"--job_endpoint: what answers at '{web_server}' is not a Beam job server (it doesn't speak")


def test_another_service_of_grpc_is_no_job_server(worker_pool: str) -> None:
    told = _refusal(PORTABLE, f"--job_endpoint={worker_pool}")
    assert told.startswith(f"--job_endpoint: what answers at '{worker_pool}' is not a Beam job server (unimplemented)")


def test_a_server_that_says_nothing_is_not_waited_for(silent_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "ANSWER_SECONDS", 1)
    started = time.monotonic()
    assert "accepts connections, but said nothing in 1 s" in _refusal(PORTABLE, f"--job_endpoint={silent_server}")
    assert time.monotonic() - started < 5


def test_a_place_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: time.sleep(2))
    assert "'far:1' didn't answer in 0.2 s" in _refusal(PORTABLE, "--job_endpoint=far:1")


@pytest.mark.parametrize("endpoint", ["localhost", "http://localhost:8099", "localhost:port", "localhost:0", ":8099"])
def test_what_is_no_address_is_refused(endpoint: str) -> None:
    assert "is not HOST:PORT" in _refusal(PORTABLE, f"--job_endpoint={endpoint}")


def test_an_unknown_host_is_named() -> None:
    told = _refusal(PORTABLE, "--job_endpoint=no-such-host.invalid:8099")
    assert "there is no host 'no-such-host.invalid'" in told


def test_a_portable_runner_without_a_job_server_says_what_is_missing() -> None:
    assert "add --job_endpoint=HOST:PORT" in _refusal(PORTABLE)


@pytest.mark.parametrize(("place", "told"), [("prism", "there is no file"), (".", "is a folder")])
def test_a_wrong_path_of_prism_is_told_before_beam_fetches_anything(place: str, told: str, tmp_path: Path) -> None:
    location = tmp_path / place
    assert f"--prism_location: {told} '{location}'" in _refusal(
        "--runner=PrismRunner", f"--prism_location={location}"
    ).replace(f"'{location}' is a folder", f"is a folder '{location}'")


def test_a_flink_master_that_is_not_there_or_not_flink_is_named(web_server: str) -> None:
    port = _free_port()
    assert f"--flink_master: nothing listens at 'localhost:{port}'. Is Flink running" in _refusal(
        "--runner=FlinkRunner", f"--flink_master=localhost:{port}"
    )
    told = _refusal("--runner=FlinkRunner", f"--flink_master=http://{web_server}")
    assert "is not Flink's REST service, it answers 404" in told


def test_a_flink_cluster_of_another_version_is_told_with_what_to_set() -> None:
    with _http({"/config": {"flink-version": "1.20.1"}}) as address:
        flags = ["--runner=FlinkRunner", f"--flink_master={address}"]
        assert f"the cluster at '{address}' runs Flink 1.20.1: give --flink_version=1.20" in _refusal(
            *flags, "--flink_version=1.19"
        )
        assert preflight.check(PipelineOptions([*flags, "--flink_version=1.20"])) == []


def test_a_wrong_address_of_workers_is_refused_where_the_runner_is_on_this_machine(worker_pool: str) -> None:
    pool = f"localhost:{_free_port()}"
    flags = [PORTABLE, "--job_endpoint=embed", "--environment_type=EXTERNAL"]
    assert f"--environment_config: nothing listens at '{pool}'" in _refusal(*flags, f"--environment_config={pool}")
    assert f"nothing listens at '{pool}'" in _refusal(*flags, f'--environment_config={{"url": "{pool}"}}')
    assert "none is named" in _refusal(*flags)
    assert preflight.check(PipelineOptions([*flags, f"--environment_config={worker_pool}"])) == []


def test_a_wrong_address_of_workers_is_only_told_where_the_cluster_may_know_better(flink_flags: list[str]) -> None:
    pool = f"localhost:{_free_port()}"
    flags = [*flink_flags[:2], "--environment_type=EXTERNAL", f"--environment_config={pool}"]
    (told,) = preflight.check(PipelineOptions(flags))
    assert told.startswith(f"--environment_config: nothing listens at '{pool}'")


def test_a_dataflow_service_of_ones_own_is_looked_for() -> None:
    flags = ["--runner=DataflowRunner", f"--dataflow_endpoint=http://localhost:{_free_port()}"]
    assert "Is the Dataflow service running" in _refusal(*flags)
    assert "is not a URL" in _refusal("--runner=DataflowRunner", "--dataflow_endpoint=localhost")


def test_what_is_right_is_let_through(flink_flags: list[str], prism_flags: list[str]) -> None:
    for flags in (flink_flags, prism_flags, [], ["--runner=DirectRunner"]):
        assert preflight.check(PipelineOptions(flags)) == []


def test_the_main_session_is_never_shipped() -> None:
    for flags in ([], [PORTABLE, "--job_endpoint=embed"]):
        assert preflight.check(PipelineOptions(flags)) == []
        with pytest.raises(UsageError, match=r"^--save_main_session: .*ship it with --setup_file"):
            preflight.check(PipelineOptions([*flags, "--save_main_session"]))
