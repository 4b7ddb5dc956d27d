"""Options from text: what is right, and what each wrong one is told."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.errors import UsageError
from beam_pipelines.options import Parent, as_text, examine, option, parse, specs, split, without_passwords


def _positive(value: float) -> None:
    if value <= 0:
        raise ValueError("must be more than 0")


@dataclasses.dataclass(frozen=True)
class Options:
    input: tuple[str, ...] = option("Files to read.", metavar="GLOB", group="input")
    level: int = option("Compression level.", default=3)
    rate: float = option("Rows per second.", default=1.0, check=_positive)
    codec: Literal["zstd", "gzip", "none"] = option("How to compress.", default="zstd")
    window: str | None = option("Window.", default=None, pattern=r"none|fixed:\d+[smhd]", metavar="WINDOW")
    header: bool = option("Whether there is a header.", default=True)
    ports: tuple[int, ...] = option("Ports.", default=())


def _message(**values: Any) -> str:
    with pytest.raises(UsageError) as caught:
        parse(Options, {"input": "a.csv", **values}, source="shop")
    return str(caught.value)


def test_each_type_is_read_from_text() -> None:
    text = {"level": "-7", "rate": "2.5e3", "codec": "gzip", "window": "fixed:1h", "header": "No", "ports": "1,2"}
    assert parse(Options, {"input": "a.csv, b.csv", **text}) == Options(
        input=("a.csv", "b.csv"), level=-7, rate=2500.0, codec="gzip", window="fixed:1h", header=False, ports=(1, 2)
    )


def test_values_that_have_the_type_already_are_taken() -> None:
    values = {"input": ["a", "b,c"], "level": 4, "rate": 2, "header": False, "ports": (8099,)}
    parsed = parse(Options, values)
    assert parsed == Options(input=("a", "b", "c"), level=4, rate=2.0, header=False, ports=(8099,))
    assert type(parsed.rate) is float


def test_a_repeated_option_adds_up() -> None:
    assert parse(Options, {"input": ["a,b", "c"]}).input == ("a", "b", "c")


def test_what_is_not_given_or_left_blank_has_its_default() -> None:
    assert parse(Options, {"input": "a", "level": "", "window": "", "codec": None, "ports": [""]}) == Options(
        input=("a",)
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"input": ""}, "--input is required: Files to read."),
        ({"input": " , ,"}, "--input: holds nothing but commas"),
        ({"level": "1.5"}, "--level: '1.5' is not a whole number"),
        ({"level": "1_000"}, "--level: '1_000' is not a whole number"),
        ({"level": True}, "--level: 'True' is not a whole number"),
        ({"level": 2.0}, "--level: '2.0' is not a whole number"),
        ({"rate": "fast"}, "--rate: 'fast' is not a number"),
        ({"rate": "nan"}, "--rate: 'nan' is not a number"),
        ({"rate": "inf"}, "--rate: 'inf' is not a number"),
        ({"rate": "-1"}, "--rate: '-1': must be more than 0"),
        ({"codec": "gzipp"}, "--codec: 'gzipp' is not one of zstd, gzip, none. Did you mean 'gzip'?"),
        ({"codec": "lz4"}, "--codec: 'lz4' is not one of zstd, gzip, none."),
        ({"window": "fixd:1h"}, r"--window: 'fixd:1h' doesn't have the form none|fixed:\d+[smhd] (WINDOW)"),
        ({"header": "maybe"}, "--header: 'maybe' is not true or false"),
        ({"header": 1}, "--header: '1' is not true or false"),
        ({"ports": "80,https"}, "--ports: 'https' is not a whole number"),
        ({"codec": 7}, "--codec: '7' is not a text"),
        ({"headr": "true"}, "--headr is not an option of shop. Did you mean '--header'?"),
        (
            {"codec": "postgresql://me:secret@db/x"},
            "--codec: 'postgresql://me:***@db/x' is not one of zstd, gzip, none.",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(values: dict[str, Any], message: str) -> None:
    assert _message(**values) == message


def test_a_value_of_an_unknown_option_is_not_shown() -> None:
    assert "hunter2" not in _message(passwort="hunter2")


def test_a_long_value_is_cut() -> None:
    assert len(_message(level="9x" * 5000)) < 300


def test_all_mistakes_are_told_at_once() -> None:
    told = _message(input="", level="x", codec="y", spare="z").splitlines()
    assert told[0] == "4 options are wrong:"
    assert [line.split()[0].rstrip(":") for line in told[1:]] == ["--spare", "--input", "--level", "--codec"]


def test_examine_returns_the_mistakes() -> None:
    assert examine(Options, {"input": "a", "level": "x"}) == (None, ["--level: 'x' is not a whole number"])


def test_specs_are_in_the_order_written() -> None:
    found = specs(Options)
    assert [spec.name for spec in found] == ["input", "level", "rate", "codec", "window", "header", "ports"]
    assert [(spec.type, spec.many, spec.required) for spec in found[:2]] == [(str, True, True), (int, False, False)]
    assert found[4].type is str
    assert found[0].flag == "--input"


def test_a_field_that_is_no_option_is_refused() -> None:
    @dataclasses.dataclass(frozen=True)
    class Bare:
        name: str = "x"

    @dataclasses.dataclass(frozen=True)
    class Odd:
        name: dict[str, str] = option("A mapping.")  # noqa: RUF009  the function under test

    with pytest.raises(TypeError, match=r"Bare\.name is not made by option"):
        specs(Bare)
    with pytest.raises(TypeError, match=r"Odd\.name: an option can't have the type dict"):
        specs(Odd)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a,b", ["a", "b"]),
        ("count(*) as n, sum(a, b) as s", ["count(*) as n", "sum(a, b) as s"]),
        ("x[1,2],{a,b}", ["x[1,2]", "{a,b}"]),
        ("'it, is',\"a,b\"", ["'it, is'", '"a,b"']),
        (r"a\,b,c\d", ["a,b", r"c\d"]),
        ("a)),b", ["a))", "b"]),
        ("o'neil.csv,b", ["o'neil.csv", "b"]),
        (",,", []),
    ],
)
def test_splitting_minds_brackets_and_quotes(text: str, parts: list[str]) -> None:
    assert split(text) == parts


@given(st.lists(st.text(st.characters(exclude_characters=",\\()[]{}'\"` ", exclude_categories=["Z", "C"]), min_size=1)))
def test_splitting_undoes_joining(parts: list[str]) -> None:
    assert split(",".join(parts)) == parts


def test_passwords_in_uris_are_hidden() -> None:
    assert without_passwords("a://u:p@h b://u:q@h:1/x c://h:80/@x") == "a://u:***@h b://u:***@h:1/x c://h:80/@x"


@dataclasses.dataclass(frozen=True)
class Writing:
    output: str = option("Where to write.", group="output")


@dataclasses.dataclass(frozen=True)
class ReadAndWrite(Options, Writing):
    limit: int = option("How many.", default=1)


def test_options_of_several_groups_come_in_the_order_of_the_groups() -> None:
    assert [spec.name for spec in specs(ReadAndWrite)] == [*(spec.name for spec in specs(Options)), "output", "limit"]
    assert parse(ReadAndWrite, {"input": "a", "output": "b"}) == ReadAndWrite(input=("a",), output="b")


def _refuse_seven(value: int) -> None:
    if value == 7:
        raise ValueError("not 7")


def _specs_of(**fields: tuple[Any, Any]) -> list[Any]:
    made = dataclasses.make_dataclass("Made", [(name, kind, made) for name, (kind, made) in fields.items()])
    return list(specs(made))


def test_the_parameter_type_follows_from_the_type() -> None:
    found = {spec.name: spec.param_type for spec in specs(Options)}
    assert found == {
        "input": "TEXT",
        "level": "NUMBER",
        "rate": "NUMBER",
        "codec": "ENUM",
        "window": "TEXT",
        "header": "BOOLEAN",
        "ports": "TEXT",
    }


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"a": (str, option("No full stop"))}, "Made.a: its help is not sentences"),
        ({"aB": (str, option("A."))}, "Made.aB: a name has small letters"),
        ({"a": (str, option("A.", param_type="FILE"))}, "Made.a: there is no param_type FILE"),
        ({"a": (int, option("A.", param_type="TEXT"))}, "Made.a: its type makes it NUMBER, not TEXT"),
        ({"a": (str, option("A.", param_type="ENUM"))}, "Made.a: its type makes it TEXT, not ENUM"),
        ({"a": (int, option("A.", default=7, check=_refuse_seven))}, "its default breaks its own rules: '7': not 7"),
        ({"a": (str, option("A.", default="x", pattern="[0-9]"))}, "its default breaks its own rules: 'x' doesn't"),
        ({"a": (str, option("A.", pattern=r"(?=a)"))}, "uses what RE2 or ECMA-262 doesn't have"),
        ({"a": (str, option("A.", pattern=r"(a)\1"))}, "uses what RE2 or ECMA-262 doesn't have"),
        (
            {"a": (tuple[str, ...], option("A.", default=("(", "b)")))},
            "its default can't be written: '(,b)' reads as ('(,b)',), not ('(', 'b)')",
        ),
        ({"a": (Literal["x"], option("A.", meanings={"y": "?"}))}, "meanings are given of what is no choice: y"),
        ({"a": (str, option("A.", default="", requires="b"))}, "it requires b, which is no other option"),
        (
            {"a": (str, option("A.", requires="b")), "b": (str | None, option("B.", default=None))},
            "it is always required, so it can't depend on another",
        ),
        (
            {"a": (str, option("A.", default="", requires="b")), "b": (bool, option("B.", default=True))},
            "it requires b, which always has a value: say for which ones",
        ),
        (
            {
                "a": (str, option("A.", default="", requires=Parent("b", ("z",)))),
                "b": (Literal["x", "y"], option("B.", default="x")),
            },
            "it requires a value of b that can't be: 'z' is not one of x, y",
        ),
        (
            {
                "a": (str | None, option("A.", default=None, requires="b")),
                "b": (str | None, option("B.", default=None, requires="a")),
            },
            "it requires b, which requires it again",
        ),
    ],
)
def test_a_definition_that_contradicts_itself_is_refused(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(TypeError) as caught:
        _specs_of(**fields)
    assert complaint in str(caught.value)


@dataclasses.dataclass(frozen=True)
class Reading:
    format: Literal["auto", "csv", "json"] = option("Format.", default="auto")
    delimiter: str = option("Delimiter.", default=",", requires=Parent("format", ("auto", "csv")))
    aggregate: tuple[str, ...] = option("Aggregates.", default=())
    window: str | None = option("Window.", default=None, requires="aggregate")
    watch: bool = option("Whether to watch.", default=False)
    poll: int = option("Seconds.", default=60, requires="watch")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"format": "json", "delimiter": ";"},
            "--delimiter means nothing unless --format is auto or csv, and that is 'json': change it, or leave it out",
        ),
        ({"window": "1h"}, "--window means nothing without --aggregate: add --aggregate, or leave it out"),
        (
            {"poll": 5},
            "--poll means nothing unless --watch is true, and that is 'false': change it, or leave it out",
        ),
    ],
)
def test_an_option_without_the_one_it_belongs_to_is_refused(values: dict[str, Any], message: str) -> None:
    assert examine(Reading, values) == (None, [message])


@pytest.mark.parametrize(
    "values",
    [
        {"delimiter": ";"},
        {"format": "csv", "delimiter": ";"},
        {"format": "json", "delimiter": ","},
        {"window": "1h", "aggregate": "count(*)"},
        {"watch": "yes", "poll": 5},
    ],
)
def test_an_option_with_the_one_it_belongs_to_or_with_its_default_is_taken(values: dict[str, Any]) -> None:
    assert examine(Reading, values)[1] == []


def test_of_a_wrong_parent_only_the_parent_is_told() -> None:
    assert [line.split()[0] for line in examine(Reading, {"format": "jsn", "delimiter": ";"})[1]] == ["--format:"]


@given(st.lists(st.text(st.characters(exclude_characters="\\()[]{}'\"` ", exclude_categories=["Z", "C"]), min_size=1)))
def test_what_is_written_as_text_reads_back(parts: list[str]) -> None:
    assert split(as_text(tuple(parts))) == parts
