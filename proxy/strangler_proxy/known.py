"""Heads that were read before: a client sends mostly the same fields with each request, and many clients ask for the same."""

from __future__ import annotations

from strangler_proxy.request import Fields, Line

_MOST_FIELDS, _LONGEST_FIELDS = 1024, 2048
_MOST_LINES, _LONGEST_LINE = 4096, 256


class Known:
    """By their bytes: header fields, and request lines. What was refused is not kept; a full one is emptied."""

    __slots__ = ("fields", "lines")

    def __init__(self) -> None:
        self.fields: dict[bytes, Fields] = {}
        self.lines: dict[bytes, Line] = {}

    def new_fields(self, block: bytes) -> Fields:
        found = Fields(block)
        if len(block) <= _LONGEST_FIELDS and not found.refused:
            if len(self.fields) >= _MOST_FIELDS:
                self.fields.clear()
            self.fields[block] = found
        return found

    def new_line(self, line: bytes) -> Line:
        found = Line(line)
        if len(line) <= _LONGEST_LINE and not found.refused:
            if len(self.lines) >= _MOST_LINES:
                self.lines.clear()
            self.lines[line] = found
        return found
