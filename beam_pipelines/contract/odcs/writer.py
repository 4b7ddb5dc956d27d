"""A contract as YAML of the Open Data Contract Standard."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import yaml

from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.contract.odcs import standard
from beam_pipelines.contract.odcs.limits import BOUNDS
from beam_pipelines.contract.odcs.types import number_type, read_physical_type
from beam_pipelines.contract.odcs.yaml_tree import resolve
from beam_pipelines.contract.relations import Measure, Relationship
from beam_pipelines.contract.rules import QualityRule
from beam_pipelines.errors import ContractError

_LINE_WIDTH = 110  # characters
_INTEGER_BITS = {32: "i32", 64: "i64"}


def to_odcs(contract: Contract) -> str:
    """Return a contract as YAML text, from which `parse_contract` makes an equal one.

    What only informs is written as it was read. ContractError for a field of a type that files can't hold.

    >>> import pyarrow as pa
    >>> print(to_odcs(Contract("orders", (Field("id", pa.int64(), required=True),), version="1.0.0")), end="")
    apiVersion: v3.2.0
    kind: DataContract
    id: orders
    version: 1.0.0
    schema:
    - name: orders
      properties:
      - name: id
        logicalType: integer
        logicalTypeOptions:
          format: i64
        required: true
    """
    about = {key: value for key, value in contract.about.items() if key not in ("schema", "id")}
    document = {
        "apiVersion": standard.known_versions()[0],
        "kind": "DataContract",
        "id": contract.about.get("id") or contract.name,
        "version": contract.version,
        **about,
        "schema": [_object(contract)],
    }
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_LINE_WIDTH)


def _object(contract: Contract) -> dict[str, Any]:
    ours: dict[str, Any] = {"deduplicate": True} if contract.deduplicate else {}
    if contract.on_schema_change != "discard_value":
        ours["onSchemaChange"] = contract.on_schema_change
    about = dict(contract.about.get("schema", {}))
    others = about.pop("customProperties", [])
    return {
        "name": contract.name,
        **{key: value for key, value in about.items() if key != "quality"},
        **_custom_properties(ours, others),
        **_listed("relationships", [_relationship(each, contract.name) for each in contract.relationships]),
        **_listed("quality", [_rule(each) for each in contract.quality if not _at_property(each)], about),
        "properties": [
            *(_property(field, contract.quality) for field in contract.fields),
            *map(_measure, contract.measures),
        ],
    }


def _listed(key: str, written: list[dict[str, Any]], about: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The list under a key, with what was in it for other readers; nothing if it is empty."""
    found = [*written, *(about or {}).get(key, ())]
    return {key: found} if found else {}


def _at_property(rule: QualityRule) -> bool:
    return len(rule.fields) == 1


def _relationship(relationship: Relationship, name: str) -> dict[str, Any]:
    """A foreign key as the schema object states it, by names; another file's can only be written by ids."""
    if relationship.file is None:
        ends = [f"{relationship.to}.{field}" for field in relationship.to_fields]
    else:
        start = f"{relationship.file}#/schema/{relationship.to}"
        ends = ["/".join([start, *_steps(field)]) for field in relationship.to_fields]
    starts = [f"{name}.{field}" for field in relationship.fields]
    plain = len(starts) == 1
    return {"from": starts[0] if plain else starts, "to": ends[0] if plain else ends, **relationship.about}


def _steps(field: str) -> list[str]:
    return [step for name in field.split(".") for step in ("properties", name)]


def _rule(rule: QualityRule) -> dict[str, Any]:
    key = "missingValues" if rule.metric == "missingValues" else "validValues"
    listed = None if rule.listed is None else {key: [_scalar(value) for value in rule.listed]}
    pattern = None if rule.pattern is None else {"pattern": rule.pattern}
    properties = {"properties": list(rule.fields)} if len(rule.fields) > 1 else None
    arguments = {**(listed or {}), **(pattern or {}), **(properties or {})}
    sql = rule.metric == "sql"
    written = {
        "name": rule.title,
        "description": rule.description,
        "type": "sql" if sql else "library",
        "metric": None if sql else rule.metric,
        "query": rule.query,
        "arguments": arguments or None,
        "unit": rule.unit if rule.unit != "rows" else None,
        "severity": rule.severity if rule.severity != "error" else None,
        **rule.about,
    }
    expected = list(rule.expected) if isinstance(rule.expected, tuple) else rule.expected
    return {**{key: value for key, value in written.items() if value is not None}, rule.operator: expected}


def _measure(measure: Measure) -> dict[str, Any]:
    told = {} if measure.description is None else {"description": measure.description}
    return {"name": measure.name, **told, "semanticType": "measure", "transformLogic": measure.sql, **measure.about}


