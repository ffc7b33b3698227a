"""Who is in a canary share: stable buckets, so that a share only ever grows by the same users (DESIGN section 7)."""

from __future__ import annotations

from hashlib import sha256

BUCKETS = 10_000


def bucket(salt: str, key: str) -> int:
    """The bucket (0 … 9999) of a user's key under a context's salt: the same in every process and every language.

    The first 8 bytes of SHA-256 over ``salt:key`` in UTF-8, unsigned big-endian, modulo 10,000.
    """
    digest = sha256(f"{salt}:{key}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS


def included(number: int, percent: float) -> bool:
    """Whether a bucket belongs to a share of ``percent``. Buckets 0 … percent·100−1 do."""
    return number < percent * (BUCKETS // 100)
