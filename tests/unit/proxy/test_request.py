"""The head of a request: compared with a slow reader that looks at one line after the other."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strangler_proxy import headers
from strangler_proxy.request import Fields, Line, Request


def parsed(target: bytes = b"/", method: bytes = b"GET", version: bytes = b"HTTP/1.1", **fields: str) -> Request:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in ({"Host": "a"} | fields).items())
    return Request(Line(b"%b %b %b" % (method, target, version)), Fields(b"\r\n" + lines.encode()))


def names(request: Request) -> list[bytes]:
    return [line.partition(b":")[0] for line in request.fields.kept.split(b"\r\n") if line]


def test_the_query_is_no_part_of_the_path_and_a_fragment_is_dropped() -> None:
    request = parsed(b"/a?b=/c#d")
    assert (request.target, request.path) == (b"/a?b=/c", "/a")


@pytest.mark.parametrize(
    ("target", "passed"),
    [(b"http://a", b"/"), (b"http://A/x?y", b"/x?y"), (b"https://a/", b"/"), (b"http://a?q", b"/?q"), (b"http://a/x#y", b"/x")],
)
def test_an_absolute_target_becomes_a_path(target: bytes, passed: bytes) -> None:
    request = parsed(target)
    assert (request.refused, request.target) == ("", passed)


@pytest.mark.parametrize("target", [b"http://b/", b"ftp://a/", b"http:///x", b"x", b"*", b"http://[a/", b"#/x", b""])
def test_other_targets_are_refused(target: bytes) -> None:
    assert parsed(target).refused


def test_options_of_everything() -> None:
    assert not parsed(b"*", b"OPTIONS").refused


def test_fields_named_by_connection_do_not_pass() -> None:
    assert names(parsed(Connection="close, X-Mine", X_Mine="1", X_Mined="2")) == [b"Host", b"X-Mined"]


def test_connection_can_not_take_away_what_routing_and_framing_rest_on() -> None:
    kept = parsed(b"/", b"POST", Connection="host, content-length, cookie", Content_Length="3", Cookie="a=1")
    assert names(kept) == [b"Host", b"Content-Length", b"Cookie"]


def test_several_cookie_fields_are_read_as_one() -> None:
    fields = Fields(b"\r\nCookie: a=1\r\ncookie: b=2 \r\n")
    assert fields.cookie == b"a=1; b=2"
    assert fields.kept == b"\r\nCookie: a=1\r\ncookie: b=2 \r\n"


def test_fields_are_found_for_rules() -> None:
    assert parsed(X_Tester="1").fields.get("x-tester") == "1"
    assert parsed().fields.get("x-tester") is None


def test_an_upgrade_is_asked_for_by_connection_without_a_body_in_1_1_and_never_to_http_2() -> None:
    assert parsed(Connection="Upgrade", Upgrade="websocket").upgrade == b"websocket"
    assert not parsed(Upgrade="websocket").upgrade
    assert not parsed(Connection="Upgrade", Upgrade="websocket", Content_Length="3").upgrade
    assert not parsed(Connection="Upgrade", Upgrade="websocket", Transfer_Encoding="chunked").upgrade
    assert not parsed(b"/", b"GET", b"HTTP/1.0", Connection="Upgrade", Upgrade="websocket").upgrade
    assert not parsed(Connection="Upgrade", Upgrade="websocket, H2C").upgrade


@pytest.mark.parametrize("host", ["a b", "a/b", "a@b", "a,b\x80", 'a"', "<a>"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    assert parsed(Host=host).refused


@pytest.mark.parametrize("host", ["shop.example", "shop.example:8443", "[::1]:80", "127.0.0.1", "xn--bcher-kva.example", ""])
def test_hosts_as_they_are(host: str) -> None:
    assert not parsed(Host=host).refused


# ---- against a slow reader ---------------------------------------------------------------------------------------------

OTHERS = ["x-strangler-request", "x-strangler-epoch", "x-strangler_epoch", "x_forwarded-for", "accept", "x-mine", "my_own", "hos"]
NAMES = st.sampled_from([*(name.decode() for name in (*headers.LOOKED_AT, *headers.DROPPED)), *OTHERS, "hostx"])
SAID = ["", "a", "3", "03", "3, 3", "chunked", "Chunked", "close", "keep-alive, x-mine", "upgrade", "websocket", "100-continue"]
ANYTHING = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\x00", exclude_categories=["Cc"]), max_size=12)
VALUES = st.one_of(st.sampled_from(SAID), ANYTHING)
LINES = st.lists(st.tuples(NAMES, VALUES, st.sampled_from(["", " ", "\t "]), st.booleans()), max_size=8)


def cookies(field: bytes) -> list[bytes]:
    """A field without a value is no cookie."""
    return [one for one in field.split(b"; ") if one]


@given(LINES)
@example([("content-length", "3", "", False), ("transfer-encoding", "chunked", "", False)])
@example([("cookie", "", "", False), ("cookie", "a", "", False)])
@example([("cookie", "a", " ", False), ("host", "a", " ", True)])
def test_every_field_is_seen_wherever_it_stands(lines: list[tuple[str, str, str, bool]]) -> None:
    spelled = [(name.upper() if loud else name, f"{space}{value}{space}") for name, value, space, loud in lines]
    fields = Fields(b"\r\n" + b"".join(f"{name}:{value}\r\n".encode("latin-1") for name, value in spelled))
    read = [(name.lower(), value.strip(" \t").encode("latin-1")) for name, value in spelled]

    def all_of(name: str) -> list[bytes]:
        return [value for other, value in read if other == name]

    lengths, codings = all_of("content-length"), all_of("transfer-encoding")
    assert fields.hosts == len(all_of("host"))
    assert cookies(fields.cookie) == cookies(b"; ".join(all_of("cookie")))
    assert fields.authorization == (all_of("authorization") or [b""])[-1]
    assert fields.chunked == bool(codings)
    if lengths and codings:
        assert fields.refused
    if len(lengths) > 1 or any(not value.isdigit() for value in lengths):
        assert fields.refused
    if len(codings) > 1 or any(value.lower() != b"chunked" for value in codings):
        assert fields.refused
    named = {token for value in all_of("connection") for part in value.lower().split(b",") if (token := part.strip(b" \t"))}
    kept = [line.partition(b":")[0].lower() for line in fields.kept.split(b"\r\n") if line]
    never = {b"host", b"content-length", b"cookie", b"authorization"}
    for name in kept:
        dashed = name.replace(b"_", b"-")
        assert name in never or (dashed not in headers.KNOWN and not dashed.startswith(b"x-strangler-")), name
        assert name in never or name not in named
    passing = [name.encode() for name, _ in read if name in ("accept", "my_own", "hos", "hostx") and name.encode() not in named]
    assert [name for name in kept if name in (b"accept", b"my_own", b"hos", b"hostx")] == passing


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        (b"Cookie: strangler_override=t\r\n", b""),
        (b"Cookie: a=b; strangler_override=t\r\n", b"Cookie: a=b\r\n"),
        (b"cookie:strangler_override=t; a=b;c=d\r\n", b"cookie: a=b;c=d\r\n"),
        (b"Cookie: a=b;strangler_override=t;c=d\r\n", b"Cookie: a=b;c=d\r\n"),
        (b"Cookie: strangler_override=t; strangler_override=u\r\nCookie: a=b\r\n", b"Cookie: a=b\r\n"),
        (b"X: strangler_override=t\r\nCookie: xstrangler_override=t\r\n", None),
        (b"Cookie: strangler_overrider=t\r\nX-Y: z\r\n", None),
    ],
)
def test_the_cookie_of_a_tester_does_not_pass(sent: bytes, passed: bytes | None) -> None:
    fields = Fields(b"\r\nHost: a\r\n" + sent + b"Accept: */*\r\n")
    assert fields.kept == b"\r\nHost: a\r\n" + (sent if passed is None else passed) + b"Accept: */*\r\n"


def test_a_request_without_override_and_credential_is_plain() -> None:
    assert parsed(Cookie="sessionid=s").fields.plain
    assert not parsed(Cookie="strangler_override=t").fields.plain
    assert not parsed(X_Strangler_Override="t").fields.plain
    assert not parsed(Authorization="Bearer t").fields.plain
