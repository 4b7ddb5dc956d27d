"""Dates and times written in a contract's own format, the counterpart of reading them."""

from __future__ import annotations

import datetime as dt
import re

_TOKEN = re.compile(r"'(?P<quoted>(?:[^']|'')*)'|(?P<letter>[A-Za-z])(?P=letter)*|(?P<other>[^A-Za-z'])")


def written(moment: dt.datetime, pattern: str) -> str:
    """Write a moment by a pattern of Java's DateTimeFormatter; optional sections are written.

    >>> written(dt.datetime(2024, 5, 1, 9, 30), "dd.MM.yyyy' 'HH:mm")
    '01.05.2024 09:30'
    """
    found = []
    for match in _TOKEN.finditer(pattern):
        if match["quoted"] is not None:
            found.append(match["quoted"].replace("''", "'") or "'")
        elif match["letter"]:
            found.append(_letter(match[0], moment))
        elif match["other"] not in "[]":
            found.append(match["other"])
    return "".join(found)


def _letter(token: str, moment: dt.datetime) -> str:
    letter, count = token[0], len(token)
    if letter in "XxZ":
        return _offset(token, moment)
    if letter in "ML" and count > 2:
        return moment.strftime("%b" if count == 3 else "%B")
    if letter == "E":
        return moment.strftime("%a" if count < 4 else "%A")
    if letter == "a":
        return "AM" if moment.hour < 12 else "PM"
    if letter == "S":
        return f"{moment.microsecond:06}".ljust(count, "0")[:count]
    numbers = {
        "y": moment.year % 100 if count == 2 else moment.year,
        "u": moment.year % 100 if count == 2 else moment.year,
        "M": moment.month,
        "L": moment.month,
        "d": moment.day,
        "H": moment.hour,
        "h": moment.hour % 12 or 12,
        "m": moment.minute,
        "s": moment.second,
    }
    return f"{numbers[letter]:0{count}}" if letter in numbers else token


def _offset(token: str, moment: dt.datetime) -> str:
    shift = moment.utcoffset() or dt.timedelta()
    if token[0] == "X" and not shift:
        return "Z"
    minutes = int(shift.total_seconds()) // 60
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    if token in ("X", "x") and not rest:
        return f"{sign}{hours:02}"
    colon = ":" if len(token) == 5 or (len(token) == 3 and token[0] != "Z") else ""
    return f"{sign}{hours:02}{colon}{rest:02}"
