"""Token buckets in memory that all workers of a proxy share: it is made before they are forked.

So a limit is what was declared, however connections are spread over workers, and a worker that dies takes no count along. The
memory never grows: buckets have fixed places, and a new one takes that of the one that was left alone longest among its few
neighbours, which then begins anew with a full one (a set-associative cache).
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import mmap
import os
import struct
import tempfile
from typing import BinaryIO

from strangler.domain import ratelimit
from strangler.domain.ratelimit import Bucket, Limit

_ENTRY = struct.Struct("<8sdd")  # whose it is, tokens, when: seconds of the system's monotonic clock, the same in all processes
_NEIGHBOURS = 4
_SET = _NEIGHBOURS * _ENTRY.size


class BucketMemory:
    """``size`` buckets at the most. ``processes``: how many will use it."""

    def __init__(self, *, size: int = 65_536, processes: int = 1) -> None:
        self._sets = size // _NEIGHBOURS
        self._memory = mmap.mmap(-1, self._sets * _SET)
        self._secret = os.urandom(16)
        # A record lock, since the system lets go of it when its process dies. It is on a range of an empty file.
        self._locks: BinaryIO | None = tempfile.TemporaryFile() if processes > 1 else None  # noqa: SIM115

    def take(self, name: bytes, limit: Limit, now: float) -> float:
        """Takes a token from the bucket of a name. Gives the seconds to wait for one, 0.0 if there was one."""
        whose = hashlib.blake2b(name, digest_size=8, key=self._secret).digest()
        start = int.from_bytes(whose, "big") % self._sets * _SET
        locks = self._locks
        if locks is not None:  # another process that takes from the same few buckets is waited for: microseconds
            fcntl.lockf(locks, fcntl.LOCK_EX, _SET, start)
        try:
            place, bucket = self._find(whose, start)
            bucket, wait = ratelimit.take(bucket, limit, now)
            _ENTRY.pack_into(self._memory, place, whose, *bucket)
        finally:
            if locks is not None:
                fcntl.lockf(locks, fcntl.LOCK_UN, _SET, start)
        return wait

    def close(self) -> None:
        self._memory.close()
        if self._locks is not None:
            self._locks.close()

    def _find(self, whose: bytes, start: int) -> tuple[int, Bucket | None]:
        """The place of a bucket and the bucket, or None and the place that it may take."""
        oldest, since, place = start, math.inf, start
        for owner, tokens, at in _ENTRY.iter_unpack(self._memory[start : start + _SET]):
            if owner == whose:
                return place, Bucket(tokens, at)
            if at < since:
                oldest, since = place, at
            place += _ENTRY.size
        return oldest, None
