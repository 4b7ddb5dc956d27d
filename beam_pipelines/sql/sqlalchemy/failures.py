"""What errors of databases behind SQLAlchemy mean: which may pass by themselves, and what can be told of the others.

A driver's words may hold values of rows, so those of errors about values aren't told.
"""

from __future__ import annotations

from sqlalchemy import exc

from beam_pipelines.errors import UsageError

_PASSING_STATES = ("40001", "40P01", "53300", "55P03", "57P01", "57P02", "57P03")
_PASSING_NUMBERS = (1040, 1053, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1226, 2002, 2003, 2006, 2013, 2055)
"""Of MySQL and MariaDB; SQL Server's 1205 is a deadlock, too."""

_PASSING_WORDS = (
    "connection refused",
    "connection reset",
    "connection timed out",
    "could not translate host name",
    "database is locked",
    "deadlock",
    "lost connection",
    "server closed the connection",
    "timeout expired",
    "too many clients",
    "too many connections",
    # Oracle: deadlock, no more sessions or processes, can't serialise, nobody listens, ends of connections.
    *("ora-00060", "ora-00018", "ora-00020", "ora-08177", "ora-12541", "ora-12170", "ora-03113", "ora-03114"),
)


def passes(error: Exception) -> bool:
    """Whether an error may pass by itself."""
    if not isinstance(error, exc.DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    state = _state_of(error)
    if state:
        return state in _PASSING_STATES or state.startswith("08")
    if _number_of(error) in _PASSING_NUMBERS:
        return True
    about_values = isinstance(error, (exc.IntegrityError, exc.DataError))
    return not about_values and any(words in str(error.orig).lower() for words in _PASSING_WORDS)


def told(error: Exception, endpoint: str, who: str) -> UsageError:
    """An error that doesn't pass, in words that hold no value of a row."""
    if not isinstance(error, exc.DBAPIError):
        return UsageError(f"{endpoint}: {type(error).__name__}: {str(error).splitlines()[0]}")
    code = _state_of(error) or _number_of(error)
    at = f" [{code}]" if code else ""
    if isinstance(error, exc.IntegrityError):
        words = str(error.orig).splitlines()[0]
        # SQLite tells names alone: "UNIQUE constraint failed: orders.id".
        place = f" ({words})" if type(error.orig).__module__ == "sqlite3" else ""
        return UsageError(
            f"{endpoint}: a row breaks a constraint: a key that another row has, a null where none is taken, a row of "
            f"another table that isn't there, or a check{place}{at}"
        )
    if isinstance(error, exc.DataError):
        return UsageError(f"{endpoint}: a value doesn't fit{at}")
    words = " ".join(str(error.orig).split("\n\n")[0].split())
    return UsageError(f"{endpoint}: can't be done as {who}: {words}{at}")


def _state_of(error: exc.DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None) or ""


def _number_of(error: exc.DBAPIError) -> int:
    found = error.orig.args[0] if error.orig is not None and error.orig.args else 0
    return found if isinstance(found, int) else 0
