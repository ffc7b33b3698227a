from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain.routes import Matcher, Rule

SEGMENT = st.sampled_from(["a", "b", "ab", "c", "7"])
PATH = st.lists(SEGMENT, min_size=1, max_size=4).map(lambda segments: "/" + "/".join(segments))
PATTERN = st.lists(st.one_of(SEGMENT, st.just("{x}")), min_size=1, max_size=4).map(lambda segments: "/" + "/".join(segments))
RULE = st.one_of(
    PATH.map(lambda path: Rule(path=path)), PATTERN.map(lambda text: Rule(pattern=text)), PATH.map(lambda p: Rule(prefix=p))
)


def meets(rule: Rule, path: str) -> bool:
    """The rules of DESIGN section 7, written naively."""
    if rule.path:
        return path.rstrip("/") == rule.path.rstrip("/")
    if rule.pattern:
        wanted, given_ = rule.pattern.strip("/").split("/"), path.strip("/").split("/")
        return len(wanted) == len(given_) and all(
            w == g or (w.startswith("{") and g) for w, g in zip(wanted, given_, strict=True)
        )
    prefix = rule.prefix.rstrip("/")
    return path == prefix or path.startswith(prefix + "/")


def rank(rule: Rule) -> tuple[int, int]:
    return {"path": 0, "pattern": 1, "prefix": 2}[rule.kind], -len(rule.prefix) if rule.prefix else 0


@given(st.lists(RULE, max_size=8), PATH, st.booleans())
def test_literal_before_pattern_before_longest_prefix(rules: list[Rule], path: str, slash: bool) -> None:
    path += "/" * slash
    found = Matcher((rule, rule) for rule in rules).match("GET", path)
    candidates = [rule for rule in rules if meets(rule, path)]
    assert (found is not None) == bool(candidates)
    if found is not None:
        assert meets(found[0], path)
        assert rank(found[0]) == min(map(rank, candidates))


@given(st.lists(RULE, max_size=8), PATH)
def test_match_all_gives_every_rule_once(rules: list[Rule], path: str) -> None:
    numbered = list(enumerate(rules))
    found = [value for _, value in Matcher((rule, number) for number, rule in numbered).match_all("GET", path)]
    assert sorted(found) == [number for number, rule in numbered if meets(rule, path)]


@given(PATH, st.text("abcdef", min_size=1))
def test_a_prefix_ends_at_a_segment(prefix: str, more: str) -> None:
    matcher = Matcher([(Rule(prefix=prefix), True)])
    assert matcher.match("GET", prefix)
    assert matcher.match("GET", f"{prefix}/{more}")
    assert not matcher.match("GET", prefix + more)


def test_the_root_prefix_matches_everything() -> None:
    matcher = Matcher([(Rule(prefix="/"), 1)])
    assert [bool(matcher.match("GET", path)) for path in ("/", "/a", "/a/b/")] == [True] * 3


def test_methods_and_headers_narrow_and_others_fall_through() -> None:
    matcher = Matcher(
        [
            (Rule(prefix="/"), "all"),
            (Rule(path="/a", methods=frozenset({"POST"})), "post"),
            (Rule(prefix="/", headers=(("x-tester", "1"),)), "tester"),
        ]
    )

    def value(method: str, path: str, **headers: str) -> str:
        found = matcher.match(method, path, {name.replace("_", "-"): text for name, text in headers.items()})
        assert found is not None
        return found[1]

    assert value("POST", "/a") == "post"
    assert value("GET", "/a") == "all"
    assert value("GET", "/a", x_tester="1") == "tester"
    assert value("GET", "/a", x_tester="2") == "all"


@pytest.mark.parametrize(
    ("path", "value"), [("/a/7/c", "pattern"), ("/a/b/c", "literal first"), ("/a//c", None), ("/a/7/c/d", None)]
)
def test_a_placeholder_fills_one_segment_and_a_literal_one_wins(path: str, value: str | None) -> None:
    matcher = Matcher([(Rule(pattern="/a/{x}/c"), "pattern"), (Rule(pattern="/a/b/{y}"), "literal first")])
    found = matcher.match("GET", path)
    assert (found and found[1]) == value


def test_the_cost_does_not_grow_with_the_number_of_routes() -> None:
    """5,000 routes against 5, at a tenth of what linear matching would cost; the best of several rounds."""

    def cost(count: int) -> float:
        rules = [Rule(prefix=f"/api/context-{n}") for n in range(count)] + [Rule(pattern=f"/p{n}/{{id}}/x") for n in range(count)]
        matcher = Matcher((rule, True) for rule in rules)
        rounds = []
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(300):
                matcher.match("GET", f"/api/context-{count - 1}/7")
                matcher.match("GET", f"/p{count - 1}/7/x")
            rounds.append(time.perf_counter() - began)
        return min(rounds)

    assert cost(5000) < 10 * cost(5)
