from __future__ import annotations

import hashlib
import pickle
import traceback
from pathlib import Path

import pytest
from apache_beam.internal.cloudpickle import cloudpickle

from beam_pipelines.errors import UsageError
from beam_pipelines.mask.keys import KEY_VARIABLE, KeyReference, MaskKey, read_key

SECRET = hashlib.sha256(b"a key for these tests").digest()
LINE = f"k1:{SECRET.hex()}"


def shows_secret(text: str) -> bool:
    return SECRET.hex()[:8] in text.lower() or repr(SECRET)[2:10] in text


@pytest.fixture(autouse=True)
def no_key_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


def test_the_key_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, LINE)
    key = KeyReference().resolve()
    assert (key.id, key.secret()) == ("k1", SECRET)


def test_the_key_is_read_from_a_file_before_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "other:" + "00" * 32)
    path = tmp_path / "mask.key"
    path.write_text(LINE.upper().replace("K1", "k1") + "\r\n")
    key = KeyReference(str(path)).resolve()
    assert (key.id, key.secret()) == ("k1", SECRET)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SECRET.hex(), "not written KEY_ID:HEX"),
        ("", "not written KEY_ID:HEX"),
        (f"k1:{SECRET.hex()}zz", "not hexadecimal"),
        (f"k1:{SECRET.hex()}0", "not hexadecimal"),
        (f"k1:{SECRET.hex()[:62]}", "has 31 bytes; at least 32"),
        (f":{SECRET.hex()}", "id is 1 to 64 letters"),
        (f"{SECRET.hex()}{SECRET.hex()}:{SECRET.hex()}", "id is 1 to 64 letters"),
        (f"k 1:{SECRET.hex()}", "id is 1 to 64 letters"),
    ],
)
def test_a_malformed_key_is_described_but_not_shown(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        read_key(text, "file 'x'")
    assert "file 'x'" in str(raised.value)
    assert not shows_secret("".join(traceback.format_exception(raised.value)))


def test_no_text_or_pickle_of_a_key_has_its_secret() -> None:
    key = MaskKey("k1", SECRET)
    assert not shows_secret(f"{key} {key!r} {[key]}")
    for pickler in (pickle, cloudpickle):
        with pytest.raises(TypeError, match="never pickled"):
            pickler.dumps(key)


def test_no_key_anywhere_says_how_to_make_one() -> None:
    with pytest.raises(UsageError, match=r"BEAM_PIPELINES_MASK_KEY=KEY_ID:HEX .*--mask_key_file.*openssl rand"):
        KeyReference().pinned()


def test_a_worker_without_the_variable_is_told_to_use_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, LINE)
    reference = KeyReference().pinned()
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(UsageError, match=r"not set on this worker: .*--mask_key_file"):
        reference.resolve()


def test_a_worker_with_another_key_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, LINE)
    reference = KeyReference().pinned()
    monkeypatch.setenv(KEY_VARIABLE, LINE.replace("k1", "k2"))
    with pytest.raises(UsageError, match="has id 'k2', at launch it was 'k1'"):
        reference.resolve()


def test_a_missing_or_wrong_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing\.key' can't be read"):
        KeyReference(str(tmp_path / "nothing.key")).resolve()
    (tmp_path / "big").write_bytes(b"k1:" + b"00" * 5000)
    with pytest.raises(UsageError, match="longer than 4096 bytes"):
        KeyReference(str(tmp_path / "big")).resolve()
    (tmp_path / "image").write_bytes(b"\xff\xd8")
    with pytest.raises(UsageError, match="not one line KEY_ID:HEX"):
        KeyReference(str(tmp_path / "image")).resolve()
