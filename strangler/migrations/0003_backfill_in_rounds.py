"""A backfill counts the rows that it has sent; a round without a pointer has no lag; versions are updated in their place."""

from django.db import migrations, models

from strangler.migrations._vendor import ByVendor


class Migration(migrations.Migration):
    dependencies = [("strangler", "0002_claim")]

    operations = [
        migrations.RenameField("backfill", "noted", "sent"),
        migrations.AlterField(
            "backfill",
            "state",
            models.TextField(db_default="waiting", default="waiting", help_text="waiting, running, sweeping, done"),
        ),
        migrations.RunSQL(
            "UPDATE strangler_backfill SET state = CASE state WHEN 'noted' THEN 'sweeping' ELSE state END",
            migrations.RunSQL.noop,
        ),
        migrations.AddField("backfill", "swept_at", models.DateTimeField(help_text="when the last sweep of it began", null=True)),
        migrations.AlterField(
            "round",
            "lag_ms",
            models.FloatField(help_text="noted to acknowledged, oldest pointer of the round; NULL: it had none", null=True),
        ),
        # Room on each page for the next version of a row (a heap-only update): a third of the cost of an update.
        ByVendor(
            postgresql=["ALTER TABLE strangler_applied SET (fillfactor = 70)"],
            undo={"postgresql": ["ALTER TABLE strangler_applied RESET (fillfactor)"]},
        ),
    ]
