"""Tables of every kind that a Django project may have. Their names are odd on purpose."""

import uuid

from django.contrib.postgres.fields import ArrayField, DateTimeRangeField
from django.db import models
from django.db.models import F


class Elsewhere:
    """A field of PostgreSQL alone; in another database it is a column that stays empty."""

    def db_type(self, connection):
        return super().db_type(connection) if connection.vendor == "postgresql" else "text"

    def get_placeholder(self, value, compiler, connection):
        return super().get_placeholder(value, compiler, connection) if connection.vendor == "postgresql" else "%s"


class Words(Elsewhere, ArrayField):
    pass


class During(Elsewhere, DateTimeRangeField):
    def get_placeholder(self, value, compiler, connection):
        return "%s"


class Tag(models.Model):
    word = models.TextField()

    class Meta:
        app_label = "bank"


class Account(models.Model):
    handle = models.CharField(max_length=40, unique=True)
    balance = models.DecimalField(max_digits=14, decimal_places=2, default=0)
    opened_at = models.DateTimeField(auto_now_add=True)
    holder = models.ForeignKey("people.Person", on_delete=models.CASCADE, null=True)
    tags = models.ManyToManyField(Tag)

    class Meta:
        app_label = "bank"


class SavingsAccount(Account):
    """Multi-table inheritance: a table whose key is a foreign key."""

    rate = models.DecimalField(max_digits=6, decimal_places=4)

    class Meta:
        app_label = "bank"


class Transfer(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    amount = models.DecimalField(max_digits=14, decimal_places=2)

    class Meta:
        app_label = "bank"


class Code(models.Model):
    code = models.TextField(primary_key=True)
    meaning = models.TextField(null=True)

    class Meta:
        app_label = "bank"


class Pair(models.Model):
    pk = models.CompositePrimaryKey("left", "right", "day")
    left = models.IntegerField()
    right = models.TextField()
    day = models.DateField()
    weight = models.FloatField(null=True)

    class Meta:
        app_label = "bank"


class Odd(models.Model):
    """Everything that makes a row hard to carry."""

    id = models.BigAutoField(primary_key=True, db_column="The Id")
    small = models.SmallIntegerField(null=True)
    ratio = models.FloatField(null=True)
    price = models.DecimalField(max_digits=30, decimal_places=10, null=True)
    yes = models.BooleanField(null=True, db_column="select")
    text = models.TextField(null=True, db_column="Täxt")
    day = models.DateField(null=True)
    at = models.DateTimeField(null=True)
    clock = models.TimeField(null=True)
    span = models.DurationField(null=True)
    token = models.UUIDField(null=True)
    raw = models.BinaryField(null=True)
    data = models.JSONField(null=True)
    words = Words(models.TextField(), null=True)
    prices = Words(models.DecimalField(max_digits=8, decimal_places=2), null=True)
    during = During(null=True)
    address = models.GenericIPAddressField(null=True)
    doubled = models.GeneratedField(expression=F("small") * 2, output_field=models.IntegerField(), db_persist=True)

    class Meta:
        app_label = "bank"
        db_table = "Odd Table"


class Reading(models.Model):
    """A partitioned table that Django does not manage."""

    pk = models.CompositePrimaryKey("id", "year")
    id = models.BigIntegerField()
    year = models.IntegerField()
    value = models.TextField()

    class Meta:
        app_label = "bank"
        managed = False
        db_table = "bank_reading"


class Weird(models.Model):
    """Names that Django itself can't write, of a table that only raw SQL reaches."""

    id = models.IntegerField(primary_key=True, db_column='the "id" 100%s')
    value = models.TextField(db_column="it's 5%")

    class Meta:
        app_label = "bank"
        managed = False
        db_table = 'we"ird %s table'
