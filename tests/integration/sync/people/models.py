from django.db import models


class Person(models.Model):
    """A table of another context, of which the bank's service gets two columns."""

    email = models.EmailField(unique=True)
    password = models.CharField(max_length=100)
    note = models.TextField(default="")

    class Meta:
        app_label = "people"
