"""Admin, settings, commands, hooks, URLs and templates that code names."""

from __future__ import annotations

from pathlib import Path

import pytest

from strangler.analysis.static.walk import scan
from strangler.analysis.static.wiring import Wiring
from tests.wires import project

PLACE = "shop/mails/admin.py"
FILES = {
    "shop/orders/admin.py": "from django.contrib import admin\nfrom .models import Line\n"
    "class Base(admin.TabularInline): ...\nclass LineInline(Base):\n    model = Line\n",
    "shop/sites.py": "from django.contrib.admin import AdminSite\nclass Desk(AdminSite): ...\ndesk = Desk()\n"
    "class Registry: ...\nregistry = Registry()\n",
    "shop/orders/services.py": "from celery import shared_task\ndef notify(*_): ...\nclass Gate:\n    def close(self): ...\n"
    "@shared_task\ndef late(): ...\n",
}
KNOWN = {
    "settings": {
        "AUTH_USER_MODEL": ("users.User",), "PRICING": ("shop.orders.pricing.by_weight",),
        "KEPT": ("orders.Order", "shop.mails.own"),
        "INSTALLED_APPS": ("shop.orders",),
    },
    "commands": {"settle": "orders", "send": "mails", "migrate": "platform"},
    "urls": {
        "orders:list": frozenset({"orders"}), "both": frozenset({"orders", "mails"}), "admin:index": frozenset({"platform"}),
        "two": frozenset({"orders", "payments"}),
    },
    "templates": {
        "orders/list.html": ("orders", Path("/nowhere/list.html")), "mails/own.html": ("mails", Path("/nowhere/own.html")),
        "admin/base.html": ("platform", Path("/nowhere/base.html")),
    },
}  # fmt: skip


def seen(root: Path, body: str, place: str = PLACE) -> list[str]:
    """Of one file: "kind target place what"."""
    made = project(root, {place: body, **FILES}, **KNOWN)
    edges = [edge for edge in scan(made, [Wiring]).edges if edge.where.startswith(f"{place}:")]
    return sorted(f"{edge.kind} {edge.target} {edge.where.removeprefix(f'{place}:')} {edge.what}" for edge in edges)


# ---- admin --------------------------------------------------------------------------------------------------------------

ADMIN = "from django.contrib import admin\nfrom shop.orders.models import Line, Order\nfrom shop.mails.models import Mail\n"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("admin.site.register(Order)", "*"),
        ("admin.site.register([Order, Mail])", "*"),
        ("@admin.register(Mail, Order)\nclass OrderAdmin(admin.ModelAdmin): ...", "OrderAdmin"),
        ("from django.contrib.admin import register as shown\n@shown(Order)\nclass A: ...", "A"),
        ("from shop.sites import desk\ndef fill():\n    desk.register(Order)", "fill"),
        ("def fill(admin_site):\n    admin_site.register(Order)", "fill"),
        ("for model in (Mail, Order):\n    admin.site.register(model)", "*"),
    ],
)
def test_anothers_model_is_registered(tmp_path: Path, body: str, where: str) -> None:
    assert seen(tmp_path, ADMIN + body) == [f"admin orders {where} orders.Order"]


@pytest.mark.parametrize(
    "body",
    [
        "admin.site.register(Mail)",
        "from shop.sites import registry\nregistry.register(Order)",
        "import reversion\n@reversion.register(Order)\nclass A: ...",
        "reversion.register(Order)",
        "router.register('orders', Order)",
        "class A(admin.ModelAdmin):\n    model = Order",
        "def f(model):\n    admin.site.register(model)",
    ],
)
def test_what_only_looks_like_a_registration_is_none(tmp_path: Path, body: str) -> None:
    assert seen(tmp_path, ADMIN + body) == []


def test_an_inline_is_one_by_what_it_comes_from(tmp_path: Path) -> None:
    body = """
from django.contrib.admin import StackedInline, TabularInline
from shop.orders.admin import Base, LineInline
class Direct(StackedInline):
    model = Order
class Handed(LineInline): ...
class Based(Base):
    model = "orders.Order"
class Outer(admin.ModelAdmin):
    class Inner(TabularInline):
        model = Order.tags.through
class Choices:
    model = Order
class Own(TabularInline):
    model = Mail
"""
    assert seen(tmp_path, ADMIN + body) == [
        "admin_inline orders Based orders.Order",
        "admin_inline orders Direct orders.Order",
        "admin_inline orders Handed orders.Line",
        "admin_inline orders Outer.Inner orders.Order_tags",
    ]


# ---- settings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "from django.conf import settings\ndef f():\n    return settings.PRICING",
        "from django.conf import settings as ours\ndef f():\n    return getattr(ours, 'PRICING', None)",
        "import django.conf\ndef f():\n    return django.conf.settings.PRICING['a']",
        "def f():\n    from django.conf import settings\n    return lambda: settings.PRICING",
    ],
)
def test_a_setting_that_names_anothers_code_is_known_where_it_is_read(tmp_path: Path, body: str) -> None:
    assert seen(tmp_path, body) == ["setting orders f PRICING"]


