"""Two JSON values compared. Lists are aligned first: one item too many is one difference of length, not one of each after it.

Items are counterparts by an identity that they carry (``id``, or whatever field is unique on both sides and mostly shared), else
by being equal; what is left over is compared in order where it is as many on both sides. Time is linear in the size times a
small depth: past ``MOST_DEPTH`` a value is a leaf, and past a budget lists are compared place by place.
"""

from __future__ import annotations

from strangler.domain.parity import json_paths
from strangler.domain.parity.difference import Found, Kind
from strangler.domain.parity.json_values import Repeated, Value, excerpt, type_name
from strangler.domain.parity.sequences import align, common_ends

MOST_DEPTH = 64
MOST_ABSENT = 20
"""Names that an object lacks; from there on it is one difference, of its size."""
IDS = ("id", "pk", "uuid")
IDENTITIES = (*IDS, "key", "code", "slug", "url", "href", "name")
BUDGET = 4_000_000
"""Characters of items that are written out to find equal ones."""


def json_differences(old: Value, new: Value, path: str, found: Found) -> None:
    _Walk(found).values(path, old, new, 0)


class _Walk:
    def __init__(self, found: Found) -> None:
        self.found = found
        self.budget = BUDGET

    def values(self, path: str, old: Value, new: Value, depth: int) -> None:
        if old == new:
            return
        if type(old) is not type(new):
            self.found.add(path, Kind.TYPE, f"{type_name(old)}: {excerpt(old)}", f"{type_name(new)}: {excerpt(new)}")
        elif depth >= MOST_DEPTH or not isinstance(old, (dict, list, Repeated)):
            self.found.add(path, Kind.VALUE, excerpt(old), excerpt(new))
        elif isinstance(old, dict):
            self.objects(path, old, new, depth + 1)
        elif isinstance(old, list):
            self.lists(path, old, new, depth + 1)
        else:
            self.found.add(path, Kind.VALUE, excerpt(old), excerpt(new))

    def objects(self, path: str, old: dict[str, Value], new: dict[str, Value], depth: int) -> None:
        for name, value in old.items():
            if name in new and value != new[name]:
                self.values(json_paths.below(path, name), value, new[name], depth)
        self.absent(path, Kind.MISSING, old, new)
        self.absent(path, Kind.EXTRA, new, old)

    def absent(self, path: str, kind: Kind, has: dict[str, Value], lacks: dict[str, Value]) -> None:
        names = [name for name in has if name not in lacks]
        for name in names if len(names) <= MOST_ABSENT else ():
            self._one_side(json_paths.below(path, name), kind, excerpt(has[name]))
        if len(names) > MOST_ABSENT:
            self._one_side(f"{path}.*", kind, f"{len(names)} names")

    def _one_side(self, path: str, kind: Kind, shown: str) -> None:
        self.found.add(path, kind, *((shown, None) if kind is Kind.MISSING else (None, shown)))

    def lists(self, path: str, old: list[Value], new: list[Value], depth: int) -> None:
        if len(old) != len(new):
            self.found.add(path, Kind.LENGTH, f"{len(old)} items", f"{len(new)} items")
        start, end = common_ends(old, new)
        old, new = old[start : len(old) - end], new[start : len(new) - end]
        if not old or not new:
            return
        name = _identity(old, new)
        if name is not None:
            self.by_identity(path, name, old, new, depth)
        elif self.budget > 0 and max(len(old), len(new)) > 1:
            self.by_equality(path, old, new, depth)
        elif len(old) == len(new):
            self.in_order(path, old, new, depth)

    def in_order(self, path: str, old: list[Value], new: list[Value], depth: int) -> None:
        for one, other in zip(old, new, strict=True):
            self.values(json_paths.items(path), one, other, depth)

    def by_equality(self, path: str, old: list[Value], new: list[Value], depth: int) -> None:
        found = align([self.token(item) for item in old], [self.token(item) for item in new])
        if found.moved:
            self.moved(path, old, new)
        if len(found.old) == len(found.new):
            self.in_order(path, [old[place] for place in found.old], [new[place] for place in found.new], depth)

    def token(self, item: Value) -> object:
        """Hashable, and equal for equal items alone."""
        if isinstance(item, (dict, list)):
            written = repr(item)
            self.budget -= len(written)
            return (written, "")
        return item

    def by_identity(self, path: str, name: str, old: list[Value], new: list[Value], depth: int) -> None:
        olds, news = ({item[name]: item for item in side} for side in (old, new))
        if [key for key in olds if key in news] != [key for key in news if key in olds]:
            self.moved(path, old, new)
        missing, extra = ([key for key in one if key not in other] for one, other in ((olds, news), (news, olds)))
        if missing and extra:
            self._one_side(json_paths.items(path), Kind.MISSING, f"{name} {excerpt(missing[0])}")
            self._one_side(json_paths.items(path), Kind.EXTRA, f"{name} {excerpt(extra[0])}")
        for key, item in olds.items():
            if key in news:
                self.values(json_paths.items(path), item, news[key], depth)

    def moved(self, path: str, old: list[Value], new: list[Value]) -> None:
        self.found.add(path, Kind.ORDER, _heads(old), _heads(new))


def _heads(items: list[Value]) -> str:
    """The first items of a list, by their identity where they have one."""
    shown = [
        next((item[name] for name in IDENTITIES if name in item), item) if isinstance(item, dict) else item for item in items[:5]
    ]
    return ", ".join(map(excerpt, shown)) + (", …" if len(items) > 5 else "")


def _identity(old: list[Value], new: list[Value]) -> str | None:
    """The field by which items are known; None where they carry none.

    An id is one where at least half are shared; any other field only where all of the shorter side are, or a changed value would
    be taken for another item.
    """
    if not all(isinstance(item, dict) for side in (old, new) for item in side):
        return None
    candidates = [*(name for name in IDENTITIES if name in old[0]), *(name for name in old[0] if name not in IDENTITIES)]
    for name in candidates[:12]:
        olds, news = _unique(name, old), _unique(name, new)
        shared, shorter = len(olds & news), min(len(olds), len(news))
        if shared and (shared == shorter or (name in IDS and 2 * shared >= shorter)):
            return str(name)
    return None


def _unique(name: str, items: list[Value]) -> set[Value]:
    """The values of a field, empty unless each item has one of its own."""
    values = [item.get(name) for item in items]
    if not all(isinstance(value, (str, tuple)) and not isinstance(value, Repeated) for value in values):
        return set()
    found = set(values)
    return found if len(found) == len(items) else set()
