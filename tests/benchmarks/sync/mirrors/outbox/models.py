from django.db import models
from django_outbox_pattern.decorators import Config, publish

from tests.benchmarks.sync.row import Row


@publish([Config(destination="/topic/ledger")])
class Entry(Row):
    """The source's."""

    class Meta(Row.Meta):
        app_label = "outbox"


class Copy(Row):
    """The destination's."""

    id = models.BigIntegerField(primary_key=True)

    class Meta(Row.Meta):
        app_label = "outbox"
