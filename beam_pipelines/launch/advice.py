"""What to do about an error that the place where a job runs is to blame for, told from the text it ends with."""

from __future__ import annotations

import re

from beam_pipelines import __version__

_SHIP = (
    f"install beam-pipelines=={__version__} in the workers' image or in the Python of the worker pool, "
    "or ship the code with --setup_file"
)
_KNOWN = (
    (
        r"No module named 'beam_pipelines",
        f"The workers can't import this package: {_SHIP}.",
    ),
    (
        r"No module named '(?P<name>[\w.]+)'",
        "The workers can't import {name}: install it where they run, with the versions of requirements.txt, or ship "
        "your own code with --setup_file.",
    ),
    (
        r"code expected at most \d+ arguments|code\(\) (argument|takes)|bad marshal data|unknown opcode",
        "The workers run another version of Python: it must have the same minor version as this one.",
    ),
    (
        r"command 'docker|Cannot run program \"docker\"|Cannot connect to the Docker daemon|docker: not found",
        "The runner starts workers in Docker, and can't: install Docker on the cluster's machines, or choose "
        "--environment_type=EXTERNAL with a worker pool, PROCESS, or LOOPBACK for a job server on this machine.",
    ),
    (
        r"ConnectException.*Connection refused|StartWorker.*UNAVAILABLE|io\.grpc\.StatusRuntimeException: UNAVAILABLE",
        "The cluster can't reach something it was told of. With --environment_type=EXTERNAL that is mostly the worker "
        "pool: --environment_config must be its HOST:PORT as the cluster's machines see it.",
    ),
    (
        r"AccessDenied|storage\.objects\.\w+ (access|permission)|HTTP (Error )?403|code[\"': =]+403|status: <?403|"
        r"'403'|HttpForbidden|Forbidden|PermissionDenied|\b403 (GET|POST|PUT)",
        "Permission was refused: the account that submits needs to read and write --temp_location and "
        "--staging_location, and the workers' account to read them.",
    ),
    (
        r"(?i)failed to retrieve (staged|artifact)|artifact.{0,200}(unavailable|refused|not found|deadline)",
        "The workers have no way to the staged artifacts: the job server's artifact port (--artifact-port) must be "
        "reachable, under the name it gives itself, from here and from the workers.",
    ),
    (
        r"storage\.googleapis|DefaultCredentialsError|could not automatically determine credentials|metadata\.google",
        "Google's credentials are missing or wrong: `gcloud auth application-default login`, or set "
        "GOOGLE_APPLICATION_CREDENTIALS.",
    ),
)


def of(text: str) -> str | None:
    """What to do about an error of this text; None when nothing is known of it.

    >>> of("ModuleNotFoundError: No module named 'shop'").split(":")[0]
    "The workers can't import shop"
    >>> of("ZeroDivisionError: division by zero")
    """
    for pattern, advice in _KNOWN:
        found = re.search(pattern, text)
        if found:
            return advice.format(**found.groupdict())
    return None


def of_silence(environment: str, stage: str | None) -> str:
    """What to do when a job is still not done: `environment` is --environment_type, `stage` how far it came."""
    if stage != "running":
        return "The runner hasn't even taken the job. Look at the log of the job server."
    start = "The runner took the job, and it didn't end. "
    if environment == "EXTERNAL":
        return start + (
            "Do the cluster's machines reach the worker pool at --environment_config, and is the Python with Beam "
            "first in the PATH of the pool? Its log says why a worker didn't start."
        )
    if environment == "LOOPBACK":
        return start + "Can the cluster open connections to this machine? LOOPBACK puts the workers here."
    return start + "The runner's own log and web page say whether workers started, and why not."
