"""What is advised for errors that a place is to blame for. The texts are as Flink 1.19 and Beam 2.77 gave them."""

from __future__ import annotations

import pytest

from beam_pipelines.launch import advice

FAILED = "Pipeline BeamApp-1 failed in state FAILED: "


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("ModuleNotFoundError: No module named 'beam_pipelines'", "can't import this package"),
        ("ModuleNotFoundError: No module named 'shop.orders'", "can't import shop.orders"),
        ("TypeError: code expected at most 16 arguments, got 18", "another version of Python"),
        (
            FAILED
            + "java.net.ConnectException: java.net.ConnectException: finishConnect(..) failed: Connection refused",
            "--environment_config must be its HOST:PORT",
        ),
        (
            FAILED + "java.io.IOException: Received exit code 125 for command 'docker run -d --network=host "
            "apache/beam_python3.11_sdk:2.77.0'. stderr: docker: Cannot connect to the Docker daemon",
            "--environment_type=EXTERNAL",
        ),
        ("google.api_core.exceptions.Forbidden: 403 POST http://localhost/upload", "--staging_location"),
    ],
)
def test_a_known_error_comes_with_what_to_do(text: str, word: str) -> None:
    assert word in (advice.of(text) or "")


@pytest.mark.parametrize("text", ["ValueError: row 403 of 1000", "KeyError: 'docker'", "the pipeline failed"])
def test_an_error_of_ones_own_code_is_left_alone(text: str) -> None:
    assert advice.of(text) is None


def test_silence_is_explained_by_how_far_the_job_came() -> None:
    assert "hasn't even taken the job" in advice.of_silence("EXTERNAL", "submitting")
    assert "worker pool" in advice.of_silence("EXTERNAL", "running")
    assert "LOOPBACK" in advice.of_silence("LOOPBACK", "running")
