"""A reader of HTTP/1.1 messages as simple as the RFC allows: whole messages only, no state. It shares no line with the proxy."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t -~\x80-\xff]*")


class Unreadable(ValueError):
    """It is no message by RFC 9112."""


@dataclass(frozen=True)
class Message:
    """``fields`` in order and case, without Transfer-Encoding: ``chunked`` says that. ``body`` is decoded."""

    line: str
    fields: tuple[tuple[str, str], ...]
    body: bytes = b""
    chunked: bool = False
    trailers: tuple[tuple[str, str], ...] = ()

    def all(self, name: str) -> list[str]:
        return [value for other, value in self.fields if other.lower() == name.lower()]

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    @property
    def status(self) -> int:
        return int(self.line.split(" ")[1])


def request(data: bytes) -> tuple[Message, bytes] | None:
    """The first request in ``data`` and what comes behind it; None if it is not complete. Raises ``Unreadable``."""
    found = head(data)
    if found is None:
        return None
    line, fields, rest = found
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [!-~\x80-\xff]+ HTTP/1\.[01]", line):
        raise Unreadable(f"no request line: {line!r}")
    return _with_body(line, fields, rest, to_the_end=False)


def response(data: bytes, method: str = "GET", *, ended: bool = False) -> tuple[Message, bytes] | None:
    """The first response in ``data`` to a request by ``method``. ``ended``: no more bytes will come."""
    found = head(data)
    if found is None:
        return None
    line, fields, rest = found
    if not re.fullmatch(r"HTTP/1\.[01] [1-9][0-9]{2}( [\t -~\x80-\xff]*)?", line):
        raise Unreadable(f"no status line: {line!r}")
    status = int(line[9:12])
    if status < 200 or status in (204, 304) or method == "HEAD":
        kept = tuple(field for field in fields if field[0].lower() != "transfer-encoding")
        return Message(line, kept), rest
    framed = {name.lower() for name, _ in fields} & {"content-length", "transfer-encoding"}
    if not framed:
        return (Message(line, fields, rest), b"") if ended else None
    return _with_body(line, fields, rest, to_the_end=True)


def requests(data: bytes) -> list[Message]:
    """All of them; ``data`` holds nothing else."""
    found = []
    while data:
        read = request(data.lstrip(b"\r\n"))
        if read is None:
            raise Unreadable(f"a request is not complete: {data!r}")
        message, data = read
        found.append(message)
    return found


def head(data: bytes) -> tuple[str, tuple[tuple[str, str], ...], bytes] | None:
    """First line, fields and what comes behind; None if it is not complete. Raises ``Unreadable``."""
    whole, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    line, *lines = whole.decode("latin-1").split("\r\n")
    return line, tuple(map(_field, lines)), rest


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise Unreadable(f"no field line: {line!r}")
    return name, value.strip(" \t")


def _with_body(line: str, fields: tuple[tuple[str, str], ...], rest: bytes, *, to_the_end: bool) -> tuple[Message, bytes] | None:
    codings = [value.lower() for name, value in fields if name.lower() == "transfer-encoding"]
    lengths = [value for name, value in fields if name.lower() == "content-length"]
    if codings:
        if codings != ["chunked"] or lengths:
            raise Unreadable(f"ambiguous framing: {codings} {lengths}")
        kept = tuple(field for field in fields if field[0].lower() != "transfer-encoding")
        return _chunked(line, kept, rest)
    if len(lengths) > 1 or not all(re.fullmatch("[0-9]+", length) for length in lengths):
        raise Unreadable(f"ambiguous length: {lengths}")
    length = int(lengths[0]) if lengths else 0
    return (Message(line, fields, rest[:length]), rest[length:]) if len(rest) >= length else None


def _chunked(line: str, fields: tuple[tuple[str, str], ...], rest: bytes) -> tuple[Message, bytes] | None:
    body = b""
    while True:
        size, end, after = rest.partition(b"\r\n")
        if not end:
            return None
        number = size.partition(b";")[0].rstrip(b" \t")
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}", number):
            raise Unreadable(f"no chunk size: {size!r}")
        length = int(number, 16)
        if not length:
            break
        if len(after) < length + 2:
            return None
        if after[length : length + 2] != b"\r\n":
            raise Unreadable("a chunk is longer than its size")
        body += after[:length]
        rest = after[length + 2 :]
    trailers = []
    while True:
        trailer, end, after = after.partition(b"\r\n")
        if not end:
            return None
        if not trailer:
            return Message(line, fields, body, True, tuple(trailers)), after
        trailers.append(_field(trailer.decode("latin-1")))
