"""``strangler_ramp``: the auto-ramp of each context."""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [
        ("strangler", "0010_rehearsal"),
    ]

    operations = [
        migrations.CreateModel(
            name="RampRun",
            fields=[
                ("context", models.TextField(primary_key=True, serialize=False)),
                ("state", models.TextField(help_text="running, held, frozen, aside, done, aborted")),
                ("target", models.IntegerField(help_text="the share in percent at which it ends")),
                ("percent", models.IntegerField(help_text="the share that it set or found; 0 is stage shadow")),
                ("good", models.JSONField(default=list, help_text="shares that held for an interval in this run, rising")),
                (
                    "good_since",
                    models.DateTimeField(help_text="the first of the looks in a row that found every gate passing", null=True),
                ),
                ("seen_at", models.DateTimeField(help_text="the last look", null=True)),
                ("risen", models.BooleanField(default=True, help_text="the last move was a step up")),
                ("backs", models.IntegerField(default=0, help_text="steps up that were taken back")),
                ("who", models.TextField(help_text="who started it")),
                ("why", models.TextField(default="")),
                (
                    "reason",
                    models.TextField(default="", help_text="why it is held, frozen or over; what it waits for while it runs"),
                ),
                ("next_at", models.DateTimeField(help_text="when the next step is due, if all stays well", null=True)),
                ("operation", models.UUIDField(help_text="its own operation whose end it has not taken note of yet", null=True)),
                ("deed", models.TextField(default="", help_text="what that operation is: step or back")),
                ("token", models.BigIntegerField(default=0)),
                ("look_until", models.DateTimeField(db_default=Now(), help_text="somebody looks; only to spare others the work")),
                (
                    "check_after",
                    models.DateTimeField(db_default=Now(), help_text="when the drift may be checked again; likewise"),
                ),
                ("started_at", models.DateTimeField(db_default=Now())),
            ],
            options={
                "db_table": "strangler_ramp",
            },
        ),
    ]
