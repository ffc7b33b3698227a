"""What ``subscribe`` calls with each message: the row and the note that it was received, in one transaction."""

from django.db import transaction

from tests.benchmarks.sync.mirrors.outbox.models import Copy


def apply(payload) -> None:
    row = dict(payload.body)
    with transaction.atomic():
        Copy.objects.update_or_create(id=row.pop("id"), defaults=row)
        payload.save()
