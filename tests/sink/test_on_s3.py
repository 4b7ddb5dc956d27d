"""Objects on S3's protocol are created once: a real store, that asks for credentials and heeds preconditions."""

from __future__ import annotations

import threading

import pytest

from beam_pipelines.errors import UsageError
from beam_pipelines.sink import storage
from beam_pipelines.sink.tables.known import table_of
from tests.sink.tables.killed import ROWS


def test_of_many_who_create_an_object_at_once_one_does(bucket: str) -> None:
    start, won = threading.Barrier(4), []

    def create(number: int) -> None:
        start.wait(60)
        if storage.write_if_absent(f"{bucket}/manifest.json", b"%d" % number, f"{bucket}/tmp"):
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert storage.read(f"{bucket}/manifest.json") == b"%d" % won[0]
    assert storage.publish(f"{bucket}/manifest.json", f"{bucket}/other.json")
    assert not storage.publish(f"{bucket}/manifest.json", f"{bucket}/other.json")
    with pytest.raises(FileNotFoundError):
        storage.publish(f"{bucket}/nothing.json", f"{bucket}/third.json")


def test_wrong_credentials_are_told(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    with pytest.raises(UsageError, match="refuses our credentials") as refused:
        table_of(f"delta+{bucket}/orders?create=true", ROWS).check()
    assert "wrong-secret" not in str(refused.value)
