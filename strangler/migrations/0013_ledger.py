"""``strangler_crossing``: what crosses contexts while the project runs, with counts: the runtime part of the coupling ledger."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("strangler", "0012_usage")]
    operations = [
        migrations.CreateModel(
            name="Crossing",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.TextField(help_text="digest of all that is text below")),
                ("kind", models.TextField()),
                ("source", models.TextField()),
                ("target", models.TextField()),
                ("where", models.TextField()),
                ("what", models.TextField()),
                ("note", models.TextField()),
                ("file", models.TextField()),
                ("line", models.IntegerField()),
                ("text", models.TextField(help_text="the statement's template")),
                ("by", models.JSONField(help_text="a handful of the units of work that ran it")),
                ("count", models.BigIntegerField()),
                ("last_at", models.DateTimeField()),
            ],
            options={
                "db_table": "strangler_crossing",
                "constraints": [models.UniqueConstraint(fields=("key",), name="strangler_crossing_key")],
                "indexes": [models.Index(fields=["last_at"], name="strangler_crossing_last")],
            },
        ),
    ]
