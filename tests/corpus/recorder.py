"""The application behind a proxy under test: it notes what it hears and says what it was told to. No sockets in here."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.corpus import reader
from tests.corpus.reader import Message

LAST = b"GET /last HTTP/1.1\r\nHost: last\r\nConnection: close\r\n\r\n"
"""Sent behind a case: whether it is answered tells whether the connection was kept, and its answer that nothing got mixed up."""
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


def is_last(message: Message) -> bool:
    return message.target == "/last"


@dataclass
class Recorder:
    """What came, in order, with the number of its connection. ``answer`` is said to all but the last request; None: 200."""

    answer: bytes | None = None
    ends: str = ""
    heard: list[tuple[int, Message]] = field(default_factory=list)
    unreadable: list[bytes] = field(default_factory=list)
    connections: int = 0

    def connect(self) -> Conversation:
        self.connections += 1
        return Conversation(self, self.connections)

    def reset(self, answer: bytes | None = None, ends: str = "") -> None:
        self.answer, self.ends = answer, ends
        self.heard.clear()
        self.unreadable.clear()

    @property
    def messages(self) -> list[Message]:
        return [message for _, message in self.heard if not is_last(message)]


class Conversation:
    """One connection. ``ended`` is "close" or "reset" once the application wants that."""

    def __init__(self, recorder: Recorder, number: int) -> None:
        self._recorder, self._number = recorder, number
        self._buffer = b""
        self._continued = False
        self.ended = ""

    def hear(self, data: bytes) -> bytes:
        """Takes bytes; gives what is said to them."""
        self._buffer += data
        said = b""
        while self._buffer and not self.ended:
            try:
                found = reader.request(self._buffer)
            except reader.Unreadable:
                self._recorder.unreadable.append(self._buffer)
                self.ended = "close"
                return said
            if found is None:
                return said + self._go_on()
            message, self._buffer = found
            said += self._go_on(message) + self._answer(message)
            self._continued = False
        return said

    def _go_on(self, message: Message | None = None) -> bytes:
        """100 (Continue), where somebody waits for it."""
        head, end, _ = self._buffer.partition(b"\r\n\r\n")
        waits = message.all("expect") if message else end and b"\r\nexpect: 100-continue" in head.lower()
        if not waits or self._continued:
            return b""
        self._continued = True
        return b"HTTP/1.1 100 Continue\r\n\r\n"

    def _answer(self, message: Message) -> bytes:
        self._recorder.heard.append((self._number, message))
        if self._recorder.answer is not None and not is_last(message):
            self.ended = self._recorder.ends
            return self._recorder.answer
        return _OK if message.method == "HEAD" else _OK + b"ok"
