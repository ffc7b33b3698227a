"""A rehearsal never commits: a deferred trigger on the outbox refuses the commit of any transaction with such an origin.

It waits for the commit, so that the rehearsal can run, and rolls it back. ``WHEN`` is judged as the row is noted: nothing is
queued for any other row. Beside it, what is recorded of real writes, to be rehearsed.
"""

from django.db import migrations, models
from django.db.models.functions import Now

from strangler.migrations._vendor import ByVendor

REFUSE = """CREATE FUNCTION strangler_rehearsal_ends() RETURNS trigger LANGUAGE plpgsql AS $strangler$
BEGIN
  RAISE EXCEPTION 'strangler: a rehearsal never commits' USING ERRCODE = 'SF004';
END
$strangler$"""
TRIGGER = """CREATE CONSTRAINT TRIGGER strangler_rehearsal_ends AFTER INSERT ON strangler_outbox
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (starts_with(NEW.origin, 'rehearsal:'))
EXECUTE FUNCTION strangler_rehearsal_ends()"""


class Migration(migrations.Migration):
    dependencies = [("strangler", "0009_receipts")]
    operations = [
        migrations.CreateModel(
            name="Recording",
            fields=[
                ("context", models.TextField(primary_key=True, serialize=False)),
                ("share", models.FloatField(help_text="of the writes, more than 0 and at most 1")),
                ("until", models.DateTimeField()),
                ("who", models.TextField()),
            ],
            options={"db_table": "strangler_recording"},
        ),
        migrations.CreateModel(
            name="Effect",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("write", models.UUIDField(db_index=True)),
                ("collection", models.TextField()),
                ("key", models.TextField()),
                ("before", models.TextField(null=True, help_text="the row's wire values as JSON; NULL: it was not there")),
                ("after", models.TextField(null=True)),
                ("noted_at", models.DateTimeField(db_default=Now())),
            ],
            options={"db_table": "strangler_effect"},
        ),
        migrations.CreateModel(
            name="RecordedWrite",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("context", models.TextField()),
                ("at", models.DateTimeField(help_text="when it came")),
                ("took_ms", models.FloatField()),
                ("method", models.TextField()),
                ("target", models.TextField(help_text="path and query")),
                ("endpoint", models.TextField(help_text="Django's URL pattern")),
                ("headers", models.JSONField(default=dict)),
                ("content_type", models.TextField(default="")),
                ("body", models.BinaryField()),
                ("user", models.TextField(default="", help_text="the user's id; empty: anonymous")),
                ("status", models.IntegerField()),
                ("answer_headers", models.JSONField(default=dict)),
                ("answer", models.BinaryField()),
                (
                    "effects",
                    models.TextField(default="[]", help_text="JSON: collection, key, kind, before, after; as they were touched"),
                ),
            ],
            options={
                "db_table": "strangler_recorded_write",
                "indexes": [models.Index(fields=["context", "id"], name="strangler_recorded_write_last")],
            },
        ),
        ByVendor(
            postgresql=[REFUSE, TRIGGER, "ALTER TABLE strangler_outbox ENABLE ALWAYS TRIGGER strangler_rehearsal_ends"],
            undo={
                "postgresql": [
                    "DROP TRIGGER IF EXISTS strangler_rehearsal_ends ON strangler_outbox",
                    "DROP FUNCTION IF EXISTS strangler_rehearsal_ends()",
                ]
            },
        ),
    ]
