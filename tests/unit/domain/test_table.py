from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain.decision import Access, Why
from strangler.domain.ratelimit import Limit
from strangler.domain.site import Site
from strangler.domain.stages import Side
from strangler.domain.table import RouteTable, TableError, compile

SNAPSHOT: dict[str, Any] = {
    "generation": 1,
    "version": 12,
    "default": {"targets": ["http://127.0.0.1:8001"]},
    "contexts": {
        "payments": {
            "stage": "canary",
            "percent": 10,
            "salt": "s",
            "sticky": "user",
            "epoch": 6,
            "owner": "monolith",
            "targets": {"monolith": ["http://127.0.0.1:8001"], "service": ["http://127.0.0.1:8105"]},
            "streams": {"mirror": "payments", "copies": "payments-copies", "reverse": "payments-reverse"},
            "shadow": {"share": 0.25},
            "hold": None,
        },
        "orders": {"stage": "monolith", "targets": {"monolith": ["http://127.0.0.1:8001/"]}},
    },
    "routes": [
        {"match": {"prefix": "/api/payments"}, "access": "auto", "context": "payments"},
        {"match": {"path": "/api/payments/search"}, "access": "read", "context": "payments"},
        {"match": {"path": "/pay/confirm", "methods": ["GET"]}, "access": "write", "context": "payments"},
        {"match": {"pattern": "/shop/{id}/pay"}, "context": "payments"},
        {"match": {"prefix": "/api/orders"}, "context": "orders"},
    ],
    "also": [{"match": {"path": "/api/orders/checkout"}, "context": "payments"}],
}


def changed(**payments: Any) -> dict[str, Any]:
    snapshot = copy.deepcopy(SNAPSHOT)
    snapshot["contexts"]["payments"] |= payments
    return snapshot


def table(**payments: Any) -> RouteTable:
    return compile(changed(**payments))


@pytest.mark.parametrize(
    ("stage", "read", "write"),
    [
        ("monolith", "monolith", "monolith"),
        ("mirror", "monolith", "monolith"),
        ("shadow", "monolith", "monolith"),
        ("live", "service", "service"),
        ("retired", "service", "service"),
    ],
)
def test_who_reads_and_writes_where(stage: str, read: str, write: str) -> None:
    compiled = table(stage=stage, percent=0)
    assert compiled.decide("GET", "/api/payments/7").side == read
    assert compiled.decide("POST", "/api/payments/").side == write


def test_a_canary_moves_reads_of_its_share_and_no_write() -> None:
    compiled = table(percent=50)
    sides = {str(user): compiled.decide("GET", "/api/payments/", str(user)).side for user in range(200)}
    assert {Side.MONOLITH, Side.SERVICE} == set(sides.values())
    assert {compiled.decide("POST", "/api/payments/", user).side for user in sides} == {Side.MONOLITH}


@given(st.text(), st.integers(1, 99))
def test_a_share_only_grows_by_the_same_users(user: str, percent: int) -> None:
    smaller, larger = table(percent=percent), table(percent=percent + 1)
    if smaller.decide("GET", "/api/payments/", user).side is Side.SERVICE:
        assert larger.decide("GET", "/api/payments/", user).side is Side.SERVICE


def test_access() -> None:
    compiled = table()
    assert compiled.decide("POST", "/api/payments/search").access is Access.READ
    assert compiled.decide("GET", "/pay/confirm").access is Access.WRITE
    assert compiled.decide("POST", "/pay/confirm").context is None, "the rule is for GET"
    assert compiled.decide("HEAD", "/shop/7/pay").access is Access.READ
    assert compiled.decide("DELETE", "/shop/7/pay").access is Access.WRITE


def test_what_a_request_may_write() -> None:
    compiled = table()
    assert compiled.decide("POST", "/api/orders/checkout/").met.writes == ("orders", "payments")
    assert compiled.decide("GET", "/api/orders/checkout/").met.writes == ()
    assert compiled.decide("POST", "/api/payments/").met.writes == ("payments",)
    assert compiled.decide("POST", "/api/payments/search").met.writes == ()
    assert compiled.decide("GET", "/pay/confirm").met.writes == ("payments",)


