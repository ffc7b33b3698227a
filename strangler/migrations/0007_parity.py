"""The parallel run: counts by the hour and shape, example pairs, and how far each proxy was heard."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("strangler", "0006_shape"),
    ]

    operations = [
        migrations.CreateModel(
            name="ParityProxy",
            fields=[
                ("worker", models.TextField(primary_key=True, serialize=False)),
                ("number", models.BigIntegerField()),
                ("at", models.DateTimeField()),
            ],
            options={
                "db_table": "strangler_parity_proxy",
            },
        ),
        migrations.CreateModel(
            name="ParityBucket",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("context", models.TextField()),
                ("endpoint", models.TextField(help_text="method and URL pattern: GET /api/payments/<int:id>/")),
                ("rules", models.TextField(help_text="fingerprint of the rules that hold for the endpoint; empty for none")),
                ("start", models.DateTimeField(help_text="the hour, or the moment in it at which the window began")),
                ("first", models.DateTimeField(help_text="of its samples")),
                ("last", models.DateTimeField()),
                ("in_flight", models.BigIntegerField(default=0)),
                ("unjudged", models.JSONField(default=dict, help_text="why it could not be judged: count")),
                ("old_errors", models.BigIntegerField(default=0, help_text="samples in which the owner alone answered 5xx")),
                (
                    "new_errors",
                    models.BigIntegerField(default=0, help_text="samples in which the service alone did"),
                ),
                ("timed", models.BigIntegerField(default=0, help_text="samples with times, of which ms is drawn")),
                ("ms", models.JSONField(default=list, help_text="[old, new], of a few hundred samples drawn evenly")),
            ],
            options={
                "db_table": "strangler_parity_bucket",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("context", "endpoint", "rules", "start"), name="strangler_parity_bucket_unique"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ParityPair",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("context", models.TextField()),
                ("endpoint", models.TextField()),
                ("rules", models.TextField()),
                ("at", models.DateTimeField()),
                ("method", models.TextField()),
                ("target", models.TextField()),
                ("old", models.JSONField()),
                ("new", models.JSONField()),
                ("differences", models.JSONField(help_text="[{field, kind, old, new}]")),
            ],
            options={
                "db_table": "strangler_parity_pair",
                "indexes": [models.Index(fields=["context", "endpoint", "-at"], name="strangler_parity_pair_newest")],
            },
        ),
        migrations.CreateModel(
            name="ParityShape",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "of",
                    models.TextField(help_text="service, or noise: the owner compared with itself, or unsteady: both at once"),
                ),
                ("fields", models.JSONField(help_text="sorted; an empty list is an equal sample")),
                ("count", models.BigIntegerField(default=0)),
                (
                    "bucket",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="shapes", to="strangler.paritybucket"
                    ),
                ),
            ],
            options={
                "db_table": "strangler_parity_shape",
            },
        ),
    ]
