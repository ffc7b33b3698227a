"""P19 with a real worker: a task of a context runs where the context is owned, once, whatever side it was delivered to."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import signals

from monolith.celery import app
from monolith.payments.models import Payment
from strangler.seams import owner_task, tasks

from .conftest import real_worker
from .shop import make_order, make_payment

Own = Callable[..., None]
ran: queue.Queue[str] = queue.Queue()
meeting = threading.Barrier(2, timeout=10)


@owner_task("payments", name="tests.seams.note")
def note(word: str) -> None:
    ran.put(word)


@owner_task("payments", name="tests.seams.settle")
def settle(payment_id: int, meet: bool) -> None:
    """Writes payments; if asked, after the test has changed the owner under it."""
    if meet and not settle.request.retries:
        meeting.wait()
        meeting.wait()
    Payment.objects.filter(pk=payment_id).update(reason="settled")
    ran.put(f"settled {payment_id}")


@pytest.fixture
def retries() -> Iterator[queue.Queue[str]]:
    seen: queue.Queue[str] = queue.Queue()

    def on_retry(request: Any, reason: Any, **_: Any) -> None:
        seen.put(type(reason.exc).__name__)

    signals.task_retry.connect(on_retry)
    yield seen
    signals.task_retry.disconnect(on_retry)


@pytest.fixture(scope="module")
def working() -> Iterator[None]:
    with real_worker():
        yield


@pytest.fixture
def worker(working: None, fenced: None, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[None]:
    """That worker, with short pauses; at the end nothing may have run that no test expected."""
    monkeypatch.setattr(tasks, "LONGEST_PAUSE_S", 0.01)
    settings.STRANGLER_CLAIM_TIMEOUT = 0.02
    with app.connection_for_write() as connection:
        connection.SimpleQueue("payments").clear()
    yield
    assert ran.empty()


def forwarded(timeout: float = 5) -> Any:
    """The next message for the service's worker."""
    with app.connection_for_read() as connection:
        waiting = connection.SimpleQueue("payments")
        message = waiting.get(timeout=timeout)
        message.ack()
        waiting.close()
    return message


def test_p19_it_runs_on_the_owner(worker: None) -> None:
    note.delay("here")
    assert ran.get(timeout=5) == "here"


def test_p19_elsewhere_it_is_forwarded_to_the_owners_queue_with_its_id(worker: None, own: Own) -> None:
    own("service", 1)
    sent = note.apply_async(["there"], link=note.si("afterwards"))
    message = forwarded()
    assert message.headers["id"] == sent.id
    assert message.headers["task"] == "tests.seams.note"
    assert message.headers[tasks.FORWARDED] == "monolith"
    args, kwargs, embedded = message.decode()
    assert (args, kwargs) == (["there"], {})
    assert [link["args"] for link in embedded["callbacks"]] == [["afterwards"]]


def test_p19_while_nobody_owns_it_is_retried_without_exhausting(worker: None, own: Own, retries: queue.Queue[str]) -> None:
    own("none", 1)
    note.delay("at last")
    for _ in range(6):  # Celery's own limit is 3
        assert retries.get(timeout=5) == "Fenced"
    own("monolith", 2)
    assert ran.get(timeout=5) == "at last"


def test_p19_fenced_on_the_way_it_resolves_the_owner_anew(worker: None, own: Own, retries: queue.Queue[str]) -> None:
    payment = make_payment(make_order())
    sent = settle.delay(payment.pk, meet=True)
    meeting.wait()
    own("service", 1)
    meeting.wait()
    assert retries.get(timeout=5) == "Fenced"
    assert forwarded().headers["id"] == sent.id
    payment.refresh_from_db()
    assert payment.reason == ""


def test_a_plain_call_just_runs(fenced: None) -> None:
    note("directly")
    assert ran.get_nowait() == "directly"


def test_each_unit_has_a_queue_of_its_own(transactional_db: None, as_service: None) -> None:
    from strangler.seams import Claim

    assert tasks.queue_of("payments", Claim.LOCAL) == "payments"
    assert tasks.queue_of("payments", Claim.REMOTE) == "monolith"
