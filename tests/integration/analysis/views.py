"""Views that stand for code of other contexts: each uses the payments' tables in a way of its own."""

from __future__ import annotations

from collections.abc import Iterator

from asgiref.sync import sync_to_async
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import include, path, re_path
from django.views.generic import TemplateView

from monolith.payments.models import Payment
from strangler.seams import claim, seam

TOUCH = 'UPDATE "payments_payment" SET "method" = "method"'


def write(_: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute(TOUCH)
    return HttpResponse()


def read(_: HttpRequest, **__: object) -> HttpResponse:
    return HttpResponse(Payment.objects.count())


def claimed(_: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        claim("payments")
        with transaction.atomic():
            Payment.objects.update(method="ok")
    return HttpResponse()


def claimed_and_after(request: HttpRequest) -> HttpResponse:
    claimed(request)
    return write(request)


class Local:
    def touch(self) -> None:
        Payment.objects.update(method="ok")


by_seam = seam("payments", local=f"{__name__}.Local", remote=f"{__name__}.Local", writes={"touch"})


def through_seam(_: HttpRequest) -> HttpResponse:
    by_seam.touch()
    return HttpResponse()


def nested(_: HttpRequest) -> HttpResponse:
    with transaction.atomic(), transaction.atomic(), transaction.atomic():
        Payment.objects.update(method="ok")
    return HttpResponse()


def fails(_: HttpRequest) -> HttpResponse:
    Payment.objects.update(method="ok")
    raise ZeroDivisionError


def streamed(_: HttpRequest) -> StreamingHttpResponse:
    def body() -> Iterator[str]:
        yield "payments: "
        yield str(Payment.objects.count())

    return StreamingHttpResponse(body())


async def by_async(_: HttpRequest) -> HttpResponse:
    return HttpResponse(await Payment.objects.acount())


async def by_async_thread(_: HttpRequest) -> HttpResponse:
    return HttpResponse(await sync_to_async(Payment.objects.count)())


urlpatterns = [
    path("write/", write),
    path("orders/<int:pk>/read/", read),
    re_path(r"^by/(?P<year>[0-9]{4})/$", read),
    path("claimed/", claimed),
    path("claimed-and-after/", claimed_and_after),
    path("seam/", through_seam),
    path("nested/", nested),
    path("fails/", fails),
    path("streamed/", streamed),
    path("async/", by_async),
    path("async-thread/", by_async_thread),
    path("plain/", TemplateView.as_view(template_name="orders/packing.html")),
    path("", include("monolith.urls")),
]
