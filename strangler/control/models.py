"""What the engine remembers: the stage of each context, the running operation, receipts and published tables."""

from typing import Any

from django.db import models, router, transaction
from django.db.models import Q
from django.db.models.functions import Now

from strangler.control import chain


class Migration(models.Model):
    """Where a context is in its migration."""

    context = models.TextField(primary_key=True)
    stage = models.TextField(default="monolith", db_default="monolith")
    percent = models.IntegerField(default=0, db_default=0)
    salt = models.TextField()
    since = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "strangler_migration"

    def __str__(self) -> str:
        return f"{self.context}: {self.stage} {self.percent or ''}".strip()


class Operation(models.Model):
    """One transition under way: a small saga whose every step is a compare-and-swap on ``(step, token)``."""

    id = models.UUIDField(primary_key=True)
    context = models.TextField()
    verb = models.TextField(help_text="advance, rollback or hold")
    from_stage = models.TextField()
    from_percent = models.IntegerField(default=0)
    to_stage = models.TextField()
    to_percent = models.IntegerField(default=0)
    step = models.TextField()
    token = models.BigIntegerField(default=0)
    undoing = models.BooleanField(default=False)
    holder = models.TextField(default="")
    holder_until = models.DateTimeField(null=True)
    who = models.TextField()
    why = models.TextField(default="")
    data = models.JSONField(default=dict, help_text="epoch, markers, next ids, verdicts, milliseconds per step")
    error = models.TextField(default="")
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)
    outcome = models.TextField(default="", help_text="done, undone or refused (by a gate); empty while it runs")

    class Meta:
        db_table = "strangler_operation"
        constraints = [
            # One operation at a time in an estate.
            models.UniqueConstraint(models.Value(1), condition=Q(finished_at__isnull=True), name="strangler_operation_one_open"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.context}: {self.from_stage} → {self.to_stage}, {self.outcome or f'at step {self.step}'}"


class Receipt(models.Model):
    """The immutable record of one transition: written once, chained to the one before it (``control.chain``)."""

    operation = models.UUIDField(unique=True)
    context = models.TextField()
    verb = models.TextField()
    who = models.TextField()
    why = models.TextField(default="")
    from_stage = models.TextField()
    from_percent = models.IntegerField()
    to_stage = models.TextField()
    to_percent = models.IntegerField()
    outcome = models.TextField(help_text="done, undone or refused (by a gate)")
    verdicts = models.JSONField(default=list)
    proxies = models.JSONField(default=dict, help_text="proxy id: table version it acknowledged")
    steps_ms = models.JSONField(default=dict)
    pause_ms = models.FloatField(null=True, help_text="how long writes were parked; NULL where none were")
    error = models.TextField(default="")
    at = models.DateTimeField(db_default=Now())
    previous = models.TextField(unique=True, help_text="the hash of the receipt before it")
    hash = models.TextField(unique=True, help_text="SHA-256 of ``previous`` and of the canonical content")

    class Meta:
        db_table = "strangler_receipt"
        constraints = [
            models.CheckConstraint(condition=~Q(previous="") & ~Q(hash=""), name="strangler_receipt_is_sealed"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.context}: {self.from_stage} → {self.to_stage}, {self.outcome}"

    def save(self, *, using: str | None = None, **_: Any) -> None:  # type: ignore[override]
        """Appends it. The database refuses to write one again."""
        alias = using or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=alias):
            if self._state.adding:
                chain.append(self, alias)
            super().save(using=alias, force_insert=self._state.adding)


class RouteTableVersion(models.Model):
    """A published snapshot of the route table. The newest ``(generation, version)`` is the truth; Redis only carries it."""

    generation = models.BigIntegerField()
    version = models.BigIntegerField()
    snapshot = models.JSONField()
    published_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "strangler_route_table"
        constraints = [models.UniqueConstraint(fields=["generation", "version"], name="strangler_route_table_unique")]

    def __str__(self) -> str:
        return f"route table {self.generation}.{self.version}"


class RampRun(models.Model):
    """The auto-ramp of a context, running or over. Each change is a compare-and-swap on ``token``; times are the database's."""

    context = models.TextField(primary_key=True)
    state = models.TextField(help_text="running, held, frozen, aside, done, aborted")
    target = models.IntegerField(help_text="the share in percent at which it ends")
    percent = models.IntegerField(help_text="the share that it set or found; 0 is stage shadow")
    good = models.JSONField(default=list, help_text="shares that held for an interval in this run, rising")
    good_since = models.DateTimeField(null=True, help_text="the first of the looks in a row that found every gate passing")
    seen_at = models.DateTimeField(null=True, help_text="the last look")
    risen = models.BooleanField(default=True, help_text="the last move was a step up")
    backs = models.IntegerField(default=0, help_text="steps up that were taken back")
    who = models.TextField(help_text="who started it")
    why = models.TextField(default="")
    reason = models.TextField(default="", help_text="why it is held, frozen or over; what it waits for while it runs")
    next_at = models.DateTimeField(null=True, help_text="when the next step is due, if all stays well")
    operation = models.UUIDField(null=True, help_text="its own operation whose end it has not taken note of yet")
    deed = models.TextField(default="", help_text="what that operation is: step or back")
    token = models.BigIntegerField(default=0)
    look_until = models.DateTimeField(db_default=Now(), help_text="somebody looks; only to spare others the work")
    check_after = models.DateTimeField(db_default=Now(), help_text="when the drift may be checked again; likewise")
    started_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "strangler_ramp"

    def __str__(self) -> str:
        return f"ramp of {self.context} by {self.who}: {self.state} at {self.percent} % of {self.target} %"
