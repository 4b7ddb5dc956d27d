"""What errors of MySQL and MariaDB mean: which may pass by themselves, and what a person can do about the others.

A server's words may hold values of rows ("Duplicate entry 'x' for key 'k'"), so only names are told of them.
"""

from __future__ import annotations

import re

from beam_pipelines.errors import UsageError

# https://mariadb.com/kb/en/mariadb-error-code-reference/
_PASSING = (1040, 1053, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1226, 2002, 2003, 2006, 2013, 2055)
DUPLICATE = 1062
EXISTS = 1050
_CREDENTIALS = (1044, 1045, 1251, 1698)
_FORBIDDEN = (1142, 1143, 1227, 1370)
_NAMES = (1046, 1049, 1054, 1064, 1146, 1290, 1792)
"""Errors whose message is about names and states, not about values."""

_MEANINGS = {
    DUPLICATE: "a row has a key that another row has already",
    1021: "the server's disk is full",
    1048: "a row has a null where the table takes none",
    1114: "the table or the server's disk is full",
    1216: "a row refers to a row of another table that isn't there",
    1264: "a number is out of range",
    1364: "a column without a default has no value",
    1366: "a value doesn't fit",
    1406: "a value is too long",
    1452: "a row refers to a row of another table that isn't there",
    1690: "a number is out of range",
    3819: "a row breaks a check of the table",
    4025: "a row breaks a check of the table",
}


def code_of(error: BaseException) -> int:
    """The number of a driver's exception; 0 if it has none."""
    found = error.args[0] if type(error).__module__.startswith("pymysql") and error.args else 0
    return found if isinstance(found, int) else 0


def passes(error: Exception) -> bool:
    """Whether an error may pass by itself."""
    # The driver's word for a connection that it has closed itself is an InterfaceError of number 0.
    return code_of(error) in _PASSING or type(error).__name__ == "InterfaceError"


def told(error: Exception, endpoint: str, who: str) -> UsageError:
    """An error that doesn't pass, in words that hold no value of a row."""
    code = code_of(error)
    words = str(error.args[1]) if len(error.args) > 1 else ""
    if code in _CREDENTIALS:
        return UsageError(f"{endpoint}: the server refuses {who}: check the user, ?password and the database [{code}]")
    if code in _FORBIDDEN:
        return UsageError(f"{endpoint}: {who} may not do that: {words}")
    if code in _NAMES:
        return UsageError(f"{endpoint}: {words} [{code}]")
    place = re.search(r"(?:for key|column|constraint|CONSTRAINT) [`'](?:[^`']*\.)?([^`'.]+)[`']", words)
    at = f" ('{place[1]}')" if place else ""
    return UsageError(f"{endpoint}: {_MEANINGS.get(code, 'the server refuses it')}{at} [{code}]")
