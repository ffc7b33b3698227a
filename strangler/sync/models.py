"""The tables by which rows and ownership move. They exist on both sides: monolith and lifted service.

SQL reads and writes them far more often than the ORM does; the models are here so that migrations, admin and tests know them.
"""

from django.db import models
from django.db.models.functions import Now


class Outbox(models.Model):
    """One pointer: the row ``key`` of ``collection`` changed, and ``stream`` has not been told (P1).

    Rows are written by triggers alone. ``pos`` is given by the feed (P11) and stays NULL where a relay delivers.
    """

    id = models.BigAutoField(primary_key=True)
    stream = models.TextField()
    collection = models.TextField()
    key = models.TextField(null=True, help_text="NULL: the whole collection was reset (TRUNCATE)")
    origin = models.TextField(default="", db_default="")
    noted_at = models.DateTimeField(db_default=Now())
    pos = models.BigIntegerField(null=True)

    class Meta:
        db_table = "strangler_outbox"
        indexes = [
            models.Index(fields=["stream", "id"], name="strangler_outbox_stream"),
            # Partial: on the monolith, whose streams are relayed, it costs nothing.
            models.Index(fields=["stream", "pos"], name="strangler_outbox_pos", condition=models.Q(pos__isnull=False)),
        ]


class Subscription(models.Model):
    """``stream`` wants to hear of ``collection``. Read by the capture trigger, so it changes without DDL."""

    stream = models.TextField()
    collection = models.TextField()

    class Meta:
        db_table = "strangler_subscription"
        constraints = [
            models.UniqueConstraint(fields=["collection", "stream"], name="strangler_subscription_unique"),
        ]


class Stream(models.Model):
    """The changes that go to one destination, with the lease of the one holder (P6) and the published watermark (P23)."""

    class Kind(models.TextChoices):
        MIRROR = "mirror"  # owner's tables, monolith to service
        COPIES = "copies"  # read copies, monolith to service
        REVERSE = "reverse"  # owner's tables, service to monolith (pulled)
        FEED = "feed"  # on the service: what GET /_strangler/changes serves

    class State(models.TextChoices):
        OFF = "off"
        LIVE = "live"
        PAUSED = "paused"
        BROKEN = "broken"

    name = models.TextField(primary_key=True)
    context = models.TextField()
    kind = models.TextField(choices=Kind.choices)
    state = models.TextField(choices=State.choices, default=State.OFF, db_default=State.OFF)
    reason = models.TextField(default="", db_default="", help_text="why it waits, in plain words")
    lease_holder = models.TextField(default="", db_default="")
    lease_token = models.BigIntegerField(default=0, db_default=0)
    lease_until = models.DateTimeField(null=True)
    marker = models.BigIntegerField(default=0, db_default=0, help_text="highest marker published for the destination")
    cursor = models.BigIntegerField(default=0, db_default=0, help_text="reverse: the position up to which it has applied")
    relayed = models.BigIntegerField(default=0, db_default=0, help_text="changes acknowledged since it was made")
    lag_ms = models.FloatField(null=True, help_text="noted to acknowledged, oldest pointer of the last round")
    last_error = models.TextField(default="", db_default="")
    failures = models.IntegerField(default=0, db_default=0, help_text="rounds that failed since the last good one")
    retry_at = models.DateTimeField(null=True, help_text="after a failure nobody takes the lease before this")
    last_round_at = models.DateTimeField(null=True)
    verified_at = models.DateTimeField(null=True, help_text="last drift check that found nothing")
    verified_drift = models.BigIntegerField(null=True, help_text="rows that differed at the last check")
    verified_marker = models.BigIntegerField(default=0, db_default=0, help_text="marker at the last clean full check")
    over_since = models.DateTimeField(null=True, help_text="when its outbox was first seen over the budget (P4)")
    floor = models.BigIntegerField(default=0, db_default=0, help_text="feed: what had a position below this is lost (P4)")

    class Meta:
        db_table = "strangler_stream"


class Round(models.Model):
    """One acknowledged round of a stream: what rate and lag are computed from. Kept for a few minutes."""

    stream = models.TextField()
    round = models.BigIntegerField(help_text="the marker that it drew")
    changes = models.IntegerField()
    lag_ms = models.FloatField(null=True, help_text="noted to acknowledged, oldest pointer of the round; NULL: it had none")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "strangler_round"
        indexes = [models.Index(fields=["stream", "at"], name="strangler_round_at")]


class Backfill(models.Model):
    """How far the backfill of one collection of a stream has come (P13)."""

    stream = models.TextField()
    collection = models.TextField()
    last_key = models.TextField(null=True)
    sent = models.BigIntegerField(default=0, db_default=0)
    estimate = models.BigIntegerField(default=0, db_default=0)
    state = models.TextField(
        default="waiting", db_default="waiting", help_text="waiting, running, sweeping, done; cancelled: broken off by hand"
    )
    waits_for = models.JSONField(default=list, help_text="virtual ids of transactions older than the subscription")
    started_at = models.DateTimeField(db_default=Now())
    swept_at = models.DateTimeField(null=True, help_text="when the last sweep of it began")
    finished_at = models.DateTimeField(null=True)
    paused_at = models.DateTimeField(null=True, help_text="an operator has it wait")

    class Meta:
        db_table = "strangler_backfill"
        constraints = [models.UniqueConstraint(fields=["stream", "collection"], name="strangler_backfill_unique")]


