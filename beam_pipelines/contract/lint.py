"""What a contract's author would want to know before anyone runs it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from beam_pipelines.contract.findings import Finding, Report
from beam_pipelines.contract.model import OPEN_CLASSIFICATIONS
from beam_pipelines.contract.odcs import read_text, split_path
from beam_pipelines.contract.odcs.document import Document, read_document
from beam_pipelines.contract.odcs.properties import Property


def lint(text: str, object_name: str | None = None) -> list[Finding]:
    """Return everything found in a contract's text, by line; nothing when it is fine.

    All schema objects are read, or the one of that name. Errors are what keeps a run from using the
    contract, and one more: a classified field of which nothing says how it is masked. A contract
    written for another tool can't know our masks, so such a field runs as it is; in a lint it fails.

    >>> for finding in lint("apiVersion: v3.1.0"):
    ...     print(finding)
    line 1: 'id' is missing
    line 1: 'kind' is missing
    line 1: 'version' is missing
    line 1: schema: there is no schema object: nothing says what a row is
    """
    report = Report()
    document = read_document(text, report, object_name, choose=False)
    if document is not None:
        _check_masks(document, report)
    return report.findings


def lint_contract(path: str | os.PathLike[str], object_name: str | None = None) -> list[Finding]:
    """Return everything found in a contract's file; `FILE#OBJECT` is one schema object of it.

    ContractError when the file can't be read.
    """
    location, name = split_path(path)
    return lint(read_text(location), object_name or name)


def _check_masks(document: Document, report: Report) -> None:
    for each in (prop for found in document.objects for outer in found.properties for prop in _unhidden(outer)):
        if not each.field.unmasked or "mask" in each.extensions.ours:
            continue  # a mask that can't be read has its own finding
        stated = f"classified '{each.field.classification}', but nothing says how it is masked"
        masks = "drop, redact, keep_last:N, generalise:UNIT or pseudonym"
        open_words = ", ".join(sorted(OPEN_CLASSIFICATIONS))
        message = f"{stated}: set the custom property mask ({masks}), or classify it as open ({open_words})"
        line = each.node.line_of("classification")
        report.error(line, (*each.node.path, "classification"), message)


def _unhidden(outer: Property) -> Iterator[Property]:
    """Yield a property and those inside it, but for what is inside of one that is masked as a whole."""
    yield outer
    if outer.field.mask is None:
        for child in outer.children:
            yield from _unhidden(child)
