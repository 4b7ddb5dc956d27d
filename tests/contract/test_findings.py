"""What is wrong in a contract's text is told with its line, all of it at once."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings

from beam_pipelines.contract import Finding, lint, parse_contract, to_odcs
from beam_pipelines.errors import ContractError
from tests.contract.mutilated import PLAIN, mutilated

HEAD = """apiVersion: v3.2.0
kind: DataContract
id: t
version: 1.0.0
schema:
  - name: t
    properties:
"""
MARK = "# <-"


def in_property(lines: str) -> str:
    """A contract with one property of these lines, and one that is fine."""
    indented = "\n".join(f"        {line}" for line in lines.strip().splitlines())
    return f"{HEAD}      - {indented.strip()}\n      - {{name: fine, logicalType: string}}\n"


def errors(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity == "error"]


PROPERTIES = {
    "unknown type": ("name: a\nlogicalType: strnig  # <-", "'strnig' is not allowed. Did you mean 'string'?"),
    "no type": ("name: a  # <-\nrequired: true", "'logicalType' is missing, and no physicalType tells it"),
    "object of nothing": ("name: a\nlogicalType: object  # <-", "an object needs 'properties'"),
    "array of what": ("name: a\nlogicalType: array  # <-", "an array needs 'items'"),
    "map without value": ("name: a\nlogicalType: map\nmap: {key: {logicalType: string}}  # <-", "'value' is missing"),
    "map of objects to": (
        "name: a\nlogicalType: map\nmap:\n  key: {logicalType: array, items: {logicalType: string}}  # <-\n"
        "  value: {logicalType: string}",
        "the key of a map is a plain value",
    ),
    "time": ("name: a\nlogicalType: time  # <-", "'time' is not supported"),
    "type inside": (
        "name: a\nlogicalType: object\nproperties:\n  - {name: b, logicalType: strnig}  # <-",
        "'strnig' is not allowed. Did you mean 'string'?",
    ),
    "no type inside": ("name: a\nlogicalType: array\nitems: {description: what}  # <-", "'logicalType' is missing"),
    "rule inside": (
        "name: a\nlogicalType: array\nitems:\n  logicalType: integer\n"
        "  logicalTypeOptions: {minimum: 5, maximum: 1}  # <-",
        "minimum 5 is above maximum 1",
    ),
    "key inside": (
        "name: a\nlogicalType: object\nproperties:\n  - {name: b, logicalType: string, primaryKey: true}  # <-",
        "a primary key is of properties of the row itself",
    ),
    "event time inside": (
        "name: a\nlogicalType: object\nproperties:\n  - name: b\n    logicalType: date\n"
        "    customProperties: [{property: eventTime, value: true}]  # <-",
        "the event time is a field of the row itself",
    ),
    "quality inside": (
        "name: a\nlogicalType: array\nitems:\n  logicalType: string\n"
        "  quality: [{metric: nullValues, mustBe: 0}]  # <-",
        "quality are judged at properties of the row itself",
    ),
    "a name of paths": (
        "name: a\nlogicalType: object\nproperties:  # <-\n  - {name: b.c, logicalType: string}",
        "choose another, and make this one its physicalName",
    ),
    "required inside": (
        "name: a\nlogicalType: object\nlogicalTypeOptions: {required: [bb]}  # <-\n"
        "properties:\n  - {name: b, logicalType: string}\n  - {name: bbb, logicalType: string}",
        "there is no property 'bb' in it. Did you mean 'bbb'?",
    ),
    "distinct objects": (
        "name: a\nlogicalType: array\nlogicalTypeOptions: {uniqueItems: true}  # <-\n"
        "items: {logicalType: object, properties: [{name: b, logicalType: string}]}",
        "unique_items can't compare items",
    ),
    "too few for too many": (
        "name: a\nlogicalType: array\nlogicalTypeOptions: {minItems: 3, maxItems: 2}  # <-\n"
        "items: {logicalType: string}",
        "min_items 3 is above max_items 2",
    ),
    "mask of an object": (
        "name: a\nlogicalType: object\nproperties: [{name: b, logicalType: string}]\n"
        "customProperties: [{property: mask, value: pseudonym}]  # <-",
        "use drop or redact, or mask the fields inside it",
    ),
    "unique object": (
        "name: a\nlogicalType: object\nunique: true  # <-\nproperties: [{name: b, logicalType: string}]",
        "unique can't compare values",
    ),
    "vector": ("name: a\nlogicalType: vector  # <-\nlogicalTypeOptions: {dimensions: 3}", "'vector' is not supported"),
    "unknown key": (
        "name: a\nlogicalType: string\nrequird: true  # <-",
        "unknown key 'requird'. Did you mean 'required'?",
    ),
    "unknown option": (
        "name: a\nlogicalType: string\nlogicalTypeOptions:\n  maxlength: 3  # <-",
        "unknown key 'maxlength'. Did you mean 'maxLength'?",
    ),
    "flag": ("name: a\nlogicalType: string\nrequired: maybe  # <-", "required: must be true or false, is 'maybe'"),
    "key twice": (
        "name: a\nlogicalType: string\nrequired: true\nrequired: false  # <-",
        "there twice; first on line 10",
    ),
    "minimum above maximum": (
        "name: a\nlogicalType: integer\nlogicalTypeOptions:\n  minimum: 10  # <-\n  maximum: 5",
        "minimum 10 is above maximum 5: no value can pass",
    ),
    "nothing between": (
        "name: a\nlogicalType: integer\nlogicalTypeOptions:\n  exclusiveMinimum: 1  # <-\n  exclusiveMaximum: 2",
        "exclusive_minimum 1 and exclusive_maximum 2: no value can pass",
    ),
    "beyond the type": (
        "name: a\nlogicalType: integer\nphysicalType: int32\nlogicalTypeOptions:\n  minimum: 3000000000  # <-",
        "leaves no value of int32",
    ),
    "dates crossed": (
        "name: a\nlogicalType: date\nlogicalTypeOptions:\n  maximum: 2020-01-01\n  minimum: 2021-01-01  # <-",
        "minimum 2021-01-01 is above maximum 2020-01-01",
    ),
    "no date": ("name: a\nlogicalType: date\nlogicalTypeOptions:\n  minimum: 2021-02-30  # <-", "is not a date"),
    "not finite": ("name: a\nlogicalType: number\nlogicalTypeOptions:\n  minimum: .inf  # <-", "is not finite"),
    "string bound": (
        "name: a\nlogicalType: integer\nlogicalTypeOptions:\n  minimum: '5'  # <-",
        "must be a number, is '5'",
    ),
    "lengths crossed": (
        "name: a\nlogicalType: string\nlogicalTypeOptions:\n  minLength: 5  # <-\n  maxLength: 2",
        "min_length 5 is above max_length 2",
    ),
    "negative length": (
        "name: a\nlogicalType: string\nlogicalTypeOptions:\n  minLength: -1  # <-",
        "must be at least 0",
    ),
    "pattern of an integer": (
        "name: a\nlogicalType: integer\nlogicalTypeOptions:\n  pattern: x  # <-",
        "unknown key 'pattern'",
    ),
    "pattern of a boolean": (
        "name: a\nlogicalType: boolean\nlogicalTypeOptions:\n  pattern: x  # <-",
        "pattern is for strings, not for bool",
    ),
    "lookahead": (
        "name: a\nlogicalType: string\nlogicalTypeOptions:\n  pattern: (?=a)b  # <-",
        "pattern '(?=a)b' looks ahead or back",
    ),
    "broken pattern": ("name: a\nlogicalType: string\nlogicalTypeOptions:\n  pattern: '[a'  # <-", "missing ]"),
    "enum of another type": ("name: a\nlogicalType: string\nenum:\n  - value: 5  # <-", "enum value 5 is not a string"),
    "enum of a float": ("name: a\nlogicalType: integer\nenum:\n  - value: 1.5  # <-", "1.5 is not a whole number"),
    "enum too fine": (
        "name: a\nlogicalType: number\nphysicalType: decimal(5,2)\nenum:\n  - value: 1.005  # <-",
        "has more decimal places than decimal128(5, 2)",
    ),
    "enum out of bounds": (
        "name: a\nlogicalType: integer\nenum: [{value: 1}, {value: 9}]  # <-\nlogicalTypeOptions: {maximum: 5}",
        "enum value 9 is outside maximum 5",
    ),
    "enum against pattern": (
        "name: a\nlogicalType: string\nenum: [{value: A}, {value: b}]  # <-\nlogicalTypeOptions: {pattern: '^[A-Z]$'}",
        "enum value 'b' doesn't match pattern",
    ),
    "enum too long": (
        "name: a\nlogicalType: string\nenum: [{value: ABC}]  # <-\nlogicalTypeOptions: {maxLength: 2}",
        "enum value 'ABC' is not 0 to 2 characters long",
    ),
    "empty enum": ("name: a\nlogicalType: string\nenum: []  # <-", "must list at least 1"),
    "enum of plain values": ("name: a\nlogicalType: string\nenum:\n  - A  # <-", "must be a mapping, is 'A'"),
    "multiple of nothing": (
        "name: a\nlogicalType: integer\nlogicalTypeOptions:\n  multipleOf: 0  # <-",
        "must be above 0",
    ),
    "wide decimal": ("name: a\nlogicalType: number\nphysicalType: decimal(39,2)  # <-", "1 to 38 digits"),
    "crooked decimal": ("name: a\nlogicalType: number\nphysicalType: decimal(3,5)  # <-", "1 to 38 digits"),
    "128 bits": (
        "name: a\nlogicalType: integer\nlogicalTypeOptions:\n  format: u64  # <-",
        "'u64' doesn't fit 64 bits",
    ),
    "zone": (
        "name: a\nlogicalType: timestamp\nlogicalTypeOptions:\n  defaultTimezone: Europe/Berln  # <-",
        "no time zone 'Europe/Berln'. Did you mean 'Europe/Berlin'?",
    ),
    "format": ("name: a\nlogicalType: date\nlogicalTypeOptions:\n  format: YYYY-MM-dd  # <-", "the year is 'y'"),
    "date with a time of day": (
        "name: a\nlogicalType: date\nlogicalTypeOptions:\n  format: yyyy-MM-dd HH:mm  # <-",
        "then it is a timestamp",
    ),
    "zone wanted that isn't there": (
        "name: a\nlogicalType: timestamp\nlogicalTypeOptions:\n  timezone: true\n  format: yyyy-MM-dd HH:mm  # <-",
        "has no offset or zone, and no default time zone is stated",
    ),
    "event time of a string": (
        "name: a\nlogicalType: string\ncustomProperties:\n  - property: eventTime\n    value: true  # <-",
        "the event time is a timestamp or a date, not string",
    ),
    "event time dropped": (
        "name: a\nlogicalType: date\ncustomProperties:\n  - {property: eventTime, value: true}\n"
        "  - {property: mask, value: drop}  # <-",
        "mask 'drop' hides the event time",
    ),
    "keep_last of a number": (
        "name: a\nlogicalType: integer\ncustomProperties:\n  - {property: mask, value: 'keep_last:4'}  # <-",
        "is for strings, not for int64",
    ),
    "unit that doesn't fit": (
        "name: a\nlogicalType: date\ncustomProperties:\n  - {property: mask, value: 'generalise:hour'}  # <-",
        "needs a unit of time",
    ),
    "unknown mask": (
        "name: a\nlogicalType: string\ncustomProperties:\n  - {property: mask, value: hash}  # <-",
        "mask 'hash' is not one of drop, redact",
    ),
    "partition dropped": (
        "name: a\nlogicalType: string\npartitioned: true\ncustomProperties:\n  - {property: mask, value: drop}  # <-",
        "drops a partition column",
    ),
    "unknown failure policy": (
        "name: a\nlogicalType: string\ncustomProperties:\n  - {property: onFailure, value: rejct}  # <-",
        "onFailure 'rejct' is not allowed. Did you mean 'reject'? Allowed: reject, null, warn, fail.",
    ),
    "nulling what is required": (
        "name: a\nlogicalType: string\nrequired: true\ncustomProperties:\n  - {property: onFailure, value: null}  # <-",
        "on_failure 'null' would null a field that is required",
    ),
    "ours in the wrong place": (
        "name: a\nlogicalType: string\ncustomProperties:\n  - property: deduplicate  # <-\n    value: true",
        "'deduplicate' belongs in the customProperties of the schema object",
    ),
    "ours twice": (
        "name: a\nlogicalType: string\ncustomProperties:\n  - {property: mask, value: drop}\n"
        "  - {property: mask, value: redact}  # <-",
        "'mask' is there twice",
    ),
    "float key": ("name: a\nlogicalType: number\nprimaryKey: true  # <-", "a 64-bit float can't be a primary key"),
    "position without key": ("name: a\nlogicalType: string\nprimaryKeyPosition: 1  # <-", "without primaryKey: true"),
    "relationship to no property": (
        "name: a\nlogicalType: string\nrelationships:\n  - to: t.idd  # <-",
        "'t' has no property 'idd'",
    ),
    "relationship to no id": (
        "name: a\nlogicalType: string\nrelationships:\n  - to: schema/nosuch/properties/x  # <-",
        "there is no schema object with the id 'nosuch'",
    ),
    "unknown metric": (
        "name: a\nlogicalType: string\nquality:\n  - {metric: nulValues, mustBe: 0}  # <-",
        "'nulValues' is not allowed. Did you mean 'nullValues'?",
    ),
    "unknown unit": (
        "name: a\nlogicalType: string\nquality:\n  - {metric: nullValues, mustBe: 0, unit: precent}  # <-",
        "unit 'precent' is not known here. Did you mean 'percent'?",
    ),
    "no operator": ("name: a\nlogicalType: string\nquality:\n  - {metric: nullValues}  # <-", "'mustBe' is missing"),
    "metric of the wrong level": (
        "name: a\nlogicalType: string\nquality:\n  - {metric: rowCount, mustBe: 5}  # <-",
        "rowCount counts all rows",
    ),
    "no argument": (
        "name: a\nlogicalType: string\nquality:\n  - {metric: invalidValues, mustBe: 5}  # <-",
        "invalidValues needs the argument validValues or a pattern",
    ),
    "argument of another type": (
        "name: a\nlogicalType: integer\nquality:\n"
        "  - {metric: missingValues, mustBe: 5, arguments: {missingValues: [0, 'N/A']}}  # <-",
        "'N/A' is not a number",
    ),
    "unknown argument": (
        "name: a\nlogicalType: string\nquality:\n"
        "  - {metric: invalidValues, mustBe: 5, arguments: {validValue: [x]}}  # <-",
        "invalidValues has no argument 'validValue'. Did you mean 'validValues'?",
    ),
    "pattern of a number": (
        "name: a\nlogicalType: date\nquality:\n  - {metric: invalidValues, mustBe: 5, arguments: {pattern: x}}  # <-",
        "a pattern is for strings",
    ),
    "no number": (
        "name: a\nlogicalType: string\nquality:\n  - {metric: nullValues, mustBe: x}  # <-",
        "takes a number",
    ),
    "range upside down": (
        "name: a\nlogicalType: string\nquality:\n  - {metric: nullValues, mustBeBetween: [5, 1]}  # <-",
        "5 is above 1",
    ),
    "no SQL": (
        "name: a\nlogicalType: string\nquality:\n  - {type: sql, query: 'a is not >', mustBe: true}  # <-",
        "can't be read as SQL",
    ),
    "SQL of an unknown field": (
        "name: a\nlogicalType: string\nquality:\n  - {type: sql, query: fyne is not null, mustBe: true}  # <-",
        "no column 'fyne'. Did you mean 'fine'?",
    ),
    "SQL that is no condition": (
        "name: a\nlogicalType: string\nquality:\n  - {type: sql, query: length(a), mustBe: true}  # <-",
        "is no condition, and is compared with true",
    ),
    "SQL of other types": (
        "name: a\nlogicalType: string\nquality:\n  - {type: sql, query: a, mustBeGreaterThan: 0}  # <-",
        "string",
    ),
    "SQL that counts nothing": (
        "name: a\nlogicalType: string\nquality:\n  - {type: sql, query: select 1, mustBe: 0}  # <-",
        "does not count rows",
    ),
    "SQL of another table": (
        "name: a\nlogicalType: string\nquality:\n  - {type: sql, query: select count(*) from b, mustBe: 0}  # <-",
        "reads b, and only the rows of 't' are there",
    ),
    "SQL that groups": (
        "name: a\nlogicalType: string\nquality:\n"
        "  - {type: sql, query: 'select count(*) from t group by a', mustBe: 0}  # <-",
        "GROUP is not supported",
    ),
    "measure of an unknown field": (
        "name: a\nlogicalType: number\nsemanticType: measure\ntransformLogic: sum(x)  # <-",
        "there is no field 'x'",
    ),
    "measure of one row": (
        "name: a\nsemanticType: measure\ntransformLogic: fine  # <-",
        "is no aggregate",
    ),
    "measure without logic": ("name: a  # <-\nsemanticType: measure", "a measure needs 'transformLogic'"),
    "measure that is no SQL": ("name: a\nsemanticType: measure\ntransformLogic: 'sum(fine'  # <-", "read as SQL"),
    "reserved name": ("name: __payload  # <-\nlogicalType: string", "names that start with '__' are reserved"),
    "no name": ("logicalType: string  # <-", "'name' is missing"),
}


@pytest.mark.parametrize("case", PROPERTIES)
def test_a_wrong_property_is_told_with_its_line(case: str) -> None:
    lines, complaint = PROPERTIES[case]
    text = in_property(lines)
    wanted = next(number for number, line in enumerate(text.splitlines(), start=1) if MARK in line)
    found = errors(lint(text))
    assert any(each.line == wanted and complaint in f"{each.path}: {each.message}" for each in found), found
    assert {each.line for each in found} == {wanted}, "one mistake, told in one place"
    with pytest.raises(ContractError, match=re.escape(f"line {wanted}: ")):
        parse_contract(text, "a.yaml")


DOCUMENTS = {
    "not a mapping": ("- a", 1, "a contract is a mapping, this is a list of 1"),
    "empty": ("# nothing", 1, "the text is empty"),
    "bad yaml": ("a: [\nb: 1", 2, "not YAML"),
    "tab": ("a:\n\tb: 1", 2, "a tab can't indent"),
    "python object": ("a: 1\nb: !!python/object/apply:os.system [ls]", 2, "the tag"),
    "two documents": ("a: 1\n---\nb: 2", 2, "a second document begins here"),
    "recursion": ("a: &a\n  - *a", 2, "stands inside what it stands for"),
    "unknown alias": ("a: *b", 1, "has no anchor '&b'"),
    "deep": ("[" * 5000, 1, "nested deeper than 100 levels"),
    "control character": ("a: 1\nb: \x07", 2, "U+0007 is not allowed"),
    "surrogate": ("a: 1\nb: \ud83d", 2, "a lone surrogate is no character"),
    "version 2": (f"{HEAD.replace('v3.2.0', 'v2.2.2')}", 1, "'v2.2.2' is not supported. Supported: v3.x"),
    "no version": (HEAD.partition("\n")[2] + "      - {name: a, logicalType: string}", 1, "'apiVersion' is missing"),
    "other standard": ("dataContractSpecification: 1.1.0\nid: x", 1, "of the Data Contract Specification"),
    "wrong kind": (
        f"{HEAD.replace('DataContract', 'DataProduct')}      - {{name: a, logicalType: string}}",
        2,
        "'DataProduct' is not allowed. Did you mean 'DataContract'?",
    ),
    "no id": (f"{HEAD.replace('id: t', '')}      - {{name: a, logicalType: string}}", 1, "'id' is missing"),
    "misspelt key": (
        f"{HEAD.replace('id: t', 'id: t' + chr(10) + 'stauts: active')}      - {{name: a, logicalType: string}}",
        4,
        "unknown key 'stauts'. Did you mean 'status'?",
    ),
    "no schema": ("apiVersion: v3.1.0\nkind: DataContract\nid: t\nversion: 1.0.0", 1, "there is no schema object"),
    "no properties": (HEAD.replace("    properties:\n", ""), 6, "no fields"),
    "a field twice": (
        f"{HEAD}      - {{name: a, logicalType: string}}\n      - {{name: a, logicalType: string}}",
        9,
        "field 'a' is there 2 times",
    ),
    "two event times": (
        HEAD + "      - {name: a, logicalType: date, customProperties: [{property: eventTime, value: true}]}\n"
        "      - {name: b, logicalType: date, customProperties: [{property: eventTime, value: true}]}",
        9,
        "more than one field is the event time: a, b",
    ),
    "deduplicate without key": (
        HEAD.replace(
            "    properties:", "    customProperties:\n      - {property: deduplicate, value: true}\n    properties:"
        )
        + "      - {name: a, logicalType: string}",
        8,
        "deduplicate is set, but no field is a primaryKey",
    ),
    "ours on the document": (
        f"customProperties: [{{property: deduplicate, value: true}}]\n{HEAD}      - {{name: a, logicalType: string}}",
        1,
        "'deduplicate' belongs in the customProperties of the schema object",
    ),
    "unknown policy": (
        HEAD.replace(
            "    properties:",
            "    customProperties:\n      - {property: onSchemaChange, value: frezee}\n    properties:",
        )
        + "      - {name: a, logicalType: string}",
        8,
        "onSchemaChange 'frezee' is not allowed. Did you mean 'freeze'?",
    ),
    "evolving into a field": (
        HEAD.replace(
            "    properties:",
            "    customProperties:\n      - {property: onSchemaChange, value: evolve}\n    properties:",
        )
        + "      - {name: _extra, logicalType: string}",
        8,
        "rename the field of that name",
    ),
    "same source": (
        f"{HEAD}      - {{name: a, logicalType: string}}\n      - {{name: b, physicalName: a, logicalType: string}}",
        9,
        "fields a, b are all read from 'a'",
    ),
    "same key position": (
        f"{HEAD}      - {{name: a, logicalType: string, primaryKey: true, primaryKeyPosition: 1}}\n"
        "      - {name: b, logicalType: string, primaryKey: true, primaryKeyPosition: 1}",
        9,
        "position 1 of the primary key is taken 2 times",
    ),
    "object quality": (
        HEAD.replace("    properties:", "    quality:\n      - {metric: nullValues, mustBe: 5}\n    properties:")
        + "      - {name: a, logicalType: string}",
        8,
        "nullValues is about one field: state it at the property",
    ),
    "duplicates of no properties": (
        HEAD.replace(
            "    properties:",
            "    quality:\n      - metric: duplicateValues\n        mustBe: 0\n"
            "        arguments: {properties: [a, bb]}\n    properties:",
        )
        + "      - {name: a, logicalType: string}\n      - {name: b, logicalType: string}",
        10,
        "there is no field 'bb'. Did you mean 'b'?",
    ),
    "relationship of another object": (
        HEAD.replace("    properties:", "    relationships:\n      - {from: u.a, to: t.a}\n    properties:")
        + "      - {name: a, logicalType: string}",
        8,
        "'from' names 'u', and this is 't'",
    ),
    "relationship of unequal sides": (
        HEAD.replace("    properties:", "    relationships:\n      - {from: [t.a], to: [t.a, t.b]}\n    properties:")
        + "      - {name: a, logicalType: string}\n      - {name: b, logicalType: string}",
        8,
        "1 fields refer to 2",
    ),
    "a name like a path": (
        HEAD
        + "      - {name: a, logicalType: object, properties: [{name: b, logicalType: string}]}\n"
        + "      - {name: a.b, logicalType: string}",
        9,
        "field 'a.b' is named as a path inside 'a'",
    ),
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_a_wrong_document_is_told_with_its_line(case: str) -> None:
    text, line, complaint = DOCUMENTS[case]
    found = errors(lint(text))
    assert any(each.line == line and complaint in each.message for each in found), found
    assert {each.line for each in found} == {line}


def test_a_billion_laughs_are_cut_short() -> None:
    lines = ["a0: &a0 [" + ", ".join(["lol"] * 10) + "]"]
    lines += [f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 10) + "]" for i in range(1, 40)]
    found = lint("\n".join(lines))
    assert [each.severity for each in found] == ["error"]
    assert "more than 1000000 values" in found[0].message


def test_everything_is_told_at_once_by_line() -> None:
    text = (
        HEAD
        + """      - name: a
        logicalType: integer
        logicalTypeOptions: {minimum: 5, maximum: 1}
      - name: b
        logicalType: strin
      - name: c
        logicalType: array
        requird: true
      - name: a
        logicalType: date
        customProperties: [{property: mask, value: keep_last}]
