"""What stands before bqemulator in tests, so that answers are those that BigQuery documents.

bqemulator 1.4 runs SQL, load jobs, read sessions and write streams, but differs where sinks rely on the service:

- a job's id may be used again, and is left out of account for uploads: here the second is refused with 409;
- a load takes columns by their place, and nulls where the table has none: here by name, and the job fails;
- tables.patch changes what the catalog tells and not the table, `ALTER TABLE` the other way: here each does both;
- what a query finds can't be read by a session: here that of a job `beam_pipelines_read_…` can;
- it knows no permissions.

Everything else goes through as it is. Faults that a test asks for are answered instead of the emulator's answer.
"""

from __future__ import annotations

import email
import email.policy
import http.client
import itertools
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts.bigquery import Emulator

Json = dict[str, Any]

COPIES = "copies"
"""The dataset of what queries find."""

_JOBS = re.compile(r"/bigquery/v2/projects/([^/]+)/jobs(?:/([^/?]+))?(?:\?.*)?$")
_UPLOAD = re.compile(r"/upload/bigquery/v2/projects/([^/]+)/jobs\?")
_TABLE = re.compile(r"/bigquery/v2/projects/[^/]+/datasets/[^/]+/tables/[^/?:]+(?:\?.*)?$")
_PERMISSIONS = re.compile(r"/bigquery/v2/.*:testIamPermissions")
_RETYPED = re.compile(r"ALTER TABLE `(.+?)` ALTER COLUMN `(.+?)` SET DATA TYPE (\w+)")


class Fault(NamedTuple):
    """An answer to the next request whose method and path match; `applied`: the emulator does it all the same."""

    request: str
    status: int
    reason: str
    applied: bool = False


class Refused(Exception):  # noqa: N818  what happened
    """What a job's rows are refused with."""


