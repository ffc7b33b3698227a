"""What Django and Celery find by name: of the shop, and of projects in which something can't be loaded."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.template import engines
from django.urls import clear_url_caches

from strangler.analysis import survey
from strangler.analysis.static.source import Project
from strangler.analysis.static.template_tags import wires_in_templates
from strangler.analysis.static.walk import scan
from strangler.analysis.static.wiring import Wiring
from strangler.analysis.wiring import wired
from strangler.domain.coupling.atlas import Atlas


@pytest.fixture(scope="module")
def shop() -> Project:
    return wired(survey.project())


def test_of_the_shop_everything_is_loaded(shop: Project) -> None:
    assert shop.skipped == ()
    assert shop.urls["confirm"] == {"payments"}  # its pattern is the project's, its view is not
    assert shop.urls["shell:logout"] == {"shell"}  # its view is Django's, its pattern is not
    assert shop.urls["admin:orders_order_changelist"] == {"orders"}
    assert shop.urls["admin:orders_packing"] == {"orders"}
    assert shop.urls["admin:index"] == shop.urls["set_language"] == {"platform"}
    assert shop.tasks["orders.settle"] == "orders"
    assert shop.tasks["shell.expire_unpaid"] == "shell"
    assert (shop.commands["merge_customers"], shop.commands["migrate"]) == ("customers", "platform")
    assert shop.templates["orders/packing.html"][0] == "orders"
    assert shop.templates["admin/base_site.html"][0] == "platform"
    assert shop.settings["AUTH_USER_MODEL"] == ("users.User",)
    assert shop.settings["SHOP_DASHBOARD"][0] == "monolith.shell.dashboard.feed"
    assert "LANGUAGE_CODE" not in shop.settings


def test_the_shops_wires_are_those_that_are_known_by_hand(shop: Project) -> None:
    found = (*scan(shop, [Wiring]).edges, *wires_in_templates(shop).edges)
    between = sorted(
        (edge.kind.value, edge.source, edge.target, edge.where.rpartition("/")[2]) for edge in found if edge.source != "project"
    )
    assert between == [
        ("admin_inline", "orders", "payments", "admin.py:PaymentInline"),
        ("signal", "customers", "users", "receivers.py:on_user"),
        ("signal", "orders", "payments", "receivers.py:_on_captured"),
        ("signal", "orders", "users", "receivers.py:_on_log_in"),
        ("signal", "shell", "payments", "receivers.py:on_refund"),
        ("url_name", "shell", "orders", "index.html"),
    ]
    composed = {edge.kind.value for edge in found if edge.source == "project"}
    assert composed == {"url_include", "task", "template"}


# ---- what can't be loaded -----------------------------------------------------------------------------------------------


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings) -> Iterator[Project]:  # type: ignore[no-untyped-def]
    """A root URLconf that includes one that can't be imported."""
    files = {
        "wired_root/__init__.py": "",
        "wired_root/urls.py": "from django.urls import include, path\nfrom wired_root import pages\n"
        "urlpatterns = [path('', pages.home, name='home'), path('a/', include('wired_a.urls')),"
        " path('b/', include('wired_b.urls', namespace='bs'))]\n",
        "wired_root/pages.py": "def home(request): ...\n",
        "wired_a/__init__.py": "",
        "wired_a/urls.py": "import nothing_of_that_name\nfrom django.urls import path\nfrom wired_a import pages\n"
        "app_name = 'a'\n"
        "urlpatterns = [path('x/', pages.show, name='show')]\n",
        "wired_a/pages.py": "def show(request): ...\n",
        "wired_b/__init__.py": "",
        "wired_b/urls.py": "from django.urls import include, path\nfrom wired_b import pages\napp_name = 'b'\n"
        "urlpatterns = [path('y/', pages.show, name='show'), path('again/', include('wired_b.urls'))]\n",
        "wired_b/pages.py": "def show(request): ...\n",
    }
    paths = {}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        paths[".".join(path.relative_to(tmp_path).with_suffix("").parts).removesuffix(".__init__")] = path
    monkeypatch.syspath_prepend(tmp_path)
    settings.ROOT_URLCONF = "wired_root.urls"
    clear_url_caches()
    yield Project(tmp_path, Atlas({"wired_a": "a", "wired_b": "b"}, packages=frozenset({"wired_root"})), files=paths)
    clear_url_caches()
    for name in [each for each in sys.modules if each.startswith("wired_")]:
        del sys.modules[name]


