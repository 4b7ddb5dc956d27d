"""Make a template's folder."""

from __future__ import annotations

import re
from pathlib import Path

import beam_pipelines
from beam_pipelines.errors import UsageError
from beam_pipelines.pipelines import PipelineEntry
from beam_pipelines.templates.container_spec import (
    FILE,
    METADATA_FILE,
    as_file,
    container_spec,
    read_metadata,
    read_spec,
)
from beam_pipelines.templates.metadata import metadata
from beam_pipelines.templates.readme import readme

DOCKERFILE = Path(beam_pipelines.__file__).parents[1] / "templates" / "Dockerfile"
"""The one Dockerfile of all templates; in a checkout only."""

_IMAGE = re.compile(
    r"(?:(?P<registry>[a-z0-9.-]+(?::[0-9]+)?)/)?[a-z0-9._/-]+(?::(?P<tag>[\w][\w.-]{0,127}))?(?P<digest>@sha256:[0-9a-f]{64})?"
)


def template_files(entry: PipelineEntry, image: str, dockerfile: Path = DOCKERFILE) -> dict[str, str]:
    """File name → content of a template's folder; the same for the same pipeline and image.

    UsageError for an image that no registry could have. Without the Dockerfile (that is, outside a checkout) there is
    none among the files.
    """
    check_image(image)
    files = {
        METADATA_FILE: as_file(metadata(entry)),
        FILE: as_file(container_spec(entry, image)),
        "README.md": readme(entry, image),
    }
    read_metadata(files[METADATA_FILE], METADATA_FILE)
    read_spec(files[FILE], FILE)
    if dockerfile.exists():
        files["Dockerfile"] = _of_pipeline(dockerfile.read_text(), entry.name)
    return files


def write_template(entry: PipelineEntry, image: str, folder: Path) -> list[Path]:
    """Write a template's folder, replacing what is there, and return its files."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--output_dir: '{folder}' is a file; name a folder")
    files = template_files(entry, image)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return [folder / name for name in files]


def check_image(image: str) -> None:
    """UsageError for what is no image's name, or names no version of it."""
    found = _IMAGE.fullmatch(image)
    if found is None:
        raise UsageError(
            f"--image: '{image}' is not the name of an image: write REGISTRY/PROJECT/REPOSITORY/NAME:TAG, in small "
            "letters, as europe-west1-docker.pkg.dev/my-project/templates/event_analytics:1.0"
        )
    if found["digest"] is None and found["tag"] in (None, "latest"):
        raise UsageError(
            f"--image: '{image}' may be another image tomorrow: give it a tag other than latest, or a digest "
            "(@sha256:…), so that workers run what was tested"
        )


def _of_pipeline(dockerfile: str, name: str) -> str:
    """The Dockerfile with a pipeline's name as its default."""
    text, n = re.subn(r"^ARG PIPELINE=.*$", f"ARG PIPELINE={name}", dockerfile, flags=re.MULTILINE)
    if n == 0:
        raise ValueError(f"{DOCKERFILE} has no line ARG PIPELINE=…")
    return text
