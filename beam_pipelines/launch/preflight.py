"""Before a job is submitted: whether what the options point at is there, and is what they take it for.

Nobody waits for a place that doesn't answer: each look has a time limit, together at most `LONGEST_SECONDS`.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from beam_pipelines.errors import UsageError

CONNECT_SECONDS = 5
"""That a place may take to be found and to accept a connection: a far one takes less than one."""

ANSWER_SECONDS = 10
"""That a service may take to say what it is."""

LONGEST_SECONDS = 20
"""From the start of a check until the first place that doesn't answer is named: a connection and an answer, and room
for a busy machine."""

_T = TypeVar("_T")
_HERE = ("localhost", "127.0.0.1", "::1")
_GRPC_NAMES = ("dns:", "ipv4:", "ipv6:", "unix:")
_PORTS = range(1, 65536)


class _Place(NamedTuple):
    host: str
    port: int

    @property
    def is_here(self) -> bool:
        return self.host in _HERE


def check(options: Any) -> list[str]:
    """Look at every place that PipelineOptions name.

    UsageError, naming the option, for what can't work. Returns sentences about what this machine can't be sure of: a
    worker pool may well be reachable from the cluster alone.
    """
    from apache_beam.options.pipeline_options import (
        FlinkRunnerOptions,
        GoogleCloudOptions,
        PortableOptions,
        PrismRunnerOptions,
        SetupOptions,
    )

    from beam_pipelines.launch import engine, staging

    runner = engine.name(options)
    portable = options.view_as(PortableOptions)
    if options.view_as(SetupOptions).save_main_session:
        raise UsageError(
            "--save_main_session: it would ship what the command line's own process holds, which is no part of a "
            "pipeline. Code travels as a package: install it where workers run, or ship it with --setup_file"
        )
    _check_prism(options.view_as(PrismRunnerOptions).prism_location)
    if portable.job_endpoint not in (None, "embed"):
        job_server_options(portable.job_endpoint)
    elif runner == "PortableRunner" and portable.job_endpoint is None:
        raise UsageError(
            "--runner: PortableRunner hands jobs to a job server, and none is named: add --job_endpoint=HOST:PORT"
        )
    if runner == "FlinkRunner":
        _check_flink(options.view_as(FlinkRunnerOptions))
    if runner == "DataflowRunner":
        _check_dataflow(options.view_as(GoogleCloudOptions).dataflow_endpoint)
        with contextlib.suppress(TimeoutError):  # without credentials Google's client looks for them for long
            _within(ANSWER_SECONDS, lambda: staging.check(options, ANSWER_SECONDS))
    return _check_workers(portable, runner)


def _check_prism(location: str | None) -> None:
    if not location or "://" in location:
        return
    if not Path(location).exists():
        raise UsageError(
            f"--prism_location: there is no file '{location}'. Name the Prism binary; `python -m scripts.prism` in a "
            "checkout of beam_pipelines installs it and prints its path"
        )
    if Path(location).is_dir():
        raise UsageError(f"--prism_location: '{location}' is a folder; name the Prism binary itself")


def job_server_options(endpoint: str) -> set[str]:
    """The flags that the runner behind a job server has. UsageError when no job server answers there."""
    import grpc
    from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

    if not endpoint.startswith(_GRPC_NAMES):
        _connect(_place("--job_endpoint", endpoint), "--job_endpoint", endpoint, "the job server")
    with grpc.insecure_channel(endpoint) as channel:
        service = beam_job_api_pb2_grpc.JobServiceStub(channel)
        try:
            answer = service.DescribePipelineOptions(
                beam_job_api_pb2.DescribePipelineOptionsRequest(), timeout=ANSWER_SECONDS
            )
        except grpc.RpcError as failure:
            # A job server need not tell its options, but it has jobs.
            if failure.code() == grpc.StatusCode.UNIMPLEMENTED and _has_jobs(service):
                return set()
            raise UsageError(
                f"--job_endpoint: what answers at '{endpoint}' is not a Beam job server ({_told(failure)}). Name the "
                "port of its job service, not that of its web page, artifacts or expansion, nor Flink's own"
            ) from failure
    return {f"--{option.name}" for option in answer.options}


def _has_jobs(service: Any) -> bool:
    import grpc
    from apache_beam.portability.api import beam_job_api_pb2

    try:
        service.GetJobs(beam_job_api_pb2.GetJobsRequest(), timeout=ANSWER_SECONDS)
    except grpc.RpcError:
        return False
    return True


def _told(failure: Any) -> str:
    """What gRPC says of a call that failed, short."""
    import grpc

    if failure.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"it accepts connections, but said nothing in {ANSWER_SECONDS} s"
    details = failure.details() or ""
    if "http1" in details or "HTTP/2" in details:
        return "it doesn't speak gRPC"
    return str(failure.code().name).lower().replace("_", " ")


def _check_flink(flink: Any) -> None:
    """Whether Flink's REST service answers, with the version that Beam is told it has."""
    master = str(flink.flink_master)
    if master.startswith("["):  # [local], [auto], [collection]: Flink is started by the job server itself
        return
    address = master if "://" in master else f"http://{master}"
    _connect(_place("--flink_master", urllib.parse.urlsplit(address).netloc), "--flink_master", master, "Flink")
    try:
        with urllib.request.urlopen(f"{address}/config", timeout=ANSWER_SECONDS) as answer:  # noqa: S310
            version = str(json.load(answer)["flink-version"])
    except (OSError, ValueError, KeyError, TypeError) as wrong:
        code = ""
        if isinstance(wrong, urllib.error.HTTPError):
            code = f", it answers {wrong.code}"
            wrong.close()  # it holds the connection
        raise UsageError(
            f"--flink_master: what answers at '{master}' is not Flink's REST service{code}. Name the host and port of "
            "the JobManager's web page (8081 by default), not its RPC port"
        ) from wrong
    if version.split(".")[:2] != str(flink.flink_version).split(".")[:2]:
        raise UsageError(
            f"--flink_version: {flink.flink_version} is asked for, but the cluster at '{master}' runs Flink {version}: "
            f"give --flink_version={'.'.join(version.split('.')[:2])}, if Beam has a runner for it"
        )


