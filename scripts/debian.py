"""Debian packages that tests and scripts use: `python -m scripts.debian` installs those that are missing.

Servers among them are not started by being installed: each test starts its own.
"""

from __future__ import annotations

import os
import subprocess
import sys

PACKAGES = (
    "buildah",
    "chromium",
    "debootstrap",
    "mariadb-server",
    "memcached",
    "mosquitto",
    "postgresql-15",
    "prometheus",
    "prometheus-pushgateway",
    "rabbitmq-server",
    "redis-server",
    "redis-server",
    "shellcheck",
)
_INSTALL_SECONDS = 900


def install(*names: str) -> None:
    """Install packages, all of `PACKAGES` when none is named; nothing is done for those that are there.

    RuntimeError when that can't be done.
    """
    missing = _missing(names or PACKAGES)
    if not missing:
        return
    print(f"installing {' '.join(missing)} with apt-get", file=sys.stderr, flush=True)
    _apt("update")
    _apt("install", "--yes", "--no-install-recommends", *missing)


def _missing(names: tuple[str, ...]) -> list[str]:
    try:
        asked = subprocess.run(
            ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *names],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise RuntimeError(f"this needs Debian's packages {', '.join(names)}, and is not a Debian") from None
    there = {line.split()[0] for line in asked.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in names if name not in there]


def _apt(*words: str) -> None:
    # RUNLEVEL keeps servers from being started; two installations at once wait for each other.
    command = ["apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=300", *words]
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"`{' '.join(command)}` failed; it needs root:\n{done.stderr[-2000:]}")


if __name__ == "__main__":
    install()
