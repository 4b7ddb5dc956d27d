"""An XML parser that expands nothing: entities are refused where they are declared, and nothing is fetched.

What defusedxml refuses, on expat's own interface, which tells the byte at which an element stands.
"""

from __future__ import annotations

import contextlib
from typing import Any
from xml.parsers import expat

MAX_DEPTH = 100
"""Elements inside each other; deeper ones are an attack on whoever recurses."""


class ForbiddenXml(ValueError):  # noqa: N818  what happened, not a defect of the program
    """The document declares entities, or goes deeper than it may."""


def secure_parser(encoding: str | None = None) -> Any:
    """Make a parser that raises ForbiddenXml for declarations of entities, whatever they stand for.

    >>> parser = secure_parser()
    >>> parser.Parse(b'<!DOCTYPE a [<!ENTITY b "bomb">]><a>&b;</a>', True)
    Traceback (most recent call last):
    beam_pipelines.decode.secure_xml.ForbiddenXml: it declares the entity 'b'; entities are not expanded
    """
    parser = expat.ParserCreate(encoding)

    def refuse(name: str, *_: object) -> None:
        raise ForbiddenXml(f"it declares the entity '{name}'; entities are not expanded")

    def refuse_external(*_: object) -> int:
        raise ForbiddenXml("it refers to an external entity, which is not fetched")

    parser.EntityDeclHandler = refuse
    parser.UnparsedEntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse_external
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.buffer_text = True
    # Newer versions of expat hold back input to fight quadratic behaviour, which blurs where an element stands.
    with contextlib.suppress(AttributeError):
        parser.SetReparseDeferralEnabled(False)
    return parser


def local_name(name: str) -> str:
    """A name without its namespace's prefix.

    >>> local_name("ns:order")
    'order'
    """
    return name.rpartition(":")[2]
