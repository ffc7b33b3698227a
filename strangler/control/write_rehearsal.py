"""Rehearsing recorded writes against the service: each is run there in a transaction that never commits, and compared.

Before it runs, the rows that it touched are set, in that transaction, to what they were before: so it does not matter whether the
service has its effects already. All other rows are as they are now.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from strangler import conf
from strangler.domain import tokens, wire
from strangler.domain.parity import masking
from strangler.domain.parity.answers import Answer
from strangler.domain.parity.difference import Difference
from strangler.domain.write_rehearsal import Run, unlike
from strangler.errors import Misuse, ServiceUnavailable
from strangler.sync.answer import judge
from strangler.sync.collections import declared
from strangler.sync.recording import store
from strangler.sync.recording.models import RecordedWrite

HEADER, CLAIM = "X-Strangler-Rehearse", "rehearse"
TIMEOUT = (1.0, 15.0)
TRIES, PAUSE_S = 5, 0.2  # of one that found a row locked: what is mirrored goes first


@dataclass(frozen=True)
class Rehearsed:
    """What became of one. ``cannot``: why it could not be compared, else empty. Values are masked."""

    id: int
    endpoint: str
    target: str
    status: int
    answered: int
    differences: tuple[Difference, ...] = ()
    cannot: str = ""
    held_back: Mapping[str, int] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        return not self.differences and not self.cannot

    def to_json(self) -> dict[str, Any]:
        differences = [{**asdict(one), "kind": str(one.kind)} for one in self.differences]
        return {**asdict(self), "held_back": dict(self.held_back), "differences": differences, "same": self.same}


def run(context: str, number: int, progress: Callable[[Rehearsed], object] = lambda _: None) -> list[Rehearsed]:
    """The last ``number`` recorded writes, the oldest first.

    Raises ``Misuse`` where nothing is recorded, ``StaleEpoch`` where the service owns, ``ServiceUnavailable``.
    """
    writes = store.last(context, number)
    if not writes:
        raise Misuse(f"no write of {context} is recorded; begin with: strangler rehearsal record {context} --for 10m")
    found = []
    with requests.Session() as session:
        session.trust_env = False
        for write in writes:
            found.append(_patiently(session, write))
            progress(found[-1])
    return found


def by_endpoint(found: Iterable[Rehearsed]) -> dict[str, list[Rehearsed]]:
    """In order of the name."""
    listed: dict[str, list[Rehearsed]] = {}
    for one in sorted(found, key=lambda one: (one.endpoint, one.id)):
        listed.setdefault(one.endpoint, []).append(one)
    return listed


def lasting(text: str) -> timedelta:
    """``10m``. Raises ``Misuse``."""
    from strangler.domain.durations import seconds

    try:
        return timedelta(seconds=seconds(text))
    except ValueError as error:
        raise Misuse(f"--for {text}: {error}") from error


def _patiently(session: requests.Session, write: RecordedWrite) -> Rehearsed:
    for left in reversed(range(TRIES)):
        began = datetime.now(UTC)
        said = _asked(session, write)
        if isinstance(said, str) or not (said["busy"] and left):
            break
        time.sleep(PAUSE_S)
    if isinstance(said, str):
        return Rehearsed(write.pk, write.endpoint, masking.url(write.target), write.status, 0, cannot=said)
    return _judged(write, said, began, datetime.now(UTC))


def _asked(session: requests.Session, write: RecordedWrite) -> Mapping[str, Any] | str:
    """The service's envelope, or why it can't rehearse this one. Raises ``ServiceUnavailable``, ``StranglerError``."""
    url = str(declared(write.context).service_urls[0]).rstrip("/") + write.target
    token = tokens.issue(conf.service_secret(), audience=write.context, now=time.time(), **{CLAIM: True})
    before = [
        {"collection": effect["collection"], "key": effect["key"], "row": effect["before"]}
        for effect in wire.loads(write.effects)
    ]
    envelope = {
        "body": base64.b64encode(bytes(write.body)).decode("ascii"),
        "content_type": write.content_type,
        "user": write.user,
        "before": before,
    }
    headers = {**write.headers, HEADER: token, "Content-Type": "application/json"}
    try:
        answer = session.request(
            write.method, url, data=wire.dumps(envelope).encode(), headers=headers, timeout=TIMEOUT, allow_redirects=False
        )
    except requests.RequestException as error:
        raise ServiceUnavailable(f"the {write.context} service at {url} does not answer ({type(error).__name__})") from error
    if answer.status_code == 422 and answer.headers.get("Content-Type") == "application/problem+json":
        return str(wire.loads(answer.content).get("detail"))
    judge(answer.status_code, answer.content, who=f"the {write.context} service", call=f"{write.method} {write.target}")
    said: Mapping[str, Any] = wire.loads(answer.content)
    if not isinstance(said, Mapping) or "effects" not in said:
        raise Misuse(f"the {write.context} service does not rehearse: it is of an older contract, or of another language")
    return said


def _judged(write: RecordedWrite, said: Mapping[str, Any], began: datetime, ended: datetime) -> Rehearsed:
    content = base64.b64decode(said["body"])
    place = (write.pk, write.endpoint, masking.url(write.target), write.status, int(said["status"]))
    if said["busy"]:
        return Rehearsed(*place, cannot="rows that it needs were locked each time")
    if said["calls"]:
        return Rehearsed(*place, cannot=f"it calls {', '.join(sorted(set(said['calls'])))}, which a rehearsal never does")
    recorded = Run(
        Answer.of(write.status, write.answer_headers, bytes(write.answer)),
        [effect for effect in wire.loads(write.effects) if effect["own"]],
        write.at,
        write.at + timedelta(milliseconds=write.took_ms),
    )
    rehearsed = Run(Answer.of(int(said["status"]), said["headers"], content), said["effects"], began, ended)
    unequal = tuple(masking.difference(one) for one in unlike(recorded, rehearsed))
    return Rehearsed(*place, differences=unequal, held_back=said["held_back"])