class Shape(models.Model):
    """What a collection of a stream looked like when its backfill was last asked for, and what the other side has of it (P3)."""

    stream = models.TextField()
    collection = models.TextField()
    schema = models.TextField(help_text="hash of names and types of the columns that travel")
    key_form = models.TextField(help_text="names and types of the key's columns")
    leaves = models.JSONField(default=list, help_text="partitions")
    there = models.TextField(default="", db_default="", help_text="the destination's hash; empty: not known")
    ignored = models.JSONField(default=list, db_default=[], help_text="columns that the destination has no place for")

    class Meta:
        db_table = "strangler_shape"
        constraints = [models.UniqueConstraint(fields=["stream", "collection"], name="strangler_shape_unique")]


class Quarantine(models.Model):
    """A key that could not be applied although the stream was drained (P9). The gate wants this empty."""

    stream = models.TextField()
    collection = models.TextField()
    key = models.TextField()
    error = models.TextField()
    attempts = models.IntegerField(default=0, db_default=0)
    since = models.DateTimeField(db_default=Now())
    discarded_at = models.DateTimeField(null=True, help_text="an operator lets it be; why stands in a receipt")

    class Meta:
        db_table = "strangler_quarantine"
        constraints = [models.UniqueConstraint(fields=["stream", "collection", "key"], name="strangler_quarantine_unique")]


class Stranding(models.Model):
    """A dead owner that was left by break-glass (P22), until what it had acknowledged and nobody had fetched is here."""

    operation = models.UUIDField(primary_key=True)
    context = models.TextField()
    epoch = models.BigIntegerField(help_text="of the monolith since; the service is told of it when it answers")
    cursor = models.BigIntegerField(help_text="the feed's position up to which everything is here, applied or stranded")
    applied_to = models.BigIntegerField(help_text="the marker that the reverse mirror had reached")
    applied_at = models.DateTimeField(null=True, help_text="its last round")
    at = models.DateTimeField(db_default=Now())
    tried_at = models.DateTimeField(null=True)
    error = models.TextField(default="", db_default="", help_text="why it is not here yet, or what the service itself has lost")
    collected_at = models.DateTimeField(null=True, help_text="all of it is here, or was given up")

    class Meta:
        db_table = "strangler_stranding"

    def __str__(self) -> str:
        return f"{self.context} at epoch {self.epoch}"


class Stranded(models.Model):
    """One such key, with the row as the service has it. Applied by nobody: a person looks at it."""

    operation = models.UUIDField()
    context = models.TextField()
    collection = models.TextField()
    key = models.TextField(help_text="empty: the collection was reset")
    op = models.TextField(help_text="upsert, delete or reset")
    row = models.JSONField(null=True)
    written_at = models.TextField(default="", db_default="", help_text="when the service noted it")
    settled_at = models.DateTimeField(null=True, help_text="a person has dealt with it; how stands in a receipt")

    class Meta:
        db_table = "strangler_stranded"
        constraints = [
            models.UniqueConstraint(fields=["operation", "collection", "key"], name="strangler_stranded_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.collection}/{self.key}"


class Sample(models.Model):
    """How far the verifier that never sleeps has come with a stream, and what it found (``sampling``)."""

    stream = models.TextField(primary_key=True)
    token = models.BigIntegerField(default=0, db_default=0, help_text="rises with each claim of a window")
    due_at = models.DateTimeField(db_default=Now(), help_text="nobody takes the next window before this")
    collection = models.TextField(default="", db_default="", help_text="of the next window")
    key = models.TextField(null=True, help_text="where the next window begins; NULL: at the first key")
    size = models.IntegerField(default=1000, db_default=1000, help_text="rows of the next window")
    found = models.JSONField(default=list, db_default=models.Value([], models.JSONField()), help_text="in this pass")
    last_found = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))
    drift = models.IntegerField(default=0, db_default=0, help_text="rows of the last whole pass, or already of this one")
    seen = models.BigIntegerField(default=0, db_default=0, help_text="rows compared since it was made")
    passes = models.IntegerField(default=0, db_default=0)
    pass_at = models.DateTimeField(db_default=Now(), help_text="when this pass began")
    clean_at = models.DateTimeField(null=True, help_text="when the last pass began that found nothing")
    sampled_at = models.DateTimeField(null=True, help_text="the last window")

    class Meta:
        db_table = "strangler_sample"


class Applied(models.Model):
    """The version ``(epoch, token, round)`` last applied here for a key; a tombstone where ``deleted`` (P8)."""

    collection = models.TextField()
    key = models.TextField()
    epoch = models.BigIntegerField()
    token = models.BigIntegerField()
    round = models.BigIntegerField()
    deleted_at = models.DateTimeField(null=True, help_text="when the tombstone was set; NULL: the row is there")

    pk = models.CompositePrimaryKey("collection", "key")

    class Meta:
        db_table = "strangler_applied"


class Ownership(models.Model):
    """Who may write the context's tables, as this side knows it (P16). Epochs only rise."""

    context = models.TextField(primary_key=True)
    side = models.TextField(help_text="which side this database is: monolith or service")
    epoch = models.BigIntegerField(default=0, db_default=0)
    owner = models.TextField(default="monolith", db_default="monolith", help_text="monolith, service or none")
    operation = models.TextField(default="", db_default="")
    changed_at = models.DateTimeField(db_default=Now())
    system_identifier = models.TextField(default="", db_default="")
    timeline = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        db_table = "strangler_ownership"


class LooseKey(models.Model):
    """A foreign key between contexts whose constraint was dropped; its definition is kept for the way back (P25)."""

    context = models.TextField()
    table = models.TextField()
    name = models.TextField()
    definition = models.TextField()
    dropped_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "strangler_loose_key"
        constraints = [models.UniqueConstraint(fields=["table", "name"], name="strangler_loose_key_unique")]
