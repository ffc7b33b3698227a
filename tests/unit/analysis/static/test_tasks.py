"""Tasks of another context, sent by their function, by their name, and by the clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wires import wires

TASKS = {
    "shop/orders/tasks.py": """
from celery import Task, shared_task
from shop.celery import app
from threading import Timer
from shop.seams import owner_task
from django.tasks import task
@shared_task
def settle(): ...
@shared_task(name="orders.remind", bind=True)
def remind(self): ...
@app.task
def pack(): ...
@owner_task("orders", name="orders.owned")
def owned(): ...
class Big(Task):
    name = "orders.big"
big = app.register_task(Big())
timer = Timer(1, print)
def plain(): ...
@task()
def djangos(): ...
""",
    "shop/celery.py": "from celery import Celery\napp = Celery('shop')\n",
}
KNOWN = {"shop.orders.tasks.settle": "orders", "orders.remind": "orders", "mails.send": "mails", "orders.big": "orders"}
PLACE = "shop/mails/services.py"
HEADER = (
    "from shop.orders import tasks\nfrom shop.orders.tasks import settle, remind\nfrom shop.celery import app\nimport celery\n"
)


def sent(root: Path, body: str) -> list[str]:
    found = wires(root, {PLACE: HEADER + body, **TASKS}, tasks=KNOWN)
    return [
        each.removeprefix("task mails > orders ").removeprefix(f"{PLACE}:") for each in found if each.startswith("task mails")
    ]


@pytest.mark.parametrize(
    "call",
    [
        "tasks.settle.delay(1)", "settle.apply_async((1,), countdown=3)", "settle.s(1)", "settle.si()", "settle.apply()",
        "settle.signature()", "settle.subtask()",
        "celery.group(settle.s(n) for n in range(3))()",
        "celery.chain(settle.s(), print)",
        'celery.signature("shop.orders.tasks.settle")', 'app.send_task("shop.orders.tasks.settle")',
        'celery.current_app.send_task(name="shop.orders.tasks.settle")',
        'PeriodicTask.objects.create(task="shop.orders.tasks.settle")',
        "app.add_periodic_task(10, settle.s())",
        "transaction.on_commit(settle.delay)", "partial(tasks.settle.apply_async, (1,))", "return settle.delay",
    ],
)  # fmt: skip
def test_a_task_is_sent_by_function_and_by_name(tmp_path: Path, call: str) -> None:
    assert sent(tmp_path, f"def f():\n    {call}\n") == ["f shop.orders.tasks.settle"]


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("remind", "orders.remind"), ("pack", "shop.orders.tasks.pack"), ("owned", "orders.owned"), ("big", "orders.big"),
        ("Big()", "orders.big"),
    ],
)  # fmt: skip
def test_a_task_is_called_what_its_mark_says(tmp_path: Path, function: str, name: str) -> None:
    assert sent(tmp_path, f"def f():\n    tasks.{function}.delay()\n") == [f"f {name}"]


def test_a_function_that_only_celery_knows_as_a_task_is_one(tmp_path: Path) -> None:
    body = "def f():\n    tasks.plain.delay()\n"
    assert sent(tmp_path, body) == []
    found = wires(tmp_path, {PLACE: HEADER + body, **TASKS}, tasks={"shop.orders.tasks.plain": "orders"})
    assert found == [f"task mails > orders {PLACE}:f shop.orders.tasks.plain"]


def test_a_name_that_a_constant_holds_is_read(tmp_path: Path) -> None:
    assert sent(tmp_path, 'NAME = "orders.remind"\ndef f():\n    app.send_task(NAME)\n') == ["f orders.remind"]


def test_the_clock_sends_what_its_schedule_names(tmp_path: Path) -> None:
    schedule = '{"a": {"task": "orders.remind", "schedule": 5.0}, "b": {"task": "mails.send", "schedule": 5.0}}'
    files = {"shop/clock.py": f"def set(app):\n    app.conf.beat_schedule = {schedule}\n"}
    assert wires(tmp_path, files, tasks=KNOWN) == [
        "task project > mails shop/clock.py:set mails.send", "task project > orders shop/clock.py:set orders.remind",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        "def f():\n    tasks.timer.delay(3)",
        "def f():\n    tasks.plain.apply_async()",
        "def f(settle):\n    settle.delay()",
        "def f(name):\n    app.send_task(name)\n    celery.signature(f'{name}.remind')",
        "def f():\n    settle()\n    return settle.name, settle.max_retries",
        'def f():\n    app.send_task("nobody.knows")',
        'class Queue:\n    def send_task(self, name): ...\ndef f():\n    Queue().send_task("orders.remind")',
        'def signature(name): ...\ndef f():\n    signature("orders.remind")',
        'NAMES = ["orders.remind", {"task": "orders.remind"}]',
    ],
)
def test_what_only_looks_like_a_task_is_none(tmp_path: Path, body: str) -> None:
    assert sent(tmp_path, body) == []


@pytest.mark.parametrize("how", ["enqueue", "aenqueue"])
def test_a_task_of_djangos_is_put_into_its_queue(tmp_path: Path, how: str) -> None:
    assert sent(tmp_path, f"def f():\n    tasks.djangos.{how}(1)\n    queue.{how}(tasks.plain)\n") == [
        "f shop.orders.tasks.djangos"
    ]
