"""The row that everybody carries. Imported in the peers' environment too: nothing but Django here."""

import uuid

from django.db import models
from django.utils import timezone


class Row(models.Model):
    """A row as business tables have it: ten columns of the usual kinds, a foreign key's index beside the primary key's."""

    account_id = models.BigIntegerField(db_index=True)
    kind = models.CharField(max_length=20)
    amount = models.DecimalField(max_digits=14, decimal_places=2)
    currency = models.CharField(max_length=3)
    reference = models.UUIDField(default=uuid.uuid4)
    note = models.TextField()
    is_settled = models.BooleanField(default=False)
    due_on = models.DateField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        abstract = True
