"""The targets that tables name, and which of several is asked first: the less busy of two drawn ones."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable

from strangler_proxy.settings import Limits
from strangler_proxy.target import Ejected, Target, Tls


class Pool:
    def __init__(self, limits: Limits, loop: asyncio.AbstractEventLoop, tls: Tls, ejected: Ejected) -> None:
        """``tls`` gives the context for https targets; it is asked only if there are some. ``ejected`` is told url and reason."""
        self._limits, self._loop, self._tls, self._ejected = limits, loop, tls, ejected
        self._marked = 0.0
        self._targets: dict[str, Target] = {}

    def target(self, url: str) -> Target:
        found = self._targets.get(url)
        if found is None:
            found = self._targets[url] = Target(url, self._limits, self._loop, self._tls, self._ejected)
        return found

    def order(self, urls: tuple[str, ...], *, probe: bool = False) -> list[Target]:
        """The targets of some origins: the less busy of two drawn ones first. Ejected ones only if there are no others.

        ``probe``: this request may find out whether an ejected one is back.
        """
        if len(urls) == 1:
            return [self.target(urls[0])]
        now, targets = self._loop.time(), [self.target(url) for url in urls]
        if probe:
            back = [target for target in targets if target.health.until and target.health.admits(now)]
            if back:
                return back + [target for target in targets if not target.health.until]
        well = [target for target in targets if not target.health.until] or targets
        random.shuffle(well)
        well[:2] = sorted(well[:2], key=lambda target: len(target.busy))
        if random.random() >= well[0].health.weight(now):
            well.append(well.pop(0))  # it came back a moment ago
        return well

    def shuns(self, url: str) -> bool:
        """Whether a target is ejected, and this request not the one that finds out whether it is back."""
        health, now = self.target(url).health, self._loop.time()
        return bool(health.until) and health.probed_at != now and not health.admits(now)

    def keep_only(self, urls: Iterable[str]) -> None:
        """Closes idle connections to origins that no table names any more."""
        wanted = set(urls)
        for url in [url for url in self._targets if url not in wanted]:
            self._targets[url].close()
            if not self._targets[url].busy:
                del self._targets[url]

    def sweep(self, now: float) -> None:
        mark = now - self._marked >= 1.0
        if mark:
            self._marked = now
        for target in list(self._targets.values()):
            target.sweep(now)
            if mark:
                target.mark(now)

    def close(self) -> None:
        for target in self._targets.values():
            target.close()

    def ejected(self) -> dict[tuple[str, ...], float]:
        return {(url,): float(target.health.ejected) for url, target in self._targets.items()}

    def waiting(self) -> dict[tuple[str, ...], float]:
        return {(url,): float(target.waiting) for url, target in self._targets.items()}

    def connections(self) -> dict[tuple[str, ...], float]:
        return {(url,): float(target.open) for url, target in self._targets.items()}
