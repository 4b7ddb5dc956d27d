"""The image, built once for all tests of this folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts import image
from tests import runners

ARGUMENTS = {
    "PIPELINE": "event_analytics",
    "VERSION": "1.2.3",
    "REVISION": "0a1b2c3",
    "SOURCE": "https://example.com/x",
}
TEMPLATES = Path(__file__).parents[2] / "templates"


@pytest.fixture(scope="session")
def built() -> str:
    runners.need("servers")
    return image.build("beam-pipelines", arguments=ARGUMENTS)


@pytest.fixture(scope="session")
def settings(built: str) -> Any:
    """What the image says of itself: labels, variables, entrypoint."""
    return json.loads(image.buildah("inspect", "--type=image", built))["OCIv1"]["config"]


@pytest.fixture(scope="session")
def layers(built: str) -> list[int]:
    """Bytes of the image's layers, from the base up."""
    manifest = json.loads(image.buildah("inspect", "--type=image", "--format={{.Manifest}}", built))
    return [layer["size"] for layer in manifest["layers"]]
