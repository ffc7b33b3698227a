"""The message in which a change travels: a CloudEvents 1.0 event in JSON batch format, and the version that orders it.

An event is one key's state as of its version. It carries the whole row, so that the newest one is enough and older ones may be
dropped, doubled or come late (P8). ``from_json`` accepts only what it understands and says what is wrong with the rest.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from json.encoder import encode_basestring as _quoted  # a string as JSON, all of Unicode as it is
from typing import Any, NamedTuple

from strangler.domain import wire

CONTENT_TYPE = "application/cloudevents-batch+json"


class BadEvent(ValueError):
    """The batch is not one of ours; the message says which member of which event is wrong."""


class Op(StrEnum):
    UPSERT = "upsert"
    DELETE = "delete"
    RESET = "reset"

    @property
    def type(self) -> str:
        return "strangler.collection.reset" if self is Op.RESET else f"strangler.row.{self}"


BY_TYPE = {op.type: op for op in Op}


class Version(NamedTuple):
    """``(epoch, lease token, round)``; compared in that order. Its text is ``7.3.4711``."""

    epoch: int
    token: int
    round: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.token}.{self.round}"

    @classmethod
    def parse(cls, text: object) -> Version:
        """Raises ``BadEvent``."""
        parts = text.split(".") if isinstance(text, str) else []
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
            raise BadEvent(f"strversion is {text!r}, not three numbers such as 7.3.4711")
        return cls(*map(int, parts))


class Event(NamedTuple):
    """One change of one key; ``key`` is None for a reset, ``data`` (column → wire value) is None unless it is an upsert."""

    stream: str
    op: Op
    collection: str
    key: str | None
    version: Version
    data: Mapping[str, wire.Json] | None = None
    schema: str = ""
    marker: int = 0
    source: str = "strangler/monolith"
    time: str = ""  # when the oldest change that it stands for was noted (RFC 3339)

    @property
    def subject(self) -> str:
        return self.collection if self.key is None else f"{self.collection}/{self.key}"

    @property
    def id(self) -> str:
        return f"{self.stream}/{self.version.token}-{self.version.round}/{self.subject}"


def schema_hash(columns: Mapping[str, str]) -> str:
    """Eight hex digits over sorted ``name:type``: two sides with the same hash have the same columns."""
    text = ",".join(f"{name}:{columns[name]}" for name in sorted(columns))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def to_dict(event: Event) -> dict[str, Any]:
    body: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.op.type,
        "subject": event.subject,
        "strstream": event.stream,
        "strversion": str(event.version),
        "strschema": event.schema,
        "strmarker": event.marker,
    }
    if event.time:
        body["time"] = event.time
    if event.data is not None:
        nulls = _nulls(event.data)
        body["data"] = {**event.data, **dict.fromkeys(nulls)}
        if nulls:
            body["strjsonnull"] = json.dumps(nulls)
    return body


def to_json(events: Iterable[Event]) -> str:
    """The batch as JSON text: what ``to_dict`` gives, written member by member, because thousands are written a second."""
    heads: dict[tuple[Any, ...], str] = {}
    return "[" + ",".join([_written(event, heads) for event in events]) + "]"


def _written(event: Event, heads: dict[tuple[Any, ...], str]) -> str:
    """One event as JSON. ``heads`` keeps what the events of a batch have in common."""
    stream, op, collection, key, version, data, schema, marker, source, time = event
    common = (stream, op, version, schema, marker, source)
    head = heads.get(common)
    if head is None:
        head = heads[common] = (
            f'{{"specversion":"1.0","source":{wire.dumps(source)},"type":"{op.type}","strstream":{wire.dumps(stream)},'
            f'"strversion":"{version}","strschema":{wire.dumps(schema)},"strmarker":{marker},'
            f'"id":{wire.dumps(f"{stream}/{version.token}-{version.round}/")[:-1]}'
        )
    subject = _quoted(collection if key is None else f"{collection}/{key}")
    tail = f',"time":{_quoted(time)}' if time else ""
    if data is not None:
        nulls = data.nulls if isinstance(data, wire.Written) else _nulls(data)
        if nulls:
            tail += f',"strjsonnull":{wire.dumps(json.dumps(nulls))}'
        text = data.text if isinstance(data, wire.Written) else wire.dumps({**data, **dict.fromkeys(nulls)})
        tail += f',"data":{text}'
    return f'{head}{subject[1:]},"subject":{subject}{tail}}}'


def _nulls(data: Mapping[str, wire.Json]) -> list[str]:
    return [name for name, value in data.items() if value is wire.JSON_NULL]


def from_json(text: str | bytes) -> list[Event]:
    """The events of a batch. Raises ``BadEvent``."""
    try:
        batch = wire.loads(text)
    except ValueError as error:
        raise BadEvent(f"not JSON: {error}") from error
    if not isinstance(batch, list):
        raise BadEvent("not a list of events")
    events = []
    for index, body in enumerate(batch):
        try:
            events.append(from_dict(body))
        except BadEvent as error:
            raise BadEvent(f"event {index}: {error}") from None
    return events


def from_dict(body: object) -> Event:
    """Raises ``BadEvent`` naming the member."""
    if not isinstance(body, dict):
        raise BadEvent("not an object")
    if body.get("specversion") != "1.0":
        raise BadEvent(f"specversion is {body.get('specversion')!r}, not '1.0'")
    type_ = body.get("type")
    op = BY_TYPE.get(type_) if isinstance(type_, str) else None
    if op is None:
        raise BadEvent(f"type is {type_!r}, not one of {', '.join(BY_TYPE)}")
    collection, key = _subject(body.get("subject"), op)
    return Event(
        _text(body, "strstream"),
        op,
        collection,
        key,
        _version(body.get("strversion")),
        _data(body, op),
        _text(body, "strschema", ""),
        _number(body, "strmarker"),
        _text(body, "source"),
        _text(body, "time", ""),
    )


@functools.lru_cache(maxsize=64)
def _parsed_version(text: str) -> Version:
    return Version.parse(text)


def _version(text: object) -> Version:
    """A batch has few versions, so each is parsed once."""
    return _parsed_version(text) if isinstance(text, str) else Version.parse(text)


def _subject(subject: object, op: Op) -> tuple[str, str | None]:
    if not isinstance(subject, str) or not subject:
        raise BadEvent(f"subject is {subject!r}, not collection/key")
    collection, slash, key = subject.partition("/")
    if op is Op.RESET:
        if slash:
            raise BadEvent(f"subject is {subject!r}; a reset names a collection alone")
        return collection, None
    if not slash or not collection:
        raise BadEvent(f"subject is {subject!r}, not collection/key")
    return collection, key


def _text(body: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str):
        raise BadEvent(f"{name} is {value!r}, not a string")
    return value


def _number(body: Mapping[str, Any], name: str) -> int:
    value = body.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadEvent(f"{name} is {value!r}, not a number from 0")
    return value


def _data(body: Mapping[str, Any], op: Op) -> dict[str, wire.Json] | None:
    if op is not Op.UPSERT:
        return None
    data = body.get("data")
    if not isinstance(data, dict) or not data:
        raise BadEvent("data is not a row")
    if "strjsonnull" in body:
        try:
            names = json.loads(body["strjsonnull"])
            return {**data, **dict.fromkeys((str(name) for name in names), wire.JSON_NULL)}
        except (TypeError, ValueError) as error:
            raise BadEvent(f"strjsonnull is {body['strjsonnull']!r}, not a JSON list of column names") from error
    return data