def test_a_label_in_a_setting_is_of_the_models_context(tmp_path: Path) -> None:
    body = "from django.conf import settings\nclass A:\n    kept = settings.KEPT\n"
    assert seen(tmp_path, body) == ["setting orders A.kept KEPT"]


@pytest.mark.parametrize(
    "body",
    [
        "from shop import settings\nX = settings.PRICING",
        "from django.conf import settings\ndef f(settings):\n    return settings.PRICING",
        "from django.conf import settings\ndef f():\n    settings = object()\n    return settings.PRICING",
        "from django.conf import settings\nX = 'orders' in settings.INSTALLED_APPS, settings.DEBUG, settings.NOWHERE",
        "from django.conf import settings\nsettings.PRICING = None",
        "from django.conf import settings\ndef f(name):\n    return getattr(settings, name)",
        "PRICING = 'settings.PRICING'",
    ],
)
def test_what_only_looks_like_a_setting_is_none(tmp_path: Path, body: str) -> None:
    assert seen(tmp_path, body) == []


def test_the_user_model_is_swapped_in_code_and_left_to_the_registry_in_relations(tmp_path: Path) -> None:
    body = """
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import migrations, models
from django.urls import reverse_lazy
User = get_user_model()
class Mail(models.Model):
    to = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    cc = models.ManyToManyField(to=settings.AUTH_USER_MODEL)
    bcc = models.ForeignKey(get_user_model(), models.CASCADE)
    page = models.URLField(default=reverse_lazy("orders:list"))
class Migration(migrations.Migration):
    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
def f():
    return settings.AUTH_USER_MODEL
"""
    assert seen(tmp_path, body) == [
        "swapped users User AUTH_USER_MODEL", "swapped users f AUTH_USER_MODEL", "url_name orders Mail.page orders:list",
    ]  # fmt: skip


# ---- commands and hooks -------------------------------------------------------------------------------------------------


def test_a_command_is_called_by_name_and_by_class(tmp_path: Path) -> None:
    body = """
from django.core import management
from django.core.management import call_command as run
from shop.orders.management.commands import pack
def f(name):
    run("settle", verbosity=0)
    management.call_command("settle")
    run("send"), run("migrate"), run("nothing"), run(name), run(f"{name}_orders")
def g():
    run(pack.Command())
"""
    assert seen(tmp_path, body) == ["command orders f settle", "command orders g pack"]


def test_a_function_that_imports_it_by_another_name_calls_it(tmp_path: Path) -> None:
    body = "def f():\n    from django.core.management import call_command as run\n    run('settle')\n"
    body += "def g(run):\n    run('settle')\n"
    assert seen(tmp_path, body) == ["command orders f settle"]


def test_a_function_of_that_name_of_its_own_runs_no_command(tmp_path: Path) -> None:
    assert seen(tmp_path, "def call_command(name): ...\ndef f():\n    call_command('settle')\n") == []


HOOKS = "from functools import partial\nfrom django.db import connections, transaction\nfrom shop.orders import services\n"


@pytest.mark.parametrize(
    ("hook", "what"),
    [
        ("services.notify", "notify"), ("partial(services.notify, 1)", "notify"), ("lambda: services.notify(1)", "notify"),
        ("lambda: (services.notify(1), print())", "notify"), ("func=services.notify, robust=True", "notify"),
        ("services.Gate.close", "Gate.close"), ("after", "notify"),
        ("services.late.delay", "late"), ("services.late.enqueue", "late"), ("partial(services.late.delay, 1)", "late"),
        ("services.Gate().close", "Gate.close"), ("partial(services.Gate(1).close, 2)", "Gate.close"),
        ("lambda: services.Gate().close()", "Gate.close"),
    ],
)  # fmt: skip
def test_what_runs_after_the_commit_is_known_by_its_dotted_name(tmp_path: Path, hook: str, what: str) -> None:
    body = f"{HOOKS}def f():\n    after = partial(services.notify, 2)\n    transaction.on_commit({hook})\n"
    found = [each for each in seen(tmp_path, body) if not each.startswith("task ")]  # which late is, too
    assert found == [f"on_commit orders f shop.orders.services.{what}"]


def test_a_connections_own_hook_is_one(tmp_path: Path) -> None:
    body = f"{HOOKS}def f(using):\n    connections[using].on_commit(services.notify)\n"
    assert seen(tmp_path, body) == ["on_commit orders f shop.orders.services.notify"]