def test_holds_are_found_by_what_is_written() -> None:
    compiled = table(hold={"operation": "op", "for_ms": 3000})
    assert compiled.held(compiled.decide("POST", "/api/orders/checkout").met) is not None
    assert compiled.held(compiled.decide("POST", "/api/orders/").met) is None
    assert compiled.held(compiled.decide("GET", "/api/payments/").met) is None


def test_an_encoded_path_meets_the_same_rule() -> None:
    assert table().decide("POST", "/api/%70ayments/../payments//1?x=/api/orders").context == table().contexts["payments"]


MARKERS = {"payments": 101, "payments-copies": 101, "payments-reverse": 89}


@pytest.mark.parametrize(
    ("markers", "side", "why"),
    [
        (MARKERS, "service", Why.IN_SHARE),
        (MARKERS | {"payments": 100}, "monolith", Why.NOT_FRESH),
        (MARKERS | {"payments-copies": 100}, "monolith", Why.NOT_FRESH),
        ({"payments": 101}, "monolith", Why.NOT_FRESH),
    ],
)
def test_p23_a_stale_canary_read_goes_to_the_monolith(markers: dict[str, int], side: str, why: Why) -> None:
    decision = table(percent=100).decide("GET", "/api/payments/", "u", {"monolith": (0, 100)}, markers)
    assert (decision.side, decision.why) == (side, why)


def test_p24_what_is_waited_for() -> None:
    live = table(stage="live", epoch=7)
    service_side = {"payments": (7, 88)}
    assert live.decide("GET", "/api/orders/", "u", service_side, {}).awaited == (("payments-reverse", 88),)
    assert live.decide("GET", "/elsewhere", "u", service_side, MARKERS).awaited == ()
    assert live.decide("GET", "/api/payments/", "u", service_side, {}).awaited == ()
    assert live.decide("GET", "/api/payments/", "u", {"monolith": (0, 5)}, {}).awaited == (("payments-copies", 5),)
    assert live.decide("GET", "/api/orders/", "u", {"nobody": (1, 5)}, {}).awaited == ()
    back = table(epoch=8)
    assert back.decide("POST", "/api/payments/", "u", service_side, {}).awaited == (), "drained by the hand-over"


def test_explain_names_target_rule_and_reason() -> None:
    said = table().decide("GET", "/api/payments/7", "42").explain()
    assert said["rule"] == "prefix /api/payments"
    assert said["reason"].startswith("canary 10 %: the user's bucket ")
    assert table().decide("GET", "/").explain()["reason"] == "no route matches, so it goes to the default target"
    assert "writes go to the monolith" in table().decide("POST", "/api/payments/").reason
    assert table(stage="live").decide("POST", "/api/payments/").stamp == ("payments", 6, "write")


def test_p21_tables_are_ordered_by_generation_then_version() -> None:
    def at(generation: int, version: int) -> RouteTable:
        return compile({**SNAPSHOT, "generation": generation, "version": version})

    assert at(1, 13).supersedes(at(1, 12))
    assert at(2, 1).supersedes(at(1, 99))
    assert at(1, 1).supersedes(None)
    assert not at(1, 12).supersedes(at(1, 12))
    assert not at(1, 99).supersedes(at(2, 1))


