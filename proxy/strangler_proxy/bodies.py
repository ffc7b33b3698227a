"""How a message's body ends: after so many bytes, after its last chunk, or with its connection; decoded as it comes."""

from __future__ import annotations

from typing import Protocol

from strangler_proxy import grammar, headers

_LONGEST_LINE = 4096
_MOST_TRAILERS = 16 * 1024
_MOST_CHUNK = 1 << 60


class BadBody(Exception):
    """It breaks the grammar: the message can't be passed on."""


class Body(Protocol):
    """``done`` once it is complete. ``trailers`` are its lines that may pass, each with its end."""

    done: bool
    trailers: bytes

    def feed(self, data: bytes, into: list[bytes]) -> bytes:
        """Appends decoded pieces to ``into``; gives what comes after the body's end. Raises ``BadBody``."""


class Counted:
    """As long as Content-Length says."""

    __slots__ = ("_left", "done")
    trailers = b""

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = not length

    def feed(self, data: bytes, into: list[bytes]) -> bytes:
        size = len(data)
        if size < self._left:
            self._left -= size
            into.append(data)
            return b""
        into.append(data[: self._left])
        rest = data[self._left :]
        self._left = 0
        self.done = True
        return rest


class ToTheEnd:
    """Until the connection ends."""

    __slots__ = ("done",)
    trailers = b""

    def __init__(self) -> None:
        self.done = False

    def feed(self, data: bytes, into: list[bytes]) -> bytes:
        into.append(data)
        return b""


class Chunked:
    """RFC 9112, 7.1. Extensions are read over; trailers are kept but for those that would say what only a head may say."""

    __slots__ = ("_held", "_left", "_trailing", "_trails", "done", "trailers")

    def __init__(self) -> None:
        self._held = self.trailers = b""
        self._left = 0  # of the chunk, with the line end behind it
        self._trailing = self.done = False
        self._trails = 0

    def feed(self, data: bytes, into: list[bytes]) -> bytes:
        if self._held:
            data, self._held = self._held + data, b""
        at, size = 0, len(data)
        while at < size:
            if self._left > 2:
                piece = data[at : at + self._left - 2]
                into.append(piece)
                at += len(piece)
                self._left -= len(piece)
            elif self._left:
                at = self._end_of_chunk(data, at)
            elif self._trailing:
                at = self._trailer(data, at)
                if self.done:
                    return data[at:]
            else:
                at = self._size(data, at)
            if at < 0:
                break
        return b""

    def _end_of_chunk(self, data: bytes, at: int) -> int:
        expected = b"\r\n"[2 - self._left :]
        found = data[at : at + self._left]
        if not expected.startswith(found):
            raise BadBody("a chunk is longer than its size says")
        self._left -= len(found)
        return at + len(found)

    def _size(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at)
        if end < 0:
            return self._hold(data, at)
        line = grammar.CHUNK_SIZE.fullmatch(data, at, end + 1)
        if line is None or end - at > _LONGEST_LINE:
            raise BadBody("a chunk's size is malformed")
        length = int(line[1], 16)
        if length > _MOST_CHUNK:
            raise BadBody("a chunk's size is too large")
        if length:
            self._left = length + 2
        else:
            self._trailing = True
        return end + 1

    def _trailer(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at)
        if end < 0:
            return self._hold(data, at)
        line = data[at : end + 1]
        if line == b"\r\n":
            self.done = True
            return end + 1
        self._trails += len(line)
        field = grammar.FIELD.fullmatch(line[:-2]) if line.endswith(b"\r\n") else None
        if self._trails > _MOST_TRAILERS or field is None:
            raise BadBody("a trailer is malformed or too long")
        if headers.may_trail(field[1].lower()):
            self.trailers += line
        return end + 1

    def _hold(self, data: bytes, at: int) -> int:
        """A line is not complete yet."""
        held = data[at:]
        if len(held) > _LONGEST_LINE or b"\x00" in held or b"\r" in held[:-1]:
            raise BadBody("a line between chunks is malformed or too long")
        self._held = held
        return -1
