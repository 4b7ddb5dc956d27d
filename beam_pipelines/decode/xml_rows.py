"""XML elements as typed columns.

- A field is the child element of its name (or physical name), without the namespace's prefix; if there
  is none, the attribute of that name. `physicalName` may be a path: `customer/name`, `customer/@id`.
- An element that is absent, or has `xsi:nil="true"`, is null; an empty one is null but for strings,
  which are empty then. Spaces and line breaks around values don't count, but for strings.
- An object is an element's children, an array all elements of the name (`tags/tag`: those in `tags`),
  a map an element's children by name.
- Values are those of CSV cells (`text_values`). An element that is there twice fails, unless the field
  is an array, and so does one that has elements inside where the field is a plain value.
- What becomes of children and attributes that the contract doesn't know is its `on_schema_change`.
  Declarations of namespaces and the attributes of `xsi` are no data.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any
from xml.parsers import expat

import msgspec
import numpy as np
import pyarrow as pa

from beam_pipelines.columnar.failures import Failed, failed
from beam_pipelines.columnar.provenance import EXTRA
from beam_pipelines.contract.field import Field
from beam_pipelines.contract.model import Contract
from beam_pipelines.decode.arrow_values import from_arrow
from beam_pipelines.decode.decoded import TYPE, Decoded, of_unknown_field, refuse_unknown
from beam_pipelines.decode.secure_xml import MAX_DEPTH, ForbiddenXml, local_name, secure_parser

MALFORMED = "xml.malformed"
FORBIDDEN = "xml.forbidden"


class Element:
    """An element: its name without prefix, attributes, text, and the elements in it."""

    __slots__ = ("attributes", "children", "name", "parts")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = local_name(name)
        self.attributes = attributes
        self.children: list[Element] = []
        self.parts: list[str] = []

    @property
    def text(self) -> str:
        return self.parts[0] if len(self.parts) == 1 else "".join(self.parts)


class _Misfit(ValueError):  # noqa: N818  told to the user as a failure of the row
    """What an element has in place of a value."""


def decode_xml_rows(payloads: pa.BinaryArray, contract: Contract, encoding: str | None = None) -> Decoded:
    """Decode payloads, one element each, into the contract's columns; `encoding` is that of their file.

    Raises ContractViolation for an unknown field if the contract is frozen.

    >>> orders = Contract("orders", (Field("id", pa.int64()), Field("note", pa.string())))
    >>> decoded = decode_xml_rows(pa.array([b"<order id='7'><note>a &lt; b</note></order>"]), orders)
    >>> decoded.columns["id"].to_pylist(), decoded.columns["note"].to_pylist()
    ([7], ['a < b'])
    """
    found: list[Failed] = []
    refused: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    columns = [_Column(field) for field in contract.fields]
    strange = _Unknown(contract)
    parser = _Rows(encoding)
    # An element lives for its row only: a batch of them would keep the garbage collector busy.
    for row, payload in enumerate(payloads.to_pylist()):
        parsed = parser.parse(payload or b"")
        element = parsed if isinstance(parsed, Element) else None
        if isinstance(parsed, tuple):
            refused[parsed].append(row)
        for column in columns:
            column.add(row, element)
        strange.add(row, element)
    for (rule, message), places in refused.items():
        found.append(failed(np.array(places, np.int64), rule, None, message))
    arrays = {column.field.name: column.array(found) for column in columns}
    if contract.on_schema_change == "evolve":
        arrays[EXTRA] = pa.array(strange.texts, pa.string())
    found += [of_unknown_field(np.array(places, np.int64), name) for name, places in strange.by_name.items()]
    return Decoded(arrays, found)


class _Rows:
    """Parses elements one after another, as if they stood in one document: a parser for each costs more."""

    def __init__(self, encoding: str | None) -> None:
        self._encoding = encoding
        self._stack: list[Element] = []
        self._restart()

    def parse(self, payload: bytes) -> Element | tuple[str, str]:
        """The element that a payload is, or the rule that it breaks, and why."""
        try:
            return self._parse(payload)
        except ForbiddenXml as error:
            return FORBIDDEN, f"is XML that isn't read: {error}"
        except expat.ExpatError as error:
            return MALFORMED, f"is no XML element: {expat.errors.messages[error.code]}"

    def _parse(self, payload: bytes) -> Element:
        try:
            self._parser.Parse(payload, False)
            (element,) = self._root.children
            if self._stack != [self._root]:
                raise ValueError
        except (expat.ExpatError, ForbiddenXml, ValueError):
            # A document of its own: it may begin with a declaration, which within another is an error.
            self._restart(inside=False)
            try:
                self._parser.Parse(payload, True)
                (element,) = self._root.children
            finally:
                self._restart()
            return element
        self._root.children.clear()
        self._root.parts.clear()
        return element

    def _restart(self, inside: bool = True) -> None:
        self._root = Element("rows", {})
        self._stack = [self._root]
        self._parser = secure_parser(self._encoding)
        if inside:
            self._parser.Parse(b"<rows>", False)
        self._parser.StartElementHandler = self._open
        self._parser.EndElementHandler = self._close
        self._parser.CharacterDataHandler = self._read

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        element = Element(name, attributes)
        self._stack[-1].children.append(element)
        self._stack.append(element)
        if len(self._stack) > MAX_DEPTH + 1:
            raise ForbiddenXml(f"elements are more than {MAX_DEPTH} deep")

    def _close(self, _: str) -> None:
        self._stack.pop()

    def _read(self, text: str) -> None:
        self._stack[-1].parts.append(text)


class _Column:
    """The values of one field so far."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self._take = _taker(field)
        self._values: list[Any] = []
        self._misfits: defaultdict[str, list[int]] = defaultdict(list)

    def add(self, row: int, element: Element | None) -> None:
        """Take the field's value out of a row's element."""
        value = None
        if element is not None:
            try:
                value = self._take(element)
            except _Misfit as misfit:
                self._misfits[str(misfit)].append(row)
        self._values.append(value)

    def array(self, found: list[Failed]) -> pa.Array:
        """The column; adds what is wrong with values to `found`."""
        for message, places in self._misfits.items():
            found.append(failed(np.array(places, np.int64), TYPE, self.field.name, message))
        return from_arrow(pa.array(self._values, _as_text(self.field.type)), self.field, found)


