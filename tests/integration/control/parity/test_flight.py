"""What the monolith tells a proxy that found a difference; with a real relay between."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.test import Client

from strangler.control import engine
from strangler.domain.tokens import issue
from strangler.sync import marker, outbox, relay
from strangler.sync.models import Backfill, Outbox, Quarantine
from tests.integration.control.conftest import SmallEstate
from tests.integration.control.conftest import estate as estate
from tests.integration.control.conftest import valkey as valkey

pytestmark = pytest.mark.urls("strangler.control.urls")
STREAMS = ("payments", "payments-copies")


def look(settings) -> dict[str, Any]:
    token = issue(settings.STRANGLER["TOKEN"], audience="monolith", now=time.time())
    answer = Client(headers={"Authorization": f"Bearer {token}"}).get("/flight?context=payments")
    assert answer.status_code == 200
    return answer.json()


def arrive() -> None:
    """Rounds until nothing waits, neither pointers nor the backfill."""
    for stream in STREAMS:
        relay.run(stream)
        backfills = Backfill.objects.filter(stream=stream).exclude(state="done")
        while Outbox.objects.filter(stream=stream).exists() or backfills.exists():
            relay.run(stream)


def test_p29_a_proxy_is_told_what_is_in_flight_and_which_rounds_have_ended(estate: SmallEstate, settings) -> None:
    engine.advance("payments", to="mirror", who="ada")
    arrive()
    found = look(settings)
    assert found["waiting"] is False
    assert found["markers"] == {stream: marker.published()[stream] for stream in STREAMS}
    assert found["position"] >= max(found["markers"].values())

    for stream, collection in zip(STREAMS, ("payments.Payment", "orders.Order"), strict=True):
        before = look(settings)["markers"]
        outbox.note(stream, collection, ["4711"])
        assert look(settings)["waiting"] is True
        arrive()
        after = look(settings)
        assert after["waiting"] is False
        assert after["markers"][stream] > before[stream]

    Quarantine.objects.create(stream="payments", collection="payments.Payment", key="1", error="x", attempts=5)
    assert look(settings)["waiting"] is True
