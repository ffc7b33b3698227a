"""What the recorder keeps: uses of contexts, counted per hour, and the spans of time in which somebody recorded."""

from django.db import models


class Usage(models.Model):
    hour = models.DateTimeField()
    context = models.TextField()
    access = models.TextField(help_text="hit, read, write or unclear")
    table = models.TextField(help_text="empty for a hit")
    kind = models.TextField(help_text="request, task, command or unknown")
    source = models.TextField()
    through = models.BooleanField(help_text="by the context's seam")
    own = models.BooleanField(help_text="by code of the context itself")
    count = models.BigIntegerField()
    last_at = models.DateTimeField()

    class Meta:
        db_table = "strangler_usage"
        constraints = [
            models.UniqueConstraint(
                fields=["context", "hour", "access", "table", "kind", "source", "through", "own"], name="strangler_usage_unique"
            )
        ]
        indexes = [models.Index(fields=["hour"], name="strangler_usage_hour")]


class UsageSpan(models.Model):
    """From ``began`` to ``until`` a process of that role recorded. With ``lost`` it is a moment in which uses were lost."""

    role = models.TextField(help_text="web or worker; empty for a loss")
    began = models.DateTimeField()
    until = models.DateTimeField()
    lost = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        db_table = "strangler_usage_span"