def _as_text(kind: pa.DataType) -> pa.DataType:
    """The same type, with strings for all plain values."""
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _as_text(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(_as_text(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(pa.string(), _as_text(kind.item_type))
    return pa.string()


def _taker(field: Field) -> Callable[[Element], Any]:
    """What finds a field's value in the element that holds it."""
    *path, last = field.source_name.split("/")
    value_of = _value_of(field)
    many = pa.types.is_list(field.type)
    attribute = last.removeprefix("@")

    def take(element: Element) -> Any:
        holders = [element]
        for name in path:
            holders = [child for holder in holders for child in holder.children if child.name == name]
        elements = [child for holder in holders for child in holder.children if child.name == last]
        if many:
            return [value_of(each) for each in elements] if elements or (path and holders) else None
        if len(elements) > 1:
            raise _Misfit(f"is there {len(elements)} times")
        if elements:
            return value_of(elements[0])
        texts = [
            text for holder in holders for name, text in holder.attributes.items() if local_name(name) == attribute
        ]
        return texts[0] if texts else None

    return take


def _value_of(field: Field) -> Callable[[Element], Any]:
    """What makes of an element the value of a field, its plain values being texts."""
    if pa.types.is_list(field.type):
        return _value_of(field.children[0])
    if pa.types.is_struct(field.type):
        takers = [(child.source_name, _taker(child)) for child in field.children]
        names = [child.name for child in field.children]
        return lambda element: (
            None if _is_nil(element) else {name: take(element) for name, (_, take) in zip(names, takers, strict=True)}
        )
    if pa.types.is_map(field.type):
        inside = _value_of(field.children[1])
        return lambda element: None if _is_nil(element) else [(child.name, inside(child)) for child in element.children]
    is_text = pa.types.is_string(field.type)

    def plain(element: Element) -> str | None:
        if element.children:
            raise _Misfit("has elements inside it")
        if element.attributes and _is_nil(element):
            return None
        return element.text if is_text else element.text.strip(" \t\r\n") or None

    return plain


def _is_nil(element: Element) -> bool:
    return any(local_name(name) == "nil" and text in ("true", "1") for name, text in element.attributes.items())


class _Unknown:
    """What rows have that the contract doesn't know, as its policy wants it."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._known = {field.source_name.split("/")[0].removeprefix("@") for field in contract.fields}
        self.texts: list[str | None] = []
        """For each row a JSON object, under `evolve`."""
        self.by_name: defaultdict[str, list[int]] = defaultdict(list)
        """Rows by what is unknown in them, under `discard_row`."""

    def add(self, row: int, element: Element | None) -> None:
        """Look at a row. ContractViolation for anything unknown if the contract is frozen."""
        policy = self._contract.on_schema_change
        if policy == "discard_value":
            return
        strange: dict[str, Any] = {}
        if element is not None:
            for name, text in element.attributes.items():
                if local_name(name) not in self._known and not name.startswith(("xmlns", "xsi:", "xml:")):
                    strange[local_name(name)] = text
            for child in element.children:
                if child.name not in self._known:
                    _put(strange, child)
        if policy == "evolve":
            self.texts.append(msgspec.json.encode(strange).decode() if strange else None)
        elif strange and policy == "freeze":
            raise refuse_unknown(next(iter(strange)), self._contract)
        else:
            for name in strange:
                self.by_name[name].append(row)


def _put(into: dict[str, Any], element: Element) -> None:
    """Add an element to an object; one that is there already makes an array of both."""
    value: Any = element.text
    if element.children:
        value = {}
        for child in element.children:
            _put(value, child)
    if element.name in into:
        before = into[element.name]
        value = [*before, value] if isinstance(before, list) else [before, value]
    into[element.name] = value
