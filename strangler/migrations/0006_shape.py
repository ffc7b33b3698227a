"""``strangler_shape``: what each collection of a stream looked like when it was last backfilled (P3)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("strangler", "0005_sample")]
    operations = [
        migrations.CreateModel(
            name="Shape",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("stream", models.TextField()),
                ("collection", models.TextField()),
                ("schema", models.TextField(help_text="hash of names and types of the columns that travel")),
                ("key_form", models.TextField(help_text="names and types of the key's columns")),
                ("leaves", models.JSONField(default=list, help_text="partitions")),
                ("there", models.TextField(db_default="", default="", help_text="the destination's hash; empty: not known")),
                (
                    "ignored",
                    models.JSONField(db_default=[], default=list, help_text="columns that the destination has no place for"),
                ),
            ],
            options={
                "db_table": "strangler_shape",
                "constraints": [models.UniqueConstraint(fields=("stream", "collection"), name="strangler_shape_unique")],
            },
        ),
    ]
