"""A gigabyte up and a gigabyte down, counted and in chunks: how much more memory any worker needed for it."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.soak.application import PIECE
from tests.soak.estate import Estate
from tests.soak.verdict import Check
from tests.soak.watch import MEGABYTE

GIGABYTE, ROOM = 1 << 30, 40.0
COUNT = GIGABYTE // len(PIECE)
PATIENCE = 120.0


def measure(estate: Estate) -> list[Check]:
    return [
        _extra(estate, "1 GB up, counted", b"POST /upload", b"Content-Length: %d" % GIGABYTE, PIECE, b""),
        _extra(estate, "1 GB up, in chunks", b"POST /upload", b"Transfer-Encoding: chunked", _chunk(PIECE), b"0\r\n\r\n"),
        _extra(estate, "1 GB down, counted", b"GET /download?pieces=%d" % COUNT),
        _extra(estate, "1 GB down, in chunks", b"GET /download?chunked&pieces=%d" % COUNT),
    ]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _extra(estate: Estate, name: str, asked: bytes, framing: bytes = b"", piece: bytes = b"", end: bytes = b"") -> Check:
    """The peak of resident memory during one transfer, above what it was before; of the worker that grew most."""
    before = {pid: _memory(pid, "VmRSS") for pid in estate.pids().values()}
    for pid in before:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # forgets the peak until now
    came, last = _transfer(estate.port, asked, framing, piece, end)
    extra = max(_memory(pid, "VmHWM") - memory for pid, memory in before.items())
    whole = b'"size": %d' % GIGABYTE in last if piece else came >= GIGABYTE
    return Check(name, f"{extra:.1f} MB more; allowed {ROOM:g} MB", whole and extra < ROOM)


def _transfer(port: int, asked: bytes, framing: bytes, piece: bytes, end: bytes) -> tuple[int, bytes]:
    """Sends the request; gives how much came back, and the end of it."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as one:
        more = framing + b"\r\n" if framing else b""
        one.sendall(asked + b" HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n" + more + b"\r\n")
        for _ in range(COUNT if piece else 0):
            one.sendall(piece)
        one.sendall(end)
        came, last = 0, b""
        while data := one.recv(1 << 20):
            came += len(data)
            last = (last + data)[-4096:]
        return came, last


def _memory(pid: int, what: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) * 1024 / MEGABYTE