def _custom_properties(ours: Mapping[str, Any], others: list[Any]) -> dict[str, Any]:
    entries = [{"property": name, "value": value} for name, value in ours.items()]
    return {"customProperties": entries + others} if entries or others else {}


def _property(field: Field, rules: Sequence[QualityRule] = ()) -> dict[str, Any]:
    about = dict(field.about)
    logical, options = _type(field)
    own = [_rule(rule) for rule in rules if _at_property(rule) and rule.fields[0] == field.name]
    about |= _listed("quality", own, about)
    if logical == "number" and number_type(read_physical_type(about.get("physicalType", ""))) != field.type:
        kind = field.type
        about["physicalType"] = f"decimal({kind.precision},{kind.scale})" if pa.types.is_decimal(kind) else "double"
    if logical == "string" and "format" in about:
        options["format"] = about["format"]
    about.pop("format", None)
    others = about.pop("customProperties", [])
    written: dict[str, Any] = {
        "name": field.name,
        "physicalName": field.physical_name,
        "description": field.description,
        "logicalType": logical,
        "logicalTypeOptions": options or None,
        "required": field.required or None,
        "unique": field.unique or None,
        "primaryKey": True if field.primary_key_position is not None else None,
        "primaryKeyPosition": field.primary_key_position,
        "partitioned": True if field.partition_position is not None else None,
        "partitionKeyPosition": field.partition_position,
        "classification": field.classification,
        "enum": None if field.enum is None else [{"value": _scalar(value)} for value in field.enum],
        **about,
        **_custom_properties(_ours(field), others),
        **_inside(field),
    }
    return {key: value for key, value in written.items() if value is not None}


def _inside(field: Field) -> dict[str, Any]:
    """What is inside an object, an array or a map."""
    written = [_property(child) for child in field.children]
    if pa.types.is_struct(field.type):
        return {"properties": written}
    for each in written:
        del each["name"]  # ours
    if pa.types.is_list(field.type):
        return {"items": written[0]}
    return {"map": {"key": written[0], "value": written[1]}} if pa.types.is_map(field.type) else {}


def _ours(field: Field) -> dict[str, Any]:
    ours: dict[str, Any] = {"eventTime": True} if field.event_time else {}
    if field.mask is not None:
        ours["mask"] = str(field.mask)
    if field.on_failure != "reject":
        ours["onFailure"] = field.on_failure
    return ours


def _type(field: Field) -> tuple[str, dict[str, Any]]:
    """The logical type of a field, and its options."""
    kind = field.type
    options: dict[str, Any] = {
        "minLength": field.min_length,
        "maxLength": field.max_length,
        "pattern": field.pattern,
        "multipleOf": field.multiple_of,
        **{word: _scalar(getattr(field, attribute)) for word, attribute in BOUNDS.items()},
    }
    if pa.types.is_string(kind):
        logical = "string"
    elif pa.types.is_boolean(kind):
        logical = "boolean"
    elif pa.types.is_signed_integer(kind) and kind.bit_width in _INTEGER_BITS:
        logical, options["format"] = "integer", _INTEGER_BITS[kind.bit_width]
    elif pa.types.is_decimal(kind):
        logical = "number"
    elif pa.types.is_float64(kind):
        logical, options["format"] = "number", "f64"
    elif pa.types.is_date32(kind):
        logical, options["format"] = "date", field.date_format
    elif pa.types.is_timestamp(kind):
        logical, options["format"] = "timestamp", field.date_format
        options["timezone"] = field.default_timezone is None
        options["defaultTimezone"] = field.default_timezone
    elif pa.types.is_struct(kind):
        logical, options["minProperties"], options["maxProperties"] = "object", field.min_items, field.max_items
    elif pa.types.is_list(kind):
        logical, options["minItems"], options["maxItems"] = "array", field.min_items, field.max_items
        options["uniqueItems"] = field.unique_items or None
    elif pa.types.is_map(kind):
        logical, options["minItems"], options["maxItems"] = "map", field.min_items, field.max_items
    else:
        raise ContractError(field.name, [f"the standard has no word for the type {kind}"])
    return logical, {key: value for key, value in options.items() if value is not None}


def _scalar(value: Any) -> Any:
    """A stated value as the standard writes it: dates and timestamps are texts."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, datetime.date) else value


class _Dumper(yaml.SafeDumper):
    """Writes exact numbers, and quotes each text that would be read as something else."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

    def write_text(self, text: str) -> yaml.ScalarNode:
        style = None if isinstance(resolve(text), str) else "'"
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    def write_decimal(self, number: Decimal) -> yaml.ScalarNode:
        text = format(number, "f")
        kind = "float" if "." in text else "int"
        return self.represent_scalar(f"tag:yaml.org,2002:{kind}", text)


_Dumper.add_representer(str, _Dumper.write_text)
_Dumper.add_representer(Decimal, _Dumper.write_decimal)
