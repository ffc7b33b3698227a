"""The cases, read from the TOML files beside this module and checked: what a case says, and what follows from it unsaid."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.corpus import reader
from tests.corpus.reader import Message

HERE = Path(__file__).parent
PEERS = ("nginx", "envoy")
_BOTH = {"name", "raw", "fill", "why"}
_REQUEST = _BOTH | {"refused", "forwarded", "answers", "closes", "half", "differs"}
_RESPONSE = _BOTH | {"request", "ends", "client", "refused", "broken", "closes", "kept"}


@dataclass(frozen=True)
class RequestCase:
    """``forwarded`` is what the application must get, ``answers`` the statuses that the client gets, in order.

    ``closes``: the proxy ends the connection. ``half``: the client ends it behind ``raw``, in the middle of a message.
    """

    id: str
    raw: bytes
    forwarded: tuple[Message, ...]
    answers: tuple[int, ...]
    closes: bool
    half: bool = False
    why: str = ""
    differs: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Of what is said and what is expected: a record of another one is stale."""
        whole = repr((self.raw, self.half, self.forwarded, self.answers)).encode()
        return hashlib.sha256(whole).hexdigest()[:12]


@dataclass(frozen=True)
class ResponseCase:
    """The application answers ``request`` with ``raw`` and then ``ends`` ("close", "reset", or nothing).

    ``client`` is what the client must get; ``broken``: it gets a part, and must see that it is only one. ``kept``: the connection
    to the application is used again; ``closes``: that to the client is not.
    """

    id: str
    request: bytes
    raw: bytes
    ends: str
    client: tuple[Message, ...]
    refused: int
    broken: bool
    closes: bool
    kept: bool
    why: str = ""


def octets(text: str, fill: list[Any] | None = None) -> bytes:
    """``§`` in a case stands for a text that is repeated: ``fill = ["a", 9000]``. Characters are octets (Latin-1)."""
    if fill:
        text = text.replace("§", fill[0] * fill[1])
    return text.encode("latin-1")


def requests() -> list[RequestCase]:
    return [_request(name, raw) for name, raw in _read("requests", _REQUEST)]


def responses() -> list[ResponseCase]:
    return [_response(name, raw) for name, raw in _read("responses", _RESPONSE)]


def _read(folder: str, known: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    seen: set[str] = set()
    for path in sorted((HERE / folder).glob("*.toml")):
        for case in tomllib.loads(path.read_text(encoding="utf-8"))["case"]:
            name = f"{path.stem}: {case['name']}"
            if unknown := case.keys() - known:
                raise ValueError(f"{folder}/{path.name}, case {case['name']!r}: unknown {sorted(unknown)}")
            if name in seen:
                raise ValueError(f"{folder}/{path.name} has two cases {case['name']!r}")
            seen.add(name)
            yield name, case


def _request(name: str, case: dict[str, Any]) -> RequestCase:
    raw, fill = octets(case["raw"], case.get("fill")), case.get("fill")
    refused = case.get("refused")
    if refused or case.get("half"):
        forwarded = [octets(text, fill) for text in case.get("forwarded", [])]
        messages = [message for each in forwarded for message in reader.requests(each)]
    elif "forwarded" in case:
        messages = [message for text in case["forwarded"] for message in reader.requests(octets(text, fill))]
    else:
        messages = reader.requests(raw)
    usual = [200] * len(messages) + ([refused] if refused else [])
    return RequestCase(
        id=name,
        raw=raw,
        forwarded=tuple(messages),
        answers=tuple(case.get("answers", usual)),
        closes=case.get("closes", bool(refused) or bool(case.get("half"))),
        half=case.get("half", False),
        why=case.get("why", ""),
        differs=case.get("differs", {}),
    )


def _response(name: str, case: dict[str, Any]) -> ResponseCase:
    raw, fill, ends = octets(case["raw"], case.get("fill")), case.get("fill"), case.get("ends", "")
    request = octets(case.get("request", "GET /case HTTP/1.1\r\nHost: a\r\n\r\n"))
    refused, broken = case.get("refused", 0), case.get("broken", False)
    client: list[Message] = []
    if not refused and not broken:
        method = request.split(b" ")[0].decode()
        told = octets(case["client"], fill) if "client" in case else raw
        client = answers(told, [method])
    closes = case.get("closes", broken)
    return ResponseCase(
        id=name,
        request=request,
        raw=raw,
        ends=ends,
        client=tuple(client),
        refused=refused,
        broken=broken,
        closes=closes,
        kept=case.get("kept", not (ends or refused or broken)),
        why=case.get("why", ""),
    )


def answers(data: bytes, methods: list[str]) -> list[Message]:
    """All responses in ``data``, interim ones too, to requests by ``methods``. Raises ``Unreadable`` for a part of one."""
    found, methods = [], list(methods)
    while data:
        read = reader.response(data, methods[0] if methods else "GET", ended=True)
        if read is None:
            raise reader.Unreadable(f"an answer is cut off: {data[:200]!r}")
        message, data = read
        found.append(message)
        if message.status >= 200 and methods:
            methods.pop(0)
    return found
