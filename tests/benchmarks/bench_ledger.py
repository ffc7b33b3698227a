"""What the ledger costs: the shop's own requests on a real PostgreSQL, beside the record of uses alone, and beside neither.

In one process and in turns, through the whole stack of middleware. What the thread does every five seconds is measured too, and
counts with the share of it that falls to a request. The caches are warm: every template has been read before.
"""

from __future__ import annotations

import functools
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.local.ports import Ports
from deploy.local.postgres import Postgres
from deploy.local.valkey import Valkey
from tests.benchmarks.figures import Figure, in_turns

ROOT = Path(__file__).resolve().parents[2]
REQUESTS, TARGET = 250, 1.03
FLUSHED = 40  # requests before a flush whose time is taken; what it has to do depends on how many different statements there were
HOW = ("off", "uses", "ledger")
Ask = Callable[[], None]


def measure() -> list[Figure]:
    """Milliseconds a request, medians; lower is better."""
    directory = Path(tempfile.mkdtemp(prefix="strangler-bench-"))
    directory.chmod(0o711)
    ports = Ports.free()
    server, valkey = Postgres(directory, ports.postgres), Valkey(directory, ports.valkey)
    try:
        server.start()
        _set_up(server.ensure_database("shop"), valkey.start())
        return _figures()
    finally:
        for each in (valkey, server):
            each.stop()
            each.discard()
        shutil.rmtree(directory, ignore_errors=True)


def _set_up(database: str, redis: str) -> None:
    """The shop with its sample data, in this process."""
    servers = {"DATABASE_URL": database, "REDIS_URL": redis, "CELERY_BROKER_URL": "memory://"}
    secrets = {"SECRET_KEY": "x" * 50, "STRANGLER_SERVICE_TOKEN": "x" * 40}
    os.environ.update(servers | secrets | {"DJANGO_SETTINGS_MODULE": "monolith.settings", "DEBUG": "0"})
    from tests.servers import private_key

    os.environ["JWT_PRIVATE_KEY"] = private_key()
    for command in (["migrate", "-v0"], ["seed", "--scale", "1", "-v0"]):
        subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    os.chdir(ROOT)
    import django

    django.setup()


def _figures() -> list[Figure]:
    from strangler import conf
    from strangler.analysis.usage import flushing

    flushing.is_automatic = False
    figures = []
    for name, make in (("list of orders", _listing), ("page of an order", _page), ("checkout", _checkout)):
        ask = make()
        count = _statements(ask)
        _flushed()  # what is new is read
        found = in_turns({how: functools.partial(_timed, ask, how) for how in HOW}, REQUESTS)
        _flushed()
        flushes = in_turns({how: functools.partial(_flush_after, ask, how) for how in HOW[1:]})
        uses, ours = (found[how] * 1_000 * (1 + flushes[how] / flushing.EVERY_S) for how in HOW[1:])
        figures.append(Figure(f"{name}, {count} statements, all", ours, "uses alone", uses, "ms", TARGET))
        share = conf.DEFAULTS["LEDGER"]
        figures.append(Figure(f"  {share:.0%} of requests, mean", uses + share * (ours - uses), "uses alone", uses, "ms", TARGET))
        figures.append(Figure("  all, with the record of uses", ours, "off", found["off"] * 1_000, "ms"))
    return figures


def _listing() -> Ask:
    environ = _environ("/api/orders/")
    return lambda: _ask(environ, "200")


def _page() -> Ask:
    """As a customer sees it, with a session."""
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.test import Client

    order = _order()
    client = Client(headers={"host": "localhost"})
    client.force_login(get_user_model().objects.get(pk=order.user_id))
    name = settings.SESSION_COOKIE_NAME
    environ = _environ(f"/orders/{order.number}/", HTTP_COOKIE=f"{name}={client.cookies[name].value}")
    return lambda: _ask(environ, "200")


def _checkout() -> Ask:
    """One transaction over four contexts."""
    from monolith.products.models import Product

    product = Product.objects.filter(currency="EUR").order_by("pk")[0]
    Product.objects.filter(pk=product.pk).update(stock=1_000_000)
    body = json.dumps({"lines": [{"sku": product.sku, "quantity": 1}], "method": "ok", "pay": "now"}).encode()

    def ask() -> None:
        given = {"HTTP_IDEMPOTENCY_KEY": uuid.uuid4().hex, "REQUEST_METHOD": "POST", "CONTENT_TYPE": "application/json"}
        _ask(environ | given | {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}, "201")

    environ = _environ("/api/orders/checkout/")
    return ask


def _order() -> Any:
    from monolith.orders.models import Order

    return Order.objects.order_by("-pk")[0]


def _environ(path: str, **given: str) -> dict[str, Any]:
    from django.test import RequestFactory

    from monolith.users import tokens

    token = tokens.issue(user_id=_order().user_id)
    return RequestFactory().get(path, HTTP_HOST="localhost", HTTP_AUTHORIZATION=f"Bearer {token}", **given).environ


def _ask(environ: dict[str, Any], wanted: str) -> None:
    began: list[str] = []
    response = _handler()(dict(environ), lambda status, headers: began.append(status))
    body = b"".join(response)
    response.close()
    assert began[0].startswith(wanted), (began, body[:500])


@functools.cache
def _handler() -> Any:
    from django.core.handlers.wsgi import WSGIHandler

    return WSGIHandler()


def _statements(ask: Ask) -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as seen:
        ask()
    return len(seen)


def _timed(ask: Ask, how: str) -> float:
    """Seconds. By single requests in turns, since the database grows and slows down meanwhile."""
    from strangler.analysis.runtime import watching
    from strangler.analysis.usage import flushing, statements, units

    flushing.is_on = how != "off"
    units.share, statements.tracer = (1.0, watching.Tracer()) if how == "ledger" else (0.0, None)
    started = time.perf_counter()
    ask()
    return time.perf_counter() - started


def _flush_after(ask: Ask, how: str) -> float:
    """Seconds that a flush takes after some requests of this kind."""
    for _ in range(FLUSHED):
        _timed(ask, how)
    return _flushed()


def _flushed() -> float:
    """Seconds that a flush takes of every few."""
    from strangler.analysis.usage import flushing, units

    flushing.is_on = True
    started = time.perf_counter()
    with units.ours():
        assert flushing.flush()
    return time.perf_counter() - started
