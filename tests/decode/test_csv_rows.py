"""CSV records as columns, against Python's own csv."""

import csv
import io
import json
from datetime import date, datetime, timezone
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines.columnar.failures import failures_column
from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.decode.csv_rows import decode_csv_rows
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.errors import ContractViolation, UsageError

ORDERS = Contract("orders", (Field("id", pa.int64(), required=True), Field("note", pa.string())))
HEADER = b"id,note"


def decode(payloads, contract=ORDERS, header=HEADER, **dialect):
    decoded = decode_csv_rows(pa.array(payloads, pa.binary()), contract, CsvDialect(**dialect), header)
    columns = {name: column.to_pylist() for name, column in decoded.columns.items()}
    rows = list(zip(*columns.values(), strict=True))
    failures = failures_column(decoded.found, len(payloads)).to_pylist()
    assert len(rows) == len(failures) == len(payloads)
    return rows, failures


def rules(failures):
    return [row and [failure["rule"] for failure in row] for row in failures]


def test_records_are_columns():
    assert decode([b"1,a", b'2,"b, c"', b'3,"d ""e"" \r\nf"', b"4,"]) == (
        [(1, "a"), (2, "b, c"), (3, 'd "e" \r\nf'), (4, None)],
        [None] * 4,
    )


def test_every_type_is_read_from_its_cell():
    fields = (
        Field("b", pa.bool_()),
        Field("i", pa.int32()),
        Field("f", pa.float64()),
        Field("d", pa.decimal128(7, 2)),
        Field("day", pa.date32(), date_format="dd/MM/yyyy"),
        Field("at", pa.timestamp("us", "UTC"), default_timezone="Europe/Berlin"),
    )
    good = b"TRUE,7,1e3,12.50,31/01/2024,2024-01-01 01:00:00"
    bad = b"1,7.0,NaN,12.505,2024-01-31,2024-03-31 02:30:00"
    rows, failures = decode([good, bad], Contract("all", fields), b"b,i,f,d,day,at")
    day, at = date(2024, 1, 31), datetime(2024, 1, 1, tzinfo=timezone.utc)
    assert rows == [(True, 7, 1000.0, Decimal("12.50"), day, at), (None,) * 6]
    assert [(failure["rule"], failure["field"], failure["value"]) for failure in failures[1]] == [
        ("type", name, value)
        for name, value in zip(["b", "i", "f", "d", "day", "at"], bad.decode().split(","), strict=True)
    ]


@pytest.mark.parametrize(
    ("cell", "note"),
    [
        (b"", None),
        (b'""', ""),
        (b"NULL", None),
        (b'"NULL"', "NULL"),
        (b"null", "null"),
        (b" ", " "),
        (b" NULL", " NULL"),
        (b'5" pipe', '5" pipe'),
        (b'a"b"', 'a"b"'),
        (b' "a"', ' "a"'),
        (b"\0", "\0"),
        ("\ufeffü".encode(), "\ufeffü"),
        (b'"\n\n"', "\n\n"),
        (b'"""', "csv.malformed"),
        (b'"a', "csv.malformed"),
        (b'"a"b', "csv.malformed"),
        (b'"a" ', "csv.malformed"),
        (b"a\rb", "csv.malformed"),
        (b"a\nb", "csv.malformed"),
        (b"a,b", "csv.ragged"),
        (b'"a","b"', "csv.ragged"),
        (b"\xff", "csv.invalid_utf8"),
    ],
)
def test_a_cell_is_text_null_or_refused(cell, note):
    for first, second in ((b"1", b"3"), (b'"1"', b'"3"')):
        payloads = [first + b",x", b"2," + cell, second + b",y"]
        rows, failures = decode(payloads, nulls=("", "NULL"))
        assert (rows[0], rows[2]) == ((1, "x"), (3, "y"))
        if isinstance(note, str) and note.startswith("csv."):
            assert rows[1] == (None, None)
            assert rules(failures) == [None, [note], None]
        else:
            assert (rows[1], failures) == ((2, note), [None] * 3)


