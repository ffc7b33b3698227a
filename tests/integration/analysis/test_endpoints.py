"""What the project serves, by methods and path, with the place of each view."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.urls import clear_url_caches, include, path, re_path
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods
from django.views.generic import TemplateView

from strangler.analysis.static.source import Project
from strangler.analysis.wiring import endpoints, urls
from strangler.domain.coupling.atlas import Atlas

HERE = Path(__file__)


def anything(request): ...


@csrf_exempt
@require_http_methods(["GET", "POST"])
def decorated(request): ...


class Order(View):
    http_method_names = ["get", "delete", "options"]

    def get(self, request): ...
    def post(self, request): ...
    def delete(self, request): ...


class Answering:
    """As a mock: it has every attribute, and so no end of wrapped ones."""

    def __call__(self, request): ...

    def __getattr__(self, name: str) -> Answering:
        if name in ("admin_site", "model_admin", "view_class", "cls", "actions", "__qualname__", "__module__"):
            raise AttributeError(name)
        return self


SITE = admin.AdminSite(name="own")
SITE.register(LogEntry)
PATTERNS = [
    path("any/", anything),
    path("any/", decorated),
    path("both/", functools.partial(decorated, x=1)),
    path("in/", include(([re_path(r"^order/(?P<pk>\d+)/$", Order.as_view(), name="order")], "shop"), namespace="a")),
    path("page/", TemplateView.as_view(template_name="x.html")),
    path("odd/", Answering()),
    path("admin/", SITE.urls),
]


@pytest.fixture
def served(settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, tuple[str, str]]]:  # type: ignore[no-untyped-def]
    root = ModuleType("config.urls")
    root.urlpatterns = PATTERNS  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, root.__name__, root)
    settings.ROOT_URLCONF = root.__name__
    clear_url_caches()
    project = Project(HERE.parent, Atlas({__name__: "orders"}, packages=frozenset({"config"})), files={__name__: HERE})
    yield endpoints.served(project, urls.routes(project.atlas, project.files, []))
    clear_url_caches()


def test_each_has_its_methods_context_and_the_place_of_its_view(served: dict[str, tuple[str, str]]) -> None:
    assert {name: told for name, told in served.items() if "/admin/" not in name} == {
        "ANY /any/": ("orders", "test_endpoints.py:anything"),
        "GET,POST /any/": ("orders", "test_endpoints.py:decorated"),
        "GET,POST /both/": ("orders", "test_endpoints.py:decorated"),
        "GET,DELETE /in/order/(?P<pk>\\d+)/": ("orders", "test_endpoints.py:Order"),
        "GET /page/": ("project", ""),  # of the URLconf: the class is Django's
        "ANY /odd/": ("orders", "test_endpoints.py:Answering"),
    }


def test_pages_of_the_admin_are_none(served: dict[str, tuple[str, str]]) -> None:
    assert [name for name in served if "/admin/" in name] == ["ANY /admin/login/"]  # which needs no admin to be seen