class Front(ThreadingHTTPServer):
    """The server. It listens on a free port of this machine."""

    daemon_threads = True

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.emulator = emulator
        self.jobs: dict[str, Json | None] = {}
        """Jobs by their ids; None while one is running."""
        self.faults: list[Fault] = []
        self.denied: set[str] = set()
        self.asked: list[str] = []
        """Method and path of each request."""
        self.uploads: dict[str, Json] = {}
        self.lock = threading.Lock()
        self._numbers = itertools.count()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fault(self, request: str) -> Fault | None:
        with self.lock:
            for each in self.faults:
                if re.search(each.request, request):
                    self.faults.remove(each)
                    return each
        return None

    def new_file(self) -> tuple[str, Path]:
        """A file of uploaded rows: as it is named in a job, and where it is."""
        place = self.emulator.files / "uploads" / f"{next(self._numbers)}.parquet"
        place.parent.mkdir(exist_ok=True)
        return f"gs://uploads/{place.name}", place

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Json | None = None) -> tuple[int, bytes]:
        """Ask the emulator."""
        connection = http.client.HTTPConnection("127.0.0.1", self.emulator.port, timeout=60)
        try:
            told = {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, body, told)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def run(self, project: str, job: Json) -> tuple[int, Json]:
        """Run a job, of which there is one of its id."""
        job_id = job.setdefault("jobReference", {}).setdefault("jobId", f"front-{next(self._numbers)}")
        dry = job["configuration"].get("dryRun")
        with self.lock:
            if job_id in self.jobs:
                return _refusal(409, "duplicate", f"Already Exists: Job {project}:US.{job_id}")
            if not dry:
                self.jobs[job_id] = None
        try:
            status, told = self._run(project, job)
        except Exception as refused:  # one of ours too is to be seen, and waited for by nobody
            error = {"reason": "invalid", "message": str(refused)}
            status, told = 200, _job(project, job, {"state": "DONE", "errorResult": error, "errors": [error]})
        with self.lock:
            if dry or status != 200:
                self.jobs.pop(job_id, None)
            else:
                self.jobs[job_id] = told
        return status, told

    def _run(self, project: str, job: Json) -> tuple[int, Json]:
        rows = None
        if "load" in job["configuration"]:
            job = json.loads(json.dumps(job))
            rows = self._conform(job["configuration"]["load"])
        status, body = self.ask("POST", f"/bigquery/v2/projects/{project}/jobs", json.dumps(job).encode())
        told: Json = json.loads(body)
        if status == 200 and job["jobReference"]["jobId"].startswith("beam_pipelines_read_"):
            told["configuration"]["query"]["destinationTable"] = self.copied(
                project, job["configuration"]["query"]["query"]
            )
        retyped = _RETYPED.search(job["configuration"].get("query", {}).get("query", ""))
        if status == 200 and retyped and "errorResult" not in told["status"]:
            self._retype(*retyped.groups())
        if rows is not None and status == 200 and "errorResult" not in told["status"]:
            told["statistics"]["load"]["outputRows"] = str(rows)
        return status, told

    def _conform(self, load: Json) -> int:
        """Give a load one file that has the table's columns. Refused for rows that the table doesn't take."""
        into = load["destinationTable"]
        path = f"/bigquery/v2/projects/{into['projectId']}/datasets/{into['datasetId']}/tables/{into['tableId']}"
        status, body = self.ask("GET", path)
        if status != 200:
            raise Refused(f"Not found: Table {into['projectId']}:{into['datasetId']}.{into['tableId']}")
        fields = json.loads(body)["schema"]["fields"]
        found = []
        for uri in load["sourceUris"]:
            place = self.emulator.files / uri.removeprefix("gs://")
            if not place.is_file():
                raise Refused(f"Not found: URI {uri}")
            found.append(pq.ParquetFile(place).read())
        rows = pa.concat_tables(found, promote_options="permissive")
        unknown = [name for name in rows.schema.names if name not in [field["name"] for field in fields]]
        if unknown:
            raise Refused(f"Provided Schema does not match Table. Cannot add fields (field: {unknown[0]})")
        columns = {}
        for field in fields:
            name, mode = field["name"], field.get("mode", "NULLABLE")
            columns[name] = rows[name] if name in rows.schema.names else pa.nulls(rows.num_rows)
            if mode == "REQUIRED" and columns[name].null_count:
                raise Refused(f"Error while reading data, error message: Required field {name} is missing")
            if mode == "REPEATED" and name in rows.schema.names and pc.list_flatten(columns[name]).null_count:
                raise Refused(f"Error while reading data, error message: array {name} holds a null")
        uri, place = self.new_file()
        pq.write_table(pa.table(columns), place)
        load["sourceUris"] = [uri]
        return rows.num_rows

    def patched(self, path: str, body: Json, etag: str | None) -> tuple[int, bytes] | None:
        """Add a patch's columns to the table too. The refusal if it can't be."""
        status, before = self.ask("GET", path)
        if status != 200 or "schema" not in body:
            return None
        if etag is not None and etag != json.loads(before)["etag"]:
            code, told = _refusal(412, "conditionNotMet", "Precondition Failed")
            return code, json.dumps(told).encode()
        reference, old = json.loads(before)["tableReference"], json.loads(before)["schema"]["fields"]
        new = body["schema"]["fields"]
        gone = {field["name"] for field in old} - {field["name"] for field in new}
        wrong = [f"field {name} is missing in new schema" for name in sorted(gone)]
        for field in new:
            earlier = next((each for each in old if each["name"] == field["name"]), None)
            if earlier is None and field.get("mode") == "REQUIRED":
                wrong.append(f"cannot add required field {field['name']} to an existing schema")
            if earlier is not None and _kind(earlier["type"]) != _kind(field["type"]):
                wrong.append(f"field {field['name']} has changed type from {earlier['type']} to {field['type']}")
        if wrong:
            code, told = _refusal(400, "invalid", f"Provided Schema does not match Table: {wrong[0]}")
            return code, json.dumps(told).encode()
        name = ".".join((reference["projectId"], reference["datasetId"], reference["tableId"]))
        for field in new[len(old) :]:
            self._do(reference["projectId"], f"ALTER TABLE `{name}` ADD COLUMN `{field['name']}` {_sql(field)}")
        return None

    def copied(self, project: str, query: str) -> Json:
        """What a query finds, as a table of its own."""
        place = {"projectId": project, "datasetId": COPIES, "tableId": f"t{next(self._numbers)}"}
        self._do(project, f"CREATE TABLE `{'.'.join(place.values())}` AS {query}")
        return place

    def _retype(self, table: str, column: str, kind: str) -> None:
        path = "/bigquery/v2/projects/{}/datasets/{}/tables/{}".format(*re.split(r"`?\.`?", table))
        told = json.loads(self.ask("GET", path)[1])
        for field in told["schema"]["fields"]:
            if field["name"] == column:
                field["type"] = kind
        self.ask("PATCH", path, json.dumps({"schema": told["schema"]}).encode())

    def _do(self, project: str, statement: str) -> None:
        body = {"query": statement, "useLegacySql": False}
        status, told = self.ask("POST", f"/bigquery/v2/projects/{project}/queries", json.dumps(body).encode())
        assert status == 200, told


