"""The tree of categories."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Concat, Substr

from monolith.problems import Problem
from monolith.products.models import Category


class WouldLoop(Problem):
    title = "Not a tree"


def add(*, name: str, slug: str, parent: Category | None = None) -> Category:
    path = f"{parent.path if parent else ''}{slug}/"
    return Category.objects.create(name=name, slug=slug, parent=parent, path=path)


@transaction.atomic
def move(*, category_id: int, parent_id: int | None) -> Category:
    """With all below it. The whole tree is locked, so that two moves at once can't make a ring. Raises ``WouldLoop``."""
    tree = {category.pk: category for category in Category.objects.select_for_update().order_by("pk")}
    moved, parent = tree[category_id], tree[parent_id] if parent_id else None
    if parent and parent.path.startswith(moved.path):
        raise WouldLoop(f"{moved.path} can't stand below {parent.path}.")
    before, after = moved.path, f"{parent.path if parent else ''}{moved.slug}/"
    Category.objects.filter(pk=category_id).update(parent=parent)
    Category.objects.filter(path__startswith=before).update(path=Concat(Value(after), Substr(F("path"), len(before) + 1)))
    moved.refresh_from_db()
    return moved


def tree() -> list[dict[str, object]]:
    """``{"name", "path", "children": […]}``, in order."""
    roots: list[dict[str, object]] = []
    by_path: dict[str, list[dict[str, object]]] = {"": roots}
    for name, path in Category.objects.order_by("path").values_list("name", "path"):
        above = path[: path.rstrip("/").rfind("/") + 1]
        children: list[dict[str, object]] = []
        by_path.get(above, roots).append({"name": name, "path": path, "children": children})
        by_path[path] = children
    return roots