def _check_dataflow(endpoint: str | None) -> None:
    """An endpoint of one's own, such as an emulator; Google's may be behind a proxy that only its client knows."""
    if not endpoint or endpoint.rstrip("/").endswith(".googleapis.com"):
        return
    parts = urllib.parse.urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"--dataflow_endpoint: '{endpoint}' is not a URL such as http://localhost:8200")
    place = _Place(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    _connect(place, "--dataflow_endpoint", endpoint, "the Dataflow service")


def _check_workers(portable: Any, runner: str) -> list[str]:
    kind = (portable.environment_type or "").upper()
    if kind == "LOOPBACK" and _is_far(portable.job_endpoint):
        return [
            "--environment_type: with LOOPBACK the workers are in this process, so the cluster behind "
            f"'{portable.job_endpoint}' must be able to open connections to this machine; if it isn't, use EXTERNAL"
        ]
    if kind != "EXTERNAL":
        return []
    pool = _pool(portable)
    place = _place("--environment_config", pool)
    try:
        _connect(place, "--environment_config", pool, "the worker pool")
    except UsageError as wrong:
        if runner == "PrismRunner" or portable.job_endpoint == "embed":
            raise  # these run on this machine, so what it can't reach they can't
        return [f"{wrong}. That may be right, if the cluster reaches it: then this only holds as seen from here"]
    return []


def _is_far(endpoint: str | None) -> bool:
    known = endpoint not in (None, "embed") and not str(endpoint).startswith(_GRPC_NAMES)
    return known and not _place("--job_endpoint", str(endpoint)).is_here


def _pool(portable: Any) -> str:
    """The address of the worker pool, which Beam takes in three forms."""
    config = str(portable.environment_config or "").strip()
    if config.startswith("{"):
        try:
            config = str(json.loads(config).get("url") or "")
        except ValueError as wrong:
            raise UsageError(f"--environment_config: not JSON: {wrong}") from wrong
    pool = config or portable.lookup_environment_option("external_service_address")
    if not pool:
        raise UsageError(
            "--environment_config: EXTERNAL workers are asked of a worker pool, and none is named: give its HOST:PORT"
        )
    return str(pool)


def _place(option: str, text: str) -> _Place:
    """Read HOST:PORT. UsageError when it is not that."""
    host, _, port = text.rpartition(":")
    if not host or "/" in text or not port.isdecimal() or int(port) not in _PORTS:
        raise UsageError(f"{option}: '{text}' is not HOST:PORT, such as localhost:8099")
    return _Place(host.strip("[]"), int(port))


def _connect(place: _Place, option: str, shown: str, what: str) -> None:
    """UsageError when no connection can be opened."""
    try:
        _within(CONNECT_SECONDS, lambda: socket.create_connection(place, timeout=CONNECT_SECONDS).close())
    except ConnectionRefusedError as refused:
        raise UsageError(
            f"{option}: nothing listens at '{shown}'. Is {what} running, and is this its port?"
        ) from refused
    except socket.gaierror as unknown:
        raise UsageError(f"{option}: there is no host '{place.host}' ('{shown}')") from unknown
    except TimeoutError as late:
        raise UsageError(
            f"{option}: '{shown}' didn't answer in {CONNECT_SECONDS} s. Is the address right, and does a firewall "
            "stand between?"
        ) from late
    except OSError as failure:
        raise UsageError(f"{option}: '{shown}' can't be reached: {failure.strerror or failure}") from failure


def _within(seconds: float, work: Callable[[], _T]) -> _T:
    """Do it in a thread and wait no longer than so: a name server's silence has no time limit of its own."""
    done: list[_T] = []
    failed: list[BaseException] = []

    def tried() -> None:
        try:
            done.append(work())
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=tried, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError
    return done[0]
