"""Handlers that write, and then misbehave, each in its own way. The body is ``{"payment": ID}``; they write its reason."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable
from uuid import uuid4

from django.core.cache import cache
from django.core.mail import send_mail
from django.db import IntegrityError, connection, transaction
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from monolith.celery import app
from monolith.payments.models import Payment
from monolith.shell.models import Activity

View = Callable[[HttpRequest], JsonResponse]
ALL: dict[str, View] = {}


def wild(view: Callable[[HttpRequest, dict], object]) -> View:
    def answer(request: HttpRequest) -> JsonResponse:
        said = view(request, json.loads(request.body))
        return JsonResponse({"did": view.__name__, "said": said})

    ALL[view.__name__] = csrf_exempt(answer)
    return ALL[view.__name__]


def write(body: dict, reason: str) -> None:
    Payment.objects.filter(pk=body["payment"]).update(reason=reason)


def note(text: str) -> None:
    """In a table that is the service's own, which nothing fences."""
    Activity.objects.create(kind="wild", reference=uuid4().hex, text=text, at=timezone.now())


def reason(body: dict) -> str:
    return Payment.objects.get(pk=body["payment"]).reason


@wild
def writes(_: HttpRequest, body: dict) -> object:
    write(body, "written")
    return reason(body)


@wild
def raises(_: HttpRequest, body: dict) -> object:
    write(body, "written before it failed")
    raise ZeroDivisionError


@wild
def rolls_back(_: HttpRequest, body: dict) -> object:
    """By itself an outermost block; in a test's transaction it would spoil what follows."""
    with contextlib.suppress(ZeroDivisionError), transaction.atomic(savepoint=False):
        write(body, "never")
        raise ZeroDivisionError
    return reason(body)


@wild
def fails_in_autocommit(_: HttpRequest, body: dict) -> object:
    """The statement fails alone; what follows it goes on."""
    with contextlib.suppress(IntegrityError):
        Payment.objects.filter(pk=body["payment"]).update(amount=None)
    write(body, "after the failure")
    return reason(body)


@wild
def durable(_: HttpRequest, body: dict) -> object:
    with transaction.atomic(durable=True):
        write(body, "durable")
    return reason(body)


@wild
def commits(_: HttpRequest, body: dict) -> object:
    transaction.set_autocommit(False)
    write(body, "committed by hand")
    transaction.commit()
    write(body, "and taken back")
    transaction.rollback()
    transaction.set_autocommit(True)
    return reason(body)


@wild
def says_commit(_: HttpRequest, body: dict) -> object:
    write(body, "said")
    with connection.cursor() as cursor:
        cursor.execute("COMMIT")
    return reason(body)


@wild
def commits_by_the_driver(_: HttpRequest, body: dict) -> object:
    """Past all of Django; and then it goes on writing, where it may believe to be alone."""
    write(body, "by the driver")
    note("by the driver")
    try:
        connection.connection.commit()
    except Exception as error:
        said = str(error)
    else:
        said = "committed"
    note("after the driver's commit")
    return said


@wild
def closes(_: HttpRequest, body: dict) -> object:
    write(body, "before it closed")
    connection.close()
    write(body, "after it closed")
    note("after it closed")
    return reason(body)


@wild
def hooks(_: HttpRequest, body: dict) -> object:
    with transaction.atomic():
        write(body, "with a hook")
        transaction.on_commit(lambda: send_mail("hook", "", "a@example.org", ["b@example.org"]))
        transaction.on_commit(lambda: note("on commit"))
    transaction.on_commit(lambda: note("at once"))
    return reason(body)


@wild
def tells(request: HttpRequest, body: dict) -> object:
    """Mail, a task, the cache, the session."""
    send_mail("wild", "", "a@example.org", ["b@example.org"])
    app.send_task("wild.task")
    cache.set("wild", body["payment"])
    request.session["wild"] = body["payment"]
    return cache.get("wild")


@wild
def calls(_: HttpRequest, body: dict) -> object:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", 9), timeout=1)
    return "called"


@wild
def waits(_: HttpRequest, body: dict) -> object:
    """Writes, then waits for somebody in the middle of it."""
    write(body, "half done")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = 0")
        cursor.execute("SELECT pg_advisory_xact_lock(4711)")
    return reason(body)
