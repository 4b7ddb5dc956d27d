"""The HTTP side: what is asked of whom, and what is answered."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import hmac
import logging
import re
import traceback
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from beam_pipelines.contract import Contract
from beam_pipelines.ingest_server.body import Body, media_type, records_in, too_long
from beam_pipelines.ingest_server.in_flight import RETRY_AFTER, InFlight
from beam_pipelines.ingest_server.judging import admit
from beam_pipelines.ingest_server.options import IngestServerOptions
from beam_pipelines.ingest_server.refusal import RefusalError
from beam_pipelines.ingest_server.writing import LogWriter
from beam_pipelines.sink.records import RecordPlan, Records, records_of

KEY_HEADER = "Idempotency-Key"
REFUSED = "kafka.refused"
"""Rule of records that the brokers will never take."""

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

_KEY = re.compile(r'"?([A-Za-z0-9._:~+=-]{1,200})"?')
_JUDGING_THREADS = 4  # of Arrow and msgspec, which hold up the loop for milliseconds
_log = logging.getLogger(__name__)

_Answer = Callable[[Request], Awaitable[JSONResponse]]


@dataclasses.dataclass
class IngestServer:
    """Takes records over HTTP. `token` is the bearer token's text; `problem` says why the log can't be reached now."""

    options: IngestServerOptions
    plan: RecordPlan
    writer: LogWriter
    problem: Callable[[], str | None]
    contract: Contract | None = None
    token: str | None = None

    def __post_init__(self) -> None:
        self._held = InFlight(self.options.max_in_flight_bytes)
        self._threads = ThreadPoolExecutor(_JUDGING_THREADS, "ingest-server-judge")
        self._asking = ThreadPoolExecutor(1, "ingest-server-ready")

    def app(self) -> Starlette:
        """Make the ASGI application."""
        return Starlette(
            routes=[
                Route("/", _answering(self._take), methods=["POST"]),
                Route("/records", _answering(self._take), methods=["POST"]),
                Route("/healthz", _answering(self._healthy), methods=["GET"]),
                Route("/readyz", _answering(self._ready), methods=["GET"]),
            ]
        )

    def close(self) -> None:
        """Write what was taken, and end."""
        self._threads.shutdown()
        self._asking.shutdown()
        self.writer.close()

    async def _healthy(self, _: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "in_flight_bytes": self._held.bytes})

    async def _ready(self, _: Request) -> JSONResponse:
        problem = await asyncio.get_running_loop().run_in_executor(self._asking, self.problem)
        if problem is not None:
            raise RefusalError(503, problem, headers=RETRY_AFTER)
        return JSONResponse({"status": "ok"})

    async def _take(self, request: Request) -> JSONResponse:
        self._authorize(request)
        key = _key_of(request)
        kind = media_type(request.headers.get("Content-Type", ""))
        body, size = await self._body_of(request)
        handed_over = False
        try:
            loop = asyncio.get_running_loop()
            records = await loop.run_in_executor(self._threads, self._judge, body, kind, key)
            del body
            answer = asyncio.wrap_future(self.writer.write(records, lambda: self._held.give_back(size)))
            handed_over = True
        finally:
            if not handed_over:
                self._held.give_back(size)
        return JSONResponse(await self._kept(answer, records), status_code=202)

    async def _kept(self, answer: asyncio.Future[dict[int, str]], records: Records) -> dict[str, Any]:
        """Wait until the log has all of the records; only then the answer may be 202."""
        try:
            refused = await asyncio.wait_for(answer, self.options.timeout)
        except Exception as error:
            if not isinstance(error, TimeoutError):
                _log.info("a request is answered 503: %s", type(error).__name__)
            raise RefusalError(
                503,
                f"the log didn't confirm the records, which may be kept or not: send them again with the same "
                f"{KEY_HEADER}",
                headers=RETRY_AFTER,
            ) from None
        ids = records.ids.to_pylist()
        if refused:
            raise RefusalError(
                422,
                f"the log will never take {len(refused)} of {len(ids)} records; it has the others, under their ids",
                [
                    {"record": row + 1, "id": ids[row], "failures": [{"rule": REFUSED, "message": reason}]}
                    for row, reason in sorted(refused.items())
                ],
            )
        return {"accepted": len(ids), "ids": ids}

    def _judge(self, body: bytes, kind: str, key: str | None) -> Records:
        records = records_in(body, kind, self.options.max_records)
        # A key that is used again for other records, by mistake, must not make them look like those before.
        source = uuid.uuid4().hex if key is None else f"{key}/{hashlib.sha256(body).hexdigest()[:16]}"
        return records_of(admit(records, source, self.contract), self.plan)

    async def _body_of(self, request: Request) -> tuple[bytes, int]:
        """The whole body, unpacked, and how many bytes are held for it."""
        length = request.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > self.options.max_body_bytes:
            raise too_long(self.options.max_body_bytes)
        body = Body(request.headers.get("Content-Encoding", ""), self.options.max_body_bytes)
        size = 0
        try:
            async with asyncio.timeout(self.options.timeout):
                async for chunk in request.stream():
                    added = body.add(chunk)
                    self._held.take(added)
                    size += added
            return body.whole(), size
        except BaseException as error:
            self._held.give_back(size)
            if isinstance(error, TimeoutError):
                raise RefusalError(408, f"the body took longer than {self.options.timeout:g} s") from None
            raise

    def _authorize(self, request: Request) -> None:
        if self.token is None:
            host = request.headers.get("Host", "")
            if (host if host.endswith("]") else host.rpartition(":")[0] or host) not in LOOPBACK:
                # A name of somebody else's that resolves to this machine: a web page that reaches for local services.
                raise RefusalError(403, "without a token this server is for this machine: call it localhost")
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self.token.encode()):
            raise RefusalError(
                401, "the bearer token is missing or wrong", headers={"WWW-Authenticate": 'Bearer realm="records"'}
            )


def _key_of(request: Request) -> str | None:
    text = request.headers.get(KEY_HEADER)
    if text is None:
        return None
    found = _KEY.fullmatch(text.strip())
    if found is None:
        raise RefusalError(400, f"{KEY_HEADER} has to be 1 to 200 letters, digits and signs of ._:~+=-, such as a UUID")
    return found[1]


def _answering(answer: _Answer) -> _Answer:
    """What answers, with refusals as answers."""

    async def answered(request: Request) -> JSONResponse:
        try:
            return await answer(request)
        except RefusalError as refused:
            return JSONResponse(refused.body(), refused.status, refused.headers)
        except ClientDisconnect:
            return JSONResponse({"error": "the client went away"}, 400)  # nobody reads it
        except Exception as error:
            # Its message may hold a value of a record.
            where = "".join(traceback.format_tb(error.__traceback__))
            _log.error("a defect: %s at\n%s", type(error).__name__, where)
            return JSONResponse({"error": "a defect of the server; nothing is known to be kept"}, 500)

    return answered
