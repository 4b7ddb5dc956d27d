"""What workers run in: the SDK's `boot` and a Python with pinned packages and nothing of the submitter's.

The packages are those of `apache-beam[gcp]` and of this package's dependencies, in the versions that
are installed here, as an image built from the same lock would have them. This package itself is not
among them: it reaches a worker only when it was staged.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from beam_pipelines.errors import UsageError

_OURS = "beam-pipelines"
_BEAM = "apache-beam[gcp]"
_SDK_BOOT = "github.com/apache/beam/sdks/v2/python/container"
# The image of Beam 2.77 has these, and boot builds staged source distributions with them (no isolation).
_BUILD_TOOLS = ("pip==26.2.1", "setuptools==84.0.0", "wheel==0.48.0")
_KEPT_VARIABLES = ("HOME", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_KEPT_PREFIXES = ("PIP_",)
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")


def cache_directory() -> Path:
    """Where what is built once is kept: $BEAM_PIPELINES_CACHE, or a folder in the user's cache directory."""
    users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("BEAM_PIPELINES_CACHE") or users / "beam-pipelines").absolute()


def pins(extra: Iterable[str] = ()) -> list[str]:
    """`name==version` of everything that Beam, this package and the `extra` requirements need.

    Raises UsageError for one that is not installed here.
    """
    wanted = [Requirement(text) for text in (_BEAM, _OURS, *extra)]
    versions: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        # The empty extra stands for what is needed without any.
        for asked in sorted({"", *requirement.extras}):
            if (name, asked) in seen:
                continue
            seen.add((name, asked))
            try:
                found = importlib.metadata.distribution(name)
            except importlib.metadata.PackageNotFoundError:
                raise UsageError(f"workers need {requirement}, which is not installed here") from None
            versions[name] = found.version
            for text in found.requires or ():
                needed = Requirement(text)
                if needed.marker is None or needed.marker.evaluate({"extra": asked}):
                    wanted.append(needed)
    others = {_OURS, *(tool.partition("==")[0] for tool in _BUILD_TOOLS)}
    return [f"{name}=={version}" for name, version in sorted(versions.items()) if name not in others]


class WorkerEnvironment:
    """The Python environment of workers, built once for each set of packages and kept in `directory`."""

    def __init__(self, cache: Path, packages: Iterable[str]) -> None:
        self.packages = [*_BUILD_TOOLS, *packages]
        about = "\n".join([platform.python_version(), sys.base_prefix, platform.machine(), *self.packages])
        self.directory = cache / "dataflow-emulator" / f"worker-{hashlib.sha256(about.encode()).hexdigest()[:16]}"

    def build(self) -> None:
        """Install the packages, unless that was done before. Takes minutes the first time.

        Raises UsageError with what pip said when a package can't be had.
        """
        done = self.directory / "done"
        with _locked(self.directory.with_suffix(".lock")):
            if done.exists():
                return
            shutil.rmtree(self.directory, ignore_errors=True)
            venv.create(self.directory, with_pip=True, symlinks=True)
            listed = self.directory / "requirements.txt"
            listed.write_text("\n".join(self.packages) + "\n")
            python = self.directory / "bin" / "python"
            for what in (list(_BUILD_TOOLS), ["--requirement", str(listed)]):
                _run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", *what], "the workers' packages")
            done.touch()

    def overlay(self, directory: Path) -> Path:
        """Make an environment that sees the shared packages and takes staged ones for one job only.

        Returns its folder of programs, for the front of the PATH.
        """
        venv.create(directory, with_pip=False, symlinks=True)
        shared, own = (_site_packages(each) for each in (self.directory, directory))
        (own / "shared.pth").write_text(f"{shared}\n")
        return directory / "bin"


def variables(programs: Path, home: Path, given: Mapping[str, str]) -> dict[str, str]:
    """The environment variables of a worker: a few of ours (pip's, certificates, proxies), and those given.

    `programs` goes to the front of the PATH; `home` is for temporary files.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIXES) or name.lower() in _PROXIES
    }
    return {
        **kept,
        "PATH": os.pathsep.join([str(programs), "/usr/local/bin", "/usr/bin", "/bin"]),
        "TMPDIR": str(home),
        # boot would make its environment in /opt otherwise, with the packages of the system's Python.
        "RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT": "1",
        **given,
    }


def boot(given: Path | None, cache: Path) -> Path:
    """The SDK's entrypoint for workers: the one given, or built once with Go into the cache.

    Raises UsageError when it can't be had.
    """
    if given is not None:
        if not os.access(given, os.X_OK):
            raise UsageError(f"--boot: '{given}' is not a program that can be run")
        return given
    version = importlib.metadata.version("apache-beam")
    program = cache / "dataflow-emulator" / f"boot-{version}"
    with _locked(program.with_suffix(".lock")):
        if program.exists():
            return program
        if shutil.which("go") is None:
            raise UsageError(
                f"the workers' entrypoint is not at {program} and can't be built, for there is no Go on the PATH. "
                f"Install Go, or name one with --boot (built by `go install {_SDK_BOOT}@v{version}`)"
            )
        with tempfile.TemporaryDirectory(dir=program.parent) as target:
            _run(["go", "install", f"{_SDK_BOOT}@v{version}"], "the workers' entrypoint", GOBIN=target)
            (Path(target) / "container").rename(program)
    return program


def _site_packages(environment: Path) -> Path:
    return environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _run(command: list[str], what: str, **extra: str) -> None:
    outcome = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **extra}, check=False)
    if outcome.returncode:
        raise UsageError(f"could not make {what} with `{' '.join(command)}`:\n{outcome.stderr.strip()}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a file's lock, so that of two processes one builds and the other waits for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
