from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("strangler", "0003_backfill_in_rounds"),
    ]

    operations = [
        migrations.AddField(
            model_name="backfill",
            name="paused_at",
            field=models.DateTimeField(help_text="an operator has it wait", null=True),
        ),
        migrations.AddField(
            model_name="quarantine",
            name="discarded_at",
            field=models.DateTimeField(help_text="an operator lets it be; why stands in a receipt", null=True),
        ),
        migrations.AddField(
            model_name="stream",
            name="floor",
            field=models.BigIntegerField(db_default=0, default=0, help_text="feed: what had a position below this is lost (P4)"),
        ),
        migrations.AddField(
            model_name="stream",
            name="over_since",
            field=models.DateTimeField(help_text="when its outbox was first seen over the budget (P4)", null=True),
        ),
        migrations.AlterField(
            model_name="backfill",
            name="state",
            field=models.TextField(
                db_default="waiting",
                default="waiting",
                help_text="waiting, running, sweeping, done; cancelled: broken off by hand",
            ),
        ),
    ]
