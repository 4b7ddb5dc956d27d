"""The one grammar of sources and sinks: what is read, what is refused, and that no secret is shown."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.errors import UsageError
from beam_pipelines.options import option
from beam_pipelines.uris import Uri, parse_uri, read_options, read_secret, scheme_of, secret_reference


@dataclasses.dataclass(frozen=True)
class Options:
    group: str = option("Consumer group.", default="g")
    start: Literal["earliest", "latest"] = option("Where to start.", default="earliest")
    bytes: int = option("Bytes.", default=7)
    topics: tuple[str, ...] = option("More topics.", default=())
    password: str | None = option("Password.", default=None, check=secret_reference)


def _message(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        read_options(parse_uri(text, ["kafka", "mqtt", "postgresql"]), Options)
    return str(caught.value)


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=":"), max_size=12)


@given(
    st.sampled_from(["kafka", "s3", "jdbc+x"]),
    _NAME,
    st.from_regex(r"([a-z0-9.-]{1,9}(:[0-9]{1,5})?)(,[a-z]{1,4}:9)?|\[::1\]:9092|", fullmatch=True),
    _TEXT,
    st.lists(st.tuples(_TEXT.filter(bool), _TEXT), max_size=4).map(tuple),
)
def test_the_text_of_a_uri_reads_back_as_the_same_uri(
    scheme: str, user: str, authority: str, path: str, options: tuple[tuple[str, str], ...]
) -> None:
    uri = Uri(scheme, user, authority, path, options)
    assert parse_uri(str(uri)) == uri


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("kafka://b:9092/orders", Uri("kafka", "", "b:9092", "orders")),
        ("KAFKA://a,b/t?group=x", Uri("kafka", "", "a,b", "t", (("group", "x"),))),
        ("mqtt://h/sensors/+/#", Uri("mqtt", "", "h", "sensors/+/#")),
        ("postgresql://me@h/db?query=a%20%3D%20b", Uri("postgresql", "me", "h", "db", (("query", "a = b"),))),
        ("redis://h/0?x=a=b?c&y=1&", Uri("redis", "", "h", "0", (("x", "a=b?c"), ("y", "1")))),
        ("pubsub://project/topics/%C3%A9", Uri("pubsub", "", "project", "topics/é")),
        ("sqlite:///var/x.db", Uri("sqlite", "", "", "var/x.db")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_part_is_found(text: str, uri: Uri) -> None:
    assert parse_uri(text) == uri


def test_paths_of_files_have_no_scheme() -> None:
    assert [scheme_of(text) for text in ("a/b?.csv", "/tmp/x", "C:\\x", "host:9092/t", "://x")] == [None] * 5
    assert scheme_of("gs://bucket/*") == "gs"


def test_options_are_read_with_their_types() -> None:
    uri = parse_uri("kafka://b/t?bytes=9&topics=a,b&topics=c&password=env:P&start=latest")
    assert read_options(uri, Options) == Options(
        bytes=9, topics=("a", "b", "c"), password="env:P", start="latest", group="g"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("broker:9092/orders", "'broker:9092/orders' is not a URI: write scheme://authority/path?option=value"),
        ("kafak://b/t", "'kafak://…': there is nothing for this scheme. Did you mean 'kafka'?"),
        ("kafka://b/t?gruop=x", "kafka://b/t: ?gruop is not an option of kafka://. Did you mean '?group'?"),
        ("kafka://b/t?group=a&group=b", "kafka://b/t: ?group is given twice"),
        ("kafka://b/t?bytes=much", "kafka://b/t: ?bytes: 'much' is not a whole number"),
        ("kafka://b/t?start=now", "kafka://b/t: ?start: 'now' is not one of earliest, latest."),
        ("kafka://b/t?bytes=x&zzz=1", "kafka://b/t: \n  ?zzz is not an option of kafka://. There is: "),
        ("kafka://b/t?group", "kafka://b/t: options are written ?name=value&name=value; one of them has no '='"),
        ("kafka://b/t%2", "kafka://b/t%2: a '%' that starts no escape such as %20; the sign itself is written %25"),
        ("kafka://b/%FF", "kafka://b/%FF: its %-escapes are not UTF-8"),
        ("kafka://b/t?password=env:", "is a secret: say where it is, not what it is, with env:NAME or file:PATH"),
    ],
)
def test_each_wrong_uri_is_told_what_is_wrong(text: str, message: str) -> None:
    assert message in _message(text)


@pytest.mark.parametrize(
    "text",
    [
        "kafka://me:hunter2@b/t",
        "kafka://me:hunt%ZZer2@b/t",
        "kafka://b/t?password=hunter2",
        "kafka://b/t?password=hunter2&gruop=1",
        "kafka://b/t?hunter2",
        "nothing://me:hunter2@b/t",
        "me:hunter2@b/t",
    ],
)
def test_no_message_shows_a_password(text: str) -> None:
    assert "hunter2" not in _message(text)
    assert "hunt" not in _message(text)


def test_secrets_are_read_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", "hunter2")
    (tmp_path / "one").write_bytes(b"hunter3 \r\n")
    assert read_secret("env:BROKER_PASSWORD", "the password") == "hunter2"
    assert read_secret(f"file:{tmp_path}/one", "the password") == "hunter3 "


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n", "is empty"),
        (b"hunter\xff", "is not UTF-8 text"),
        (b"hunter" * 20_000, "is longer than 65536 bytes"),
        (None, "can't be read"),
    ],
    ids=["empty", "not text", "too long", "not there"],
)
def test_a_secret_that_cannot_be_had_is_told_without_its_content(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        read_secret(f"file:{tmp_path}/secret", "the password")
    assert str(caught.value).startswith("the password: ")
    assert "hunter" not in str(caught.value)
