"""What travels between a relay and a service whose transport is ``celery``: two tasks, and the queues they go to.

``strangler.apply``        to the service's own queue: the batch as HTTP would carry it, and a seal. Its id is the delivery,
                           its ``reply_to`` the lane in which the answer is waited for.
``strangler.acknowledge``  to that lane: status and body as HTTP would answer, and a seal that names the delivery.

A lane is a queue that the waiting holder reads itself: a worker that has one slot, with a holder in it, could never run an
acknowledgement. There are a few for each stream, by the lease's token and one for each round that is under way: so nobody reads
another's answers, and what comes too late stays in a queue that is used again and not in one that nobody ever reads.
"""

from __future__ import annotations

from typing import Any

from strangler.domain.seal import seal, unseal
from strangler.domain.tokens import BadToken

APPLY = "strangler.apply"
ACKNOWLEDGE = "strangler.acknowledge"
QUEUES = "strangler."
LANES = "strangler.answers."
TOKENS = 8
UNDER_WAY = 4  # deliveries of one holder at a time
LIFE_S = 60.0  # as long as a seal holds; RabbitMQ drops older messages itself, elsewhere the seal has expired
UNUSED_MS = 600_000  # after which RabbitMQ removes a lane; the next holder declares it again


def queue_of(context: str) -> str:
    """The queue of the context's service."""
    return QUEUES + context


def lanes_of(stream: str, token: int) -> list[str]:
    """Those of one holder."""
    return [f"{LANES}{stream}.{token % TOKENS}.{number}" for number in range(UNDER_WAY)]


def is_lane(name: object) -> bool:
    return isinstance(name, str) and name.startswith(LANES)


def seal_batch(secret: str, body: str, *, context: str, delivery: str, now: float) -> str:
    return seal(secret, body, purpose=f"{APPLY}:{context}", now=now, delivery=delivery)


def check_batch(secret: str, token: str, body: str, *, context: str, delivery: str, now: float) -> None:
    """Raises ``BadToken``."""
    _of(delivery, unseal(secret, token, body, purpose=f"{APPLY}:{context}", now=now))


def seal_answer(secret: str, status: int, body: str, *, context: str, delivery: str, now: float) -> str:
    return seal(secret, f"{status} {body}", purpose=f"{ACKNOWLEDGE}:{context}", now=now, delivery=delivery)


def check_answer(secret: str, token: str, status: int, body: str, *, context: str, delivery: str, now: float) -> None:
    """Raises ``BadToken``."""
    _of(delivery, unseal(secret, token, f"{status} {body}", purpose=f"{ACKNOWLEDGE}:{context}", now=now))


def _of(delivery: str, claims: dict[str, Any]) -> None:
    if claims.get("delivery") != delivery:
        raise BadToken("made for another delivery")