def _sql(field: Json) -> str:
    kind: str = field["type"]
    if kind in ("RECORD", "STRUCT"):
        inner = [f"`{each['name']}` {_sql(each)}" for each in field["fields"]]
        kind = f"STRUCT<{', '.join(inner)}>"
    kind = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}.get(kind, kind)
    return f"ARRAY<{kind}>" if field.get("mode") == "REPEATED" else kind


def _kind(kind: str) -> str:
    return {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD"}.get(kind, kind)


def _refusal(status: int, reason: str, message: str) -> tuple[int, Json]:
    return status, {"error": {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}}


def _job(project: str, job: Json, status: Json) -> Json:
    reference = {"projectId": project, "location": "US", **job["jobReference"]}
    told = {"kind": "bigquery#job", "id": f"{project}:US.{reference['jobId']}", "jobReference": reference}
    return {**told, "configuration": job["configuration"], "status": status, "statistics": {}}


class _Request(BaseHTTPRequestHandler):
    server: Front
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = f"{self.command} {self.path}"
        self.server.asked.append(request)
        fault = self.server.fault(request)
        if fault is not None and not fault.applied:
            self._say(*_refusal(fault.status, fault.reason, f"a fault that the test asked for: {fault.reason}"))
            return
        status, told, headers = self._answer(body)
        if fault is not None:
            status, told = _refusal(fault.status, fault.reason, f"a fault after it was done: {fault.reason}")
            headers = {}
        self._say(status, told, headers)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815  http.server's names

    def _answer(self, body: bytes) -> tuple[int, Json | bytes, dict[str, str]]:
        front = self.server
        upload, jobs = _UPLOAD.match(self.path), _JOBS.match(self.path)
        if upload:
            return self._upload(upload[1], body)
        if _PERMISSIONS.match(self.path):
            asked = json.loads(body)["permissions"]
            return 200, {"permissions": [each for each in asked if each not in front.denied]}, {}
        if jobs and self.command == "POST" and jobs[2] is None:
            return *front.run(jobs[1], json.loads(body)), {}
        if jobs and self.command == "GET" and jobs[2] in front.jobs:
            done = front.jobs[jobs[2]]
            return (
                200,
                done
                or _job(
                    jobs[1], {"jobReference": {"jobId": jobs[2]}, "configuration": {"load": {}}}, {"state": "RUNNING"}
                ),
                {},
            )
        if _TABLE.match(self.path) and self.command in ("PATCH", "PUT"):
            refusal = front.patched(self.path.partition("?")[0], json.loads(body), self.headers["If-Match"])
            if refusal is not None:
                return *refusal, {}
        kept = {name: value for name, value in self.headers.items() if name.lower() == "content-type"}
        return *front.ask(self.command, self.path, body or None, kept), {}

    def _upload(self, project: str, body: bytes) -> tuple[int, Json | bytes, dict[str, str]]:
        front = self.server
        name = re.search(r"upload_id=(\d+)", self.path)
        if "uploadType=multipart" in self.path:
            kind = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            described, rows = email.message_from_bytes(kind + body, policy=email.policy.HTTP).iter_parts()
            return *self._loaded(project, json.loads(described.get_content()), rows.get_content()), {}
        if name is None:
            job = json.loads(body)
            if job["jobReference"]["jobId"] in front.jobs:
                return *_refusal(409, "duplicate", f"Already Exists: Job {project}:US"), {}
            with front.lock:
                number = str(len(front.uploads))
                front.uploads[number] = job
            return 200, b"", {"Location": f"{front.url}{self.path}&upload_id={number}"}
        return *self._loaded(project, front.uploads[name[1]], body), {}

    def _loaded(self, project: str, job: Json, rows: bytes) -> tuple[int, Json]:
        uri, place = self.server.new_file()
        place.write_bytes(rows)
        job["configuration"]["load"]["sourceUris"] = [uri]
        return self.server.run(project, job)

    def _say(self, status: int, told: Json | bytes, headers: dict[str, str] | None = None) -> None:
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def fronted(emulator: Emulator) -> Iterator[Front]:
    """Serve before an emulator, from a thread."""
    front = Front(emulator)
    thread = threading.Thread(target=front.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield front
    finally:
        front.shutdown()
        front.server_close()
        thread.join()