def test_a_urlconf_that_can_not_be_imported_is_named_and_the_rest_goes_on(broken: Project) -> None:
    found = wired(broken)
    named = [one for one in found.skipped if one.what == "urlconf"]
    assert {one.where for one in named} == {"wired_root.urls", "wired_a.urls"}  # the one takes the other with it
    assert all("nothing_of_that_name" in one.why for one in named)
    assert found.urls["home"] == {"project"}
    assert found.urls["a:show"] == {"a"}
    assert found.urls["bs:show"] == found.urls["b:show"] == {"b"}  # by its instance, and by its application


def test_a_setting_that_raises_is_named(broken: Project, settings, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    class Lazy(dict):  # type: ignore[type-arg]
        def items(self):  # type: ignore[no-untyped-def]
            raise RuntimeError("no such secret\nin the vault")

    round_and_round: dict[str, object] = {"view": "wired_a.pages.show", "url": "wired_a.example.com"}
    round_and_round["self"] = round_and_round

    class Endless(list):  # type: ignore[type-arg]
        def __iter__(self):  # type: ignore[no-untyped-def]
            return itertools.repeat("wired_b.pages.show")

    settings.WIRED_LAZY, settings.WIRED_ROUND, settings.WIRED_WORD = Lazy(), round_and_round, "wired_a"
    settings.WIRED_ENDLESS, settings.WIRED_ENDS = Endless(), {"x": Endless()}
    found = wired(broken)
    assert [(one.where, one.why) for one in found.skipped if one.what == "setting"] == [
        ("WIRED_ENDLESS", "it has more than 20,000 values; the first were looked at"),
        ("WIRED_ENDS", "it has more than 20,000 values; the first were looked at"),
        ("WIRED_LAZY", "RuntimeError: no such secret"),
    ]
    assert found.settings["WIRED_ENDLESS"] == found.settings["WIRED_ENDS"] == ("wired_b.pages.show",)
    assert found.settings["WIRED_ROUND"] == ("wired_a.pages.show",)
    assert "WIRED_WORD" not in found.settings  # a word is no dotted name


def test_the_first_template_of_a_name_wins_and_the_others_are_known(broken: Project, settings) -> None:  # type: ignore[no-untyped-def]
    for folder in ("templates", "wired_a/templates"):
        page = broken.root / folder / "admin" / "base_site.html"
        page.parent.mkdir(parents=True)
        page.write_text("")
    places = [str(broken.root / "templates"), str(broken.root / "wired_a" / "templates")]
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": places}]
    engines._engines = {}
    try:
        found = wired(broken)
    finally:
        engines._engines = {}
    assert found.templates["admin/base_site.html"][0] == "project"
    assert [home for home, _ in found.shadowed["admin/base_site.html"]][-1] == "platform"  # Django's own


def test_of_a_project_that_django_did_not_load_the_source_tells(broken: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    more = {
        "wired_a/tasks.py": "from celery import shared_task\n@shared_task(name='a.go')\ndef go(): ...\n",
        "wired_a/management/commands/pack.py": "",
        "wired_a/management/commands/_base.py": "",
    }
    paths = dict(broken.files)
    for name, text in {**more, "wired_a/templates/a/page.html": ""}.items():
        path = broken.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if name in more:
            paths[name.removesuffix(".py").replace("/", ".")] = path
    monkeypatch.setattr(apps, "ready", False)
    found = wired(Project(broken.root, broken.atlas, files=paths))
    assert found.urls["a:show"] == {"a"}
    assert found.urls["home"] == {"project"}
    assert found.tasks == {"a.go": "a"}
    assert found.commands == {"pack": "a"}
    assert {name: home for name, (home, _) in found.templates.items()} == {"a/page.html": "a"}
