"""``strangler_usage``: who uses a context, counted per hour; ``strangler_usage_span``: when somebody recorded it (P27)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("strangler", "0011_ramp")]
    operations = [
        migrations.CreateModel(
            name="Usage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("hour", models.DateTimeField()),
                ("context", models.TextField()),
                ("access", models.TextField(help_text="hit, read, write or unclear")),
                ("table", models.TextField(help_text="empty for a hit")),
                ("kind", models.TextField(help_text="request, task, command or unknown")),
                ("source", models.TextField()),
                ("through", models.BooleanField(help_text="by the context's seam")),
                ("own", models.BooleanField(help_text="by code of the context itself")),
                ("count", models.BigIntegerField()),
                ("last_at", models.DateTimeField()),
            ],
            options={
                "db_table": "strangler_usage",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("context", "hour", "access", "table", "kind", "source", "through", "own"),
                        name="strangler_usage_unique",
                    )
                ],
                "indexes": [models.Index(fields=["hour"], name="strangler_usage_hour")],
            },
        ),
        migrations.CreateModel(
            name="UsageSpan",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("role", models.TextField(help_text="web or worker; empty for a loss")),
                ("began", models.DateTimeField()),
                ("until", models.DateTimeField()),
                ("lost", models.BigIntegerField(db_default=0, default=0)),
            ],
            options={"db_table": "strangler_usage_span"},
        ),
    ]
