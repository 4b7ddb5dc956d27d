"""Numbers for Prometheus: an endpoint that it reads, and its pushgateway for runs that end."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from beam_pipelines.errors import UsageError
from beam_pipelines.live.families import FAMILIES, RUN_LABELS, samples
from beam_pipelines.sink.live_numbers import Snapshot

Read = Callable[[], Snapshot]
PUSH_SECONDS = 15.0
_PUSH_TIMEOUT = 10.0


class _Collector:
    """What prometheus-client asks when it is asked."""

    def __init__(self, read: Read, pipeline: str, run_id: str) -> None:
        self._read = read
        self._run = (pipeline, run_id)

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        kinds = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}
        found = {
            family: kinds[family.kind](family.name, family.meaning, labels=[*RUN_LABELS, *family.labels])
            for family in FAMILIES
        }
        for sample in samples(self._read()):
            found[sample.family].add_metric([*self._run, *sample.labels], sample.value)
        yield from found.values()


def _registry(read: Read, pipeline: str, run_id: str) -> Any:
    try:
        from prometheus_client import CollectorRegistry
    except ImportError as missing:
        raise UsageError(
            "--metrics_port and --metrics_push need the extra 'prometheus': pip install 'beam_pipelines[prometheus]'"
        ) from missing
    registry = CollectorRegistry()
    registry.register(_Collector(read, pipeline, run_id))
    return registry


@contextlib.contextmanager
def served(port: int, host: str, read: Read, pipeline: str, run_id: str) -> Iterator[int]:
    """Serve the numbers at http://HOST:PORT/metrics until the block ends; yields the port, a free one for 0."""
    registry = _registry(read, pipeline, run_id)
    from prometheus_client import start_http_server

    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as refused:
        raise UsageError(f"--metrics_port: {port} can't be listened at: {refused.strerror or refused}") from refused
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


@contextlib.contextmanager
def pushed(url: str, read: Read, pipeline: str, run_id: str) -> Iterator[None]:
    """Push the numbers now and then and when the block ends, as the job `beam_pipelines`, grouped by run.

    UsageError if the gateway takes nothing at the beginning; later failures are the last pushes' business alone.
    """
    registry = _registry(read, pipeline, run_id)
    from prometheus_client import push_to_gateway

    def push() -> None:
        push_to_gateway(
            url,
            job="beam_pipelines",
            registry=registry,
            grouping_key={"pipeline": pipeline, "run_id": run_id},
            timeout=_PUSH_TIMEOUT,
        )

    try:
        push()
    except (OSError, ValueError) as refused:
        raise UsageError(f"--metrics_push: nothing can be pushed to '{url}': {refused}") from refused
    ended = threading.Event()

    def keep_pushing() -> None:
        while not ended.wait(PUSH_SECONDS):
            with contextlib.suppress(OSError):
                push()

    thread = threading.Thread(target=keep_pushing, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=_PUSH_TIMEOUT)
        with contextlib.suppress(OSError):
            push()