def test_a_record_of_another_width_says_both():
    rows, failures = decode([b"1", b"2,a", b"", b"3,b,c", b'"x\ny"', b"4,d"])
    assert [row[0] for row in rows] == [None, 2, None, None, None, 4]
    assert [row and row[0]["message"] for row in failures] == [
        "has 1 cell, the header has 2",
        None,
        "is empty, the header has 2 cells",
        "has 3 cells, the header has 2",
        "has 1 cell, the header has 2",
        None,
    ]


def test_an_empty_record_of_one_column_is_a_null():
    assert decode([b"", b"1"], header=b"id") == ([(None, None), (1, None)], [None, None])


def test_a_reason_shows_nothing_of_the_record():
    payloads = [b'1,"geheim', b"geheim\rx,1", b"geheim,geheim,geheim", b'"geheim"geheim,1', b"geheim\xff,"]
    for failures in decode(payloads)[1]:
        assert "geheim" not in json.dumps(failures)


def test_spaces_around_numbers_do_not_count_but_those_of_strings_do():
    rows, failures = decode([b" 1 , a", b"\t2, ", b"1 2,", b" ,x"])
    assert rows == [(1, " a"), (2, " "), (None, None), (None, "x")]
    assert rules(failures) == [None, None, ["type"], ["type"]]


def test_columns_are_found_by_trimmed_names_in_any_order():
    assert decode([b"x,1"], header=b"\xef\xbb\xbf note ,id")[0] == [(1, "x")]
    assert decode([b"x,1"], header=b'"note","id"')[0] == [(1, "x")]


def test_physical_names_are_the_ones_in_the_header():
    contract = Contract("orders", (Field("id", pa.int64(), physical_name="Order ID"), Field("note", pa.string())))
    assert decode([b"x,1"], contract, b"note,Order ID")[0] == [(1, "x")]


@pytest.mark.parametrize(
    ("header", "rule"),
    [
        (b"id,note,id", "csv.duplicate_header"),
        (b"id,x,x", "csv.duplicate_header"),
        (b"4711,geheim,x", "csv.no_known_column"),
        (b"id;note;x", "csv.no_known_column"),
        (b'id, "note"', "csv.miswritten_column"),
        (b"ID,note", "csv.miswritten_column"),
        (b"", "csv.malformed_header"),
        (b'"id,note', "csv.malformed_header"),
        (b"id,\xff,note", "csv.malformed_header"),
        (b"id\nnote,x", "csv.malformed_header"),
    ],
)
def test_a_header_that_cannot_be_used_refuses_all_rows_of_its_file(header, rule):
    rows, failures = decode([b"1,a,b", b'"'], header=header)
    assert rows == [(None, None)] * 2
    assert rules(failures) == [[rule]] * 2
    assert "geheim" not in failures[0][0]["message"]


def test_a_missing_column_is_null_and_required_ones_fail_by_name():
    assert decode([b"1"], header=b"id") == ([(1, None)], [None])
    rows, failures = decode([b"x,1", b"y"], header=b"note,idd")
    assert rows == [(None, "x"), (None, None)]
    assert failures[0] == [
        {
            "rule": "required",
            "field": "id",
            "value": None,
            "message": "the file has no such column. Did you mean 'idd'?",
        }
    ]
    assert rules(failures)[1] == ["csv.ragged"]


def policy(on_schema_change):
    return Contract("orders", ORDERS.fields, on_schema_change=on_schema_change)


def test_unknown_columns_are_dealt_with_as_the_contract_says():
    header, payloads = b"new,id,,note", [b'"a ""b""",1,,x', b",2,geheim,y", b",3,,z", b"oops"]
    assert decode(payloads, policy("discard_value"), header)[0] == [(1, "x"), (2, "y"), (3, "z"), (None, None)]

    rows, failures = decode(payloads, policy("discard_row"), header)
    assert [[(failure["rule"], failure["field"]) for failure in row] for row in failures] == [
        *[[("schema.unknown_field", "new"), ("schema.unknown_field", "column_3")]] * 3,
        [("csv.ragged", None)],
    ]
    assert "geheim" not in json.dumps(failures)

    rows, failures = decode(payloads, policy("evolve"), header)
    assert [row[2] for row in rows] == ['{"new":"a \\"b\\""}', '{"column_3":"geheim"}', None, None]
    assert decode([b"1,x"], policy("evolve"))[0] == [(1, "x", None)]

    with pytest.raises(ContractViolation, match="unknown field 'new'"):
        decode(payloads, policy("freeze"), header)


