"""When a client that has shut down its side counts as gone, and when it is asked."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest

from strangler_proxy.half_closed import HalfClosed, possible


class Transport:
    """What is written to it, and the error that its socket reports."""

    def __init__(self, error: int = 0, **extra: Any) -> None:
        self.error, self.extra, self.closing = error, extra, False
        self.written = b""

    def get_extra_info(self, name: str) -> Any:
        return self if name == "socket" else self.extra.get(name)

    def getsockopt(self, level: int, option: int) -> int:
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR)
        return self.error

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        self.written += data


def exchange(*, answering: bool = False, held: bool = False, http11: bool = True) -> Any:
    return SimpleNamespace(answering=answering, held=held, request=SimpleNamespace(http11=http11))


def test_it_is_asked_once_and_only_where_the_answer_takes_its_time() -> None:
    transport = Transport()
    half = HalfClosed(transport, 10.0)  # type: ignore[arg-type]
    assert not half.look(exchange(), 10.9, 10.0)
    assert transport.written == b""
    for now in (11.1, 12.0, 60.0):
        assert not half.look(exchange(), now, 10.0)
    assert transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_it_is_asked_at_once_while_it_is_parked() -> None:
    transport = Transport()
    HalfClosed(transport, 10.0).look(exchange(held=True), 10.0, 10.0)  # type: ignore[arg-type]
    assert transport.written


@pytest.mark.parametrize("asking", [exchange(http11=False), exchange(answering=True)])
def test_it_is_not_asked_where_an_interim_answer_can_not_be(asking: Any) -> None:
    transport = Transport()
    HalfClosed(transport, 10.0).look(asking, 15.0, 10.0)  # type: ignore[arg-type]
    assert transport.written == b""


def test_a_reset_tells() -> None:
    assert HalfClosed(Transport(error=32), 10.0).look(exchange(), 10.0, 10.0)  # type: ignore[arg-type]


def test_an_answer_that_pauses_for_long_is_given_up() -> None:
    half = HalfClosed(Transport(), 10.0)  # type: ignore[arg-type]
    assert not half.look(exchange(answering=True), 19.0, 10.0)
    half.since = 19.0
    assert not half.look(exchange(answering=True), 28.0, 10.0)
    assert half.look(exchange(answering=True), 30.0, 10.0)


def test_over_tls_there_is_none() -> None:
    assert possible(Transport())  # type: ignore[arg-type]
    assert not possible(Transport(sslcontext=object()))  # type: ignore[arg-type]
