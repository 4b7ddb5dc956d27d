"""The HTTP side: routes, and answers and refusals in the form Google's REST services give them."""

from __future__ import annotations

import dataclasses
import json
import re
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

from google.protobuf import json_format
from google.protobuf.message import Message

from beam_pipelines.errors import UsageError

LARGEST_BODY = 10 * 1024 * 1024  # bytes; Dataflow refuses longer job requests too

_STATUS = {
    HTTPStatus.BAD_REQUEST: "INVALID_ARGUMENT",
    HTTPStatus.FORBIDDEN: "PERMISSION_DENIED",
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.METHOD_NOT_ALLOWED: "UNIMPLEMENTED",
    HTTPStatus.CONFLICT: "ALREADY_EXISTS",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "INVALID_ARGUMENT",
    HTTPStatus.LENGTH_REQUIRED: "INVALID_ARGUMENT",
    HTTPStatus.INTERNAL_SERVER_ERROR: "INTERNAL",
}


class RefusalError(Exception):
    """What the service answers instead of doing what was asked: an HTTP status and its reason."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(f"{status.value} {message}")

    def body(self) -> dict[str, Any]:
        """The error as Google's clients read it."""
        named = _STATUS.get(self.status, "UNKNOWN")
        return {"error": {"code": self.status.value, "message": self.message, "status": named}}


def bad_request(message: str) -> RefusalError:
    """The caller's fault: 400."""
    return RefusalError(HTTPStatus.BAD_REQUEST, message)


@dataclasses.dataclass(frozen=True)
class Request:
    """One call: the variables of its route's path, its query and its body."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    content_type: str
    body: bytes

    def message(self, empty: Message) -> Any:
        """Read the JSON body strictly into `empty`: a field that it doesn't have is a refusal."""
        if self.content_type != "application/json":
            # A web page can't send this type to us without asking first, and we never allow it.
            raise bad_request(f"the body must be application/json, not '{self.content_type}'")
        try:
            text = self.body.decode("utf-8")
            if not text.lstrip().startswith("{"):
                # Protobuf's parser takes an empty list for an empty message.
                raise json_format.ParseError("it is not a JSON object")
            return json_format.Parse(text, empty, ignore_unknown_fields=False)
        except (json_format.ParseError, UnicodeDecodeError) as wrong:
            raise bad_request(f"the body is not a {empty.DESCRIPTOR.full_name}: {wrong}") from wrong


Answer: TypeAlias = Message | Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Route:
    """A method and a path with {variables}, and what answers it."""

    method: str
    path: str
    answer: Callable[[Request], Answer]

    def match(self, path: str) -> dict[str, str] | None:
        """The variables of `path`, or None when it is another path.

        >>> Route("GET", "/jobs/{job}:stop", dict).match("/jobs/a%20b:stop")
        {'job': 'a b'}
        """
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/:]+)", re.escape(self.path))
        found = re.fullmatch(pattern, path)
        return {name: unquote(value) for name, value in found.groupdict().items()} if found else None


class HttpService:
    """Serves routes on the loopback interface, each request in a thread of its own.

    Raises UsageError when the port is taken.
    """

    def __init__(self, routes: Sequence[Route], port: int = 0) -> None:
        try:
            self._server = _Server(("127.0.0.1", port), _Requests)
        except OSError as taken:
            raise UsageError(f"--port: {port} can't be listened on ({taken.strerror}); 0 takes a free one") from taken
        self._server.routes = tuple(routes)
        # The Dataflow client speaks plain HTTP only to an endpoint with `localhost` in it.
        self.endpoint = f"http://localhost:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="dataflow-http")

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more, and wait for what is being answered."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    routes: tuple[Route, ...] = ()
    daemon_threads = False  # so that closing waits for the answers under way


class _Requests(BaseHTTPRequestHandler):
    server: _Server
    timeout = 30  # seconds that a silent client may keep its thread
    local: ClassVar = frozenset({"localhost", "127.0.0.1"})

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: what matters is in the job's messages."""

    def _answer(self) -> None:
        try:
            status, body = HTTPStatus.OK, _text(self._find())
        except RefusalError as refused:
            status, body = refused.status, json.dumps(refused.body())
        except Exception:
            ours = RefusalError(
                HTTPStatus.INTERNAL_SERVER_ERROR, f"a defect of the emulator:\n{traceback.format_exc()}"
            )
            status, body = ours.status, json.dumps(ours.body())
        content = body.encode()
        self.send_response(status.value)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _find(self) -> Answer:
        host = self.headers.get("Host", "").rpartition(":")[0]
        if host not in self.local:
            # A name of somebody else's that resolves to this machine: a web page that reaches for local services.
            raise RefusalError(HTTPStatus.FORBIDDEN, f"this service is for localhost, not '{host}'")
        body = self._body()
        url = urlsplit(self.path)
        allowed = []
        for route in self.server.routes:
            variables = route.match(url.path)
            if variables is None:
                continue
            if route.method == self.command:
                query = {name: values[-1] for name, values in parse_qs(url.query).items()}
                kind = self.headers.get("Content-Type", "").partition(";")[0].strip()
                return route.answer(Request(variables, query, kind, body))
            allowed.append(route.method)
        if allowed:
            raise RefusalError(
                HTTPStatus.METHOD_NOT_ALLOWED, f"{url.path} answers {', '.join(allowed)}, not {self.command}"
            )
        raise RefusalError(HTTPStatus.NOT_FOUND, f"there is no {self.command} {url.path} in the Dataflow emulator")

    def _body(self) -> bytes:
        if "Transfer-Encoding" in self.headers:
            raise RefusalError(HTTPStatus.LENGTH_REQUIRED, "send the body with a Content-Length")
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST_BODY:
            raise RefusalError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has {length} bytes; at most {LARGEST_BODY} are taken"
            )
        return self.rfile.read(length)


def _text(answer: Answer) -> str:
    return json_format.MessageToJson(answer) if isinstance(answer, Message) else json.dumps(answer)