def test_without_a_header_the_columns_are_those_of_the_contract():
    decoded = decode_csv_rows(pa.array([b"\xef\xbb\xbf1,a", b"2,b"]), ORDERS, CsvDialect(header=False))
    assert decoded.columns["id"].to_pylist() == [1, 2]
    with pytest.raises(UsageError, match=r"csv\.header"):
        decode_csv_rows(pa.array([b"1,a"]), ORDERS, CsvDialect())


@pytest.mark.parametrize(
    ("dialect", "payloads", "header"),
    [
        ({"delimiter": ";"}, [b"1;'a,b'", b'2;"c"'], b"id;note"),
        ({"delimiter": "\t", "quote": ""}, [b'1\t"a', b"2\tb"], b"id\tnote"),
        ({"delimiter": "|", "quote": "'"}, [b"1|'it''s|'", b'2|"b"'], b"id|'note'"),
        ({"delimiter": ".", "quote": "^"}, [b"1.^a^^.b^", b"2.b"], b"id.note"),
    ],
)
def test_dialects(dialect, payloads, header):
    rows, failures = decode(payloads, header=header, **dialect)
    assert failures == [None, None]
    quote = dialect.get("quote", '"')
    for payload, row in zip(payloads, rows, strict=True):
        reader = csv.reader(
            io.StringIO(payload.decode(), newline=""),
            delimiter=dialect["delimiter"],
            **({"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}),
        )
        assert [str(row[0]), row[1]] == next(reader)


@pytest.mark.parametrize(
    "wrong",
    [
        {"delimiter": ""},
        {"delimiter": "||"},
        {"delimiter": "¦"},
        {"quote": "''"},
        {"delimiter": "\n"},
        {"delimiter": '"'},
    ],
)
def test_a_dialect_of_more_than_single_characters_is_refused(wrong):
    with pytest.raises(UsageError, match="ASCII"):
        CsvDialect(**wrong)


def test_slices_nulls_and_empty_batches_are_decoded():
    payloads = pa.array([b"x", b"1,a", None, b"2,b", b"x"])
    decoded = decode_csv_rows(payloads.slice(1, 3), ORDERS, CsvDialect(), HEADER)
    assert decoded.columns["id"].to_pylist() == [1, None, 2]
    assert decode([]) == ([], [])
    assert decode([], header=b"nothing") == ([], [])


def test_a_huge_cell_is_one_cell():
    text = b"x" * (5 << 20)
    rows, failures = decode([b"1,a", b"2," + text, b'3,"' + text + b'"'])
    assert ([len(row[1]) for row in rows], failures) == ([1, len(text), len(text)], [None] * 3)


CELLS = st.text('ab", \n\r\0ü;', max_size=5)
RECORDS = st.one_of(
    st.lists(CELLS, max_size=4).map(",".join).map(str.encode),
    st.lists(CELLS.map(lambda cell: '"' + cell.replace('"', '""') + '"'), min_size=1, max_size=3)
    .map(",".join)
    .map(str.encode),
    st.binary(max_size=8),
)


def python_cells(payload):
    """What Python's csv makes of one record, strictly; None when it is none."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return None
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        return None
    if len(records) > 1 or (text.endswith(("\n", "\r")) and not text.endswith('"')):
        return None
    return records[0] if records else []


@settings(max_examples=300)
@given(st.lists(RECORDS, max_size=8), st.sampled_from([1, 2, 3]))
def test_any_record_is_what_python_reads_in_it_or_fails(payloads, width):
    names = [f"c{place}" for place in range(width)]
    contract = Contract("text", tuple(Field(name, pa.string()) for name in names))
    rows, failures = decode(payloads, contract, ",".join(names).encode(), nulls=())
    for payload, row, found in zip(payloads, rows, failures, strict=True):
        cells = python_cells(payload)
        if cells == [] and width == 1:
            cells = [""]
        if cells is not None and len(cells) == width:
            assert (found, list(row)) == (None, cells), payload
        else:
            assert found[0]["rule"] == ("csv.ragged" if cells is not None else found[0]["rule"]), payload
            assert found[0]["rule"] in ("csv.ragged", "csv.malformed", "csv.invalid_utf8"), payload
            assert set(row) == {None}
