"""Which rule a request meets: literal path, then pattern, then longest prefix on segment borders (DESIGN section 7).

The cost of a look-up depends on the path, never on the number of rules: literals and prefixes are dictionaries, patterns a
trie of segments. ``Matcher`` knows nothing of contexts; it hands back whatever value was filed under a rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

V = TypeVar("V")
NO_HEADERS: Mapping[str, str] = {}


@dataclass(frozen=True)
class Rule:
    """What a request must look like. Exactly one of ``path``, ``pattern``, ``prefix``; methods in capitals, none means all.

    A literal path matches with and without its trailing slash, as Django's APPEND_SLASH reads it. A pattern's ``{name}`` stands
    for one whole segment. Header names are lower case, values compared exactly.
    """

    path: str = ""
    pattern: str = ""
    prefix: str = ""
    methods: frozenset[str] = frozenset()
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def kind(self) -> str:
        return "path" if self.path else "pattern" if self.pattern else "prefix"

    @property
    def text(self) -> str:
        return self.path or self.pattern or self.prefix

    def __str__(self) -> str:
        methods = f"{','.join(sorted(self.methods))} " if self.methods else ""
        headers = "".join(f" {name}={value}" for name, value in self.headers)
        return f"{methods}{self.kind} {self.text}{headers}"

    def admits(self, method: str, headers: Mapping[str, str]) -> bool:
        if self.methods and method not in self.methods:
            return False
        return all(headers.get(name) == value for name, value in self.headers)

    @property
    def narrowness(self) -> tuple[int, int]:
        """Among rules of one path the narrower comes first; equals keep their declared order."""
        return (-len(self.headers), 0 if self.methods else 1)


@dataclass
class _Node(Generic[V]):
    children: dict[str, _Node[V]] = field(default_factory=dict)
    any: _Node[V] | None = None
    filed: list[tuple[Rule, V]] = field(default_factory=list)


class Matcher(Generic[V]):
    """Built once from (rule, value) pairs, then only read."""

    __slots__ = ("_literals", "_longest_prefix", "_patterns", "_prefixes")

    def __init__(self, rules: Iterable[tuple[Rule, V]]) -> None:
        self._literals: dict[str, list[tuple[Rule, V]]] = {}
        self._patterns: _Node[V] = _Node()
        self._prefixes: dict[str, list[tuple[Rule, V]]] = {}
        for rule, value in sorted(rules, key=lambda pair: pair[0].narrowness):
            self._file(rule, value)
        self._also_with_other_slash()
        self._longest_prefix = max(map(len, self._prefixes), default=-1)

    def _file(self, rule: Rule, value: V) -> None:
        if rule.path:
            self._literals.setdefault(rule.path, []).append((rule, value))
        elif rule.pattern:
            self._node(rule.pattern).filed.append((rule, value))
        else:
            self._prefixes.setdefault(rule.prefix.rstrip("/"), []).append((rule, value))

    def _node(self, pattern: str) -> _Node[V]:
        node = self._patterns
        for segment in pattern.strip("/").split("/"):
            if segment.startswith("{"):
                node.any = node.any or _Node()
                node = node.any
            else:
                node = node.children.setdefault(segment, _Node())
        return node

    def _also_with_other_slash(self) -> None:
        for path, filed in list(self._literals.items()):
            other = path[:-1] if path.endswith("/") else path + "/"
            if other:
                self._literals.setdefault(other, filed)

    def match(self, method: str, path: str, headers: Mapping[str, str] = NO_HEADERS) -> tuple[Rule, V] | None:
        """The rule that wins for a normalised path, or None."""
        for rule, value in self._literals.get(path, ()):
            if rule.admits(method, headers):
                return rule, value
        return next(self._beyond_literals(method, path, headers), None)

    def match_all(self, method: str, path: str, headers: Mapping[str, str] = NO_HEADERS) -> Iterator[tuple[Rule, V]]:
        """Every rule that a request meets, the winner first."""
        for rule, value in self._literals.get(path, ()):
            if rule.admits(method, headers):
                yield rule, value
        yield from self._beyond_literals(method, path, headers)

    def _beyond_literals(self, method: str, path: str, headers: Mapping[str, str]) -> Iterator[tuple[Rule, V]]:
        if self._patterns.children or self._patterns.any:
            for filed in self._walk(self._patterns, path.strip("/").split("/"), 0):
                yield from ((rule, value) for rule, value in filed if rule.admits(method, headers))
        if self._longest_prefix >= 0:
            yield from self._by_prefix(method, path, headers)

    def _walk(self, node: _Node[V], segments: list[str], at: int) -> Iterator[list[tuple[Rule, V]]]:
        """Literal segments win over placeholders, from left to right."""
        if at == len(segments):
            if node.filed:
                yield node.filed
            return
        child = node.children.get(segments[at])
        if child is not None:
            yield from self._walk(child, segments, at + 1)
        if node.any is not None and segments[at]:
            yield from self._walk(node.any, segments, at + 1)

    def _by_prefix(self, method: str, path: str, headers: Mapping[str, str]) -> Iterator[tuple[Rule, V]]:
        end = len(path)
        if end > self._longest_prefix:
            end = path.rfind("/", 0, self._longest_prefix + 1)
        while end >= 0:
            for rule, value in self._prefixes.get(path[:end], ()):
                if rule.admits(method, headers):
                    yield rule, value
            end = path.rfind("/", 0, end)
