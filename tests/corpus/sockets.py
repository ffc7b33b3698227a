"""The recording application on a real socket, and one client's conversation with a proxy on another."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

from tests.corpus.recorder import Recorder

PATIENCE = 10.0
_RESET = struct.pack("ii", 1, 0)


class Server:
    """Serves ``recorder`` on a free port, a thread a connection. Use it in ``with``."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listening.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self._listening.accept()
            except OSError:
                return
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(one)
            threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one: socket.socket) -> None:
        with contextlib.suppress(OSError), one:
            with self._lock:
                conversation = self.recorder.connect()
            while not conversation.ended and (data := one.recv(65536)):
                with self._lock:
                    said = conversation.hear(data)
                one.sendall(said)
            if conversation.ended == "reset":
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._open.discard(one)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def converse(port: int, said: bytes, *, half: bool = False, patience: float = PATIENCE) -> bytes:
    """Says all of it and listens to the end; what was heard before a reset counts. Raises ``TimeoutError``.

    ``half``: ends its own side first.
    """
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as one:
        with contextlib.suppress(ConnectionError):
            one.sendall(said)
            if half:
                one.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while piece := one.recv(65536):
                received += piece
    return received
