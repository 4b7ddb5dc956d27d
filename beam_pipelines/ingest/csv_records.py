"""Where the records of CSV end: at a newline that isn't inside a quoted field (RFC 4180, 2.6).

A quote opens a field only where a field starts; anywhere else it is data, as in `5" pipe`. In an open
field two quotes are one, and a single one closes it; what follows up to the delimiter is data again.
"""

from __future__ import annotations

import numpy as np

from beam_pipelines.ingest.records import Ends, FindEnds, Places, line_ends, places_of

WORTH_JUDGING = 16
"""Records in a stretch from which on judging it by parity (some 30 us) is cheaper than walking (1 us each)."""

MAX_WALK = 4096


def csv_ends(*, delimiter: bytes = b",", quote: bytes = b'"', max_record_bytes: int = 16 << 20) -> FindEnds:
    """Return what finds the ends of CSV records; `quote` may be empty.

    A quote that isn't closed within `max_record_bytes`, or before the end of the file, would swallow
    what follows: the first line of such a record is given as unclosed, and the next line starts anew.

    >>> csv_ends()(b'1,"a\\nb"\\n2,c\\n', False).places.tolist()
    [7, 11]
    """

    def find(data: bytes, final: bool) -> Ends:
        if not quote or quote not in data:
            return line_ends(data, final)
        return _Scan(data, final, delimiter, quote, max_record_bytes).run()

    return find


class _Scan:
    """One pass over data with quotes.

    If the quotes of a record are counted from 0, and each even one stands where a field starts or right
    after an odd one, then even ones open and odd ones close, and a newline ends the record if an even
    number stands before it. So whole stretches are judged at once by parity. A record with a quote that
    breaks the rule is walked through field by field, and parity starts again behind it.
    """

    def __init__(self, data: bytes, final: bool, delimiter: bytes, quote: bytes, max_record_bytes: int) -> None:
        self._data, self._final, self._delimiter, self._quote = data, final, delimiter, quote
        self._max_record_bytes = max_record_bytes
        octets = np.frombuffer(data, np.uint8)
        self._newlines = line_ends(data, final).places
        self._quotes = places_of(quote[0], octets)
        self._quotes_before: Places = np.searchsorted(self._quotes, self._newlines)
        before = octets[self._quotes - 1]
        opens = (before == delimiter[0]) | (before == b"\n"[0]) | (before == quote[0])
        opens[0] |= self._quotes[0] == 0
        strays = np.flatnonzero(~opens)
        self._strays = strays[strays % 2 == 0], strays[strays % 2 == 1]
        self._ends: list[Places] = []
        self._unclosed: list[int] = []
        self._start = 0  # of the record in hand
        self._line = 0  # index of the newline that ends its first line
        self._walk = 1  # records to walk at the next stray quote

    def run(self) -> Ends:
        while self._judge_by_parity() or self._walk_records() or self._give_up_first_line():
            pass
        places = np.concatenate(self._ends) if self._ends else np.empty(0, np.int64)
        return Ends(places, np.array(self._unclosed, np.int64))

    def _accept(self, ends: Places) -> None:
        self._ends.append(ends)
        self._start = int(ends[-1]) + 1
        self._line = int(np.searchsorted(self._newlines, self._start))

    def _judge_by_parity(self) -> bool:
        """Accept the records before the next stray quote, or before the first that is too long."""
        quote = int(np.searchsorted(self._quotes, self._start))
        strays = self._strays[quote % 2]
        stray = int(np.searchsorted(strays, quote))
        limit = self._quotes[strays[stray]] if stray < len(strays) else len(self._data) + 1
        last = int(np.searchsorted(self._newlines, limit))
        outside = (self._quotes_before[self._line : last] - quote) % 2 == 0
        lines = self._line + np.flatnonzero(outside)
        ends = self._newlines[lines]
        several_lines = np.diff(lines, prepend=self._line - 1) > 1
        too_far = several_lines & (self._sizes(ends) > self._max_record_bytes)
        if too_far.any():
            ends = ends[: int(np.argmax(too_far))]
        if ends.size:
            self._accept(ends)
        if ends.size >= WORTH_JUDGING:
            self._walk = 1
        return ends.size > 0

    def _walk_records(self) -> bool:
        """Accept records field by field, twice as many each time: strays come in crowds."""
        ends: list[int] = []
        start = self._start
        while len(ends) < self._walk:
            end = self._find_end(start)
            if end is None or (end - start > self._max_record_bytes and self._is_too_far(start, end)):
                break
            ends.append(end)
            start = end + 1
        else:
            self._walk = min(2 * self._walk, MAX_WALK)
        if ends:
            self._accept(np.array(ends))
        return len(ends) > 0

    def _is_too_far(self, start: int, end: int) -> bool:
        """Tell whether a record of several lines is longer than a record may be."""
        several_lines = b"\n" in self._data[start:end]
        return several_lines and len(self._data[start:end].removesuffix(b"\r")) > self._max_record_bytes

    def _give_up_first_line(self) -> bool:
        """Accept the first line of a record that is too long, or that the file doesn't end."""
        if self._line == len(self._newlines):
            return False
        # As everywhere: two bytes more than a record may have are too many even if "\r" is the last.
        if not self._final and len(self._data) - self._start <= self._max_record_bytes + 1:
            return False
        ends = self._newlines[self._line : self._line + 1]
        self._unclosed.append(int(ends[0]))
        self._accept(ends)
        return True

    def _sizes(self, ends: Places) -> Places:
        """Sizes of the records that end there, the first being the record in hand."""
        starts = np.concatenate(([self._start], ends + 1))[: len(ends)]
        octets = np.frombuffer(self._data, np.uint8)
        returns = (octets[ends - 1] == b"\r"[0]) & (ends < len(self._data))
        return ends - starts - returns

    def _find_end(self, at: int) -> int | None:
        """Find the newline that ends the record which starts there; None if it isn't in the data."""
        data = self._data
        if at >= len(data):
            return None
        newline = self._next_newline(at)
        quoted = data.startswith(self._quote, at)
        while True:
            if quoted:
                at = self._closing(at + 1)
                if at < 0:
                    return None
                if at > newline >= 0:
                    newline = self._next_newline(at)
            if newline < 0:
                return None
            field = data.find(self._delimiter + self._quote, at, newline)
            if field < 0:
                return newline
            at, quoted = field + 1, True

    def _next_newline(self, at: int) -> int:
        """Find the next newline; -1 if there is none, and none follows."""
        newline = self._data.find(b"\n", at)
        return len(self._data) if newline < 0 and self._final else newline

    def _closing(self, at: int) -> int:
        """Find the place behind the quote that closes the field; -1 if there is none."""
        while True:
            at = self._data.find(self._quote, at)
            if at < 0 or self._data[at + 1 : at + 2] != self._quote:
                return at + 1 if at >= 0 else -1
            at += 2
