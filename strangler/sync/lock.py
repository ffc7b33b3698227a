"""Names of locks: signed 64-bit keys from text, the same on both sides and in every language."""

from __future__ import annotations

import hashlib


def _key(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)


def lock_key(context: str) -> int:
    """The context's ownership lock: held shared by every write and apply, exclusive by a change of owner (P10, P15)."""
    return _key(f"strangler:ownership:{context}")


def feed_key(stream: str) -> int:
    """Serialises the readers of a feed (P11)."""
    return _key(f"strangler:feed:{stream}")


def collection_key(collection: str) -> int:
    """Shared by a batch that applies rows of the collection, exclusive by one that resets it (P8)."""
    return _key(f"strangler:collection:{collection}")


def entry_key(context: str) -> int:
    """Held while an operation begins or a ramp starts or goes on: whether a person or a ramp moves it is decided once."""
    return _key(f"strangler:entry:{context}")
