"""Whether the places in Cloud Storage that parameters name are there, as far as the caller's rights let us see."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from beam_pipelines.options import OptionSpec, split

_READ = ("GCS_READ_FILE", "GCS_READ_FOLDER", "GCS_READ_BUCKET", "JAVASCRIPT_UDF_FILE")
_WRITE = ("GCS_WRITE_FILE", "GCS_WRITE_FOLDER", "GCS_WRITE_BUCKET")
_URL = re.compile(r"gs://(?P<bucket>[^/]+)(?:/(?P<name>.*))?")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_WILD = re.compile(r"[*?\[]")
_NAMED = 5  # names that a message lists
_LISTED = 1000  # names that are looked through for one near to what isn't there


@dataclasses.dataclass
class Seen:
    """What was found: `problems` that refuse a launch, and `unsure`, what could not be looked at."""

    problems: list[str] = dataclasses.field(default_factory=list)
    unsure: list[str] = dataclasses.field(default_factory=list)


def not_on_dataflow(specs: Sequence[OptionSpec], parameters: Mapping[str, str]) -> list[str]:
    """Complaints about parameters that name files of this machine, or no bucket that can be."""
    problems = []
    for spec, path in _paths(specs, parameters):
        found = _URL.fullmatch(path)
        if "://" not in path:
            problems.append(
                f"{spec.flag}: '{path}' is a path of this machine, which no worker of Dataflow sees: copy it to Cloud "
                "Storage and name it as gs://BUCKET/…"
            )
        elif path.startswith("gs://") and (found is None or not _BUCKET.fullmatch(found["bucket"])):
            problems.append(f"{spec.flag}: '{path}' is not gs://BUCKET/NAME with a name that a bucket can have")
        elif found is not None and not found["name"] and "BUCKET" not in spec.param_type:
            problems.append(f"{spec.flag}: '{path}' is a whole bucket: say which folder or file in it")
    return problems


def look(specs: Sequence[OptionSpec], parameters: Mapping[str, str]) -> Seen:
    """Look at every gs:// place that is read or written."""
    seen = Seen()
    for spec, path in _paths(specs, parameters):
        found = _URL.fullmatch(path)
        if found is not None:
            _look_at(spec.flag, spec.param_type in _WRITE, path, found["bucket"], found["name"] or "", seen)
    return seen


def read_text(option: str, url: str, seen: Seen) -> str | None:
    """An object as text; None, with what is wrong in `seen`, when it can't be had."""
    before = len(seen.problems), len(seen.unsure)
    found = _URL.fullmatch(url)
    assert found is not None, url
    _look_at(option, False, url, found["bucket"], found["name"] or "", seen, literal=True)
    if (len(seen.problems), len(seen.unsure)) != before:
        return None
    content = _client().bucket(found["bucket"]).blob(found["name"]).download_as_bytes()
    try:
        return str(content.decode("utf-8"))
    except UnicodeDecodeError:
        seen.problems.append(f"{option}: '{url}' is not text")
        return None


def _paths(specs: Sequence[OptionSpec], parameters: Mapping[str, str]) -> Iterator[tuple[OptionSpec, str]]:
    for spec in specs:
        text = parameters.get(spec.name, "")
        if spec.param_type in (*_READ, *_WRITE) and text:
            yield from ((spec, path) for path in (split(text) if spec.many else [text]))


def _look_at(
    option: str, writes: bool, path: str, bucket: str, name: str, seen: Seen, *, literal: bool = False
) -> None:
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError

    wanted = ["storage.objects.create", "storage.objects.delete"] if writes else ["storage.objects.get"]
    try:
        granted = _client().bucket(bucket).test_iam_permissions(wanted)
        if not set(wanted) <= set(granted):
            verb = "write to" if writes else "read"
            seen.unsure.append(f"{option}: you may not {verb} '{path}', so that the workers may is not checked")
        elif not writes:
            _find(option, path, bucket, name, seen, literal)
    except exceptions.NotFound:
        seen.problems.append(f"{option}: there is no bucket '{bucket}' ('{path}')")
    except (exceptions.Forbidden, exceptions.Unauthorized, GoogleAuthError) as refused:
        seen.unsure.append(f"{option}: '{path}' can't be looked at from here ({type(refused).__name__}): not checked")
    except (exceptions.GoogleAPICallError, OSError) as failure:
        seen.unsure.append(f"{option}: '{path}' can't be looked at ({failure}): not checked")


def _find(option: str, path: str, bucket: str, name: str, seen: Seen, literal: bool) -> None:
    """Look for an object, or for any that a pattern matches."""
    client = _client()
    if client.bucket(bucket).blob(name).exists():
        return
    if not literal and _WILD.search(name):
        from apache_beam.io.filesystems import FileSystems

        if FileSystems.match([path], limits=[1])[0].metadata_list:
            return
    folder = _WILD.split(name, maxsplit=1)[0].rpartition("/")[0]
    there = [blob.name for blob in client.list_blobs(bucket, prefix=folder and f"{folder}/", max_results=_LISTED)]
    what = "no object matches" if not literal and _WILD.search(name) else "there is no object"
    # Only what comes after the folder is compared: long paths of one folder are all alike.
    below = {each[len(folder) + 1 if folder else 0 :]: each for each in there}
    similar = difflib.get_close_matches(name[len(folder) + 1 if folder else 0 :], below, n=1, cutoff=0.6)
    some = ", ".join(sorted(below)[:_NAMED]) + (", …" if len(below) > _NAMED else "")
    near = f" In 'gs://{bucket}/{folder}' there is: {some}."
    if similar:
        near = f" Did you mean 'gs://{bucket}/{below[similar[0]]}'?"
    if not there:
        near = f" There is nothing in 'gs://{bucket}/{folder}'."
    if any(each.startswith(f"{name.rstrip('/')}/") for each in there):
        near = f" It is a folder: say which files in it, as in '{path.rstrip('/')}/*'."
    seen.problems.append(f"{option}: {what} '{path}'.{near}")


def _client() -> Any:
    """A client of Cloud Storage, or of an emulator that STORAGE_EMULATOR_HOST names."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return storage.Client(project="local", credentials=AnonymousCredentials())
    return storage.Client()


def read_bytes(url: str) -> bytes | None:
    """An object's bytes; None when it isn't there, or may not be read."""
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError

    found = _URL.fullmatch(url)
    if found is None or not found["name"]:
        return None
    try:
        content: bytes = _client().bucket(found["bucket"]).blob(found["name"]).download_as_bytes()
    except (exceptions.GoogleAPICallError, GoogleAuthError, OSError):
        return None
    return content
