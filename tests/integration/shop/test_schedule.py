"""Beat's schedule and the tasks that there are."""

from __future__ import annotations

from django.conf import settings

from monolith.celery import app

AT_ONCE = {"users.send_password_reset"}  # asked for by a person


def test_every_task_of_the_shop_is_scheduled_or_asked_for_and_nothing_else_is() -> None:
    app.loader.import_default_modules()
    ours = {name for name, task in app.tasks.items() if type(task).__module__.startswith("monolith.")}
    scheduled = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert scheduled <= set(app.tasks)
    assert ours - AT_ONCE == {name for name in scheduled if not name.startswith("strangler.")}