@pytest.mark.parametrize(
    "hook",
    [
        "transaction.on_commit(own)", "transaction.on_commit(lambda: own(services.Gate()))", "services.notify()",
        "session.on_commit(services.notify)", "transaction.on_commit(given)", "transaction.on_commit(given.save)",
        "transaction.atomic(services.notify)",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_hook_is_none(tmp_path: Path, hook: str) -> None:
    assert seen(tmp_path, f"{HOOKS}def own(*_): ...\ndef f(given, session):\n    {hook}\n") == []


# ---- URLs and templates -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "from django.urls import reverse\ndef f():\n    return reverse('orders:list')",
        "from django.urls import reverse as url\ndef f():\n    return url(viewname='orders:list', args=[1])",
        "from django import shortcuts\ndef f():\n    return shortcuts.redirect('orders:list')",
        "from django.shortcuts import resolve_url\ndef f(ok):\n    return resolve_url('orders:list' if ok else '/')",
        "from rest_framework.reverse import reverse\ndef f():\n    return reverse('orders:list')",
    ],
)
def test_a_url_is_anothers_by_its_name(tmp_path: Path, body: str) -> None:
    assert seen(tmp_path, body) == ["url_name orders f orders:list"]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("class Old(RedirectView):\n    pattern_name = 'orders:list'", "Old.pattern_name"),
        ("X = path('', RedirectView.as_view(pattern_name='orders:list'))", "X"),
    ],
)
def test_a_view_redirects_to_anothers_url(tmp_path: Path, body: str, where: str) -> None:
    assert seen(tmp_path, f"from django.views.generic import RedirectView\n{body}\n") == [f"url_name orders {where} orders:list"]


def test_a_name_that_several_have_is_ones_own_if_one_is_among_them(tmp_path: Path) -> None:
    body = "from django.urls import reverse\nX = reverse('both'), reverse('admin:index')\ndef f():\n    reverse('two')\n"
    assert seen(tmp_path, body) == ["url_name orders f two", "url_name payments f two"]


@pytest.mark.parametrize(
    "body",
    [
        "names = ['orders:list']\nnames.reverse()\nX = list(reversed(names))",
        "def reverse(name): ...\nX = reverse('orders:list')",
        "from django.urls import reverse\ndef f(name):\n    return reverse(name), reverse(f'orders:{name}')",
        "from django.urls import reverse\nclass A:\n    def get(self, reverse):\n        return reverse('orders:list')",
    ],
)
def test_what_only_looks_like_a_url_is_none(tmp_path: Path, body: str) -> None:
    assert seen(tmp_path, body) == []


def test_a_method_hides_no_name_from_its_neighbours(tmp_path: Path) -> None:
    body = "from django.urls import reverse\nclass A:\n    def reverse(self): ...\n"
    body += "    def f(self):\n        reverse('orders:list')\n"
    assert seen(tmp_path, body) == ["url_name orders A.f orders:list"]


def test_a_urlconf_is_included_by_name_as_a_module_and_as_a_list(tmp_path: Path) -> None:
    body = """
from django.urls import include, path
import shop.payments.urls
from shop.users.urls import patterns
urlpatterns = [
    path("", include("shop.orders.urls")), path("", include(shop.payments.urls)), path("", include((patterns, "users"))),
    path("", include("shop.mails.urls")), path("", include([path("", print)])), path("", include("django.conf.urls.i18n")),
]
"""
    assert seen(tmp_path, body) == [
        "url_include orders urlpatterns shop.orders.urls",
        "url_include payments urlpatterns shop.payments.urls",
        "url_include users urlpatterns shop.users.urls.patterns",
    ]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("from django.shortcuts import render\ndef f(request):\n    return render(request, 'orders/list.html')", "f"),
        ("from django.template.loader import select_template as s\ndef f():\n    s(['no.html', 'orders/list.html'])", "f"),
        ("from django.template import loader\ndef f():\n    loader.render_to_string(template_name='orders/list.html')", "f"),
        ("from django.template.response import TemplateResponse\nX = TemplateResponse(None, 'orders/list.html')", "X"),
        ("class A(View):\n    template_name = 'orders/list.html'", "A.template_name"),
        ("class A(View):\n    def get_template_names(self):\n        return ['orders/list.html']", "A.get_template_names"),
        ("X = View.as_view(template_name='orders/list.html')", "X"),
        ("@register.inclusion_tag('orders/list.html')\ndef tag(): ...", "*"),
    ],
)
def test_anothers_template_is_rendered(tmp_path: Path, body: str, where: str) -> None:
    assert seen(tmp_path, body) == [f"template orders {where} orders/list.html"]


@pytest.mark.parametrize(
    "body",
    [
        "import jinja2\nX = jinja2.Environment().get_template('orders/list.html')",
        "from mako import render\nX = render(None, 'orders/list.html')",
        "from django.shortcuts import render\ndef f(request, name):\n    return render(request, f'orders/{name}.html')",
        "class A(View):\n    template_name = name\n    title = 'orders/list.html'",
        "from django.shortcuts import render\nX = render(None, 'mails/own.html'), render(None, 'admin/base.html')",
        "X = open('orders/list.html'), 'orders/list.html'",
    ],
)
def test_what_only_looks_like_a_template_is_none(tmp_path: Path, body: str) -> None:
    assert seen(tmp_path, body) == []
