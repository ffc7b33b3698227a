from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain.paths import is_reserved, normal


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/a/b/", "/a/b/"),
        ("/%61/b", "/a/b"),
        ("//a///b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/./b/.", "/a/b/"),
        ("/../../a", "/a"),
        ("/a/..", "/"),
        ("/a%2fb", "/a/b"),
        ("/a\\b", "/a/b"),
        ("/%zz", "/%zz"),
    ],
)
def test_normal(path: str, seen: str) -> None:
    assert normal(path) == seen


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\\%"), min_size=1).filter(lambda s: s not in (".", "..")))
)
def test_an_encoded_path_is_seen_as_the_plain_one(segments: list[str]) -> None:
    plain = "/" + "/".join(segments)
    encoded = "/" + "/".join(quote(segment, safe="") for segment in segments)
    assert normal(encoded) == normal(plain)


ENCODINGS = st.sampled_from(["plain", "once", "twice", "dots", "slashes", "case", "parameter", "backslash"])


@given(st.lists(ENCODINGS, max_size=3), st.sampled_from(["", "/", "/changes", "/ownership"]))
def test_no_trick_leads_to_a_reserved_path(tricks: list[str], rest: str) -> None:
    path = "/_strangler" + rest
    for trick in tricks:
        match trick:
            case "once":
                path = path.replace("_", "%5F")
            case "twice":
                path = path.replace("%", "%25").replace("s", "%2573", 1)
            case "dots":
                path = "/x/.." + path
            case "slashes":
                path = "/" + path
            case "case":
                path = path.replace("strangler", "STRANGLER")
            case "parameter":
                path = path.replace("strangler", "strangler;v=1", 1)
            case "backslash":
                path = "/\\" + path[1:]
    assert is_reserved(path)


@pytest.mark.parametrize(
    "path", ["/", "/api/_strangler", "/_stranglers", "/strangler", "/100%", "/a%2520b", "/%e4", "/a/_strangler/b"]
)
def test_others_are_not_reserved(path: str) -> None:
    assert not is_reserved(path)
