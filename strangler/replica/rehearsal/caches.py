"""Caches as a rehearsal sees them: what is there can be read, what it writes is its own and gone with it.

Each cache of the project has a layer over it, for this thread alone. Code that keeps a cache object of its own, got before, still
writes to the real one; ``django.core.cache.cache`` and ``caches[…]`` are looked up each time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache

from strangler.replica.rehearsal import egress

GONE = object()


class Layer(BaseCache):
    def __init__(self, below: BaseCache) -> None:
        super().__init__({})
        self.below, self.own, self.writes, self.cleared = below, dict[str, Any](), 0, False
        self.key_prefix, self.version, self.key_func = below.key_prefix, below.version, below.key_func

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        made = self.make_key(key, version)
        if made in self.own:
            return default if self.own[made] is GONE else self.own[made]
        if self.cleared:
            return default
        with egress.allowed():
            return self.below.get(key, default, version)

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._write(key, value, version)

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        if self.get(key, GONE, version) is not GONE:
            return False
        self._write(key, value, version)
        return True

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return self.get(key, GONE, version) is not GONE

    def delete(self, key: Any, version: int | None = None) -> bool:
        was_there = self.get(key, GONE, version) is not GONE
        self._write(key, GONE, version)
        return was_there

    def clear(self) -> None:
        self.own, self.cleared, self.writes = {}, True, self.writes + 1

    def close(self, **_: Any) -> None:
        """The one below is closed by itself."""

    def _write(self, key: Any, value: Any, version: int | None) -> None:
        self.own[self.make_key(key, version)] = value
        self.writes += 1


@contextlib.contextmanager
def layered() -> Iterator[list[Layer]]:
    """The layers of this thread, for the length of the block."""
    below = {alias: caches[alias] for alias in caches}
    layers = {alias: Layer(cache) for alias, cache in below.items()}
    for alias, layer in layers.items():
        caches[alias] = layer
    try:
        yield list(layers.values())
    finally:
        for alias, cache in below.items():
            caches[alias] = cache
