"""``strangler sync backfill``: begin, watch, pause, resume and cancel; and how a broken stream comes back (P4)."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import RenderableType
from rich.live import Live

from strangler.control.drain import carry
from strangler.domain.estate import Context
from strangler.domain.stages import Side
from strangler.errors import Misuse, StranglerError
from strangler.management import render, screen
from strangler.management import streams as looks
from strangler.management.answer import FAILED, PASS, Answer, Whole
from strangler.sync import backfill, backfill_pace, broken, reverse_backfill, status, streams, wake
from strangler.sync.client import ServiceClient
from strangler.sync.diagnosis import Around
from strangler.sync.status import StreamStatus

LOOK_S = 0.5
SAY_S = 5.0
ASK_S = 10.0  # how often what is around the streams is asked anew


def arguments(parser: argparse.ArgumentParser) -> None:
    told = parser.add_mutually_exclusive_group()
    told.add_argument("--pause", action="store_true", help="let it wait where it is, until --resume")
    told.add_argument("--resume", action="store_true", help="let a paused one go on, and watch it")
    told.add_argument("--cancel", action="store_true", help="end it unfinished; the gates stay closed until a new one is through")
    told.add_argument("--restart", action="store_true", help="from the beginning, although one is under way")
    told.add_argument("--show", action="store_true", help="only show how far it is")
    parser.add_argument("--detach", action="store_true", help="leave it to the workers and do not watch")


def run(options: argparse.Namespace, context: Context, names: Sequence[str]) -> Answer:
    """``names``: the streams that run for the context where it stands."""
    if options.pause or options.cancel:
        return _told(options, context, [name for name in names if name != context.reverse_stream])
    if options.show:
        return _answer(context, names)
    if options.resume:
        if not [name for name in names if backfill_pace.resume(name)]:
            raise Misuse(f"no backfill of {context.name} is paused; see: strangler sync backfill {context.name} --show")
    else:
        _begin(context, names, restart=options.restart)
    towards = [name for name in names if name != context.reverse_stream]
    for name in towards:
        wake.wake(name)
    if context.reverse_stream in names and backfill.unfinished(context.reverse_stream):
        reverse_backfill.mend(context.reverse_stream, ServiceClient(context.name), said=_teller(options.json))
    if options.detach:
        return _answer(context, names, "the workers carry it; look: strangler sync status --watch", code=PASS)
    try:
        watch(towards, silent=options.json)
    except KeyboardInterrupt:
        said = f"stopped watching: the workers go on with it. Watch again: strangler sync backfill {context.name}"
        return _answer(context, names, said, f"have it wait: strangler sync backfill {context.name} --pause")
    return _answer(context, names)


def _teller(silent: bool) -> Callable[[str], None]:
    console = screen.console(stderr=True)

    def tell(text: str) -> None:
        if not silent:
            console.print(text, style="dim", markup=False)

    return tell


def _begin(context: Context, names: Sequence[str], *, restart: bool) -> None:
    """One that is under way is gone on with. A stream that is not live comes back first."""
    for name in names:
        if name == context.reverse_stream:
            if streams.state(name) != "live":
                reverse_backfill.begin(name, ServiceClient(context.name))
        elif not broken.come_back(name) and (restart or not backfill.unfinished(name)):
            backfill.start(name)


def _told(options: argparse.Namespace, context: Context, names: Sequence[str]) -> Answer:
    if options.pause:
        done = [name for name in names if backfill_pace.pause(name, context.name)]
    else:
        done = [name for name in names if backfill_pace.cancel(name)]
    if not done:
        raise Misuse(f"no backfill of {context.name} is under way; begin one: strangler sync backfill {context.name}")
    if options.pause:
        said = f"{', '.join(done)}: paused; go on: strangler sync backfill {context.name} --resume"
    else:
        said = f"{', '.join(done)}: cancelled; rows may be missing until a new one: strangler sync backfill {context.name}"
    return _answer(context, names, said, code=PASS)


def _answer(context: Context, names: Sequence[str], *said: str, code: int | None = None) -> Answer:
    seen = _seen(names)
    data = {
        stream.name: {
            **(asdict(stream.backfilled) if stream.backfilled else {"state": "none"}),
            "why": stream.finding.why,
            "collections": [asdict(progress) for progress in stream.backfill],
        }
        for stream in seen
    }
    is_through = all(stream.backfilled and stream.backfilled.state == "done" for stream in seen if stream.kind != "reverse")
    shown: list[RenderableType] = [looks.progress(seen), *(Whole(render.escape(line)) for line in said)]
    if is_through and not said:
        shown.append(f"✓ every row of {context.name} is at the other side")
    return Answer({"streams": data, "complete": is_through}, shown, (PASS if is_through else FAILED) if code is None else code)


def _seen(names: Sequence[str], around: Around | None = None) -> list[StreamStatus]:
    found = {stream.name: stream for stream in status.streams(around=around)}
    return [found[name] for name in names if name in found]


def watch(names: Sequence[str], *, silent: bool = False) -> None:
    """Carry on with it in this process too until it is through, and show how far it is."""
    show = _Show(names, silent)
    with show:
        while any(backfill.unfinished(name) for name in names):
            for name in names:
                _step(name)
            show.look()
            time.sleep(0.05)


def _step(name: str) -> None:
    """What a worker does for it, or has a worker do it. What fails stands on the stream, which backs off."""
    try:
        backfill.step(name)
    except StranglerError:
        pass
    carry(name, Side.MONOLITH)


@dataclass
class _Show:
    """Live on a terminal; a line now and then in a log."""

    names: Sequence[str]
    silent: bool
    clock: Callable[[], float] = time.monotonic
    _live: Live | None = None
    _looked: float = float("-inf")
    _asked: float = float("-inf")
    _said: float = float("-inf")
    _before: dict[str, tuple[float, int]] = field(default_factory=dict)
    _around: Around = field(default_factory=Around)

    def __enter__(self) -> _Show:
        self._console = screen.console(stderr=True)
        if not self.silent and self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._live:
            self._live.stop()

    def look(self) -> None:
        now = self.clock()
        if self.silent or now - self._looked < LOOK_S:
            return
        self._looked = now
        if now - self._asked > ASK_S:
            self._asked, self._around = now, Around()
        seen = _seen(self.names, self._around)
        shown = looks.progress(seen, {stream.name: self._rate(stream, now) for stream in seen})
        if self._live:
            self._live.update(shown, refresh=True)
        elif now - self._said >= SAY_S:
            self._said = now
            self._console.print(shown)

    def _rate(self, stream: StreamStatus, now: float) -> float:
        """Rows a second since the last looks, smoothed: what it does now, not what it did before a pause."""
        sent = stream.backfilled.sent if stream.backfilled else 0
        at, before = self._before.get(stream.name, (now, sent))
        if now - at > 3 * SAY_S or stream.name not in self._before:
            self._before[stream.name] = (now, sent)
        if now - at < LOOK_S:
            return stream.backfilled.rate if stream.backfilled else 0.0
        return max(0, sent - before) / (now - at)