def broken(path: str, value: Any) -> dict[str, Any]:
    snapshot: Any = copy.deepcopy(SNAPSHOT)
    *parents, last = path.split("/")
    at = snapshot
    for key in parents:
        at = at[int(key) if key.isdigit() else key]
    at[int(last) if last.isdigit() else last] = value
    assert isinstance(snapshot, dict)
    return snapshot


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("version", "12", "version: is '12', not a whole number from 0"),
        ("generation", True, "generation: is True"),
        ("default", {"targets": []}, "default.targets: names no target"),
        ("default", None, "default: is None, not an object"),
        ("contexts/payments/stage", "flying", "contexts.payments.stage: is 'flying'; it is one of monolith"),
        ("contexts/payments/percent", 101, "contexts.payments.percent: is 101; a canary share is 1…100"),
        ("contexts/payments/percent", 0, "contexts.payments.percent: is 0"),
        ("contexts/payments/sticky", "moon", "contexts.payments.sticky"),
        ("contexts/payments/identity", "yes", "contexts.payments.identity"),
        ("routes/0/csrf", 1, "routes[0].csrf"),
        ("contexts/payments/owner", "me", "contexts.payments.owner"),
        ("contexts/payments/targets/service", [], "contexts.payments.targets.service: names no target, but in stage canary"),
        ("contexts/payments/targets/service", ["ftp://x"], "contexts.payments.targets.service[0]: is 'ftp://x', not an origin"),
        ("contexts/payments/targets/monolith", ["http://a:99999"], "contexts.payments.targets.monolith[0]"),
        ("contexts/payments/shadow", {"share": 2}, "contexts.payments.shadow.share: is 2, not a number from 0 to 1"),
        ("contexts/payments/health", "readyz", "contexts.payments.health: is 'readyz', not a path such as \"/readyz\""),
        ("contexts/payments/health", "/x\r\n", "contexts.payments.health"),
        ("contexts/payments/health", "/x\n", "contexts.payments.health"),
        ("default", {"targets": ["http://a"], "health": "/a b"}, "default.health: is '/a b'"),
        ("contexts/payments/hold", {"operation": "x"}, "contexts.payments.hold.for_ms: is None"),
        ("contexts/payments/streams", {"mirror": "a b"}, "contexts.payments.streams.mirror"),
        ("routes/0/context", "nobody", "routes[0].context: is 'nobody', which contexts does not hold"),
        ("routes/1/access", "maybe", "routes[1].access"),
        ("routes/0/match", {}, "routes[0].match: has no matcher; give exactly one of path, pattern, prefix"),
        ("routes/0/match", {"path": "/a", "prefix": "/b"}, "routes[0].match: has path and prefix"),
        ("routes/0/match", {"path": "a"}, "routes[0].match.path: is 'a'"),
        ("routes/0/match", {"pattern": "/a/{id}.json"}, "routes[0].match.pattern: segment '{id}.json'"),
        ("routes/0/match", {"path": "/a", "methods": ["get"]}, "routes[0].match.methods[0]: is 'get', not a method in capitals"),
        ("routes/0/match", {"path": "/a", "verbs": []}, "routes[0].match.verbs: is not a known key"),
        ("also/0/context", None, "also[0].context"),
        ("routes", {}, "routes: is {}, not a list"),
    ],
)
def test_an_error_names_the_place(path: str, value: Any, message: str) -> None:
    with pytest.raises(TableError) as caught:
        compile(broken(path, value))
    assert str(caught.value).startswith(message)


def limited(limit: Any) -> RouteTable:
    snapshot = copy.deepcopy(SNAPSHOT)
    snapshot["routes"][0]["limit"] = limit
    return compile(snapshot)


def test_a_limit_belongs_to_its_route() -> None:
    compiled = limited({"rate": 100, "per_s": 60, "burst": 20, "by": "address", "shared": True})
    decision = compiled.decide("GET", "/api/payments/7")
    assert decision.met.limit == Limit(100, 60, 20, "address", True)
    assert decision.explain()["limit"] == "100/m for each address, 20 at once, shared"
    assert compiled.decide("POST", "/api/payments/search").met.limit is None
    assert compiled.decide("GET", "/elsewhere").explain()["limit"] is None
    assert compiled.shares_limits
    assert not table().shares_limits


def test_a_limit_has_defaults_and_what_the_engine_writes_is_read() -> None:
    assert limited({"rate": 5, "per_s": 1}).decide("GET", "/api/payments").met.limit == Limit(5, 1, 5)
    declared = Limit(5, 1, 7, "address")
    assert limited(declared.to_json()).decide("GET", "/api/payments").met.limit == declared


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ([], "routes[0].limit: is [], not an object"),
        ({"per_s": 1}, "routes[0].limit.rate: is None"),
        ({"rate": 0, "per_s": 1}, "routes[0].limit.rate: is 0, not a whole number from 1 to 1000000"),
        ({"rate": 1, "per_s": 1e9}, "routes[0].limit.per_s: is"),
        ({"rate": 1, "per_s": 1, "burst": 0}, "routes[0].limit.burst: is 0"),
        ({"rate": 1, "per_s": 1, "by": "x"}, "routes[0].limit.by: is 'x'; it is one of user, address"),
        ({"rate": 1, "per_s": 1, "shared": 1}, "routes[0].limit.shared: is 1, not true or false"),
    ],
)
def test_a_wrong_limit_is_refused_with_its_place(limit: Any, message: str) -> None:
    with pytest.raises(TableError) as caught:
        limited(limit)
    assert str(caught.value).startswith(message)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PLACES = st.sampled_from(
    [
        "version",
        "default",
        "contexts",
        "contexts/payments",
        "contexts/payments/targets",
        "contexts/payments/hold",
        "routes",
        "routes/0",
        "routes/0/match",
        "routes/0/limit",
        "also/0",
        "contexts/payments/streams",
        "contexts/payments/shadow",
        "contexts/payments/percent",
    ]
)


