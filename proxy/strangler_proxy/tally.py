"""What a worker had under way when it died: counts in memory that its parent shares, so that even kill -9 leaves them readable.

An application goes on with a write whose proxy has died. The worker that takes the dead one's place counts such writes on, for
as long as an application may take to answer; so a hold is not called drained while one of them may still run.
"""

from __future__ import annotations

import mmap

_COUNTS = 4096  # names in a worker's life: a table has at most ``domain.table.MOST_CONTEXTS``, and may be followed by others
_SIZE = _COUNTS * (1 + 64 + 1)


class Tally:
    """Counts by name, each kept as 255 at most. Written by one process, read by another: names first, then counts."""

    __slots__ = ("_end", "_indices", "_page")

    def __init__(self, *names: str) -> None:
        """To be made before the fork. ``names`` count 1."""
        self._page = mmap.mmap(-1, _SIZE)
        self._indices: dict[str, int] = {}
        self._end = _COUNTS
        for name in names:
            self.note(name, 1)

    def note(self, name: str, count: int) -> None:
        index = self._indices.get(name)
        if index is None:
            index = self._add(name)
        self._page[index] = min(count, 255)

    def _add(self, name: str) -> int:
        line = name.encode() + b"\n"
        if len(self._indices) == _COUNTS or self._end + len(line) > _SIZE:
            raise OverflowError(f"there are too many contexts to count the writes of {name} across workers")
        self._page[self._end : self._end + len(line)] = line
        self._end += len(line)
        index = self._indices[name] = len(self._indices)
        return index

    def left(self) -> tuple[str, ...]:
        """The names that were not at 0 in the end."""
        names = self._page[_COUNTS:].rstrip(b"\0").decode().split("\n")
        return tuple(name for index, name in enumerate(names[:-1]) if self._page[index])
