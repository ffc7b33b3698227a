"""Clients and applications that do anything in any order, and what must hold of the proxy between them all the while.

Clients ask in pieces, pause, end and reset; applications answer in pieces, early, pause, end and reset; time passes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.corpus import reader
from tests.corpus.recorder import Recorder
from tests.corpus.wire import SNAPSHOT, Client, Link, World

ORIGIN = SNAPSHOT["default"]["targets"]
TABLE = SNAPSHOT | {
    "contexts": {"payments": {"stage": "monolith", "targets": {"monolith": ORIGIN, "service": []}}},
    "routes": [{"match": {"prefix": "/w"}, "access": "auto", "context": "payments"}],
}
ASKED = {
    "read": "GET /r/%d HTTP/1.1\r\nHost: a\r\n\r\n",
    "counted": "POST /w/%d HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "chunks": "POST /w/%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    "last": "GET /r/%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
}
SAID = {
    "counted": "HTTP/1.1 200 OK\r\nX-Id: %d\r\nContent-Length: 4\r\n\r\nbody",
    "empty": "HTTP/1.1 204 No Content\r\nX-Id: %d\r\n\r\n",
    "chunks": "HTTP/1.1 200 OK\r\nX-Id: %d\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
    "early": "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nX-Id: %d\r\nContent-Length: 4\r\n\r\nbody",
    "last": "HTTP/1.1 200 OK\r\nX-Id: %d\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody",
}
SIZES = st.sampled_from([1000, 52, 66, 30, 0])
_LINE = re.compile(rb"(GET|POST) /([rw])/([0-9]+) HTTP/1\.1\r\n")


class Silent(Recorder):
    """An application that only listens; the machine speaks for it."""

    def connect(self) -> Ear:  # type: ignore[override]
        self.connections += 1
        return Ear()


@dataclass
class Ear:
    """``number`` is the request under way, from its head to the last octet of its answer; ``to_say`` the rest of the answer."""

    ended: str = ""
    buffer: bytes = b""
    number: int = -1
    writes: bool = False
    heard: list[int] = field(default_factory=list)
    to_say: bytes = b""
    answering: bool = False
    whole: bool = True

    def hear(self, data: bytes) -> bytes:
        if self.answering and not self.to_say and _LINE.match(data):
            self.answered()
        self.buffer += data
        if self.number < 0 and (line := _LINE.match(self.buffer)):
            assert self.whole, "a request in the middle of another one's body"
            self.number, self.writes, self.whole = int(line[3]), line[2] == b"w", False
            self.heard.append(self.number)
        found = reader.request(self.buffer)
        if found is not None:
            message, rest = found
            assert rest == b"", "a second request before the first was answered"
            assert message.body == (b"hello" if self.writes else b"")
            self.buffer, self.whole = b"", True
        return b""

    def answered(self) -> None:
        self.number, self.answering = -1, False
        self.buffer = b""


@dataclass
class Talk:
    """A client, what it asked for in order, and what of that it has not said yet."""

    client: Client
    numbers: list[int] = field(default_factory=list)
    to_say: bytes = b""
    full: bool = False
    gone: bool = False


class Wire(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World(TABLE)
        self.world.recorder = Silent()
        self.talks: list[Talk] = []
        self.full_links: set[int] = set()
        self.writes: set[int] = set()
        self.asked = 0

    def teardown(self) -> None:
        try:
            self._let_everything_end()
        finally:
            self.world.forget()
            self.world.loop.close()

    # -- clients ---------------------------------------------------------------------------------------------------------

    def _alive(self) -> list[Talk]:
        return [talk for talk in self.talks if not talk.gone and not talk.client.transport.is_closing()]

    @precondition(lambda self: len(self._alive()) < 3)
    @rule()
    def come(self) -> None:
        self.talks.append(Talk(self.world.client()))

    def _talk(self, which: int) -> Talk | None:
        alive = self._alive()
        return alive[which % len(alive)] if alive else None

    @rule(which=st.integers(0, 2), kinds=st.lists(st.sampled_from(sorted(ASKED)), min_size=1, max_size=3), size=SIZES)
    def ask(self, which: int, kinds: list[str], size: int) -> None:
        """More requests; some of them, or all, are said at once."""
        if not self._alive():
            self.come()
        talk = self._talk(which)
        assert talk is not None
        for kind in kinds:
            self.asked += 1
            talk.numbers.append(self.asked)
            if kind in ("counted", "chunks"):
                self.writes.add(self.asked)
            talk.to_say += (ASKED[kind] % self.asked).encode()
        self.say(self._alive().index(talk), size)

    @rule(which=st.integers(0, 2), size=st.integers(1, 200))
    def say(self, which: int, size: int) -> None:
        talk = self._talk(which)
        if talk is not None and talk.to_say and size:
            said, talk.to_say = talk.to_say[:size], talk.to_say[size:]
            talk.client.say(said)

    @rule(which=st.integers(0, 2))
    def stop_or_go_on_reading(self, which: int) -> None:
        talk = self._talk(which)
        if talk is not None:
            protocol = talk.client.transport.get_protocol()
            self.world.run(protocol.resume_writing if talk.full else protocol.pause_writing)  # type: ignore[attr-defined]
            talk.full = not talk.full

    @rule(which=st.integers(0, 2), reset=st.booleans())
    def leave(self, which: int, reset: bool) -> None:
        talk = self._talk(which)
        if talk is not None:
            talk.gone = True
            self.world.run(talk.client.transport.hear_reset if reset else talk.client.transport.hear_end)

    # -- applications ----------------------------------------------------------------------------------------------------

    @staticmethod
    def _ear(link: Link) -> Ear:
        assert isinstance(link._conversation, Ear)
        return link._conversation

    def _link(self, which: int) -> Link | None:
        """One that is being asked."""
        busy = [link for link in self.world.links if not link.transport.is_closing() and self._ear(link).number >= 0]
        return busy[which % len(busy)] if busy else None

    @rule(which=st.integers(0, 4), kind=st.sampled_from(sorted(SAID)), size=st.sampled_from([500, 500, 60, 25, 1]))
    def answer(self, which: int, kind: str, size: int) -> None:
        """Begins an answer, perhaps before the request's body is there, or goes on with it."""
        link = self._link(which)
        if link is not None:
            self._go_on(link, kind, size)

    def _go_on(self, link: Link, kind: str, size: int) -> None:
        ear = self._ear(link)
        if not ear.answering:
            ear.answering = True
            ear.to_say = (SAID[kind] % ear.number).encode()
        said, ear.to_say = ear.to_say[:size], ear.to_say[size:]
        self.world.run(lambda: link.transport.hear(said))
        self._take_note(link)

    def _take_note(self, link: Link) -> None:
        ear = self._ear(link)
        if ear.answering and not ear.to_say and not link.transport._waiting:
            ear.answered()

    @rule(which=st.integers(0, 4), reset=st.booleans())
    def hang_up(self, which: int, reset: bool) -> None:
        """In the middle of something, or (the last number) while the connection is kept for another request."""
        idle = [link for link in self.world.links if not link.transport.is_closing() and self._ear(link).number < 0]
        link = idle[0] if which == 4 and idle else self._link(which)
        if link is not None:
            self.world.run(link.transport.hear_reset if reset else link.transport.hear_end)

    @rule(which=st.integers(0, 4))
    def application_stops_or_goes_on_reading(self, which: int) -> None:
        link = self._link(which)
        if link is not None:
            protocol = link.transport.get_protocol()
            full = id(link) in self.full_links
            self.world.run(protocol.resume_writing if full else protocol.pause_writing)  # type: ignore[attr-defined]
            self.full_links ^= {id(link)}

    @rule(seconds=st.sampled_from([0.3, 0.3, 2.5, 11.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.loop.now += seconds
        self.world.run(self.world.plane.sweep)

    # -- what must hold --------------------------------------------------------------------------------------------------

    @invariant()
    def nothing_was_unexpected(self) -> None:
        assert self.world.errors == []

    @invariant()
    def writes_under_way_are_counted_exactly(self) -> None:
        for link in self.world.links:
            self._take_note(link)
        alive = [self._ear(link) for link in self.world.links if not link.transport.is_closing()]
        under_way = sum(ear.writes and ear.number >= 0 for ear in alive)
        assert self.world.plane.holds.writes.counts["payments"] == under_way

    @invariant()
    def no_write_is_sent_twice_and_no_read_three_times(self) -> None:
        heard = [number for link in self.world.links for number in self._ear(link).heard]
        for number in heard:
            assert heard.count(number) <= (1 if number in self.writes else 2)

    @invariant()
    def answers_come_in_the_order_of_requests(self) -> None:
        for talk in self.talks:
            for number, (status, told) in zip(talk.numbers, self._answers(talk), strict=False):
                assert told in (number, None), "somebody else's answer"
                assert told is not None or status >= 400, "an answer that nobody gave"

    @staticmethod
    def _answers(talk: Talk) -> list[tuple[int, int | None]]:
        """Status and number of every final answer so far that is whole; the number only if an application gave it."""
        found: list[tuple[int, int | None]] = []
        data = talk.client.received
        while (read := reader.response(data)) is not None:
            message, data = read
            if message.status >= 200:
                told = message.all("x-id")
                found.append((message.status, int(told[0]) if told else None))
        return found

    # -- the end ---------------------------------------------------------------------------------------------------------

    def _let_everything_end(self) -> None:
        """Everybody says all and reads all: each request is answered, or its connection ended, and no write is left under way."""
        for talk in self.talks:
            if talk.full and not talk.client.transport.is_closing():  # one that has said its end may still read
                self.world.run(talk.client.transport.get_protocol().resume_writing)  # type: ignore[attr-defined]
            if not talk.gone and not talk.client.transport.is_closing():
                talk.client.say(talk.to_say)
        for _ in range(3 * self.asked + 3):
            for link in self.world.links:
                if id(link) in self.full_links and not link.transport.is_closing():
                    self.full_links.discard(id(link))
                    self.world.run(link.transport.get_protocol().resume_writing)  # type: ignore[attr-defined]
                if not link.transport.is_closing() and self._ear(link).number >= 0:
                    self._go_on(link, "counted", 1000)
        self.writes_under_way_are_counted_exactly()
        assert self.world.plane.holds.writes.counts["payments"] == 0
        for talk in self.talks:
            if not talk.gone and not talk.client.closed and not talk.client.transport.is_closing():
                assert len(self._answers(talk)) == len(talk.numbers)
        self.nothing_was_unexpected()


TestWire = Wire.TestCase
TestWire.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
