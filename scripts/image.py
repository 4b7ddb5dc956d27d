"""The image of templates/Dockerfile, built and run on this machine: no Docker, no registry of images.

    python -m scripts.image                # builds it and prints what `buildah` knows it by
    python -m scripts.image install        # only what doesn't change from one build to the next

The Dockerfile is built unchanged by buildah. What can't be fetched here stands in for the three images that it begins
with: Debian's own Python for `python:3.11-slim-bookworm`; the SDK's own `boot`, built by Go, for the Beam SDK's image;
and, for Google's launcher, a script that does as much of its contract as a program sees: it runs
$FLEX_TEMPLATE_PYTHON_PY_FILE with the parameters. Needs root, as debootstrap and chroot do.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from beam_pipelines.dataflow_emulator import worker_environment
from scripts import cache, debian

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "templates" / "Dockerfile"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_SUITE = "bookworm"  # of the image that it stands in for
_PACKAGES = "python3,python3-venv,ca-certificates"
_OURS = "beam-pipelines-"  # begins the names of containers; the id of their process follows
_BUILD_SECONDS = 900  # 105 s on two idle cores when nothing is there yet, 15 s when only the package changed
_LAUNCHER = """#!/bin/sh
# Stands in for Google's launcher of flex templates.
exec python "$FLEX_TEMPLATE_PYTHON_PY_FILE" "$@"
"""
# Not needed to run Python, and half of what debootstrap leaves.
_DROPPED = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")


def build(tag: str, context: Path = ROOT, arguments: Mapping[str, str] | None = None) -> str:
    """Build the Dockerfile with its build arguments and return the name of the image, `localhost/TAG`."""
    install()
    name = f"localhost/{tag}"
    with cache.locked(_place()):
        # Named, so that it is kept: the dependencies are most of the work.
        _build(context, f"{name}-dependencies", ["--target", "dependencies"])
        given = [f"--build-arg={key}={value}" for key, value in (arguments or {}).items()]
        _build(context, name, given)
        _clear()
    return name


def install() -> None:
    """Make the images that stand in for those of the Dockerfile's first lines, unless they are there."""
    debian.install("buildah", "debootstrap")
    makers = {"PYTHON_IMAGE": _python, "SDK_IMAGE": _sdk, "LAUNCHER_IMAGE": _launcher}
    with cache.locked(_place()):
        there = buildah("images", "--format", "{{.Name}}:{{.Tag}}").split()
        for argument, name in _bases().items():
            if name not in there:
                print(f"making a stand-in for {name}", file=sys.stderr, flush=True)
                with tempfile.TemporaryDirectory(dir=_place()) as folder:
                    _commit(name, makers[argument](Path(folder)))


@contextlib.contextmanager
def container(image: str) -> Iterator[str]:
    """A container of the image, for `command`; its files are gone afterwards."""
    name = f"{_OURS}{os.getpid()}-{secrets.token_hex(4)}"
    buildah("from", "--pull-never", f"--name={name}", image)
    try:
        yield name
    finally:
        buildah("rm", name)


def command(
    container: str,
    words: Sequence[str],
    variables: Mapping[str, str] | None = None,
    volumes: Sequence[Path] = (),
    user: str | None = None,
) -> list[str]:
    """What runs a program in a container, on this machine's network; volumes have the same path inside."""
    options = ["--isolation=chroot", *(f"--env={name}={value}" for name, value in (variables or {}).items())]
    options += [f"--volume={volume}:{volume}" for volume in volumes]
    options += [f"--user={user}"] if user else []
    return [*_buildah(), "run", *options, container, "--", *words]


def buildah(*words: str) -> str:
    """Run buildah on the images kept here and return what it says. RuntimeError with its complaint if it fails."""
    done = subprocess.run(
        [*_buildah(), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_BUILD_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"buildah {' '.join(words)}:\n{done.stderr[-2000:]}")
    return done.stdout


def _clear() -> None:
    """Remove the containers of processes that were killed, and images that have no name any more."""
    for name in buildah("containers", "--format", "{{.ContainerName}}").split():
        owner = name.removeprefix(_OURS).partition("-")[0]
        if name.startswith(_OURS) and not Path("/proc", owner).exists():
            buildah("rm", name)
    with contextlib.suppress(RuntimeError):  # another process runs what was built before
        buildah("rmi", "--prune")


def _build(context: Path, name: str, more: Sequence[str]) -> None:
    words = ["--isolation=chroot", "--layers", "--force-rm", "--pull-never", f"--tag={name}", f"--file={DOCKERFILE}"]
    buildah("bud", *words, *more, str(context))


def _bases() -> dict[str, str]:
    """The images that the Dockerfile begins with: its arguments `ARG X_IMAGE=NAME`."""
    return dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE))


def _place() -> Path:
    return cache.folder("image")


@functools.cache
def _buildah() -> tuple[str, ...]:
    place = _place()
    return ("buildah", f"--root={place}/storage", f"--runroot={place}/run", f"--storage-driver={_driver(place)}")


def _driver(place: Path) -> str:
    """Layers that share files, where the kernel lets us; else copies."""
    folders = [place / "probe" / name for name in ("lower", "upper", "work", "merged")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    lower, upper, work, merged = folders
    layers = f"lowerdir={lower},upperdir={upper},workdir={work}"
    tried = subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o", layers, str(merged)], capture_output=True, check=False
    )
    if tried.returncode == 0:
        subprocess.run(["umount", str(merged)], check=True)
    shutil.rmtree(place / "probe", ignore_errors=True)
    return "vfs" if tried.returncode else "overlay"


def _commit(name: str, files: Path) -> None:
    container = buildah("from", "scratch").strip()
    try:
        buildah("copy", container, str(files), "/")
        variables = {
            "PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "SSL_CERT_FILE": CERTIFICATES,
            "PIP_CERT": CERTIFICATES,
        }
        buildah("config", *(f"--env={key}={value}" for key, value in variables.items()), container)
        buildah("commit", container, name)
    finally:
        buildah("rm", container)


def _python(folder: Path) -> Path:
    """Debian with its Python where the image has it: `python` and `pip` in /usr/local/bin."""
    root = folder / "root"
    words = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(root)]
    subprocess.run(words, stdout=subprocess.DEVNULL, stderr=sys.stderr, timeout=_BUILD_SECONDS, check=True)
    for name in _DROPPED:
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True)
    if Path(CERTIFICATES).exists():  # an authority of this network's own may be among them
        shutil.copyfile(CERTIFICATES, root / CERTIFICATES.lstrip("/"))
    subprocess.run(["chroot", str(root), "python3", "-m", "venv", "/usr/local"], timeout=60, check=True)
    return root


def _sdk(folder: Path) -> Path:
    place = folder / "opt" / "apache" / "beam"
    place.mkdir(parents=True)
    shutil.copy(worker_environment.boot(None, worker_environment.cache_directory()), place / "boot")
    shutil.copy(ROOT / "LICENSE", place)
    return folder


def _launcher(folder: Path) -> Path:
    program = folder / "opt" / "google" / "dataflow" / "python_template_launcher"
    program.parent.mkdir(parents=True)
    program.write_text(_LAUNCHER)
    program.chmod(0o755)
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.image", description=__doc__)
    parser.add_argument("action", nargs="?", choices=("build", "install"), default="build")
    if parser.parse_args().action == "install":
        install()
    else:
        print(build("beam-pipelines"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