"""
    )
    with pytest.raises(ContractError) as raised:
        parse_contract(text, "shop.yaml")
    assert [re.match(r"line (\d+): ", line)[1] for line in raised.value.findings] == [
        "10",
        "12",
        "14",
        "15",
        "16",
        "18",
    ]
    assert str(raised.value).startswith("shop.yaml: not a usable contract\n  line 10: schema[t].properties[a].")


WARNINGS = {
    "misspelt ours": (
        "name: a\nlogicalType: date\ncustomProperties:\n  - property: event_time  # <-\n    value: true",
        "Did you mean 'eventTime'?",
    ),
    "near ours": (
        "name: a\nlogicalType: string\ncustomProperties:\n  - property: onFailures  # <-\n    value: x",
        "'onFailures' is none of ours and has no effect. Did you mean 'onFailure'?",
    ),
    "no word on zones": ("name: a\nlogicalType: timestamp  # <-", "values without one are refused"),
    "unchecked format": (
        "name: a\nlogicalType: string\nlogicalTypeOptions:\n  format: email  # <-",
        "informs and isn't checked",
    ),
    "bare decimal": ("name: a\nlogicalType: number\nphysicalType: decimal  # <-", "it is read as decimal(38,9)"),
    "key that needn't be": (
        "name: a\nlogicalType: string\nprimaryKey: true\nrequired: false  # <-",
        "required all the same",
    ),
    "example of another type": (
        "name: a\nlogicalType: integer\nexamples: [1, two]  # <-",
        "example 'two' is not a number",
    ),
    "date with a time of day": (
        "name: a\nlogicalType: date\nphysicalType: TIMESTAMP  # <-",
        "'TIMESTAMP' has a time of day, a date has none",
    ),
    "foreign key to another file": (
        "name: a\nlogicalType: string\nrelationships:\n  - to: customers.id  # <-",
        "there is no schema object 'customers' in this file",
    ),
    "quality of another engine": (
        "name: a\nlogicalType: string\nquality:\n  - {type: custom, engine: soda, implementation: x}  # <-",
        "written for soda",
    ),
    "value listed twice": (
        "name: a\nlogicalType: integer\nenum:\n  - {value: 1, label: one}\n  - {value: 1, label: ein}  # <-",
        "listed twice",
    ),
    "what informs may be wrong": ("name: a\nlogicalType: string\ntags:\n  - {b: c}  # <-", "must be a text"),
}


@pytest.mark.parametrize("case", WARNINGS)
def test_a_warning_keeps_nobody_from_running(case: str) -> None:
    lines, complaint = WARNINGS[case]
    text = in_property(lines)
    wanted = next(number for number, line in enumerate(text.splitlines(), start=1) if MARK in line)
    [found] = lint(text)
    assert (found.line, found.severity) == (wanted, "warning")
    assert complaint in found.message
    assert parse_contract(text).names == ("a", "fine")


def test_a_misspelt_team_or_server_does_not_stop_a_run() -> None:
    text = (
        HEAD.replace("schema:", "team: {nmae: x}\nservers: [{server: a, type: nosuch}]\nstatus: 5\nschema:")
        + "      - {name: a, logicalType: string}"
    )
    assert {each.severity for each in lint(text)} == {"warning"}
    assert parse_contract(text).about["team"] == {"nmae": "x"}


@pytest.mark.parametrize("classification", ["restricted", "PII", "internal", "3"])
def test_a_classified_field_with_no_mask_fails_the_lint_and_still_runs(classification: str) -> None:
    text = in_property(f"name: a\nlogicalType: string\nclassification: {classification}  # <-")
    [found] = lint(text)
    assert (found.line, found.severity) == (10, "error")
    assert f"classified '{classification}', but nothing says how it is masked" in found.message
    field = parse_contract(text).field("a")
    assert field.sensitive
    assert field.unmasked


@pytest.mark.parametrize("classification", ["public", "Open", "none"])
def test_an_open_field_needs_no_mask(classification: str) -> None:
    assert lint(in_property(f"name: a\nlogicalType: string\nclassification: {classification}")) == []


def test_a_classified_field_with_a_mask_passes() -> None:
    text = in_property(
        "name: a\nlogicalType: string\nclassification: restricted\n"
        "customProperties: [{property: mask, value: 'keep_last:4'}]"
    )
    assert lint(text) == []


def test_all_objects_are_linted_or_the_one_asked_for() -> None:
    text = (
        HEAD
        + """      - {name: a, logicalType: array}
  - name: u
    properties:
      - {name: b, logicalType: map}
"""
    )
    assert [
        each.line for each in errors(lint(text)) if "needs 'items'" in each.message or "'map' is" in each.message
    ] == [8, 11]
    assert {each.line for each in errors(lint(text, object_name="t"))} == {8}


@settings(max_examples=100)
@given(mutilated(PLAIN))
def test_nothing_but_findings_comes_of_a_broken_contract(document: Any) -> None:
    text = json.dumps(document, ensure_ascii=False)
    found = lint(text)
    assert all(1 <= each.line <= 1 for each in found), "JSON on one line"
    try:
        contract = parse_contract(text)
    except ContractError:
        assert errors(found)
    else:
        assert all("mask" in each.message for each in errors(found)), "what lint refuses runs for one reason only"
        assert parse_contract(to_odcs(contract)) == contract
