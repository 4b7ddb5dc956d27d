from __future__ import annotations

import secrets
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.internal import pickler
from apache_beam.internal.cloudpickle import cloudpickle
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.testing.util import assert_that, equal_to

from beam_pipelines.contract.model import Contract, Field, Mask
from beam_pipelines.errors import ContractError, UsageError
from beam_pipelines.mask.keys import KEY_VARIABLE, KeyReference, MaskKey
from beam_pipelines.mask.pseudonyms import pseudonymise
from beam_pipelines.mask.transform import MaskBatches

SECRET = secrets.token_bytes(32)

USERS = Contract(
    "users",
    (
        Field("user", pa.string(), required=True, classification="confidential", mask=Mask("pseudonym")),
        Field("phone", pa.string(), mask=Mask("keep_last", "2")),
    ),
)
BATCH = pa.record_batch({"user": ["ann", "bob"], "phone": ["123456", None]})


def masked_rows() -> list[dict[str, str | None]]:
    ann, bob = pseudonymise(pa.array(["ann", "bob"]), MaskKey("k1", SECRET)).to_pylist()
    return [{"user": ann, "phone": "****56"}, {"user": bob, "phone": None}]


def run(key: KeyReference | None) -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        rows = pipeline | beam.Create([BATCH]) | MaskBatches(USERS, key) | beam.FlatMap(lambda b: b.to_pylist())
        assert_that(rows, equal_to(masked_rows()))
        graph = pipeline.to_runner_api()
    dofns = [pickle for pickle in unpacked_dofns(graph) if b"_Mask" in pickle]
    assert dofns
    for written in (graph.SerializeToString(), str(graph).encode(), *dofns):
        assert not shows_secret(written)


def unpacked_dofns(graph: beam_runner_api_pb2.Pipeline) -> list[bytes]:
    """Beam compresses its pickles, and nothing can be found in those."""
    pardos = [
        t.spec.payload for t in graph.components.transforms.values() if t.spec.urn == common_urns.primitives.PAR_DO.urn
    ]
    payloads = [beam_runner_api_pb2.ParDoPayload.FromString(payload).do_fn.payload for payload in pardos]
    return [cloudpickle.dumps(pickler.loads(payload)) for payload in payloads]


def shows_secret(written: bytes) -> bool:
    return SECRET in written or SECRET.hex().encode() in written or repr(SECRET)[2:12].encode() in written


def test_pseudonyms_are_made_with_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, f"k1:{SECRET.hex()}")
    run(None)


def test_pseudonyms_are_made_with_the_key_of_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    path = tmp_path / "mask.key"
    path.write_text(f"k1:{SECRET.hex()}\n")
    run(KeyReference(str(path)))


def test_the_pickled_transform_does_not_hold_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, f"k1:{SECRET.hex()}")
    pickled = cloudpickle.dumps(MaskBatches(USERS))
    assert b"MaskBatches" in pickled
    assert not shows_secret(pickled)


def test_a_missing_key_fails_before_the_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(UsageError, match="pseudonyms need a key"):
        MaskBatches(USERS)


def test_a_contract_without_pseudonyms_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    MaskBatches(Contract("c", (Field("phone", pa.string(), mask=Mask("redact")),)))


def test_a_mask_that_does_not_fit_fails_before_the_launch() -> None:
    with pytest.raises(ContractError, match="is for strings, not for int64"):
        MaskBatches(Contract("c", (Field("phone", pa.int64(), mask=Mask("keep_last", "2")),)))