@given(PLACES, JSON)
def test_rubbish_is_refused_and_never_crashes(place: str, value: Any) -> None:
    try:
        compile(broken(place, value))
    except TableError:
        pass


def test_only_a_service_that_wants_it_is_told_who_asks() -> None:
    live = table(stage="live", percent=0, identity=True)
    assert live.decide("GET", "/api/payments/").identified
    assert not live.decide("GET", "/api/orders/").identified
    assert not live.decide("GET", "/").identified
    assert not table(stage="live", percent=0).decide("GET", "/api/payments/").identified
    assert not table(stage="mirror", percent=0, identity=True).decide("GET", "/api/payments/").identified
    half = table(percent=50, identity=True)
    asked = [half.decide("GET", "/api/payments/", str(user)) for user in range(50)]
    assert all(one.identified is (one.side is Side.SERVICE) for one in asked)
    assert live.decide("GET", "/api/payments/").explain()["identity"] is True


@pytest.mark.parametrize(
    ("method", "stage", "checked"),
    [
        ("POST", "live", True),
        ("DELETE", "live", True),
        ("GET", "live", False),
        ("OPTIONS", "live", False),
        ("POST", "canary", False),
    ],
)
def test_forgeries_are_looked_for_before_a_service_on_unsafe_methods(method: str, stage: str, checked: bool) -> None:
    snapshot = changed(stage=stage, percent=100 if stage == "canary" else 0)
    snapshot["routes"][0]["csrf"] = True
    compiled = compile(snapshot)
    assert compiled.decide(method, "/api/payments/7").checked is checked
    assert compiled.decide(method, "/api/payments/7").explain()["csrf"] is checked
    assert not compiled.decide(method, "/api/payments/search").checked


def test_the_monoliths_cookies_have_djangos_names_unless_it_says_otherwise() -> None:
    assert compile(SNAPSHOT).site == Site()
    said = {"session_cookie": "shop", "csrf_header": "X-Shop", "trusted_origins": ["https://*.example.com"]}
    assert compile({**SNAPSHOT, "site": said}).site == Site("shop", "csrftoken", "x-shop", ("https://*.example.com",))


@pytest.mark.parametrize(
    ("site", "place"),
    [
        ([1], "site"),
        ({"session_cookie": "a b"}, "site.session_cookie"),
        ({"csrf_header": 1}, "site.csrf_header"),
        ({"trusted_origins": "x"}, "site.trusted_origins"),
        ({"trusted_origins": ["shop.example"]}, "site.trusted_origins[0]"),
    ],
)
def test_a_site_that_makes_no_sense_is_refused(site: object, place: str) -> None:
    with pytest.raises(TableError) as refused:
        compile({**SNAPSHOT, "site": site})
    assert refused.value.place == place


def test_a_table_has_no_more_contexts_than_the_proxy_can_count() -> None:
    context = {"stage": "monolith", "targets": {"monolith": ["http://127.0.0.1:8001"]}}
    contexts = {f"context-{number}": context for number in range(1000)}
    assert len(compile({**SNAPSHOT, "contexts": contexts, "routes": [], "also": []}).contexts) == 1000
    with pytest.raises(TableError, match="contexts: holds 1001; a table has at most 1000"):
        compile({**SNAPSHOT, "contexts": {**contexts, "one-more": context}, "routes": [], "also": []})
