"""Who hears whose signals: by decorators, by ``connect``, by senders that are named in many ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wires import wires

HEADER = """
from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in
from django.db.models import signals
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.dispatch import receiver
from shop.orders.models import Line, Order
"""
MADE = {
    "shop/orders/signals.py": "from django.dispatch import Signal\nplaced = Signal()\nclass Loud(Signal): ...\nloud = Loud()\n"
}
PLACE = "shop/mails/hears.py"
SETTINGS = {"AUTH_USER_MODEL": ("users.User",), "ORDER_MODEL": ("orders.Order",)}


def heard(root: Path, body: str, header: str = HEADER, **more: str) -> list[str]:
    found = wires(root, {PLACE: header + body, **MADE, **more}, settings=SETTINGS)
    return [each.removeprefix("signal mails > ").replace(f" {PLACE}:", " ") for each in found if each.startswith("signal")]


@pytest.mark.parametrize(
    "sender",
    [
        "Order", '"orders.Order"', '"orders.order"', 'apps.get_model("orders", "Order")', 'apps.get_model("orders.Order")',
        'apps.get_model(app_label="orders", model_name="order")', 'apps.get_app_config("orders").get_model("Order")',
        "settings.ORDER_MODEL",
    ],
)  # fmt: skip
def test_a_sender_is_known_by_its_class_and_by_its_name(tmp_path: Path, sender: str) -> None:
    assert heard(tmp_path, f"@receiver(post_save, sender={sender})\ndef f(**_): ...\n") == ["orders f post_save orders.Order"]
    assert heard(tmp_path, f"def f(**_): ...\npost_save.connect(f, sender={sender})\n") == ["orders f post_save orders.Order"]
    assert heard(tmp_path, f"def f(**_): ...\npost_save.connect(f, {sender}, weak=False)\n") == [
        "orders f post_save orders.Order"
    ]


def test_a_sender_that_a_variable_holds_is_what_it_was_given(tmp_path: Path) -> None:
    body = """
Sender = apps.get_model("orders.Order")
@receiver(post_save, sender=Sender)
def f(**_): ...
def ready():
    which = Line
    post_delete.connect(f, sender=which)
"""
    assert heard(tmp_path, body) == ["orders f post_delete orders.Line", "orders f post_save orders.Order"]


def test_a_loop_over_models_and_signals_is_each_of_them(tmp_path: Path) -> None:
    body = """
WATCHED = (Order, "orders.Line")
def f(**_): ...
for model in WATCHED:
    post_save.connect(f, sender=model)
for signal in (post_delete, signals.pre_save):
    signal.connect(f, sender=Line)
"""
    assert heard(tmp_path, body) == [
        "orders f post_delete orders.Line", "orders f post_save orders.Line", "orders f post_save orders.Order",
        "orders f pre_save orders.Line",
    ]  # fmt: skip


def test_names_that_stand_for_each_other_come_to_an_end(tmp_path: Path) -> None:
    tangle = "\n".join(f"{a} = {b} or {c}" for a in "abcdefgh" for b in "abcdefgh" for c in "abcdefgh")
    assert heard(tmp_path, f"{tangle}\na = Order\npost_save.connect(print, sender=a)\n") in (
        [],
        ["orders * post_save orders.Order"],
    )


def test_a_list_of_signals_is_each_of_them(tmp_path: Path) -> None:
    body = '@receiver([post_save, signals.pre_delete], sender=Order, dispatch_uid="x")\ndef f(**_): ...\n'
    assert heard(tmp_path, body) == ["orders f post_save orders.Order", "orders f pre_delete orders.Order"]


def test_the_users_own_signals_are_of_the_user_models_context(tmp_path: Path) -> None:
    assert heard(tmp_path, "@receiver(user_logged_in)\ndef f(**_): ...\n") == ["users f user_logged_in"]
    assert wires(tmp_path, {PLACE: HEADER + "@receiver(user_logged_in)\ndef f(**_): ...\n"}) == []  # Django's own user


@pytest.mark.parametrize("sender", ["settings.AUTH_USER_MODEL", "get_user_model()", "User"])
def test_the_user_model_is_a_sender_by_its_setting(tmp_path: Path, sender: str) -> None:
    body = f"User = get_user_model()\n@receiver(post_save, sender={sender})\ndef f(**_): ...\n"
    assert heard(tmp_path, body) == ["users f post_save users.User"]


def test_the_table_between_is_known_by_its_automatic_model(tmp_path: Path) -> None:
    body = "@receiver(m2m_changed, sender=Order.tags.through)\ndef f(**_): ...\n"
    assert heard(tmp_path, body) == ["orders f m2m_changed orders.Order_tags"]


@pytest.mark.parametrize("name", ["placed", "loud"])
def test_a_contexts_own_signal_is_known_by_where_it_is_made(tmp_path: Path, name: str) -> None:
    body = f"from shop.orders.signals import {name} as heard\n@receiver(heard)\ndef f(**_): ...\n"
    assert heard(tmp_path, body) == [f"orders f shop.orders.signals.{name}"]


def test_a_signal_that_a_package_hands_on_is_found_where_it_is_made(tmp_path: Path) -> None:
    handed = {
        "shop/orders/contract.py": "from shop.orders.signals import *\n",
        "shop/orders/__init__.py": "from .contract import placed",
    }
    assert heard(tmp_path, "import shop.orders\nshop.orders.placed.connect(print)\n", **handed) != []


def test_who_sends_anothers_signal_is_told_apart(tmp_path: Path) -> None:
    body = "from shop.orders.signals import placed\ndef f():\n    placed.send_robust(sender=None)\n    post_save.send(Order)\n"
    assert heard(tmp_path, body) == ["orders f post_save orders.Order sends", "orders f shop.orders.signals.placed sends"]


def test_a_receiver_stands_where_it_is_written(tmp_path: Path) -> None:
    body = """
from shop.mails import other
class Config:
    def ready(self):
        def inner(**_): ...
        post_save.connect(self.hear, sender=Order)
        post_save.connect(inner, sender=Line)
        post_delete.connect(other.f, sender=Order)
    def hear(self, **_): ...
"""
    assert heard(tmp_path, body) == [
        "orders Config.hear post_save orders.Order",
        "orders Config.ready post_delete orders.Order",
        "orders Config.ready.inner post_save orders.Line",
    ]


@pytest.mark.parametrize(
    "body",
    [
        "post_save.connect(print)",
        "@receiver(post_save)\ndef f(**_): ...",
        "def f(sender):\n    post_save.connect(print, sender=sender)",
        "import socket\nline = socket.socket()\nline.connect(Order)\nline.send(Order)",
        "def f(database):\n    database.connect(sender=Order)",
        "def f(post_save):\n    post_save.connect(print, sender=Order)",
        "from shop.orders.models import Order as box\nbox.connect(print, sender=Order)",
        "@decorated(Order)\ndef f(): ...",
        "from shop.mails.models import Mail\n@receiver(post_save, sender=Mail)\ndef f(**_): ...",
        "from django.core.signals import request_finished\n@receiver(request_finished)\ndef f(**_): ...",
        "# post_save.connect(print, sender=Order)\nTEXT = '@receiver(post_save, sender=Order)'",
        "from shop.orders.signals import nothing\nnothing.connect(print)",
    ],
)
def test_what_only_looks_like_a_signal_is_none(tmp_path: Path, body: str) -> None:
    assert heard(tmp_path, body) == []
