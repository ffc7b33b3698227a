"""What the shell does by itself."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task

from monolith.shell import upkeep


@shared_task(name="shell.expire_unpaid", ignore_result=True)
def expire_unpaid() -> int:
    """planted: a task that writes two contexts."""
    return upkeep.expire_unpaid(older_than=timedelta(days=30))
