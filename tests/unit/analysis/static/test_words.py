"""What is looked for in a text before anything is made of it: it may let too much through, and never too little."""

from __future__ import annotations

from pathlib import Path

import pytest

from strangler.analysis.static.paths import Words
from strangler.analysis.wiring import settings, tasks


@pytest.mark.parametrize(
    "words", [(), ("order",), ("order", "order_line", "orders"), ("_x", "_"), ("users_user", "users_group", "a")]
)
@pytest.mark.parametrize("text", ["", "order", "the order_line", "users_", "users_group", "_", "users_ group", "b"])
def test_a_text_has_one_of_the_words_if_any_of_them_is_in_it(words: tuple[str, ...], text: str) -> None:
    assert Words(words).in_text(text) == any(word in text for word in words)


@pytest.mark.parametrize(
    "text",
    [
        "@shared_task\ndef settle(): ...",
        "@app.task(bind=True)\ndef settle(self): ...",
        "@my.own_task (\n    name='x')\ndef settle(): ...",
        "settle = app.task(_settle)",
        "settle = app.register_task(\n    Settle())",
        "class Settle(celery.Task): ...",
        "from .base import Base as Task",
        "class Settle(BaseTask): ...",
    ],
)
def test_a_file_that_may_make_a_task_is_parsed_for_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "tasks.py").write_text(text)
    assert tasks._may_mark(tmp_path / "tasks.py")


@pytest.mark.parametrize("text", ["", "# the task of the day\n", "task = 'shop.tasks.settle'", "class Tasks(Base): ..."])
def test_a_file_that_only_speaks_of_tasks_is_not(tmp_path: Path, text: str) -> None:
    (tmp_path / "tasks.py").write_text(text)
    assert not tasks._may_mark(tmp_path / "tasks.py")
    assert not tasks._may_mark(tmp_path / "gone.py")


def test_a_setting_that_holds_itself_many_times_is_left_in_time() -> None:
    value: list[object] = ["orders.Order"]
    value += [value] * 50_000
    assert set(settings._texts(value, settings.DEEPEST, [settings.MOST])) == {"orders.Order"}
