"""What belongs to no context: staff's notes on anything, the activity feed, and a view over the others' tables."""

from __future__ import annotations

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models


class Note(models.Model):
    """planted: a GenericForeignKey to any model of any context."""

    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE, related_name="+")
    object_id = models.CharField(max_length=64)
    about = GenericForeignKey("content_type", "object_id")
    # planted: SET_NULL across contexts, shell → users
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["content_type", "object_id"], name="shell_note_about")]

    def __str__(self) -> str:
        return self.text[:60]


class Activity(models.Model):
    """One line of the feed on the dashboard. ``reference`` says what it is about, so a second telling changes nothing."""

    kind = models.CharField(max_length=40)
    reference = models.CharField(max_length=64)
    text = models.CharField(max_length=200)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name_plural = "activity"
        constraints = [models.UniqueConstraint(fields=["kind", "reference"], name="shell_activity_once")]

    def __str__(self) -> str:
        return self.text


class DailySales(models.Model):
    """planted: a database view that joins orders and payments."""

    id = models.CharField(max_length=16, primary_key=True)
    day = models.DateField()
    currency = models.CharField(max_length=3)
    orders = models.IntegerField()
    ordered = models.DecimalField(max_digits=14, decimal_places=2)
    captured = models.DecimalField(max_digits=14, decimal_places=2)

    class Meta:
        managed = False
        db_table = "shell_daily_sales"
        ordering = ["-day", "currency"]
        verbose_name_plural = "daily sales"

    def __str__(self) -> str:
        return f"{self.day} {self.currency}"
