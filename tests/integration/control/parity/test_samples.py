"""What the proxy tells of a sample, and what it does not."""

from __future__ import annotations

import json

from strangler.control.parity.batches import waiting
from strangler.control.parity.models import ParityPair
from tests.integration.control.parity.conftest import Shadowed, as_json
from tests.integration.proxy.harness import response, until

PATH, ENDPOINT = "/api/payments/17/?page=2&token=geheim", "GET /api/payments/<int:payment_id>/"


def test_no_credential_of_the_user_gets_into_redis(shadowed: Shadowed) -> None:
    shadowed.old = lambda asked: response(body=b"{}", headers=[("Set-Cookie", "sessionid=geheim; Path=/; Expires=now")])
    shadowed.service.handler = lambda asked: as_json({"a": 1})
    shadowed.ask("/api/payments/17/", Cookie="sessionid=geheim", Authorization="Bearer geheim")
    until(lambda: shadowed.redis.xlen("strangler:parity"), "a batch")
    (entry,) = shadowed.redis.xrange("strangler:parity")
    assert b"geheim" not in repr(entry).encode()
    (sample,) = waiting(shadowed.redis)[0].batch.samples
    assert sample.answers["old"].headers["set-cookie"] == "sessionid=; Path=/"


def test_a_pair_is_kept_with_its_secrets_masked(shadowed: Shadowed) -> None:
    shadowed.old = lambda asked: as_json({"amount": "1.10", "access_token": "geheim"})
    shadowed.service.handler = lambda asked: as_json({"amount": "1.1", "access_token": "geheim2"})
    shadowed.ask(PATH)
    shadowed.counted(1)
    pair = ParityPair.objects.get()
    assert "geheim" not in json.dumps([pair.target, pair.old, pair.new, pair.differences])
    assert (pair.method, pair.endpoint) == ("GET", ENDPOINT)
    assert "page=2" in pair.target
    assert {one["field"] for one in pair.differences} == {"body $.amount", "body $.access_token"}


def test_an_answer_that_a_client_has_already_is_asked_for_anew(shadowed: Shadowed) -> None:
    """304 and 206 are no answers to compare: the other side's ETag is another one."""
    shadowed.old = lambda asked: response(304, b"") if asked.get("if-none-match") else as_json({"a": 1})
    shadowed.service.handler = lambda asked: as_json({"a": 1})
    shadowed.ask(PATH, If_None_Match='"x"', Range="bytes=0-1")
    assert dict(shadowed.counted(1)[ENDPOINT].outcomes.samples) == {(): 1}
    assert [asked.get("if-none-match") for asked in shadowed.monolith.asked] == ['"x"', None]
    assert (shadowed.service.asked[0].get("if-none-match"), shadowed.service.asked[0].get("range")) == (None, None)


def test_a_body_too_large_to_keep_is_compared_by_digest(shadowed: Shadowed) -> None:
    shadowed.old = lambda asked: response(body=b"a" * 300_000)
    shadowed.service.handler = lambda asked: response(body=(b"a" if "18" in asked.target else b"b") * 300_000)
    shadowed.ask("/api/payments/17/", "/api/payments/18/")
    assert dict(shadowed.counted(2)[ENDPOINT].outcomes.samples) == {(): 1, ("body",): 1}


def test_one_too_large_to_look_at_is_not_judged(shadowed: Shadowed) -> None:
    shadowed.old = shadowed.service.handler = lambda asked: response(body=b"a" * (4 * 1024 * 1024 + 1))
    shadowed.ask("/api/payments/17/")
    assert dict(shadowed.counted(1)[ENDPOINT].unjudged) == {"large": 1}


def test_a_user_whose_write_has_not_arrived_and_a_service_that_is_away_are_counted(shadowed: Shadowed) -> None:
    shadowed.ask("/api/payments/17/", Cookie=f"strangler_position=monolith.0.{shadowed.marker + 5}")
    shadowed.service.stop()
    try:
        shadowed.ask("/api/payments/17/")
        assert dict(shadowed.counted(2)[ENDPOINT].unjudged) == {"stale": 1, "unreachable": 1}
    finally:
        shadowed.service.start()
