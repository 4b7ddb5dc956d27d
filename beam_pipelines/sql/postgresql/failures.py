"""What PostgreSQL's errors mean: which may pass by themselves, and what a person can do about the others.

A server's words may hold values of rows ("Key (email)=(…) already exists"), so they are told only of errors that are
about names; of the others what the server says of where it was: constraint, column, table.
"""

from __future__ import annotations

from beam_pipelines.errors import UsageError

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_PASSING = ("40001", "40P01", "53300", "55P03", "57P01", "57P02", "57P03")
_PASSING_CLASS = "08"  # connection exceptions

# libpq has no codes for what happens before there is a session, nor for a connection that ends.
_NETWORK = (
    "Connection refused",
    "Connection reset",
    "Connection timed out",
    "Network is unreachable",
    "No route to host",
    "timeout expired",
    "could not connect",
    "could not receive data",
    "could not send data",
    "could not translate host name",
    "server closed the connection",
    "connection to client lost",
    "connection not open",
    "no connection to the server",
    "terminating connection",
    "SSL connection has been closed",
    "SSL SYSCALL error",
    "SSL error: unexpected eof",
    "the database system is starting up",
    "the database system is shutting down",
    "the database system is not yet accepting connections",
    "too many clients",
    "too many connections",
    "remaining connection slots",
)
_CREDENTIALS = ("authentication failed", "no password supplied", "pg_hba.conf", "role ", "certificate authentication")

_MEANINGS = {
    "23502": "a row has a null where the table takes none",
    "23503": "a row refers to a row of another table that isn't there",
    "23505": "a row has a key that another row has already",
    "23514": "a row breaks a check of the table",
    "23P01": "a row excludes another",
    "21000": "two rows have one key: which of them is newer is said by ?version=COLUMN",
    "53100": "the server's disk is full",
    "54011": "a table has at most 1,600 columns",
    "54000": "it is more than the server takes",
    "25006": "the server only reads: it is a standby, or its transactions are read-only",
}
_SAFE_CLASSES = ("0A", "25", "28", "3D", "3F", "42", "53", "54", "55", "57", "58")
"""Classes of errors whose message is about names and states, not about values."""


def passes(error: Exception) -> bool:
    """Whether an error may pass by itself."""
    code = code_of(error)
    if code:
        return code in _PASSING or code.startswith(_PASSING_CLASS)
    return is_ours(error) and any(words in str(error) for words in _NETWORK)


def is_ours(error: Exception) -> bool:
    """Whether an exception is the driver's."""
    return type(error).__module__.partition(".")[0] == "adbc_driver_manager"


def code_of(error: Exception) -> str:
    """The SQLSTATE of a driver's exception; empty if it has none."""
    return getattr(error, "sqlstate", None) or ""


def told(error: Exception, endpoint: str, who: str) -> UsageError:
    """An error that doesn't pass, in words that hold no value of a row."""
    code, details = code_of(error), _details(error)
    primary = details.get("MESSAGE_PRIMARY", "")
    if not code:
        text = str(error).partition("[libpq] ")[2] or str(error)
        reason = " ".join(text.removeprefix("Failed to connect: ").split())
        if "database" in reason and "does not exist" in reason:
            return UsageError(f"{endpoint}: there is no such database ({reason})")
        if any(words in reason for words in _CREDENTIALS):
            return UsageError(
                f"{endpoint}: the server refuses {who}: check the user, ?password or the password file, and ?sslmode "
                f"({reason})"
            )
        return UsageError(f"{endpoint}: can't be asked: {reason}")
    if code == "42501":
        return UsageError(f"{endpoint}: {who} may not do that: {primary}")
    meaning = _MEANINGS.get(code) or ("a value doesn't fit" if code.startswith("22") else "")
    if code[:2] in _SAFE_CLASSES:
        meaning = f"{meaning} ({primary})" if meaning else primary
    kinds = (("CONSTRAINT_NAME", "constraint"), ("COLUMN_NAME", "column"), ("TABLE_NAME", "table"))
    places = [f"{word} '{details[kind]}'" for kind, word in kinds if details.get(kind)]
    at = f" ({', '.join(places)})" if places else ""
    return UsageError(f"{endpoint}: {meaning or 'the server refuses it'}{at} [SQLSTATE {code}]")


def while_reading(error: Exception, endpoint: str) -> Exception:
    """What ended a result halfway, which the driver only has words for: ConnectionError, or UsageError."""
    reason = " ".join(str(error).splitlines()[0].partition("]: ")[2].split()) or str(error).splitlines()[0]
    if any(words in str(error) for words in _NETWORK):
        return ConnectionError(f"{endpoint}: the connection ended while rows were read: {reason}")
    # Words in quotes may be a row's.
    reason = reason if '"' not in reason else "the server can't go on with a row"
    return UsageError(f"{endpoint}: {reason.removeprefix('ERROR: ')}")


def _details(error: Exception) -> dict[str, str]:
    found = getattr(error, "details", None) or ()
    return {_text(name).removeprefix("PG_DIAG_"): _text(value) for name, value in found}


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
