"""The functions that expressions know, for messages and for the docs. A test compiles each of the examples."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """How a function is written, and what it gives."""

    written: str
    gives: str


FUNCTIONS: dict[str, Entry] = {
    # numbers
    "ABS": Entry("abs(i)", "absolute value"),
    "CEIL": Entry("ceil(d)", "next integer above"),
    "EXP": Entry("exp(f)", "e to the power, float64"),
    "FLOOR": Entry("floor(d)", "next integer below"),
    "ISNAN": Entry("isnan(f)", "whether a float is not a number"),
    "LN": Entry("ln(f)", "natural logarithm, float64; an error for 0 and less"),
    "MOD": Entry("mod(i, 3)", "the same as %"),
    "POWER": Entry("power(i, 2)", "float64, also written **"),
    "ROUND": Entry("round(d, 1)", "so many digits after the point, halves away from zero"),
    "SIGN": Entry("sign(i)", "-1, 0 or 1"),
    "SQRT": Entry("sqrt(f)", "square root, float64; an error for negative numbers"),
    # any type
    "CAST": Entry("cast(s AS DATE)", "another type; an error where a value can't be one. Also s::DATE"),
    "COALESCE": Entry("coalesce(i, 0)", "the first that is not NULL; also IFNULL"),
    "GREATEST": Entry("greatest(i, j)", "the largest; NULLs are passed over"),
    "IF": Entry("if(i > 0, 'yes', 'no')", "CASE with one condition"),
    "LEAST": Entry("least(i, j)", "the smallest; NULLs are passed over"),
    "NULLIF": Entry("nullif(s, '')", "NULL where both are equal"),
    "TRY_CAST": Entry("try_cast(s AS INT)", "another type; NULL where a value can't be one"),
    # strings
    "CONCAT": Entry("concat(s, '!')", "joined; NULLs are passed over, which || doesn't"),
    "CONTAINS": Entry("contains(s, 'x')", "whether a constant text is in it"),
    "ENDS_WITH": Entry("ends_with(s, 'x')", "whether it ends with a constant text"),
    "LEFT": Entry("left(s, 2)", "so many characters from the start"),
    "LENGTH": Entry("length(s)", "characters of a string, or elements of a list"),
    "LOWER": Entry("lower(s)", "in small letters"),
    "LPAD": Entry("lpad(s, 5, '0')", "filled on the left to a width, or cut to it"),
    "LTRIM": Entry("ltrim(s)", "without spaces on the left"),
    "REGEXP_EXTRACT": Entry("regexp_extract(s, '(a+)b', 1)", "first match, or a group of it; '' if there is none"),
    "REGEXP_MATCHES": Entry("regexp_matches(s, '^a')", "whether a regular expression (RE2) is found in it"),
    "REGEXP_REPLACE": Entry(r"regexp_replace(s, '(a)', '<\1>', 'g')", "first match replaced; all with 'g'"),
    "REPLACE": Entry("replace(s, 'a', 'b')", "each occurrence of a constant text replaced"),
    "REVERSE": Entry("reverse(s)", "backwards, character by character"),
    "RIGHT": Entry("right(s, 2)", "so many characters from the end"),
    "RPAD": Entry("rpad(s, 5, '.')", "filled on the right to a width, or cut to it"),
    "RTRIM": Entry("rtrim(s)", "without spaces on the right"),
    "SPLIT_PART": Entry("split_part(s, '-', 1)", "one of the parts between delimiters, from 1, or from -1 backwards"),
    "STARTS_WITH": Entry("starts_with(s, 'x')", "whether it starts with a constant text"),
    "STRPOS": Entry("strpos(s, 'x')", "where a constant text is first found, from 1; 0 if it isn't"),
    "SUBSTRING": Entry("substring(s, 2, 3)", "from a 1-based place, so many characters"),
    "TRIM": Entry("trim(s)", "without spaces at both ends; trim(s, 'xy') without these characters"),
    "UPPER": Entry("upper(s)", "in capital letters"),
    # dates and timestamps, in UTC
    "DATE_DIFF": Entry("date_diff('day', day, ts)", "starts of a unit between two times, in the given order"),
    "DATE_PART": Entry("date_part('year', ts)", "the same as EXTRACT"),
    "DATE_TRUNC": Entry("date_trunc('hour', ts)", "start of the unit; weeks start on Monday"),
    "DAY": Entry("day(ts)", "day of the month"),
    "EPOCH_MS": Entry("epoch_ms(i)", "the time so many milliseconds after 1970-01-01, in UTC"),
    "EXTRACT": Entry(
        "extract(dow FROM ts)",
        "year, quarter, month, week, day, dow (Sunday 0), isodow (Monday 1), doy, hour, minute, second, epoch",
    ),
    "HOUR": Entry("hour(ts)", "0 to 23"),
    "MAKE_TIMESTAMP": Entry("make_timestamp(i)", "the time so many microseconds after 1970-01-01"),
    "MINUTE": Entry("minute(ts)", "0 to 59"),
    "MONTH": Entry("month(ts)", "1 to 12"),
    "QUARTER": Entry("quarter(ts)", "1 to 4"),
    "SECOND": Entry("second(ts)", "0 to 59"),
    "TO_TIMESTAMP": Entry("to_timestamp(i)", "the time so many seconds after 1970-01-01"),
    "WEEK": Entry("week(ts)", "of the ISO year, 1 to 53"),
    "YEAR": Entry("year(ts)", "of the calendar"),
    # structs and lists
    "LEN": Entry("len(l)", "elements of a list, also ARRAY_LENGTH"),
    "LIST_CONTAINS": Entry("list_contains(l, 1)", "whether an element equals the value"),
    "STRUCT_EXTRACT": Entry("struct_extract(st, 'x')", "a field of a struct, also st.x and st['x']"),
}
"""Name → how it is written. In the examples i and j are integers, d a decimal, f a float, s a string, ts a
timestamp, day a date, l a list, st a struct."""

_START, _END = "<!-- functions:", "<!-- end of functions -->"


def written_into(page: str) -> str:
    """A page of docs with the table of functions between its marks.

    >>> print(written_into("<!-- functions: … -->\\n<!-- end of functions -->")[:50])
    <!-- functions: … -->
    | function | what it gives |
    """
    before, start, rest = page.partition(_START)
    mark, _, rest = rest.partition("\n")
    after = rest[rest.index(_END) :]
    rows = [f"| `{entry.written}` | {entry.gives} |".replace("||", r"\|\|") for entry in FUNCTIONS.values()]
    table = "\n".join(["| function | what it gives |", "| --- | --- |", *rows])
    return f"{before}{start}{mark}\n{table}\n{after}"
