"""Real writes, kept for a while to be rehearsed against the service. Only while it is switched on, and never more than a few.

What is kept: ``docs/reference/rehearsal.md``.
"""

from django.db import models
from django.db.models.functions import Now


class Recording(models.Model):
    """That writes of a context are recorded, which share of them, and until when."""

    context = models.TextField(primary_key=True)
    share = models.FloatField(help_text="of the writes, more than 0 and at most 1")
    until = models.DateTimeField()
    who = models.TextField()

    class Meta:
        db_table = "strangler_recording"

    def __str__(self) -> str:
        return f"{self.context}: {self.share:.0%} of the writes until {self.until}"


class Effect(models.Model):
    """What a statement of a write that is being recorded did to a row: noted by triggers, taken into its ``RecordedWrite``."""

    id = models.BigAutoField(primary_key=True)
    write = models.UUIDField(db_index=True)
    collection = models.TextField()
    key = models.TextField()
    before = models.TextField(null=True, help_text="the row's wire values as JSON; NULL: it was not there")
    after = models.TextField(null=True)
    noted_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "strangler_effect"

    def __str__(self) -> str:
        return f"{self.collection}/{self.key}"


class RecordedWrite(models.Model):
    """A request that wrote, its answer, and what became of the context's rows by it."""

    id = models.BigAutoField(primary_key=True)
    context = models.TextField()
    at = models.DateTimeField(help_text="when it came")
    took_ms = models.FloatField()
    method = models.TextField()
    target = models.TextField(help_text="path and query")
    endpoint = models.TextField(help_text="Django's URL pattern")
    headers = models.JSONField(default=dict)
    content_type = models.TextField(default="")
    body = models.BinaryField()
    user = models.TextField(default="", help_text="the user's id; empty: anonymous")
    status = models.IntegerField()
    answer_headers = models.JSONField(default=dict)
    answer = models.BinaryField()
    effects = models.TextField(default="[]", help_text="JSON: collection, key, kind, before, after; as they were touched")

    class Meta:
        db_table = "strangler_recorded_write"
        indexes = [models.Index(fields=["context", "id"], name="strangler_recorded_write_last")]

    def __str__(self) -> str:
        return f"{self.method} {self.target}: {self.status}"
