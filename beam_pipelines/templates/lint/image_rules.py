"""The image: that launcher and workers run the same, that nothing is installed at launch, and that it is what the
metadata says."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from beam_pipelines.errors import UsageError
from beam_pipelines.templates.lint.findings import Finding, Folder
from beam_pipelines.templates.lint.metadata_rules import SECRET, described

_PROGRAM = "FLEX_TEMPLATE_PYTHON_PY_FILE"
_FROM_SDK = re.compile(r"apache/beam_python(?P<python>[\d.]+)_sdk:(?P<beam>[\w.]+)")
_PINNED_BEAM = re.compile(r"^apache[-_]beam(?:\[[^\]]*\])?==(?P<beam>[\w.]+)", re.MULTILINE)
_PIP = re.compile(r"pip3?\s+install\s+(?P<what>[^\n&|;]*)")


def image_findings(folder: Folder) -> Iterator[Finding]:
    """Findings about Dockerfiles, requirements and the image that a container spec names."""
    versions = list(_beam_versions(folder))
    if len({version for _, version in versions}) > 1:
        told = ", ".join(f"{version} in {path}" for path, version in versions)
        yield Finding("error", "drift", versions[0][0], f"different versions of Beam: {told}")
    for path, spec in _specs(folder):
        yield from _of_spec(path, spec)
    for path, text in folder.files.items():
        if PurePosixPath(path).name.startswith("Dockerfile"):
            yield from _of_dockerfile(path, _joined(text), folder)


def _specs(folder: Folder) -> Iterator[tuple[str, Any]]:
    for path, text in folder.named(".json"):
        with contextlib.suppress(UsageError):  # told by the metadata's own rules
            yield from ((path, spec) for _, _, spec in described(Folder({path: text})) if spec is not None)


def _beam_versions(folder: Folder) -> Iterator[tuple[str, str]]:
    for path, text in folder.files.items():
        if PurePosixPath(path).name.startswith("Dockerfile"):
            yield from ((path, found["beam"]) for found in _FROM_SDK.finditer(text))
        elif path.endswith(".txt"):
            yield from ((path, found["beam"]) for found in _PINNED_BEAM.finditer(text))
    yield from ((path, spec.sdk_info.version) for path, spec in _specs(folder) if spec.sdk_info.version)


def _of_spec(path: str, spec: Any) -> Iterator[Finding]:
    tag = spec.image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    if not spec.image:
        yield Finding("error", "image", path, "names no image")
    elif "@sha256:" not in spec.image and tag in ("", "latest"):
        yield Finding("warning", "image", path, f"{spec.image} may be another image tomorrow: name a tag or a digest")
    workers = spec.default_environment.sdk_container_image
    if spec.image and workers and workers != spec.image:
        yield Finding("warning", "drift", path, f"workers run {workers}, the launcher {spec.image}: they may differ")


def _of_dockerfile(path: str, text: str, folder: Folder) -> Iterator[Finding]:
    variables = dict(_variables(text))
    program = variables.get(_PROGRAM)
    if program is None:
        yield Finding("error", "launcher", path, f"sets no {_PROGRAM}: the launcher doesn't know what to start")
    elif not list(folder.named(PurePosixPath(program).name)) and PurePosixPath(program).name not in text.replace(
        program, ""
    ):
        yield Finding("warning", "launcher", path, f"{_PROGRAM} is {program}, which isn't among these files")
    if "FLEX_TEMPLATE_PYTHON_REQUIREMENTS_FILE" in variables:
        yield Finding(
            "warning",
            "installs",
            path,
            "FLEX_TEMPLATE_PYTHON_REQUIREMENTS_FILE makes each launch and each worker install packages: install them "
            "into the image, and launch with it as sdk_container_image",
        )
    for found in _PIP.finditer(text):
        words = found["what"].split()
        loose = [word for word in words if re.match(r"[A-Za-z][\w.-]*(\[[\w,]*\])?$", word.strip("'\""))]
        if loose and not {"-r", "--requirement", "--no-index", "-e"} & set(words):
            yield Finding("warning", "unpinned", path, f"installs {', '.join(loose)} in whatever version is newest")
    for name, value in variables.items():
        if SECRET.search(name) and value and not value.startswith(("$", "/")):
            yield Finding("error", "secret", path, f"sets {name} to a value: whoever may pull the image can read it")
    if re.search(r"^FROM\s+\S+:latest\b", text, re.MULTILINE):
        yield Finding("warning", "unpinned", path, "is built on an image tagged latest")


def _joined(dockerfile: str) -> str:
    """A Dockerfile without comments, each instruction on one line."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    return "\n".join(lines).replace("\\\n", " ")


def _variables(text: str) -> Iterator[tuple[str, str]]:
    """Names and values of ENV and of ARG with a default."""
    for found in re.finditer(r"^\s*(?:ENV|ARG)\s+(?P<rest>.+)$", text, re.MULTILINE):
        pairs = re.findall(r"""(\w+)=("[^"]*"|'[^']*'|\S*)""", found["rest"])
        if not pairs and len(words := found["rest"].split(None, 1)) == 2:
            pairs = [(words[0], words[1])]
        yield from ((name, value.strip("\"'")) for name, value in pairs)
