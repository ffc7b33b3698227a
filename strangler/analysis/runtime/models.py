"""What of the runtime ledger is kept: crossings with their counts. Rows that nobody adds to expire."""

from django.db import models


class Crossing(models.Model):
    """``kind``: of the edge; or ``looked_at`` with what was counted in ``what``."""

    key = models.TextField(help_text="digest of all that is text below")
    kind = models.TextField()
    source = models.TextField()
    target = models.TextField()
    where = models.TextField()
    what = models.TextField()
    note = models.TextField()
    file = models.TextField()
    line = models.IntegerField()
    text = models.TextField(help_text="the statement's template")
    by = models.JSONField(help_text="a handful of the units of work that ran it")
    count = models.BigIntegerField()
    last_at = models.DateTimeField()

    class Meta:
        db_table = "strangler_crossing"
        constraints = [models.UniqueConstraint(fields=["key"], name="strangler_crossing_key")]
        indexes = [models.Index(fields=["last_at"], name="strangler_crossing_last")]
