"""One response's head: what passes on, what the proxy itself looks at, what breaks the grammar."""

from __future__ import annotations

from strangler_proxy import grammar, headers

BODILESS = frozenset({204, 304})
_MOST_KNOWN, _LONGEST_KNOWN = 256, 2048
_OF_THIS_HOP = frozenset({b"close", b"keep-alive", b"upgrade", b"te", b"content-length", b"set-cookie"})
_STATUS_LINES: dict[bytes, tuple[bool, int]] = {}
_PASSING = headers.Passing()


class BadAnswer(Exception):
    """It breaks the grammar."""


def _status(line: bytes) -> tuple[bool, int]:
    """Whether it speaks HTTP/1.1, and the status. Applications have few status lines, so they are remembered."""
    found = grammar.STATUS_LINE.fullmatch(line)
    if found is None:
        raise BadAnswer
    known = (found[1] != b"0", int(found[2]))
    if len(_STATUS_LINES) < 256 and len(line) < 64:
        _STATUS_LINES[line] = known
    return known


class Head:
    """``line`` is the status line, ``kept`` the fields that pass on (each line begins where the one before it ended).

    ``length`` is -1 where none is given. ``plain`` is the whole head as it goes to a client if nothing is added. ``personal``: it
    sets a cookie or tells a position, so it is for one user alone. Raises ``BadAnswer``.
    """

    __slots__ = ("chunked", "keep_alive", "kept", "length", "line", "not_executed", "personal", "plain", "position", "status")

    def __init__(self, head: bytes) -> None:
        line_end = head.index(b"\r\n")
        line = self.line = head[:line_end]
        http11, self.status = _STATUS_LINES.get(line) or _status(line)
        self.length = -1
        self.chunked = self.not_executed = self.personal = False
        self.position = b""
        named: list[bytes] = []
        fields = grammar.lines(head[line_end:])
        gone = [field for field in fields if field not in _PASSING and not self._takes(field, named, http11)]
        if self.chunked and self.length >= 0:
            raise BadAnswer
        self.keep_alive = b"close" not in named and (http11 or b"keep-alive" in named)
        kept = [field for field in fields if field not in gone] if gone else fields
        if named and (beyond := frozenset(named) - _OF_THIS_HOP):
            kept = grammar.without_named(kept, beyond)
        self.kept = grammar.block(kept)
        self.plain = b"HTTP/1.1%b%b\r\n" % (line[8:], self.kept)

    def _takes(self, field: bytes, named: list[bytes], http11: bool) -> bool:
        """Takes one field's line; whether it passes."""
        found = grammar.FIELD.fullmatch(field)
        if found is None:
            raise BadAnswer
        name = found[1].lower()
        if name in headers.IN_RESPONSE or name.startswith(headers.OURS):
            return self._passes(name, found[2].rstrip(b" \t"), named, http11)
        _PASSING.learn(field)
        return True

    def _passes(self, name: bytes, spelled: bytes, named: list[bytes], http11: bool) -> bool:
        """Takes a field that the proxy looks at."""
        value = spelled.lower()
        if name == b"set-cookie":
            self.personal = True
            return True
        if name == b"content-length":
            if self.length >= 0 or not grammar.NUMBER.fullmatch(value):
                raise BadAnswer
            self.length = int(value)
            return self.status >= 200 and self.status != 204
        if name == b"connection":
            if value != b"keep-alive" or not http11:
                named += grammar.tokens(value)
        elif name == b"transfer-encoding":
            if self.chunked or value != b"chunked" or not http11:
                raise BadAnswer
            self.chunked = True
        elif name == b"x-strangler-position":
            self.position = b",".join((self.position, spelled)) if self.position else spelled
            self.personal = True
        elif name == b"x-strangler-not-executed":
            self.not_executed = value == b"1"
        return name == b"upgrade" and self.status == 101

    def get(self, name: bytes) -> bytes:
        """A field that passes, by its name in lower case; nothing if there is none."""
        at = self.kept.lower().find(b"\n" + name + b":")
        if at < 0:
            return b""
        return self.kept[at + len(name) + 2 : self.kept.index(b"\r\n", at + 1)].strip(b" \t")


NONE = Head(b"HTTP/1.1 100\r\n")


class KnownHeads(dict[bytes, Head]):
    """Heads by their bytes: an application's answers are much alike, many to the byte within a second. Bounded; what is for one
    user alone is not kept.
    """

    def read(self, head: bytes) -> Head:
        """Raises ``BadAnswer``."""
        found = Head(head)
        if len(head) <= _LONGEST_KNOWN and not found.personal:
            if len(self) >= _MOST_KNOWN:
                self.clear()
            self[head] = found
        return found
