from __future__ import annotations

import pytest

from strangler_proxy.request import Request


def parsed(target: bytes = b"/", method: bytes = b"GET", version: str = "1.1", **fields: str) -> Request:
    request = Request()
    for name, value in ({"Host": "a"} | fields).items():
        request.field(name.replace("_", "-").encode(), value.encode())
    request.finish(method, target, version, True)
    return request


def test_the_query_is_no_part_of_the_path_and_a_fragment_is_dropped() -> None:
    request = parsed(b"/a?b=/c#d")
    assert (request.target, request.path) == (b"/a?b=/c", "/a")


@pytest.mark.parametrize(
    ("target", "passed"),
    [(b"http://a", b"/"), (b"http://A/x?y", b"/x?y"), (b"https://a/", b"/"), (b"http://a?q", b"/?q")],
)
def test_an_absolute_target_becomes_a_path(target: bytes, passed: bytes) -> None:
    request = parsed(target)
    assert (request.refused, request.target) == ("", passed)


@pytest.mark.parametrize("target", [b"http://b/", b"ftp://a/", b"http:///x", b"x", b"*", b"http://[a/"])
def test_other_targets_are_refused(target: bytes) -> None:
    assert parsed(target).refused


def test_options_of_everything() -> None:
    assert not parsed(b"*", b"OPTIONS").refused


def test_fields_named_by_connection_do_not_pass() -> None:
    request = parsed(Connection="close, X-Mine", X_Mine="1", X_Mined="2")
    assert [line.partition(b":")[0] for line in request.lines] == [b"Host", b"X-Mined"]


def test_several_cookie_fields_are_read_as_one() -> None:
    request = Request()
    request.field(b"Cookie", b"a=1")
    request.field(b"cookie", b"b=2")
    assert request.cookie == b"a=1; b=2"
    assert request.lines == [b"Cookie: a=1\r\n", b"cookie: b=2\r\n"]


def test_fields_are_found_for_rules() -> None:
    assert parsed(X_Tester="1").header("x-tester") == "1"
    assert parsed().header("x-tester") is None
