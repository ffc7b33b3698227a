"""What is kept of a parallel run: counts by the hour, example pairs with secrets masked, and how far each proxy was heard."""

from django.db import models


class ParityBucket(models.Model):
    """One endpoint's samples of an hour, under the rules that held then."""

    context = models.TextField()
    endpoint = models.TextField(help_text="method and URL pattern: GET /api/payments/<int:id>/")
    rules = models.TextField(help_text="fingerprint of the rules that hold for the endpoint; empty for none")
    start = models.DateTimeField(help_text="the hour, or the moment in it at which the window began")
    first = models.DateTimeField(help_text="of its samples")
    last = models.DateTimeField()
    in_flight = models.BigIntegerField(default=0)
    unjudged = models.JSONField(default=dict, help_text="why it could not be judged: count")
    old_errors = models.BigIntegerField(default=0, help_text="samples in which the owner alone answered 5xx")
    new_errors = models.BigIntegerField(default=0, help_text="samples in which the service alone did")
    timed = models.BigIntegerField(default=0, help_text="samples with times, of which ms is drawn")
    ms = models.JSONField(default=list, help_text="[old, new], of a few hundred samples drawn evenly")

    class Meta:
        db_table = "strangler_parity_bucket"
        constraints = [
            models.UniqueConstraint(fields=["context", "endpoint", "rules", "start"], name="strangler_parity_bucket_unique")
        ]


class ParityShape(models.Model):
    """How many samples of a bucket differed in exactly these fields."""

    bucket = models.ForeignKey(ParityBucket, on_delete=models.CASCADE, related_name="shapes")
    of = models.TextField(help_text="service, or noise: the owner compared with itself, or unsteady: both at once")
    fields = models.JSONField(help_text="sorted; an empty list is an equal sample")
    count = models.BigIntegerField(default=0)

    class Meta:
        db_table = "strangler_parity_shape"


class ParityPair(models.Model):
    """Both answers to one request. It is kept while it is among the newest few of one of its fields."""

    context = models.TextField()
    endpoint = models.TextField()
    rules = models.TextField()
    at = models.DateTimeField()
    method = models.TextField()
    target = models.TextField()
    old = models.JSONField()
    new = models.JSONField()
    differences = models.JSONField(help_text="[{field, kind, old, new}]")

    class Meta:
        db_table = "strangler_parity_pair"
        indexes = [models.Index(fields=["context", "endpoint", "-at"], name="strangler_parity_pair_newest")]


class ParityProxy(models.Model):
    """The last batch of a proxy's worker that was counted: one that comes again is not counted again."""

    worker = models.TextField(primary_key=True)
    number = models.BigIntegerField()
    at = models.DateTimeField()

    class Meta:
        db_table = "strangler_parity_proxy"
